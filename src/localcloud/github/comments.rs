//! Comments of issues and pull requests.

use super::{Record, Store, body, error, found, invalid, now, page, user};
use crate::http::{Request, Response};
use serde_json::{Value, json};

/// Longest body, in characters (what GitHub's 422 says).
const BODY_LIMIT: usize = 65_536;

pub fn handle(store: &mut Store, repo: &str, path: &[&str], request: &Request) -> Result<Response, Response> {
    match (request.method.as_str(), path) {
        ("GET", ["issues", number, "comments"]) => {
            let number: u64 = number.parse().map_err(|_| error(404, "Not Found"))?;
            let all = store.comments.iter().filter(|r| r.repo == repo && r.value["issue_number"] == number);
            Ok(page(request, all.map(|r| r.value.clone()).collect(), |items, _| Value::Array(items)))
        }
        ("POST", ["issues", number, "comments"]) => {
            let number: u64 = number.parse().map_err(|_| error(404, "Not Found"))?;
            let text = text(request)?;
            let id = store.id();
            let value = json!({
                "id": id, "node_id": format!("IC_{id}"), "body": text, "user": user(request), "issue_number": number,
                "created_at": now(), "updated_at": now(), "author_association": "NONE",
                "url": format!("{}/github/repos/{repo}/issues/comments/{id}", request.origin()),
                "html_url": format!("{}/github/{repo}/issues/{number}#issuecomment-{id}", request.origin()),
                "issue_url": format!("{}/github/repos/{repo}/issues/{number}", request.origin()),
            });
            store.comments.push(Record { repo: repo.to_owned(), value: value.clone() });
            Ok(Response::json(201, &value))
        }
        ("GET", ["issues", "comments", id]) => Ok(found(find(store, repo, id).map(|v| v.clone()))),
        ("PATCH", ["issues", "comments", id]) => {
            let text = text(request)?;
            let Some(value) = find(store, repo, id) else { return Err(error(404, "Not Found")) };
            value["body"] = json!(text);
            value["updated_at"] = json!(now());
            Ok(Response::json(200, value))
        }
        ("DELETE", ["issues", "comments", id]) => {
            let id: u64 = id.parse().map_err(|_| error(404, "Not Found"))?;
            store.comments.retain(|r| r.repo != repo || r.value["id"] != id);
            Ok(Response::empty(204))
        }
        _ => Err(error(404, "Not Found")),
    }
}

fn find<'a>(store: &'a mut Store, repo: &str, id: &str) -> Option<&'a mut Value> {
    let id: u64 = id.parse().ok()?;
    store.comments.iter_mut().find(|r| r.repo == repo && r.value["id"] == id).map(|r| &mut r.value)
}

fn text(request: &Request) -> Result<String, Response> {
    let map = body(request)?;
    let text = map.get("body").and_then(Value::as_str).unwrap_or_default();
    if text.is_empty() {
        return Err(invalid("IssueComment", "body", "missing_field"));
    }
    if text.chars().count() > BODY_LIMIT {
        return Err(error(422, "Body is too long (maximum is 65536 characters)"));
    }
    Ok(text.to_owned())
}
