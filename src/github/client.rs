//! The REST API: octocrab as transport, with routes and bodies of our own where its typed calls are wrong (it updates comments
//! by POST, knows no `started_at` of check runs, and sends uploads to the wrong address on GitHub Enterprise).

use crate::github::limits::{self, Reason};
use http::header::USER_AGENT;
use http::{HeaderMap, Method};
use image_action_engine::{CancellationToken, Error, ErrorKind, Result, Secret};
use octocrab::Octocrab;
use serde_json::Value;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest wait for an upload, of whatever size a manifest has.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(120);

/// How GitHub knows us.
const AGENT: &str = concat!("image-action/", env!("CARGO_PKG_VERSION"));

/// Most pages of a list that are read: 100 items each.
const PAGES: usize = 50;

/// Longest wait for a limit to end, for a report: a job is not held up for the sake of a comment.
pub const REPORT_PATIENCE: Duration = Duration::from_secs(3 * 60);

/// The same for a release, which is what the job is for: the primary limit ends within the hour.
pub const RELEASE_PATIENCE: Duration = Duration::from_secs(62 * 60);

/// Calls that change something, before [`SPACING`] is kept between them.
const UNSPACED: usize = 20;

/// "If you are making a large number of POST, PATCH, PUT, or DELETE requests, wait at least one second between each request."
const SPACING: Duration = Duration::from_secs(1);

/// One repository, reached with one token. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    octocrab: Octocrab,
    uploads: reqwest::Client,
    token: Secret,
    /// `owner/name`
    pub repository: String,
    patience: Duration,
    /// Once the job is cancelled there is no time to wait for anything.
    cancel: CancellationToken,
    /// How many calls have changed something; calls are made one after the other, as GitHub wants it.
    turn: Arc<Mutex<usize>>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

fn build_failed(e: impl std::fmt::Display) -> Error {
    Error::failed(format!("cannot set up the connection to GitHub: {e}"))
}

