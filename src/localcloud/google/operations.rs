//! Operations: PENDING, RUNNING, DONE; what fails in them fails with HTTP 200.

use super::error::{ApiError, ApiResult};
use super::names::{link, new_id, now};
use super::store::{Scope, Store};
use crate::cloud::Cloud;
use serde_json::{Value, json};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long the `wait` method of an operation waits at most.
const WAIT_LIMIT: Duration = Duration::from_secs(120);

/// Why an operation failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// `QUOTA_EXCEEDED`, …
    pub code: String,
    pub message: String,
    pub status: u16,
}

impl Failure {
    pub fn new(code: &str, message: impl Into<String>, status: u16) -> Failure {
        Failure { code: code.to_owned(), message: message.into(), status }
    }
}

/// What an operation works on.
pub(super) struct Target<'a> {
    pub project: &'a str,
    pub scope: Scope,
    /// `insert`, `delete`, …
    pub kind: &'a str,
    /// The path of the resource.
    pub resource: String,
    /// Its numeric id.
    pub id: String,
    /// The client's own id of the request.
    pub request_id: Option<&'a str>,
    /// Who asked.
    pub user: &'a str,
}

/// An operation that the same `requestId` began already.
pub(super) fn replayed(store: &Store, project: &str, request_id: Option<&str>) -> Option<Value> {
    let id = request_id.filter(|id| !id.is_empty())?;
    let found = store.operations.iter().find(|((p, _, _), op)| p == project && op["clientOperationId"] == id);
    found.map(|(_, op)| op.clone())
}

/// Begins an operation; `work` runs once it is RUNNING and is told of a failure that a test asked for (to undo what the call
/// did).
pub(super) fn begin<W, F>(cloud: &Arc<Cloud>, store: &mut Store, target: Target<'_>, work: W) -> Value
where
    W: FnOnce(Option<Failure>) -> F + Send + 'static,
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let random: [u32; 3] = rand::random();
    let millis = chrono::Utc::now().timestamp_millis();
    let name = format!("operation-{millis}-{:08x}-{:08x}-{:08x}", random[0], random[1], random[2]);
    let path = format!("projects/{}/{}/operations/{name}", target.project, target.scope.path());
    let mut doc = json!({
        "kind": "compute#operation",
        "id": new_id(),
        "name": name,
        "operationType": target.kind,
        "targetLink": link(&target.resource),
        "targetId": target.id,
        "status": "PENDING",
        "user": target.user,
        "progress": 0,
        "insertTime": now(),
        "selfLink": link(path),
    });
    if let Some(id) = target.request_id.filter(|id| !id.is_empty()) {
        doc["clientOperationId"] = json!(id);
    }
    match &target.scope {
        Scope::Zone(zone) => doc["zone"] = json!(link(format!("projects/{}/zones/{zone}", target.project))),
        Scope::Region(region) => doc["region"] = json!(link(format!("projects/{}/regions/{region}", target.project))),
        Scope::Global => {}
    }
    let key = (target.project.to_owned(), target.scope, name);
    store.operations.insert(key.clone(), doc.clone());
    let cloud = cloud.clone();
    let call = format!("operation {} {}", target.kind, target.resource);
    tokio::spawn(async move {
        tokio::time::sleep(cloud.step()).await;
        set(&cloud, &key, |op| {
            op["status"] = json!("RUNNING");
            op["startTime"] = json!(now());
        });
        let fault = cloud.faults.hit(&call);
        if let Some(fault) = &fault {
            tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
        }
        tokio::time::sleep(cloud.step()).await;
        let wanted = fault.filter(|f| !f.code.is_empty()).map(|f| Failure::new(&f.code, f.message, f.status));
        let result = work(wanted).await;
        set(&cloud, &key, |op| {
            op["status"] = json!("DONE");
            op["progress"] = json!(100);
            op["endTime"] = json!(now());
            if let Err(failure) = result {
                op["error"] = json!({ "errors": [{ "code": failure.code, "message": failure.message }] });
                op["httpErrorStatusCode"] = json!(failure.status);
                op["httpErrorMessage"] = json!(phrase(failure.status));
            }
        });
    });
    doc
}

/// Google writes the reason phrase of the status in capitals.
fn phrase(status: u16) -> String {
    let known = http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason());
    known.unwrap_or("ERROR").to_ascii_uppercase()
}

fn set(cloud: &Cloud, key: &(String, Scope, String), change: impl FnOnce(&mut Value)) {
    if let Some(op) = cloud.google.store().operations.get_mut(key) {
        change(op);
    }
}

/// One operation.
pub(super) fn get(store: &Store, project: &str, scope: Scope, name: &str) -> ApiResult {
    let path = format!("projects/{project}/{}/operations/{name}", scope.path());
    store
        .operations
        .get(&(project.to_owned(), scope, name.to_owned()))
        .cloned()
        .ok_or_else(|| ApiError::not_found(path))
}

/// Answers when the operation is done, or after two minutes with what it is then.
pub(super) async fn wait(cloud: &Arc<Cloud>, project: &str, scope: Scope, name: &str) -> ApiResult {
    let end = Instant::now() + WAIT_LIMIT;
    loop {
        let op = get(&cloud.google.store(), project, scope.clone(), name)?;
        if op["status"] == "DONE" || Instant::now() > end {
            return Ok(op);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
