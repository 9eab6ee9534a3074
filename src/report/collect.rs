//! Gathers what a report shows while builds run: the last lines of each, and what it is at.

use crate::report::clean;
use crate::report::markdown::{Failure, Row, Status};
use image_action_engine::event::{Event, Stamped, Subscriber, build_of};
use image_action_engine::run::BuildOutcome;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// How many lines of each build are kept.
const LINES: usize = 60;

/// What is known of one build.
#[derive(Default)]
struct Tail {
    lines: VecDeque<String>,
    phase: String,
}

/// The last lines and the phase of every build. Cheap to clone; clones share.
#[derive(Clone, Default)]
pub struct Tails(Arc<Mutex<BTreeMap<String, Tail>>>);

impl Tails {
    fn with<R>(&self, speaker: &str, work: impl FnOnce(&mut Tail) -> R) -> R {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(all.entry(build_of(speaker).to_owned()).or_default())
    }
    fn push(&self, speaker: &str, text: &str) {
        self.with(speaker, |tail| {
            for line in text.trim_end().split('\n') {
                if tail.lines.len() == LINES {
                    tail.lines.pop_front();
                }
                tail.lines.push_back(clean::visible(clean::after_returns(line)));
            }
        });
    }
    /// The row of a build that has ended.
    pub fn row(&self, build: &BuildOutcome) -> Row {
        let artifacts = build.result.as_deref().unwrap_or(&build.kept);
        let (status, failure) = match &build.result {
            Ok(_) => (Status::Success, None),
            Err(e) => {
                let status = if e.is_cancelled() { Status::Cancelled } else { Status::Failure };
                let (log, phase) = self.with(&build.name, |t| (t.lines.iter().cloned().collect(), t.phase.clone()));
                (status, Some(Failure { phase, message: e.to_string(), hint: e.hint.clone(), log }))
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
            Event::Phase { build, phase } => self.with(build, |tail| tail.phase.clone_from(phase)),
            Event::Leftover { build, what, remove_with } => {
                self.push(build, &format!("left behind: {what}; remove it with: {remove_with}"));
            }
            _ => {}
        }
    }
}