impl Client {
    /// A client of the API at `api_url` (`GITHUB_API_URL`), which does not wait any more once `cancel` is. Makes no call.
    ///
    /// # Errors
    /// Where the URL is none, or no root certificates can be found.
    pub fn new(api_url: &str, token: Secret, repository: &str, cancel: CancellationToken) -> Result<Client> {
        let octocrab = Octocrab::builder()
            .base_uri(api_url)
            .map_err(build_failed)?
            .personal_token(token.expose().to_owned())
            .add_header(USER_AGENT, AGENT.to_owned())
            .set_connect_timeout(Some(CONNECT_TIMEOUT))
            .set_read_timeout(Some(ANSWER_TIMEOUT))
            .set_write_timeout(Some(ANSWER_TIMEOUT))
            // Its own repeats a POST at once and without looking: a comment would be there twice.
            .add_retry_config(octocrab::service::middleware::retry::RetryConfig::None)
            .build()
            .map_err(build_failed)?;
        let uploads = reqwest::Client::builder()
            .user_agent(AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(UPLOAD_TIMEOUT)
            .build()
            .map_err(build_failed)?;
        let (repository, patience, turn) = (repository.to_owned(), REPORT_PATIENCE, Arc::default());
        Ok(Client { octocrab, uploads, token, repository, patience, cancel, turn })
    }
    /// The same client, which waits this long for a limit to end, in all waits of one call.
    #[must_use]
    pub fn patient(&self, patience: Duration) -> Client {
        Client { patience, ..self.clone() }
    }
    /// Whether the token is that of an app (`GITHUB_TOKEN` is), not of a person.
    pub fn is_app(&self) -> bool {
        self.token.expose().starts_with("ghs_")
    }
    fn route(&self, path: &str) -> String {
        format!("/repos/{}/{path}", self.repository)
    }
    /// `GET /repos/OWNER/NAME/PATH`.
    ///
    /// # Errors
    /// What GitHub said, with the missing permission where it is one.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.call(Method::GET, &self.route(path), None).await
    }
    /// `GET /user`: who the token is.
    ///
    /// # Errors
    /// As [`Client::get`]; an app is nobody.
    pub async fn user(&self) -> Result<Value> {
        self.call(Method::GET, "/user", None).await
    }
    /// Every item of a list, over all its pages; `field` holds them where the answer is an object.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn list(&self, path: &str, field: Option<&str>) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        let and = if path.contains('?') { '&' } else { '?' };
        for page in 1..=PAGES {
            let mut answer = self.get(&format!("{path}{and}per_page=100&page={page}")).await?;
            let items = match field {
                Some(field) => answer[field].take(),
                None => answer,
            };
            let Value::Array(items) = items else { break };
            let last = items.len() < 100;
            all.extend(items);
            if last {
                break;
            }
        }
        Ok(all)
    }
    /// `POST`. Where the server fails or does not answer, it may have worked: it is not repeated, and the error is
    /// [`ErrorKind::Unreachable`]; the caller looks.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::POST, &self.route(path), Some(body)).await
    }
    /// `PATCH`; changes to a value are repeated like questions.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::PATCH, &self.route(path), Some(body)).await
    }
    /// `DELETE`; what is gone is gone.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn delete(&self, path: &str) -> Result<()> {
        match self.call(Method::DELETE, &self.route(path), None).await {
            Err(e) if e.kind == ErrorKind::NotFound => Ok(()),
            answer => answer.map(drop),
        }
    }
    /// Uploads a file to the address that a release names, and returns the asset. Not repeated, as [`Client::post`].
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn upload(&self, url: &str, name: &str, content_type: &str, content: &bytes::Bytes) -> Result<Value> {
        let address = url.split('{').next().unwrap_or(url);
        let lost = |e: reqwest::Error| {
            Error::new(ErrorKind::Unreachable, format!("the upload of {name} was not answered: {}", e.without_url()))
        };
        let send = async || {
            let call = self
                .uploads
                .post(address)
                .query(&[("name", name)])
                .bearer_auth(self.token.expose())
                .header("accept", "application/vnd.github+json")
                .header("x-github-api-version", "2022-11-28")
                .header("content-type", content_type)
                .body(content.clone());
            let answer = call.send().await.map_err(lost)?;
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let text = answer.text().await.map_err(lost)?;
            Ok(Answer { status, headers, body: serde_json::from_str(&text).unwrap_or_default() })
        };
        let _turn = self.turn(true).await;
        patiently(self.budget(), false, &self.cancel, send, tokio::time::sleep)
            .await
            .and_then(|answer| judge("POST", address, answer))
    }
    async fn call(&self, method: Method, route: &str, body: Option<&Value>) -> Result<Value> {
        let repeatable = method != Method::POST;
        let _turn = self.turn(method != Method::GET).await;
        let send = async || {
            let builder = http::request::Builder::new().method(method.clone()).uri(route);
            let lost = |e| lost(&method, route, &e);
            let request = self.octocrab.build_request(builder, body).map_err(lost)?;
            let answer = tokio::time::timeout(CONNECT_TIMEOUT + ANSWER_TIMEOUT, self.octocrab.execute(request)).await;
            let answer = answer.map_err(|_| {
                Error::new(ErrorKind::Unreachable, format!("GitHub did not answer {method} {route} in time"))
            })?;
            let answer = answer.map_err(lost)?;
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let text = self.octocrab.body_to_string(answer).await.map_err(lost)?;
            Ok(Answer { status, headers, body: serde_json::from_str(&text).unwrap_or_default() })
        };
        patiently(self.budget(), repeatable, &self.cancel, send, tokio::time::sleep)
            .await
            .and_then(|answer| judge(method.as_str(), route, answer))
    }
    fn budget(&self) -> Duration {
        if self.cancel.is_cancelled() { Duration::ZERO } else { self.patience }
    }
    /// The turn of one call.
    async fn turn(&self, changes: bool) -> tokio::sync::MutexGuard<'_, usize> {
        let mut made = self.turn.lock().await;
        if changes {
            *made += 1;
            if *made > UNSPACED && !self.cancel.is_cancelled() {
                tokio::time::sleep(SPACING).await;
            }
        }
        made
    }
}

