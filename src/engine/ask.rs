//! `-on-error=ask`: a person decides what becomes of a build whose step failed.

use crate::component::BuildContext;
use crate::error::{Error, Result};
use crate::run::OnError;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

/// Who is asked: the terminal, for one.
#[async_trait::async_trait]
pub trait Person: Send + Sync {
    /// Shows a question and waits for one line of answer; `None` where nobody answers any more.
    async fn ask(&self, question: &str) -> Option<String>;
}

/// What becomes of a build whose step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Everything temporary is removed.
    CleanUp,
    /// The build stops where it is; what exists stays, and is listed.
    Abort,
    /// The step runs once more.
    Retry,
}

/// The person of a run, if there is one, and what was chosen for each build.
#[derive(Default)]
pub struct Asking {
    person: Option<Arc<dyn Person>>,
    /// One question at a time: builds run side by side.
    turn: tokio::sync::Mutex<()>,
    chosen: Mutex<BTreeMap<String, Choice>>,
}

impl Asking {
    /// With somebody to ask, or nobody.
    pub fn new(person: Option<Arc<dyn Person>>) -> Asking {
        Asking { person, ..Asking::default() }
    }
    fn chosen(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Choice>> {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BuildContext {
    /// Runs a step. Where it fails under `-on-error=ask`, a person says whether it runs once more; so `work` may be called
    /// again after its own failure.
    ///
    /// # Errors
    /// The step's last failure.
    pub async fn step<T, F, Fut>(&self, name: &str, mut work: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        loop {
            match work().await {
                Err(e) if self.choose(name, &e, true).await == Choice::Retry => {}
                result => return result,
            }
        }
    }

    /// What becomes of this build after a step's failure.
    ///
    /// A choice between cleaning up and aborting holds for the whole build: nobody is asked twice.
    pub async fn choose(&self, step: &str, e: &Error, may_retry: bool) -> Choice {
        if e.is_cancelled() || self.cancel.is_cancelled() {
            return Choice::CleanUp;
        }
        match self.run.on_error {
            OnError::Cleanup => return Choice::CleanUp,
            OnError::Abort | OnError::RunCleanupProvisioner => return Choice::Abort,
            OnError::Ask => {}
        }
        let asking = &self.run.asking;
        if let Some(choice) = asking.chosen().get(&self.name) {
            return *choice;
        }
        let _turn = asking.turn.lock().await;
        // A step beside this one may have been asked about meanwhile.
        if let Some(choice) = asking.chosen().get(&self.name) {
            return *choice;
        }
        let choice = self.put_the_question(step, e, may_retry).await;
        if choice != Choice::Retry {
            asking.chosen().insert(self.name.clone(), choice);
        }
        choice
    }

    async fn put_the_question(&self, step: &str, e: &Error, may_retry: bool) -> Choice {
        self.error(e.to_string());
        let Some(person) = &self.run.asking.person else {
            self.error(format!(
                "Step \"{step}\" failed. -on-error=ask has no terminal to ask on, and cleans up as -on-error=cleanup does; \
                 -on-error=abort would leave everything as it is"
            ));
            return Choice::CleanUp;
        };
        self.error(format!("Step \"{step}\" failed"));
        let retry = if may_retry { ", or [r] retry the step (the build may fail all the same)" } else { "" };
        let or = if may_retry { "" } else { " or" };
        let question =
            format!("{}: [c] clean up and exit,{or} [a] abort and leave everything as it is{retry}?", self.name);
        loop {
            // What was told so far stands above the question.
            self.events().flush().await;
            let answer = tokio::select! {
                () = self.cancel.cancelled() => return Choice::CleanUp,
                answer = person.ask(&question) => answer,
            };
            let Some(answer) = answer else { return Choice::CleanUp };
            match answer.trim().chars().next().map(|c| c.to_ascii_lowercase()) {
                None | Some('c') => return Choice::CleanUp,
                Some('a') => return Choice::Abort,
                Some('r') if may_retry => return Choice::Retry,
                Some(_) => self.error(format!("Incorrect input: \"{}\"", answer.trim())),
            }
        }
    }
}
