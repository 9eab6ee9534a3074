//! How long AWS is waited for: `aws_polling`, the environment's names for the same, and what holds without either.

use crate::config::Polling;
use image_action_engine::Env;
use image_action_engine::wait::{POLL_PAUSES, Poll};
use std::time::Duration;

/// How long an image may take to become available: large volumes take most of it.
const IMAGE: Duration = Duration::from_secs(30 * 60);

/// How long an instance may take to start, stop or end.
const INSTANCE: Duration = Duration::from_secs(10 * 60);

/// How long a new security group may take to be seen.
const GROUP: Duration = Duration::from_secs(200);

/// Looks and pause of one build's waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// How long any wait lasts, where the template or the environment says so.
    total: Option<Duration>,
    /// The longest pause.
    pause: Option<Duration>,
}

impl Waits {
    /// What the template says, else the environment (`AWS_POLL_DELAY_SECONDS`, `AWS_MAX_ATTEMPTS`, `AWS_TIMEOUT_SECONDS`).
    pub fn new(polling: Option<&Polling>, env: &Env) -> Waits {
        let number = |name: &str| env.get(name).and_then(|v| v.parse::<u64>().ok()).filter(|n| *n > 0);
        let set = |n: i64| u64::try_from(n).ok().filter(|n| *n > 0);
        let delay = polling.and_then(|p| set(p.delay_seconds)).or_else(|| number("AWS_POLL_DELAY_SECONDS"));
        let attempts = polling.and_then(|p| set(p.max_attempts)).or_else(|| number("AWS_MAX_ATTEMPTS"));
        let pause = delay.map(Duration::from_secs);
        // Attempts alone: that many of our own longest pauses.
        let each = pause.unwrap_or(POLL_PAUSES[POLL_PAUSES.len() - 1]);
        let total = attempts.map(|n| each.saturating_mul(u32::try_from(n).unwrap_or(u32::MAX)));
        Waits { total: total.or_else(|| number("AWS_TIMEOUT_SECONDS").map(Duration::from_secs)), pause }
    }
    fn poll(&self, what: String, default: Duration) -> Poll {
        let poll = Poll::new(what, self.total.unwrap_or(default));
        match self.pause {
            Some(pause) => poll.longest_pause(pause),
            None => poll,
        }
    }
    /// A wait for an image.
    pub fn image(&self, what: impl Into<String>) -> Poll {
        self.poll(what.into(), IMAGE)
    }
    /// A wait for an instance.
    pub fn instance(&self, what: impl Into<String>) -> Poll {
        self.poll(what.into(), INSTANCE)
    }
    /// A wait for a security group.
    pub fn group(&self, what: impl Into<String>) -> Poll {
        self.poll(what.into(), GROUP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_goes_before_the_environment() {
        let polling = Polling { max_attempts: 50, delay_seconds: 30 };
        let env = Env::from_pairs([("AWS_MAX_ATTEMPTS".to_owned(), "3".to_owned())]);
        let waits = Waits::new(Some(&polling), &env);
        assert_eq!(waits.image("x").deadline, Duration::from_secs(1500));
        assert_eq!(waits.image("x").longest_pause, Duration::from_secs(30));
        assert_eq!(Waits::new(None, &env).instance("x").deadline, Duration::from_secs(15));
        assert_eq!(Waits::new(None, &Env::default()).image("x").deadline, IMAGE);
    }
}
