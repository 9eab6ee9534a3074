//! GitHub's REST API: check runs, commit statuses, comments of issues, releases and their assets.
//!
//! Every repository exists and is empty; what is posted is kept. Bodies are checked as GitHub checks them where a client gets
//! it wrong easily: required fields, the lengths that end in 422, annotations by fifty.

mod checks;
mod comments;
mod releases;

use crate::cloud::Cloud;
use crate::fault::Fault;
use crate::http::{Request, Response};
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The token that the fake takes, as `GITHUB_TOKEN`.
pub const TOKEN: &str = "ghs_localcloud";

/// The login behind the token.
const LOGIN: &str = "github-actions[bot]";

/// What exists.
#[derive(Default)]
pub struct State(Mutex<Store>);

#[derive(Default)]
struct Store {
    next_id: u64,
    checks: Vec<Record>,
    comments: Vec<Record>,
    statuses: Vec<Record>,
    releases: Vec<Record>,
    assets: Vec<Asset>,
}

/// Something of a repository (`owner/name`), as GitHub shows it.
struct Record {
    repo: String,
    value: Value,
}

struct Asset {
    repo: String,
    release: u64,
    value: Value,
    content: bytes::Bytes,
}

impl Store {
    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How clients find it.
pub fn env(cloud: &Cloud) -> Vec<(String, String)> {
    vec![
        ("GITHUB_API_URL".to_owned(), format!("{}/github", cloud.http_url())),
        ("GITHUB_SERVER_URL".to_owned(), format!("{}/github", cloud.http_url())),
        ("GITHUB_TOKEN".to_owned(), TOKEN.to_owned()),
    ]
}

/// GitHub's error envelope.
fn error(status: u16, message: &str) -> Response {
    Response::json(
        status,
        &json!({
            "message": message,
            "documentation_url": "https://docs.github.com/rest",
            "status": status.to_string(),
        }),
    )
}

/// 422 with one complaint about a field.
fn invalid(resource: &str, field: &str, code: &str) -> Response {
    Response::json(
        422,
        &json!({
            "message": "Validation Failed",
            "errors": [{"resource": resource, "field": field, "code": code}],
            "documentation_url": "https://docs.github.com/rest",
            "status": "422",
        }),
    )
}

/// A fault in this service's own envelope.
pub fn fault(request: &Request, fault: &Fault) -> Response {
    let _ = request;
    error(fault.status, &fault.message)
}

fn user() -> Value {
    json!({"login": LOGIN, "id": 41_898_282, "type": "Bot", "site_admin": false})
}

fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

fn body(request: &Request) -> Result<Map<String, Value>, Response> {
    match request.json() {
        Ok(Value::Object(map)) => Ok(map),
        _ => Err(error(400, "Problems parsing JSON")),
    }
}

fn found(value: Option<Value>) -> Response {
    value.map_or_else(|| error(404, "Not Found"), |v| Response::json(200, &v))
}

/// A page of a list, with the `Link` header that leads to the next.
fn page(request: &Request, all: Vec<Value>, wrap: impl Fn(Vec<Value>, usize) -> Value) -> Response {
    let number = |name: &str, default: usize| request.param(name).and_then(|v| v.parse().ok()).unwrap_or(default);
    let (size, page) = (number("per_page", 30).clamp(1, 100), number("page", 1).max(1));
    let total = all.len();
    let items: Vec<Value> = all.into_iter().skip((page - 1) * size).take(size).collect();
    let response = Response::json(200, &wrap(items, total));
    if page * size < total {
        let url = format!("{}/github{}?per_page={size}&page={}", request.origin(), request.path, page + 1);
        return response.header("link", format!("<{url}>; rel=\"next\""));
    }
    response
}

/// Answers one request; the path is below `/github`.
pub async fn handle(cloud: &Arc<Cloud>, request: &Request) -> Response {
    if let Some(response) = crate::issuer::handle(cloud, request) {
        return response;
    }
    let token = request.header("authorization").and_then(|a| a.split_whitespace().nth(1));
    if token != Some(TOKEN) {
        return error(401, if token.is_none() { "Requires authentication" } else { "Bad credentials" });
    }
    if request.header("user-agent").is_none() {
        return error(
            403,
            "Request forbidden by administrative rules. Please make sure your request has a User-Agent header",
        );
    }
    let segments = request.segments();
    let (upload, segments) = match segments.split_first() {
        Some((&"uploads", rest)) => (true, rest),
        _ => (false, &segments[..]),
    };
    let ["repos", owner, name, rest @ ..] = segments else {
        return error(404, "Not Found");
    };
    let repo = format!("{owner}/{name}");
    let mut store = cloud.github.lock();
    let answer = match rest {
        ["check-runs", ..] | ["commits", _, "check-runs"] => checks::handle(&mut store, &repo, rest, request),
        ["statuses", _] => checks::status(&mut store, &repo, rest, request),
        ["issues", ..] => comments::handle(&mut store, &repo, rest, request),
        ["releases", ..] => releases::handle(&mut store, &repo, rest, request, upload),
        _ => Err(error(404, "Not Found")),
    };
    answer.unwrap_or_else(|response| response)
}
