//! What is told while builds run. One kind of event serves every report; nothing else is printed.

use crate::component::Artifact;
use crate::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The builds that will run, in order.
    Planned {
        /// Whole names.
        builds: Vec<String>,
    },
    /// A build has begun.
    Started {
        /// Whole name.
        build: String,
    },
    /// What a build is at.
    Phase {
        /// Whole name.
        build: String,
        /// A few words.
        phase: String,
    },
    /// A step.
    Say {
        /// Whole name.
        build: String,
        /// Our own words, which may quote others.
        text: String,
    },
    /// Something less than a step.
    Message {
        /// Whole name.
        build: String,
        /// Our own words, which may quote others.
        text: String,
    },
    /// A whole line of a machine's (or a local program's) output: untrusted.
    Output {
        /// Whole name.
        build: String,
        /// Which stream.
        stream: crate::component::Stream,
        /// Without its line end.
        line: String,
    },
    /// Something went wrong.
    Error {
        /// Whole name.
        build: String,
        /// Our own words, which may quote others.
        text: String,
    },
    /// Suspicious, and no reason to stop.
    Warning {
        /// Whole name, or none where it concerns the run.
        build: Option<String>,
        /// Our own words.
        text: String,
    },
    /// Something about the whole run.
    Notice {
        /// Our own words.
        text: String,
    },
    /// Something could not be removed.
    Leftover {
        /// Whole name.
        build: String,
        /// What it is (`security group sg-1 in us-west-2`).
        what: String,
        /// A command that removes it.
        remove_with: String,
    },
    /// A build has ended.
    Finished {
        /// Whole name.
        build: String,
        /// How long it took.
        elapsed: Duration,
        /// What it made, or why not.
        outcome: Result<Vec<Artifact>, Error>,
    },
}

/// The build that a speaker belongs to: `a.b (manifest)` is the post-processor `manifest` of `a.b`.
pub fn build_of(speaker: &str) -> &str {
    speaker.split_once(" (").map_or(speaker, |(build, _)| build)
}

/// An event, with its time.
#[derive(Clone, Debug)]
pub struct Stamped {
    /// When it was told.
    pub at: SystemTime,
    /// What was told.
    pub event: Event,
}

/// Takes part in the run as a listener: the terminal, a file of JSON lines, check runs.
pub trait Subscriber: Send {
    /// One more event, in order. Must not wait.
    fn event(&mut self, event: &Stamped);
}

/// Where events go. Cheap to clone; sending never waits.
#[derive(Clone)]
pub struct Events(mpsc::UnboundedSender<Message>);

enum Message {
    Event(Arc<Stamped>),
    Flush(tokio::sync::oneshot::Sender<()>),
}

impl Events {
    /// Starts a task that hands every event to all `subscribers`, in order.
    pub fn start(mut subscribers: Vec<Box<dyn Subscriber>>) -> Events {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(message) = receiver.recv().await {
                match message {
                    Message::Event(event) => subscribers.iter_mut().for_each(|s| s.event(&event)),
                    // Nobody waits any more: fine.
                    Message::Flush(done) => drop(done.send(())),
                }
            }
        });
        Events(sender)
    }
    /// Tells it. After the end of the run nobody listens, and nothing happens.
    pub fn send(&self, event: Event) {
        let _ = self.0.send(Message::Event(Arc::new(Stamped { at: SystemTime::now(), event })));
    }
    /// Waits until everything told so far has been heard.
    pub async fn flush(&self) {
        let (done, heard) = tokio::sync::oneshot::channel();
        if self.0.send(Message::Flush(done)).is_ok() {
            let _ = heard.await;
        }
    }
}
