//! What Resource Manager refuses, in one line with a cure, its nested details below.

use image_action_engine::{Error, ErrorKind};
use serde_json::Value;
use std::fmt;

/// How deep nested details are followed.
const DETAIL_DEPTH: usize = 8;

/// How much of an answer that is no error document is shown, in characters.
const RAW_LENGTH: usize = 400;

/// A call that did not work.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What was called (`PUT networkInterfaces/pkrni1 in pkr-Resource-Group-1`).
    pub call: String,
    /// Status of the answer; `None` where there was none.
    pub status: Option<u16>,
    /// The cloud's code (`AuthorizationFailed`).
    pub code: String,
    /// Its sentence.
    pub message: String,
    /// Nested causes, a line each, indented by depth.
    pub details: Vec<String>,
    /// What kind, where it is not told by status and code.
    pub kind: Option<ErrorKind>,
    /// Whether the call may have had an effect all the same.
    pub uncertain: bool,
}

impl Failure {
    /// A call without an answer: the connection failed, or a time limit was reached.
    pub fn unanswered(call: &str, why: impl Into<String>) -> Failure {
        Failure {
            call: call.to_owned(),
            status: None,
            code: String::new(),
            message: why.into(),
            details: Vec::new(),
            kind: Some(ErrorKind::Unreachable),
            uncertain: true,
        }
    }
    /// From an error of ours.
    pub fn from_error(call: &str, error: &Error) -> Failure {
        Failure {
            kind: Some(error.kind),
            uncertain: false,
            details: error.detail.lines().map(str::to_owned).collect(),
            ..Failure::unanswered(call, error.summary.clone())
        }
    }
    /// From an answer that says no.
    pub fn answered(call: &str, status: u16, body: &[u8]) -> Failure {
        let mut failure = match serde_json::from_slice::<Value>(body) {
            Ok(document) => Failure::document(call, &document),
            Err(_) => {
                let text = String::from_utf8_lossy(body);
                let text: String = text.trim().chars().take(RAW_LENGTH).collect();
                Failure { uncertain: false, kind: None, ..Failure::unanswered(call, text) }
            }
        };
        failure.status = Some(status);
        failure
    }
    /// From an error document: `{"error": {…}}`, or what stands inside of it.
    pub fn document(call: &str, document: &Value) -> Failure {
        let error = document.get("error").filter(|e| e.is_object()).unwrap_or(document);
        let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut details = Vec::new();
        nested(error, 0, &mut details);
        Failure {
            call: call.to_owned(),
            status: None,
            code: text("code"),
            message: text("message"),
            details,
            kind: None,
            uncertain: false,
        }
    }
    /// Whether there is no such thing.
    pub fn is_not_found(&self) -> bool {
        self.status == Some(404)
    }
    /// Whether another try may work: throttling, a fault of the service.
    pub fn is_passing(&self) -> bool {
        matches!(self.status, Some(408 | 424 | 429 | 500 | 502 | 503 | 504)) || self.code == "RetryableError"
    }
    /// Whether the thing is still in use, or being worked on.
    pub fn is_busy(&self) -> bool {
        const BUSY: [&str; 13] = [
            "NicInUse",
            "NicReservedForAnotherVm",
            "PublicIPAddressCannotBeDeleted",
            "InUseNetworkSecurityGroupCannotBeDeleted",
            "InUseSubnetCannotBeDeleted",
            "AnotherOperationInProgress",
            "OperationNotAllowed",
            "OperationPreempted",
            "Conflict",
            "ConflictError",
            "CannotDeleteResource",
            "ReferencedResourceNotProvisioned",
            "RetryableErrorDueToAnotherOperation",
        ];
        BUSY.contains(&self.code.as_str()) || self.status == Some(409)
    }
    fn has(&self, code: &str) -> bool {
        self.code == code || self.details.iter().any(|d| d.contains(code))
    }
    fn kind_of(&self) -> ErrorKind {
        match (self.kind, self.status) {
            (Some(kind), _) => kind,
            (None, Some(401)) => ErrorKind::Credentials,
            (None, Some(403)) => ErrorKind::Permission,
            (None, Some(404)) => ErrorKind::NotFound,
            _ => ErrorKind::Failed,
        }
    }
    fn hint(&self) -> Option<String> {
        let hint = match self.code.as_str() {
            "AuthorizationFailed" | "LinkedAuthorizationFailed" => {
                "give the identity a role with this action on that scope (Contributor has all that a build needs); a new role takes up to ten minutes to act"
            }
            "SubscriptionNotFound" | "InvalidSubscriptionId" => {
                "check subscription_id, and that the identity has a role in it"
            }
            "ResourceGroupNotFound" => "create the resource group, or correct its name",
            "MissingSubscriptionRegistration" => {
                "register the resource provider that the message names: az provider register --namespace NAME"
            }
            "PlatformImageNotFound" => {
                "check image_publisher, image_offer, image_sku and image_version: az vm image list --all --publisher NAME"
            }
            "SkuNotAvailable" | "AllocationFailed" | "ZonalAllocationFailed" | "OverconstrainedAllocationRequest" => {
                "use another vm_size or another location"
            }
            "QuotaExceeded" => "ask for more quota, or use another vm_size or location",
            "OperationNotAllowed" if self.message.contains("quota") => {
                "ask for more quota, or use another vm_size or location"
            }
            "ResourcePurchaseValidationFailed" | "VMMarketplaceInvalidInput" => {
                "accept the terms of the image (az vm image terms accept --urn URN) and set plan_info"
            }
            "ReservedResourceName" => "use another name",
            _ if self.has("RequestDisallowedByPolicy") => {
                "a policy of the subscription forbids this; the details name it"
            }
            _ if self.has("PublicIPCountLimitReached") => {
                "remove public addresses, or build in a network of your own (virtual_network_name)"
            }
            _ if self.status == Some(401) => "log in again; the token is not taken by this cloud",
            _ if self.kind == Some(ErrorKind::Unreachable) => {
                "check the network, HTTPS_PROXY, and cloud_environment_name or metadata_host"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// Details below an error: an array `details`, and messages that are error documents themselves.
fn nested(error: &Value, depth: usize, lines: &mut Vec<String>) {
    if depth >= DETAIL_DEPTH {
        return;
    }
    let inner = |message: &str| {
        message.trim_start().starts_with('{').then(|| serde_json::from_str::<Value>(message).ok()).flatten()
    };
    if depth == 0
        && let Some(document) = error.get("message").and_then(Value::as_str).and_then(inner)
    {
        nested(document.get("error").unwrap_or(&document), depth + 1, lines);
    }
    for detail in error.get("details").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| detail.get(name).and_then(Value::as_str).unwrap_or_default();
        let indent = "  ".repeat(depth);
        match inner(text("message")) {
            Some(document) => {
                let own = document.get("error").unwrap_or(&document);
                let of = |name: &str| own.get(name).and_then(Value::as_str).unwrap_or_default();
                lines.push(format!("{indent}{}: {}: {}", text("code"), of("code"), of("message")));
                nested(own, depth + 1, lines);
            }
            None => {
                lines.push(format!("{indent}{}: {}", text("code"), text("message")));
                nested(detail, depth + 1, lines);
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.call)?;
        if let Some(status) = self.status {
            write!(f, "{status} ")?;
        }
        match (self.code.is_empty(), self.message.trim()) {
            (true, "") => f.write_str("no reason given"),
            (true, message) => f.write_str(message),
            (false, message) => write!(f, "{}: {message}", self.code),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        if failure.kind == Some(ErrorKind::Cancelled) {
            return Error::cancelled();
        }
        let error = Error::new(failure.kind_of(), failure.to_string()).detail(failure.details.join("\n"));
        match failure.hint() {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nested_details_are_lines_even_where_a_message_is_a_document() {
        let inner =
            r#"{"error":{"code":"RequestDisallowedByPolicy","message":"Resource 'x' was disallowed by policy."}}"#;
        let body = serde_json::json!({ "error": {
            "code": "DeploymentFailed", "message": "At least one resource deployment operation failed.",
            "details": [
                { "code": "Forbidden", "message": inner },
                { "code": "Conflict", "message": "busy", "details": [{ "code": "AnotherOperationInProgress", "message": "wait" }] },
            ],
        }});
        let failure = Failure::answered("PUT virtualMachines/vm", 409, body.to_string().as_bytes());
        assert_eq!(
            failure.details,
            [
                "Forbidden: RequestDisallowedByPolicy: Resource 'x' was disallowed by policy.",
                "Conflict: busy",
                "  AnotherOperationInProgress: wait"
            ]
        );
        let error = Error::from(failure);
        assert_eq!(
            error.summary,
            "PUT virtualMachines/vm: 409 DeploymentFailed: At least one resource deployment operation failed."
        );
        assert!(error.hint.unwrap().contains("policy"));
    }

    #[test]
    fn what_is_no_document_is_cut_and_shown() {
        let failure = Failure::answered("GET x", 502, &b"<html>Bad Gateway</html>".repeat(100));
        assert!(failure.is_passing() && failure.message.len() <= RAW_LENGTH);
    }
}
