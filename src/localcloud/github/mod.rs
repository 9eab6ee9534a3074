//! GitHub's REST API.

use crate::cloud::Cloud;
use crate::fault::Fault;
use crate::http::{Request, Response};
use std::sync::Arc;

/// What exists.
#[derive(Default)]
pub struct State {}

/// How clients find it.
pub fn env(cloud: &Cloud) -> Vec<(String, String)> {
    let _ = cloud;
    Vec::new()
}

/// Answers one request.
pub async fn handle(cloud: &Arc<Cloud>, request: &Request) -> Response {
    let _ = cloud;
    Response::text(501, "text/plain", format!("{} {} is not built yet", request.method, request.path))
}

/// A fault in this service's own envelope.
pub fn fault(request: &Request, fault: &Fault) -> Response {
    let _ = request;
    Response::text(fault.status, "text/plain", fault.message.clone())
}