/// Calls, and calls again as long as GitHub asks for it and `budget` lasts. What is not `repeatable` is called again only where it
/// surely had no effect.
async fn patiently<S: Future<Output = ()>>(
    budget: Duration,
    repeatable: bool,
    cancel: &CancellationToken,
    mut call: impl AsyncFnMut() -> Result<Answer>,
    sleep: impl Fn(Duration) -> S,
) -> Result<Answer> {
    let mut left = budget;
    for attempt in 0.. {
        let answer = call().await;
        let next = match &answer {
            Ok(a) => limits::again(attempt, a.status, &a.headers, message(&a.body), SystemTime::now()),
            Err(_) => limits::unanswered(attempt),
        };
        let next = next.filter(|(reason, _)| repeatable || *reason != Reason::Server);
        let Some((reason, wait)) = next else { return answer };
        if wait > left || cancel.is_cancelled() {
            return match (reason, answer) {
                (Reason::Server, answer) => answer,
                (reason, answer) => Err(limited(reason, wait, answer.ok().as_ref())),
            };
        }
        left -= wait;
        tokio::select! {
            () = sleep(wait) => {}
            () = cancel.cancelled() => {}
        }
    }
    // The loop has no end but its returns.
    Err(Error::cancelled())
}

fn message(body: &Value) -> &str {
    body["message"].as_str().unwrap_or_default()
}

fn limited(reason: Reason, wait: Duration, answer: Option<&Answer>) -> Error {
    let (which, cure) = match reason {
        Reason::Primary => (
            "has no calls left for this token",
            "a GITHUB_TOKEN has 1,000 calls an hour for the whole repository; fewer workflows at a time, or the token of a GitHub App",
        ),
        _ => ("asks for fewer calls in a short time", "run fewer jobs at the same time"),
    };
    let minutes = wait.as_secs().div_ceil(60);
    let error = Error::failed(format!("GitHub {which}; it may be called again in {minutes} minutes")).hint(cure);
    error.detail(answer.map_or("", |a| message(&a.body)))
}

fn lost(method: &Method, route: &str, e: &octocrab::Error) -> Error {
    // Its own text ends with a backtrace.
    let mut cause: &dyn std::error::Error = e;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let cause = cause.to_string();
    let cause = cause.lines().next().unwrap_or_default();
    Error::new(ErrorKind::Unreachable, format!("GitHub did not answer {method} {route}: {cause}"))
}

/// The body of an answer that is none of a failure.
fn judge(method: &str, route: &str, answer: Answer) -> Result<Value> {
    if (200..300).contains(&answer.status) {
        return Ok(answer.body);
    }
    let status = answer.status;
    let kind = match status {
        401 => ErrorKind::Credentials,
        403 => ErrorKind::Permission,
        404 => ErrorKind::NotFound,
        422 => ErrorKind::Invalid,
        500.. => ErrorKind::Unreachable,
        _ => ErrorKind::Failed,
    };
    let error = Error::new(kind, format!("GitHub answered {status} to {method} {route}: {}", message(&answer.body)));
    let more: Vec<_> = answer.body["errors"].as_array().into_iter().flatten().map(ToString::to_string).collect();
    let error = error.detail(more.join("\n"));
    match kind {
        ErrorKind::Credentials => {
            Err(error.hint("give the input `github-token` a token; the default is `${{ github.token }}`"))
        }
        ErrorKind::Permission => {
            // `issues=write; pull_requests=write` or nothing.
            let told = answer.headers.get("x-accepted-github-permissions").and_then(|v| v.to_str().ok());
            let told = told.and_then(|t| t.split([';', ',']).next()).filter(|t| t.contains("=write"));
            let line = told.map(|t| t.trim().replace('_', "-").replace('=', ": "));
            let line = line.as_deref().unwrap_or(permission(route));
            Err(error.hint(format!("add `{line}` to the `permissions` of the job")))
        }
        _ => Err(error),
    }
}

