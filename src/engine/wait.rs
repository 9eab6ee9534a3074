//! One retry policy, one poll policy and one rate limiter for every cloud.

use crate::error::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Pauses between polls: short at first, because most waits are short. The last one repeats.
pub const POLL_PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(5)];

/// How long "not found" is believed to be a delay of the cloud's after our own create.
pub const NOT_FOUND_GRACE: Duration = Duration::from_secs(60);

/// Attempts of a call that is throttled, answers 5xx, or loses its connection.
pub const RETRY_ATTEMPTS: u32 = 6;

/// First pause of a retry; it doubles up to [`RETRY_LONGEST`].
pub const RETRY_FIRST: Duration = Duration::from_millis(500);

/// Longest pause of a retry.
pub const RETRY_LONGEST: Duration = Duration::from_secs(10);

/// Pauses for `duration`.
///
/// # Errors
/// [`Error::cancelled`] as soon as the token is.
pub async fn pause(duration: Duration, cancel: &CancellationToken) -> Result<()> {
    tokio::select! {
        () = cancel.cancelled() => Err(Error::cancelled()),
        () = tokio::time::sleep(duration) => Ok(()),
    }
}

/// How one wait goes about it.
#[derive(Clone, Debug)]
pub struct Poll {
    /// What is waited for: "the instance to be running".
    pub what: String,
    /// When to give up, from the beginning of the wait.
    pub deadline: Duration,
    /// The longest pause (a template's `delay_seconds`); [`POLL_PAUSES`] up to it.
    pub longest_pause: Duration,
}

impl Poll {
    /// A wait for `what`, up to `deadline`.
    pub fn new(what: impl Into<String>, deadline: Duration) -> Poll {
        Poll { what: what.into(), deadline, longest_pause: POLL_PAUSES[POLL_PAUSES.len() - 1] }
    }
    /// With another longest pause.
    #[must_use]
    pub fn longest_pause(mut self, pause: Duration) -> Poll {
        self.longest_pause = pause;
        self
    }
    /// Asks until the answer is `Some`.
    ///
    /// The local cloud is asked faster: `IMAGE_ACTION_POLL_SCALE`, read once at the start into [`set_poll_scale`].
    ///
    /// # Errors
    /// The question's own error, [`ErrorKind::TimedOut`] at the deadline, [`Error::cancelled`].
    pub async fn until<T, F, Fut>(&self, cancel: &CancellationToken, mut ask: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<Option<T>>>,
    {
        let end = Instant::now() + self.deadline;
        for round in 0.. {
            let answer = tokio::select! {
                () = cancel.cancelled() => return Err(Error::cancelled()),
                answer = tokio::time::timeout_at(end, ask()) => answer,
            };
            match answer {
                Ok(Ok(Some(value))) => return Ok(value),
                Ok(Ok(None)) => {}
                Ok(Err(e)) => return Err(e),
                Err(_) => break,
            }
            let regular = POLL_PAUSES[usize::min(round, POLL_PAUSES.len() - 1)].max(if round < POLL_PAUSES.len() {
                Duration::ZERO
            } else {
                self.longest_pause
            });
            let next = scaled(regular.min(self.longest_pause));
            if Instant::now() + next > end {
                break;
            }
            pause(next, cancel).await?;
        }
        Err(Error::new(
            ErrorKind::TimedOut,
            format!("gave up waiting for {} after {}", self.what, crate::duration::show(self.deadline)),
        ))
    }
}

static POLL_SCALE_PERMILLE: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1000);

/// Sets the scale of all poll pauses, in thousandths; the local cloud, whose states last fractions of a second, sets 50.
pub fn set_poll_scale(permille: u32) {
    POLL_SCALE_PERMILLE.store(permille.clamp(1, 1000), std::sync::atomic::Ordering::Relaxed);
}

/// A pause under the scale that is set.
pub fn scaled(pause: Duration) -> Duration {
    pause * POLL_SCALE_PERMILLE.load(std::sync::atomic::Ordering::Relaxed) / 1000
}

/// Repeats a call while `again` says its error is worth it: throttling, 5xx, a lost connection.
///
/// # Errors
/// The last attempt's error, or [`Error::cancelled`].
pub async fn retry<T, E, F, Fut>(cancel: &CancellationToken, again: impl Fn(&E) -> bool, call: F) -> Result<T, E>
where
    E: From<Error>,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    retry_up_to(RETRY_ATTEMPTS, cancel, again, call).await
}

/// As [`retry`], with another number of attempts in all (a template's `max_retries`).
///
/// # Errors
/// The last attempt's error, or [`Error::cancelled`].
pub async fn retry_up_to<T, E, F, Fut>(
    attempts: u32,
    cancel: &CancellationToken,
    again: impl Fn(&E) -> bool,
    mut call: F,
) -> Result<T, E>
where
    E: From<Error>,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let mut next = RETRY_FIRST;
    for left in (0..attempts.max(1)).rev() {
        let answer = tokio::select! {
            () = cancel.cancelled() => return Err(Error::cancelled().into()),
            answer = call() => answer,
        };
        match answer {
            Err(e) if left > 0 && again(&e) => pause(scaled(next), cancel).await?,
            other => return other,
        }
        next = (next * 2).min(RETRY_LONGEST);
    }
    // The loop runs at least once, and its last round returns.
    Err(Error::cancelled().into())
}

/// How fast the calls of one account to one API may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls that are let through at once after a while without any.
    pub burst: u32,
    /// Calls a second after these.
    pub per_second: u32,
}

/// Lets calls through no faster than a rate. All who call the same API with the same account stand in one line, whichever build
/// they belong to: a cloud counts by account.
#[derive(Debug)]
pub struct Limiter {
    rate: Rate,
    /// When the line would be empty, were every call made at the steady pace (a "theoretical arrival time").
    full: Mutex<Instant>,
}

