//! GitHub's REST API: check runs, commit statuses, comments of issues, releases and their assets,
//! attestations.
//!
//! Every repository exists and is empty; one whose name ends in `-immutable` has immutable releases. What is posted is kept. Bodies are checked as GitHub checks them where a client gets
//! it wrong easily: required fields, the lengths that end in 422, annotations by fifty.

mod attestations;
mod checks;
mod comments;
mod releases;

use crate::cloud::Cloud;
use crate::fault::Fault;
use crate::http::{Request, Response};
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The token that the fake takes, as `GITHUB_TOKEN`: an app's, which is told nobody's login.
pub const TOKEN: &str = "ghs_localcloud";

/// A person's token, which the fake takes too.
pub const PERSONAL_TOKEN: &str = "ghp_localcloud";

/// The end of a repository's name that has immutable releases switched on.
const IMMUTABLE: &str = "-immutable";

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
    attestations: Vec<Record>,
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

/// A fault in this service's own envelope. The code `primary` is the limit of an hour, which ends in a second; `secondary`
/// one that is told with `retry-after: 1`.
pub fn fault(request: &Request, fault: &Fault) -> Response {
    let _ = request;
    let response = error(fault.status, &fault.message);
    match fault.code.as_str() {
        "primary" => {
            let end = chrono::Utc::now().timestamp() + 1;
            response.header("x-ratelimit-remaining", "0").header("x-ratelimit-reset", end.to_string())
        }
        "secondary" => response.header("retry-after", "1"),
        _ => response,
    }
}

/// Who a token belongs to.
fn login(request: &Request) -> &'static str {
    let token = request.header("authorization").and_then(|a| a.split_whitespace().nth(1));
    if token == Some(PERSONAL_TOKEN) { "octocat" } else { "github-actions[bot]" }
}

/// An account, as it stands in everything that it made.
fn user(request: &Request) -> Value {
    let login = login(request);
    let (id, kind) = if login.ends_with("[bot]") { (41_898_282, "Bot") } else { (583_231, "User") };
    let name = login.replace('[', "%5B").replace(']', "%5D");
    let mut user = json!({
        "login": login, "id": id, "node_id": format!("U_{id}"), "gravatar_id": "", "type": kind, "site_admin": false,
        "avatar_url": format!("{}/github/avatars/{id}", request.origin()),
        "html_url": format!("{}/github/{name}", request.origin()),
        "url": format!("{}/github/users/{name}", request.origin()),
    });
    let links = ["followers", "following", "gists", "starred", "subscriptions", "organizations", "repos", "events"];
    for link in links.into_iter().chain(["received_events"]) {
        user[format!("{link}_url")] = json!(format!("{}/github/users/{name}/{link}", request.origin()));
    }
    user
}

/// `GET /user`: an app's token belongs to nobody.
fn myself(request: &Request) -> Response {
    if login(request).ends_with("[bot]") {
        return error(403, "Resource not accessible by integration");
    }
    let mut user = user(request);
    for name in ["bio", "blog", "company", "email", "hireable", "location", "name"] {
        user[name] = Value::Null;
    }
    for number in ["followers", "following", "public_gists", "public_repos"] {
        user[number] = json!(0);
    }
    for time in ["created_at", "updated_at"] {
        user[time] = json!("2011-01-25T18:44:36Z");
    }
    Response::json(200, &user)
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
    if token != Some(TOKEN) && token != Some(PERSONAL_TOKEN) {
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
    if segments == ["user"] {
        return myself(request);
    }
    let ["repos", owner, name, rest @ ..] = segments else {
        return error(404, "Not Found");
    };
    let repo = format!("{owner}/{name}");
    let mut store = cloud.github.lock();
    let answer = match rest {
        // An installation's token is what makes a check run belong to an app; nobody else may.
        ["check-runs", ..] if token == Some(PERSONAL_TOKEN) => {
            Err(error(403, "You must authenticate via a GitHub App."))
        }
        ["check-runs", ..] | ["commits", _, "check-runs"] => checks::handle(&mut store, &repo, rest, request),
        ["statuses", _] | ["commits", _, "statuses"] => checks::status(&mut store, &repo, rest, request),
        ["attestations", ..] => attestations::handle(&mut store, &repo, rest, request),
        ["issues", ..] => comments::handle(&mut store, &repo, rest, request),
        ["releases", ..] => releases::handle(&mut store, &repo, rest, request, upload),
        _ => Err(error(404, "Not Found")),
    };
    answer.unwrap_or_else(|response| response)
}
