//! Google's error envelope.

use crate::http::Response;
use serde_json::json;

/// A refusal, as Compute Engine words it.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    pub status: u16,
    /// `notFound`, `alreadyExists`, …
    pub reason: &'static str,
    pub message: String,
}

/// The result of a call.
pub(super) type ApiResult<T = serde_json::Value> = Result<T, ApiError>;

impl ApiError {
    pub fn new(status: u16, reason: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { status, reason, message: message.into() }
    }
    /// `resource` is a path such as `projects/p/zones/z/instances/i`.
    pub fn not_found(resource: impl std::fmt::Display) -> ApiError {
        ApiError::new(404, "notFound", format!("The resource '{resource}' was not found"))
    }
    pub fn already_exists(resource: impl std::fmt::Display) -> ApiError {
        ApiError::new(409, "alreadyExists", format!("The resource '{resource}' already exists"))
    }
    /// `field` as in `resource.machineType`.
    pub fn field(field: &str, value: impl std::fmt::Display, why: impl std::fmt::Display) -> ApiError {
        ApiError::new(400, "invalid", format!("Invalid value for field '{field}': '{value}'. {why}"))
    }
    pub fn required(field: &str) -> ApiError {
        ApiError::new(400, "required", format!("Required field '{field}' not specified"))
    }
    pub fn in_use(resource: impl std::fmt::Display, by: impl std::fmt::Display) -> ApiError {
        let message = format!("The {resource} is already being used by '{by}'");
        ApiError::new(400, "resourceInUseByAnotherResource", message)
    }
    pub fn not_ready(resource: impl std::fmt::Display) -> ApiError {
        ApiError::new(400, "resourceNotReady", format!("The resource '{resource}' is not ready"))
    }
    pub fn forbidden(permission: &str, resource: impl std::fmt::Display) -> ApiError {
        ApiError::new(403, "forbidden", format!("Required '{permission}' permission for '{resource}'"))
    }
    pub fn fingerprint() -> ApiError {
        let message = "Supplied fingerprint does not match current metadata fingerprint.";
        ApiError::new(412, "conditionNotMet", message)
    }
    pub fn not_implemented(what: impl std::fmt::Display) -> ApiError {
        let message = format!("The local cloud does not implement {what}.");
        ApiError::new(501, "notImplemented", message)
    }
    /// What a whole answer looks like.
    pub fn response(&self) -> Response {
        envelope(self.status, self.reason, &self.message)
    }
}

/// The envelope of an error answer.
pub(super) fn envelope(status: u16, reason: &str, message: &str) -> Response {
    let mut error = json!({
        "code": status,
        "message": message,
        "errors": [{ "message": message, "domain": "global", "reason": reason }],
    });
    // Only failures before the service itself carry a canonical status.
    let canonical = match status {
        401 => Some("UNAUTHENTICATED"),
        501 => Some("UNIMPLEMENTED"),
        _ => None,
    };
    if let Some(canonical) = canonical {
        error["status"] = json!(canonical);
    }
    Response::json(status, &json!({ "error": error }))
}