impl Limiter {
    /// With nobody in line.
    pub fn new(rate: Rate) -> Limiter {
        Limiter { rate, full: Mutex::new(Instant::now()) }
    }
    /// The pause between two calls at the steady pace; the local cloud is asked faster, see [`set_poll_scale`].
    fn pace(&self) -> Duration {
        scaled(Duration::from_secs(1) / self.rate.per_second.max(1))
    }
    /// Waits for this call's turn.
    ///
    /// # Errors
    /// [`Error::cancelled`].
    pub async fn pass(&self, cancel: &CancellationToken) -> Result<()> {
        match self.line_up(Instant::now()) {
            Duration::ZERO => Ok(()),
            wait => pause(wait, cancel).await,
        }
    }
    /// Takes a place in the line; how long it has to wait from `now` on.
    fn line_up(&self, now: Instant) -> Duration {
        let pace = self.pace();
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        *full = (*full).max(now) + pace;
        // The burst goes ahead of its pace.
        full.duration_since(now).saturating_sub(pace * self.rate.burst.max(1))
    }
    /// The cloud says "slower": nobody passes for this long, and then at the steady pace.
    pub fn slow_down(&self, rest: Duration) {
        self.rest_from(Instant::now(), rest);
    }
    fn rest_from(&self, now: Instant, rest: Duration) {
        let resumes = now + scaled(rest) + self.pace() * self.rate.burst.max(1);
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        *full = (*full).max(resumes);
    }
}

static LIMITERS: Mutex<BTreeMap<String, Arc<Limiter>>> = Mutex::new(BTreeMap::new());

/// The limiter of an account and API, by a name that no other pair has (`aws ec2 us-west-2 123456789012`): one for the whole
/// program, because the cloud counts all its calls together.
pub fn limiter(account_and_api: &str, rate: Rate) -> Arc<Limiter> {
    let mut all = LIMITERS.lock().unwrap_or_else(PoisonError::into_inner);
    all.entry(account_and_api.to_owned()).or_insert_with(|| Arc::new(Limiter::new(rate))).clone()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn a_wait_ends_at_its_deadline_and_names_itself() {
        let poll = Poll::new("the instance to be running", Duration::from_millis(20));
        let begin = Instant::now();
        let e = poll.until(&CancellationToken::new(), async || Ok(None::<()>)).await.unwrap_err();
        assert_eq!(e.kind, ErrorKind::TimedOut);
        assert!(e.summary.contains("the instance to be running"), "{e}");
        assert!(begin.elapsed() < Duration::from_secs(1), "a pause that would pass the deadline is not taken");
    }

    #[tokio::test]
    async fn a_cancelled_wait_ends_at_once() {
        let cancel = CancellationToken::new();
        cancel.cancel();
        let poll = Poll::new("x", Duration::from_secs(60));
        assert!(poll.until(&cancel, async || Ok(None::<()>)).await.unwrap_err().is_cancelled());
    }

    #[tokio::test]
    async fn a_retry_stops_at_the_first_error_that_is_final() {
        let calls = AtomicU32::new(0);
        let call = async || {
            let n = calls.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(if n < 2 { Error::failed("throttled") } else { Error::failed("refused") })
        };
        let e = retry(&CancellationToken::new(), |e| e.summary == "throttled", call).await.unwrap_err();
        assert_eq!((e.summary.as_str(), calls.load(Ordering::Relaxed)), ("refused", 3));
    }

    const RATE: Rate = Rate { burst: 3, per_second: 10 };

    /// How long each of `n` calls waits that are made at the same moment, in milliseconds.
    fn waits(limiter: &Limiter, now: Instant, n: usize) -> Vec<u128> {
        (0..n).map(|_| limiter.line_up(now).as_millis()).collect()
    }

    #[test]
    fn a_burst_passes_at_once_and_the_rest_at_the_pace() {
        let (limiter, now) = (Limiter::new(RATE), Instant::now());
        assert_eq!(waits(&limiter, now, 6), [0, 0, 0, 100, 200, 300]);
        assert_eq!(waits(&limiter, now + Duration::from_millis(450), 1), [0], "the line is as long as its rest");
        let later = now + Duration::from_secs(60);
        assert_eq!(waits(&limiter, later, 4), [0, 0, 0, 100], "a pause fills the burst, and no more than that");
    }

    #[test]
    fn builds_of_one_account_stand_in_one_line() {
        let now = Instant::now();
        let (one, other) = (limiter("test account-1", RATE), limiter("test account-1", RATE));
        assert_eq!((waits(&one, now, 2), waits(&other, now, 2)), (vec![0, 0], vec![0, 100]));
        assert_eq!(waits(&limiter("test account-2", RATE), now, 3), [0, 0, 0]);
    }

    #[test]
    fn a_cloud_that_says_slower_is_given_its_rest() {
        let (limiter, now) = (Limiter::new(RATE), Instant::now());
        limiter.rest_from(now, Duration::from_secs(2));
        assert_eq!(waits(&limiter, now, 3), [2100, 2200, 2300]);
        limiter.rest_from(now, Duration::ZERO);
        assert_eq!(waits(&limiter, now, 1), [2400], "a shorter rest takes nothing from a longer one");
    }

    #[tokio::test]
    async fn who_is_cancelled_leaves_the_line() {
        let limiter = Limiter::new(RATE);
        limiter.slow_down(Duration::from_secs(3600));
        let cancel = CancellationToken::new();
        cancel.cancel();
        assert!(limiter.pass(&cancel).await.unwrap_err().is_cancelled());
    }
}
