//! What goes wrong on purpose: throttling, refusals, lost connections, answers that never come.

use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};

/// One fault, as the admin route `POST /_local/faults` takes it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fault {
    /// A part of the call as the log shows it (`ec2 us-west-2 RunInstances`, `PUT /subscriptions/…`).
    pub matches: String,
    /// Calls that match and still work, before the first that fails.
    pub skip: u32,
    /// Calls that fail; 0: all further ones.
    pub times: u32,
    /// The status of the answer, in the service's own error envelope.
    pub status: u16,
    /// The service's error code.
    pub code: String,
    /// The service's message.
    pub message: String,
    /// Closes the connection without an answer.
    pub reset: bool,
    /// Milliseconds to wait before the answer (or the real call, where no status is set).
    pub delay_ms: u64,
    /// Lets the call work, and then loses the answer: the client cannot know.
    pub lose_answer: bool,
}

/// The faults that are set.
#[derive(Default)]
pub struct Faults(Mutex<Vec<(Fault, u32)>>);

impl Faults {
    /// One more.
    pub fn add(&self, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((fault, 0));
    }
    /// None any more.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
    /// How many calls the faults that match `matches` have seen.
    pub fn seen(&self, matches: &str) -> u32 {
        let faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.iter().filter(|(f, _)| f.matches == matches).map(|(_, seen)| seen).sum()
    }
    /// The fault that hits this call, which is counted.
    pub fn hit(&self, call: &str) -> Option<Fault> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (fault, seen) in faults.iter_mut().filter(|(f, _)| call.contains(&f.matches)) {
            *seen += 1;
            if *seen > fault.skip && (fault.times == 0 || *seen <= fault.skip + fault.times) {
                return Some(fault.clone());
            }
        }
        None
    }
}
