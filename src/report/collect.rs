//! Gathers what a report shows while builds run: the last lines of each.

use crate::report::clean;
use crate::report::markdown::{Failure, Row, Status};
use image_action_engine::event::{Event, Stamped, Subscriber, build_of};
use image_action_engine::run::BuildOutcome;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// How many lines of each build are kept.
const LINES: usize = 60;

/// The last lines of every build. Cheap to clone; clones share.
#[derive(Clone, Default)]
pub struct Tails(Arc<Mutex<BTreeMap<String, VecDeque<String>>>>);

impl Tails {
    fn push(&self, speaker: &str, text: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tail = all.entry(build_of(speaker).to_owned()).or_default();
        for line in text.trim_end().split('\n') {
            if tail.len() == LINES {
                tail.pop_front();
            }
            tail.push_back(clean::line(clean::after_returns(line)));
        }
    }
    /// The last lines of a build.
    pub fn of(&self, build: &str) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(build).map(|t| t.iter().cloned().collect()).unwrap_or_default()
    }
    /// The row of a build that has ended.
    pub fn row(&self, build: &BuildOutcome) -> Row {
        let artifacts = build.result.as_deref().unwrap_or(&build.kept);
        let (status, failure) = match &build.result {
            Ok(_) => (Status::Success, None),
            Err(e) => {
                let status = if e.is_cancelled() { Status::Cancelled } else { Status::Failure };
                let log = self.of(&build.name);
                (status, Some(Failure { message: e.to_string(), hint: e.hint.clone(), log }))
            }
        };
        Row {
            build: build.name.clone(),
            source_type: build.source_type.clone(),
            status,
            elapsed: build.elapsed,
            images: artifacts.iter().flat_map(|a| a.images.clone()).collect(),
            failure,
        }
    }
}

impl Subscriber for Tails {
    fn event(&mut self, stamped: &Stamped) {
        match &stamped.event {
            Event::Say { build, text } | Event::Message { build, text } | Event::Error { build, text } => {
                self.push(build, text);
            }
            Event::Output { build, line, .. } => self.push(build, line),
            Event::Leftover { build, what, remove_with } => {
                self.push(build, &format!("left behind: {what}; remove it with: {remove_with}"));
            }
            _ => {}
        }
    }
}
