//! Check runs and commit statuses.

use super::{Record, Store, body, error, found, invalid, now, page, user};
use crate::http::{Request, Response};
use serde_json::{Map, Value, json};

/// Longest `output.summary` and `output.text` (GitHub's API description), in characters.
const OUTPUT_LIMIT: usize = 65_535;

/// Most annotations of one request.
const ANNOTATIONS: usize = 50;

/// Longest description of a commit status, in characters.
const DESCRIPTION_LIMIT: usize = 140;

pub fn handle(store: &mut Store, repo: &str, path: &[&str], request: &Request) -> Result<Response, Response> {
    match (request.method.as_str(), path) {
        ("POST", ["check-runs"]) => create(store, repo, request),
        ("PATCH", ["check-runs", id]) => update(store, repo, id, request),
        ("GET", ["check-runs", id]) => Ok(found(find(store, repo, id).map(|v| v.clone()))),
        ("GET", ["check-runs", id, "annotations"]) => {
            let Some(run) = find(store, repo, id) else { return Err(error(404, "Not Found")) };
            let all = run["annotations"].as_array().cloned().unwrap_or_default();
            Ok(page(request, all, |items, _| Value::Array(items)))
        }
        ("GET", ["commits", sha, "check-runs"]) => {
            let wanted =
                |v: &Value| v["head_sha"] == **sha && request.param("check_name").is_none_or(|n| v["name"] == n);
            let all = store.checks.iter().filter(|r| r.repo == repo && wanted(&r.value)).map(|r| r.value.clone());
            Ok(page(request, all.collect(), |items, total| json!({"total_count": total, "check_runs": items})))
        }
        _ => Err(error(404, "Not Found")),
    }
}

fn find<'a>(store: &'a mut Store, repo: &str, id: &str) -> Option<&'a mut Value> {
    let id: u64 = id.parse().ok()?;
    store.checks.iter_mut().find(|r| r.repo == repo && r.value["id"] == id).map(|r| &mut r.value)
}

fn create(store: &mut Store, repo: &str, request: &Request) -> Result<Response, Response> {
    let map = body(request)?;
    for field in ["name", "head_sha"] {
        if map.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err(invalid("CheckRun", field, "missing_field"));
        }
    }
    let id = store.id();
    let mut run = json!({
        "id": id, "node_id": format!("CR_{id}"), "head_sha": map["head_sha"], "name": map["name"], "external_id": "",
        "status": "queued", "conclusion": null, "started_at": now(), "completed_at": null,
        "url": format!("{}/github/repos/{repo}/check-runs/{id}", request.origin()),
        "html_url": format!("{}/github/{repo}/runs/{id}", request.origin()), "details_url": null,
        "output": {"title": null, "summary": null, "text": null, "annotations_count": 0,
                   "annotations_url": format!("{}/github/repos/{repo}/check-runs/{id}/annotations", request.origin())},
        "check_suite": {"id": 1}, "app": null, "pull_requests": [], "annotations": [],
    });
    apply(&mut run, &map)?;
    store.checks.push(Record { repo: repo.to_owned(), value: run.clone() });
    Ok(Response::json(201, &run))
}

fn update(store: &mut Store, repo: &str, id: &str, request: &Request) -> Result<Response, Response> {
    let map = body(request)?;
    let Some(run) = find(store, repo, id) else { return Err(error(404, "Not Found")) };
    apply(run, &map)?;
    Ok(Response::json(200, run))
}

fn apply(run: &mut Value, map: &Map<String, Value>) -> Result<(), Response> {
    for field in ["name", "status", "external_id", "details_url", "started_at", "completed_at"] {
        if let Some(value) = map.get(field) {
            run[field] = value.clone();
        }
    }
    if let Some(conclusion) = map.get("conclusion") {
        let known = ["action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"];
        if !conclusion.as_str().is_some_and(|c| known.contains(&c)) {
            return Err(invalid("CheckRun", "conclusion", "invalid"));
        }
        run["conclusion"] = conclusion.clone();
        run["status"] = json!("completed");
        if map.get("completed_at").is_none() {
            run["completed_at"] = json!(now());
        }
    } else if map.get("status") == Some(&json!("completed")) {
        return Err(invalid("CheckRun", "conclusion", "missing_field"));
    }
    match map.get("output") {
        Some(output) => apply_output(run, output),
        None => Ok(()),
    }
}

fn apply_output(run: &mut Value, output: &Value) -> Result<(), Response> {
    for field in ["title", "summary"] {
        if output[field].as_str().is_none_or(str::is_empty) {
            return Err(invalid("CheckRun", field, "missing_field"));
        }
    }
    for field in ["title", "summary", "text"] {
        if output[field].as_str().is_some_and(|t| t.chars().count() > OUTPUT_LIMIT) {
            return Err(invalid("CheckRun", field, "too_long"));
        }
        run["output"][field] = output[field].clone();
    }
    let annotations = output["annotations"].as_array().cloned().unwrap_or_default();
    if annotations.len() > ANNOTATIONS {
        return Err(invalid("CheckRun", "annotations", "too_many"));
    }
    for annotation in &annotations {
        for field in ["path", "start_line", "end_line", "annotation_level", "message"] {
            if annotation[field].is_null() {
                return Err(invalid("CheckRun", field, "missing_field"));
            }
        }
        if annotation["start_column"].is_number() && annotation["start_line"] != annotation["end_line"] {
            return Err(invalid("CheckRun", "start_column", "invalid"));
        }
    }
    if let Some(all) = run["annotations"].as_array_mut() {
        all.extend(annotations.into_iter().map(|a| shown(&a)));
        let count = all.len();
        run["output"]["annotations_count"] = json!(count);
    }
    Ok(())
}

/// An annotation as it is listed: with everything that was left out.
fn shown(annotation: &Value) -> Value {
    let mut shown = json!({
        "start_column": null, "end_column": null, "title": null, "raw_details": null, "blob_href": "https://github.com/",
    });
    for (name, value) in annotation.as_object().into_iter().flatten() {
        shown[name] = value.clone();
    }
    shown
}

/// Commit statuses.
pub fn status(store: &mut Store, repo: &str, path: &[&str], request: &Request) -> Result<Response, Response> {
    if request.method == http::Method::GET {
        let own = store.statuses.iter().filter(|r| r.repo == repo && r.value["sha"] == path[1]);
        let mut all: Vec<Value> = own.map(|r| r.value.clone()).collect();
        all.reverse();
        return Ok(page(request, all, |items, _| Value::Array(items)));
    }
    let map = body(request)?;
    let state = map.get("state").and_then(Value::as_str).unwrap_or_default();
    if !["error", "failure", "pending", "success"].contains(&state) {
        return Err(invalid("Status", "state", "invalid"));
    }
    if map.get("description").and_then(Value::as_str).is_some_and(|d| d.chars().count() > DESCRIPTION_LIMIT) {
        return Err(invalid("Status", "description", "too_long"));
    }
    let id = store.id();
    let value = json!({
        "id": id, "node_id": format!("SC_{id}"), "state": state, "description": map.get("description"),
        "target_url": map.get("target_url"), "context": map.get("context").cloned().unwrap_or_else(|| json!("default")),
        "sha": path[1], "created_at": now(), "updated_at": now(), "creator": user(request), "avatar_url": null,
        "url": format!("{}/github/repos/{repo}/statuses/{}", request.origin(), path[1]),
    });
    store.statuses.push(Record { repo: repo.to_owned(), value: value.clone() });
    Ok(Response::json(201, &value))
}
