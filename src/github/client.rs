//! The REST API: octocrab as transport, with routes and bodies of our own where its typed calls are wrong (it updates comments
//! by POST, knows no `started_at` of check runs, and sends uploads to the wrong address on GitHub Enterprise).

use http::header::USER_AGENT;
use image_action_engine::wait::retry;
use image_action_engine::{CancellationToken, Error, ErrorKind, Result, Secret};
use octocrab::Octocrab;
use serde_json::Value;
use std::time::Duration;

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

/// One repository, reached with one token.
#[derive(Clone)]
pub struct Client {
    octocrab: Octocrab,
    uploads: reqwest::Client,
    token: Secret,
    /// `owner/name`
    pub repository: String,
}

fn build_failed(e: impl std::fmt::Display) -> Error {
    Error::failed(format!("cannot set up the connection to GitHub: {e}"))
}

impl Client {
    /// A client of the API at `api_url` (`GITHUB_API_URL`). Makes no call.
    ///
    /// # Errors
    /// Where the URL is none, or no root certificates can be found.
    pub fn new(api_url: &str, token: Secret, repository: &str) -> Result<Client> {
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
        Ok(Client { octocrab, uploads, token, repository: repository.to_owned() })
    }
    fn route(&self, path: &str) -> String {
        format!("/repos/{}/{path}", self.repository)
    }
    /// `GET /repos/OWNER/NAME/PATH`; repeated on 5xx and lost connections.
    ///
    /// # Errors
    /// What GitHub said, with the missing permission where it is one.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let route = self.route(path);
        retry(
            &CancellationToken::new(),
            |e: &Error| e.kind == ErrorKind::Unreachable,
            async || {
                let call = self.octocrab.get::<Value, _, ()>(&route, None);
                call.await.map_err(|e| explain("GET", &route, &e))
            },
        )
        .await
    }
    /// Every item of a list, over all its pages.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        for page in 1..=PAGES {
            let answer = self.get(&format!("{path}?per_page=100&page={page}")).await?;
            let items = answer.as_array().cloned().unwrap_or_default();
            let last = items.len() < 100;
            all.extend(items);
            if last {
                break;
            }
        }
        Ok(all)
    }
    /// `POST`; not repeated: it may have worked.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let route = self.route(path);
        self.octocrab.post::<_, Value>(&route, Some(body)).await.map_err(|e| explain("POST", &route, &e))
    }
    /// `PATCH`; repeated on 5xx and lost connections.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Value> {
        let route = self.route(path);
        retry(
            &CancellationToken::new(),
            |e: &Error| e.kind == ErrorKind::Unreachable,
            async || {
                let call = self.octocrab.patch::<Value, _, _>(&route, Some(body));
                call.await.map_err(|e| explain("PATCH", &route, &e))
            },
        )
        .await
    }
    /// `DELETE`.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn delete(&self, path: &str) -> Result<()> {
        let route = self.route(path);
        let answer = self.octocrab._delete(&route, None::<&()>).await.map_err(|e| explain("DELETE", &route, &e))?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(refused("DELETE", &route, answer.status().as_u16(), ""))
    }
    /// Uploads a file to the address that a release names, and returns the asset.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn upload(&self, url: &str, name: &str, content_type: &str, content: Vec<u8>) -> Result<Value> {
        let address = url.split('{').next().unwrap_or(url);
        let lost = |e: reqwest::Error| {
            Error::new(ErrorKind::Unreachable, format!("the upload of {name} was not answered: {}", e.without_url()))
        };
        let answer = self
            .uploads
            .post(address)
            .query(&[("name", name)])
            .bearer_auth(self.token.expose())
            .header("accept", "application/vnd.github+json")
            .header("content-type", content_type)
            .body(content)
            .send()
            .await
            .map_err(lost)?;
        let status = answer.status();
        let body: Value = answer.json().await.map_err(lost)?;
        if status.is_success() {
            return Ok(body);
        }
        Err(refused("POST", address, status.as_u16(), body["message"].as_str().unwrap_or_default()))
    }
}

fn explain(method: &str, route: &str, e: &octocrab::Error) -> Error {
    match e {
        octocrab::Error::GitHub { source, .. } => {
            let status = source.status_code.as_u16();
            let mut error = refused(method, route, status, &source.message);
            let more: Vec<_> = source.errors.iter().flatten().map(ToString::to_string).collect();
            error.detail = more.join("\n");
            error
        }
        other => Error::new(ErrorKind::Unreachable, format!("GitHub did not answer {method} {route}: {other}")),
    }
}

fn refused(method: &str, route: &str, status: u16, message: &str) -> Error {
    let kind = match status {
        401 => ErrorKind::Credentials,
        403 => ErrorKind::Permission,
        404 => ErrorKind::NotFound,
        500.. => ErrorKind::Unreachable,
        _ => ErrorKind::Failed,
    };
    let error = Error::new(kind, format!("GitHub answered {status} to {method} {route}: {message}"));
    match kind {
        ErrorKind::Credentials => {
            error.hint("give the input `github-token` a token; the default is `${{ github.token }}`")
        }
        ErrorKind::Permission => error.hint(format!("add `{}` to the `permissions` of the job", permission(route))),
        _ => error,
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
