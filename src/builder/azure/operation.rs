//! Following long-running operations. The SDK's own way repeats the PUT and takes failures for success, so this is ours.

use crate::arm::Arm;
use crate::failure::Failure;
use crate::http::{Answer, Call};
use image_action_engine::wait::{NOT_FOUND_GRACE, POLL_PAUSES, pause, scaled};
use image_action_engine::{Error, ErrorKind, Result};
use reqwest::{Method, Url};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// What is asked to learn how it goes.
enum Ask {
    /// `Azure-AsyncOperation`: a document with a `status`.
    Operation(Url),
    /// `Location`: 202 while it runs, then the result.
    Result(Url),
    /// The resource itself: its `provisioningState`.
    Resource(Url),
    /// The resource that is being deleted: until it is not found.
    Absence(Url),
}

/// How far it is.
enum Progress {
    Running,
    Done(Value),
}

/// Waits for the end of what `first` began.
///
/// # Errors
/// The operation's own failure, with its details; a deadline; a cancel.
pub async fn finish(
    arm: &Arm,
    method: &Method,
    id: &str,
    first: Answer,
    what: &str,
    deadline: Duration,
) -> Result<Value> {
    let name = crate::arm::name(method, &arm.url(id, crate::arm::version_of(id)));
    let Some(ask) = how(arm, method, id, &first) else {
        return match state(&first.json()) {
            Some(word) if is_failed(&word) => Err(failed(&name, &first.json()).into()),
            _ => Ok(first.json()),
        };
    };
    let begin = Instant::now();
    let end = begin + deadline;
    let mut asked = first.retry_after();
    for round in 0.. {
        let usual = POLL_PAUSES[usize::min(round, POLL_PAUSES.len() - 1)];
        let next = scaled(asked.unwrap_or(usual));
        if Instant::now() + next > end {
            break;
        }
        pause(next, arm.cancel()).await?;
        let url = match &ask {
            Ask::Operation(url) | Ask::Result(url) | Ask::Resource(url) | Ask::Absence(url) => url.clone(),
        };
        let answer = match tokio::time::timeout_at(end, arm.send(Call::new(Method::GET, url))).await {
            Err(_) => break,
            Ok(answer) => answer,
        };
        match answer {
            Ok(answer) => {
                asked = answer.retry_after().or(asked);
                if let Progress::Done(value) = progress(&ask, &name, &answer)? {
                    return Ok(value);
                }
            }
            Err(f) if f.is_not_found() && matches!(ask, Ask::Absence(_)) => return Ok(Value::Null),
            // The operation may not be known everywhere yet.
            Err(f) if f.is_not_found() && begin.elapsed() < NOT_FOUND_GRACE => {}
            Err(f) => return Err(refused(&ask, &name, f)),
        }
    }
    let waited = image_action_engine::duration::show(deadline);
    Err(Error::new(ErrorKind::TimedOut, format!("gave up waiting for {what} after {waited}"))
        .hint("raise polling_duration_timeout (for a gallery: shared_image_gallery_timeout)"))
}

/// How an operation is followed; `None` where it is over already.
fn how(arm: &Arm, method: &Method, id: &str, first: &Answer) -> Option<Ask> {
    let header = |name: &str| first.header(name).and_then(|url| arm.own_url(url));
    if let Some(url) = header("azure-asyncoperation") {
        return Some(Ask::Operation(url));
    }
    if let Some(url) = header("location").filter(|_| first.status != 200) {
        return Some(Ask::Result(url));
    }
    let own = arm.url(id, crate::arm::version_of(id));
    match (method, first.status) {
        (&Method::DELETE, 202) => Some(Ask::Absence(own)),
        (&Method::PUT | &Method::PATCH, 200..=202) => match state(&first.json()) {
            Some(word) if !is_done(&word) && !is_failed(&word) => Some(Ask::Resource(own)),
            _ if first.status == 202 => Some(Ask::Resource(own)),
            _ => None,
        },
        _ => None,
    }
}

/// The word for how it goes: `status` of an operation, `provisioningState` of a resource; in lower case.
fn state(document: &Value) -> Option<String> {
    let word = document.get("status").or_else(|| document.pointer("/properties/provisioningState"));
    word.and_then(Value::as_str).map(str::to_lowercase)
}

fn is_done(word: &str) -> bool {
    matches!(word, "succeeded" | "completed")
}

fn is_failed(word: &str) -> bool {
    matches!(word, "failed" | "canceled" | "cancelled")
}

fn progress(ask: &Ask, name: &str, answer: &Answer) -> Result<Progress> {
    let document = answer.json();
    if let Some(word) = state(&document) {
        if is_failed(&word) {
            return Err(failed(name, &document).into());
        }
        // Of a thing that is being deleted every other state is one on its way.
        let done = is_done(&word) && !matches!(ask, Ask::Absence(_));
        return Ok(if done { Progress::Done(document) } else { Progress::Running });
    }
    let over = match (ask, answer.status) {
        (Ask::Absence(_), _) | (_, 202) => false,
        (_, 204) => true,
        (Ask::Result(_) | Ask::Resource(_), _) => true,
        // A document without a word about the state says nothing; no document at all says that it is over.
        (Ask::Operation(_), _) => answer.body.is_empty(),
    };
    Ok(if over { Progress::Done(document) } else { Progress::Running })
}

/// The failure that an operation's document tells.
fn failed(name: &str, document: &Value) -> Failure {
    let mut failure = Failure::document(name, document);
    if failure.code.is_empty() && failure.message.is_empty() {
        let word = state(document).unwrap_or_default();
        failure.message = format!("the operation ended as {word}, and the cloud gives no reason");
    }
    failure
}

/// A poll that was answered with an error: of the result it is the operation's own failure.
fn refused(ask: &Ask, name: &str, failure: Failure) -> Error {
    match ask {
        Ask::Result(_) if failure.status.is_some() => Failure { call: name.to_owned(), ..failure }.into(),
        _ => failure.into(),
    }
}
