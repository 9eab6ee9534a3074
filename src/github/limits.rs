//! How long to wait before a call is made again, as GitHub asks: "Best practices for using the REST API", "Rate limits for the
//! REST API" (docs.github.com/rest).

use http::HeaderMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The wait after a secondary limit that names none: "wait for at least one minute", then "an exponentially increasing amount".
const SECONDARY: Duration = Duration::from_secs(60);

/// The first wait after a server's error; it doubles.
const SERVER: Duration = Duration::from_secs(1);

/// How often a call is made after errors of the server, or without an answer.
const SERVER_ATTEMPTS: u32 = 5;

/// Added to the time at which a limit ends: clocks differ.
const SLACK: Duration = Duration::from_secs(1);

/// Why a call may be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The token has no calls left in this hour.
    Primary,
    /// Too many calls in a short time, also called abuse.
    Secondary,
    /// The server failed, or did not answer: the call may have had its effect.
    Server,
}

/// Whether a call that was answered like this may be made again, and after which wait. `attempt` counts from 0.
pub fn again(
    attempt: u32,
    status: u16,
    headers: &HeaderMap,
    message: &str,
    now: SystemTime,
) -> Option<(Reason, Duration)> {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
    let told = header("retry-after").and_then(|v| v.parse().ok()).map(Duration::from_secs);
    match status {
        403 | 429 => {
            if let Some(wait) = told {
                return Some((Reason::Secondary, wait));
            }
            if header("x-ratelimit-remaining") == Some("0") {
                let end: Option<u64> = header("x-ratelimit-reset").and_then(|v| v.parse().ok());
                let end = end.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
                let wait = end.map_or(SECONDARY, |end| end.duration_since(now).unwrap_or_default() + SLACK);
                return Some((Reason::Primary, wait));
            }
            let message = message.to_lowercase();
            let limited =
                status == 429 || message.contains("secondary rate limit") || message.contains("abuse detection");
            limited.then(|| (Reason::Secondary, doubled(SECONDARY, attempt)))
        }
        500 | 502..=504 if attempt + 1 < SERVER_ATTEMPTS => {
            Some((Reason::Server, told.unwrap_or_else(|| doubled(SERVER, attempt))))
        }
        _ => None,
    }
}

/// The same for a call that was not answered at all.
pub fn unanswered(attempt: u32) -> Option<(Reason, Duration)> {
    (attempt + 1 < SERVER_ATTEMPTS).then(|| (Reason::Server, doubled(SERVER, attempt)))
}

fn doubled(first: Duration, attempt: u32) -> Duration {
    first.saturating_mul(1 << attempt.min(10))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_primary_limit_is_waited_for_until_it_ends() {
        let gone = headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1300")]);
        for status in [403, 429] {
            let answer = again(0, status, &gone, "API rate limit exceeded", at(1000));
            assert_eq!(answer, Some((Reason::Primary, Duration::from_secs(301))));
        }
        // A clock that is ahead does not make the wait negative.
        assert_eq!(again(0, 403, &gone, "", at(2000)), Some((Reason::Primary, SLACK)));
    }

    #[test]
    fn a_secondary_limit_names_its_wait_or_begins_with_a_minute() {
        let told = headers(&[("retry-after", "17"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9999")]);
        assert_eq!(again(3, 403, &told, "", at(0)), Some((Reason::Secondary, Duration::from_secs(17))));
        let none = HeaderMap::new();
        for (attempt, seconds) in [(0, 60), (1, 120), (2, 240)] {
            let message = "You have exceeded a secondary rate limit.";
            assert_eq!(
                again(attempt, 403, &none, message, at(0)),
                Some((Reason::Secondary, Duration::from_secs(seconds)))
            );
        }
        let abuse = "You have triggered an abuse detection mechanism.";
        assert_eq!(again(0, 403, &none, abuse, at(0)), Some((Reason::Secondary, SECONDARY)));
        assert_eq!(again(0, 429, &none, "", at(0)), Some((Reason::Secondary, SECONDARY)));
    }

    #[test]
    fn a_missing_permission_is_no_limit() {
        let left = headers(&[("x-ratelimit-remaining", "4999"), ("x-ratelimit-reset", "1300")]);
        assert_eq!(again(0, 403, &left, "Resource not accessible by integration", at(0)), None);
        for status in [200, 401, 404, 422, 501] {
            assert_eq!(again(0, status, &HeaderMap::new(), "", at(0)), None);
        }
    }

    #[test]
    fn a_server_that_fails_is_asked_a_few_times() {
        let waits: Vec<_> =
            (0..6).map(|n| again(n, 502, &HeaderMap::new(), "", at(0)).map(|(_, w)| w.as_secs())).collect();
        assert_eq!(waits, [Some(1), Some(2), Some(4), Some(8), None, None]);
        assert_eq!(
            again(0, 503, &headers(&[("retry-after", "9")]), "", at(0)),
            Some((Reason::Server, Duration::from_secs(9)))
        );
    }
}