/// The line of `permissions:` that a route needs.
fn permission(route: &str) -> &'static str {
    if route.contains("/check-runs") {
        "checks: write"
    } else if route.contains("/statuses/") {
        "statuses: write"
    } else if route.contains("/issues/") {
        "pull-requests: write"
    } else {
        "contents: write"
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;
    use std::collections::VecDeque;
    use std::sync::Mutex;

    fn answer(status: u16, headers: &[(&'static str, &str)], message: &str) -> Answer {
        let headers = headers.iter().map(|(n, v)| (http::HeaderName::from_static(n), v.parse().unwrap())).collect();
        Answer { status, headers, body: json!({ "message": message }) }
    }

    /// Plays these answers; how it ended, and every wait in seconds.
    async fn play(budget: u64, repeatable: bool, answers: Vec<Result<Answer>>) -> (Result<u16>, Vec<u64>, usize) {
        let waits = Mutex::new(Vec::new());
        let answers = Mutex::new(VecDeque::from(answers));
        let call = async || answers.lock().unwrap().pop_front().unwrap();
        let sleep = |wait: Duration| {
            waits.lock().unwrap().push(wait.as_secs());
            std::future::ready(())
        };
        let ended = patiently(Duration::from_secs(budget), repeatable, &CancellationToken::new(), call, sleep).await;
        let left = answers.lock().unwrap().len();
        (ended.map(|a| a.status), waits.into_inner().unwrap(), left)
    }

    #[tokio::test]
    async fn limits_are_waited_for_even_by_what_is_not_repeatable() {
        let told = || Ok(answer(403, &[("retry-after", "30")], "You have exceeded a secondary rate limit"));
        let (ended, waits, _) = play(180, false, vec![told(), told(), Ok(answer(201, &[], ""))]).await;
        assert_eq!((ended.unwrap(), waits), (201, vec![30, 30]));
        let untold = || Ok(answer(429, &[], ""));
        let (ended, waits, _) = play(1000, false, vec![untold(), untold(), untold(), Ok(answer(201, &[], ""))]).await;
        assert_eq!((ended.unwrap(), waits), (201, vec![60, 120, 240]));
    }

    #[tokio::test]
    async fn a_wait_that_is_too_long_ends_at_once_and_says_until_when() {
        let end = SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 1800;
        let end = end.to_string();
        let gone = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", end.as_str())];
        let answers = vec![Ok(answer(403, &gone, "API rate limit exceeded"))];
        let (ended, waits, _) = play(180, true, answers).await;
        let e = ended.unwrap_err();
        assert!(e.summary.contains("no calls left") && e.summary.contains("3") && waits.is_empty(), "{e}");
        assert!(!e.hint.unwrap().contains("permissions"), "it is no missing permission");
        // A release waits.
        let answers = vec![Ok(answer(403, &gone, "API rate limit exceeded")), Ok(answer(200, &[], ""))];
        let (ended, waits, _) = play(3720, true, answers).await;
        assert_eq!(ended.unwrap(), 200);
        assert!((1799..=1802).contains(&waits[0]), "{waits:?}");
    }

    #[tokio::test]
    async fn a_failing_server_is_asked_again_but_nothing_is_posted_twice() {
        let down = || Ok(answer(502, &[], "Server Error"));
        let lost = || Err(Error::new(ErrorKind::Unreachable, "reset"));
        let (ended, waits, _) = play(180, true, vec![down(), lost(), Ok(answer(200, &[], ""))]).await;
        assert_eq!((ended.unwrap(), waits), (200, vec![1, 2]));
        for first in [down(), lost()] {
            let (_, waits, left) = play(180, false, vec![first, Ok(answer(201, &[], ""))]).await;
            assert!(waits.is_empty() && left == 1);
        }
        let (ended, waits, _) = play(180, true, (0..9).map(|_| down()).collect()).await;
        assert_eq!((ended.unwrap(), waits), (502, vec![1, 2, 4, 8]));
    }

    #[test]
    fn a_missing_permission_is_named() {
        let e = judge("POST", "/repos/o/r/check-runs", answer(403, &[], "Resource not accessible by integration"));
        assert!(e.unwrap_err().hint.unwrap().contains("`checks: write`"));
        let told = [("x-accepted-github-permissions", "pull_requests=write; issues=write")];
        let e = judge("POST", "/repos/o/r/issues/1/comments", answer(403, &told, ""));
        assert!(e.unwrap_err().hint.unwrap().contains("`pull-requests: write`"));
    }
}
