//! What Google answers when it refuses, as one line that names the call, the resource and the cure.

use google_cloud_compute_v1::errors::OperationError;
use google_cloud_compute_v1::model::Operation;
use image_action_engine::{Error, ErrorKind};

/// A call that did not work.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// The status of the answer; none where there was none.
    pub status: Option<u16>,
    /// Something else has to happen to the resource first: it is being made, or something that goes too still uses it.
    pub busy: bool,
    /// Whether the same call may work in a moment.
    pub transient: bool,
    /// Whether Google says that we ask too often.
    pub throttled: bool,
    /// Whether Google may have done it all the same: no answer arrived.
    pub uncertain: bool,
    /// As a failure of the build.
    pub error: Error,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { status: None, busy: false, transient: false, throttled: false, uncertain: true, error }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        failure.error
    }
}

impl Failure {
    pub fn is_not_found(&self) -> bool {
        self.status == Some(404)
    }
}

/// What was asked of Google: names the call in every message.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `instances.insert`
    pub call: &'static str,
    /// What it was about.
    pub resource: String,
    /// Project, and zone where there is one.
    pub place: String,
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} in {}", self.call, self.resource, self.place)
    }
}

/// Reads what the client library hands back.
pub(crate) fn read(asked: &Asked, error: &google_cloud_gax::error::Error) -> Failure {
    if error.is_authentication() {
        return match own(error) {
            // What we have said ourselves, we have said in full.
            Some(own) => {
                let error = own.clone().context(format_args!("{asked} needs a token"));
                Failure { status: None, busy: false, transient: false, throttled: false, uncertain: false, error }
            }
            None => no_token(asked, &root(error)),
        };
    }
    match error.http_status_code() {
        Some(status) => refused(asked, status, &words(error)),
        None => {
            let why = root(error);
            if error.is_deserialization() {
                let failed = Error::failed(format!("{asked} got an answer that cannot be read: {why}"))
                    .hint("something between here and Google answers in its place; look at proxies and endpoints");
                return Failure {
                    status: None,
                    busy: false,
                    transient: false,
                    throttled: false,
                    uncertain: true,
                    error: failed,
                };
            }
            let what = format!("{asked} got no answer: {why}");
            let error = Error::new(ErrorKind::Unreachable, what).hint(
                "check the network and HTTPS_PROXY; custom_endpoints and CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE change the address",
            );
            Failure { status: None, busy: false, transient: true, throttled: false, uncertain: true, error }
        }
    }
}

/// A call that took too long.
pub(crate) fn too_slow(asked: &Asked, after: std::time::Duration) -> Failure {
    let what = format!("{asked} got no answer within {}", image_action_engine::duration::show(after));
    let error = Error::new(ErrorKind::Unreachable, what).hint("check the network and HTTPS_PROXY");
    Failure { status: None, busy: false, transient: true, throttled: false, uncertain: true, error }
}

fn no_token(asked: &Asked, why: &str) -> Failure {
    let error = Error::new(ErrorKind::Credentials, format!("{asked} needs a token, and none could be had: {why}"))
        .hint("check the credentials; a token of GitHub's lives as long as its job, and needs permissions: id-token: write");
    Failure { status: None, busy: false, transient: false, throttled: false, uncertain: false, error }
}

/// Our own failure among the causes.
pub(crate) fn own<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    let mut current = Some(error);
    while let Some(e) = current {
        if let Some(found) = e.downcast_ref::<Error>() {
            return Some(found);
        }
        current = e.source();
    }
    None
}

/// The last cause, which says most.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut current = error;
    while let Some(next) = current.source() {
        current = next;
    }
    current.to_string()
}

/// Google's words, from either form of its errors.
fn words(error: &google_cloud_gax::error::Error) -> String {
    if let Some(status) = error.status() {
        return status.message.trim().to_owned();
    }
    let body = error.http_payload().map(|b| String::from_utf8_lossy(b).into_owned()).unwrap_or_default();
    let json: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
    let described = json["error"]["message"].as_str().or_else(|| json["error_description"].as_str());
    described.map_or_else(|| body.chars().take(200).collect(), str::to_owned)
}

pub(crate) fn refused(asked: &Asked, status: u16, message: &str) -> Failure {
    let throttled = status == 429 || (status == 403 && message.to_lowercase().contains("rate limit"));
    let transient = throttled || status >= 500 && status != 501 || status == 408;
    let busy = status == 400 && (message.contains("is not ready") || message.contains("already being used by"));
    let words = if message.is_empty() { format!("status {status}") } else { format!("{message} ({status})") };
    let mut error = Error::new(kind(status, throttled), format!("{asked} was refused: {words}"));
    if let Some(hint) = hint(status, throttled, message) {
        error = error.hint(hint);
    }
    Failure { status: Some(status), busy, transient, throttled, uncertain: status >= 500, error }
}

fn kind(status: u16, throttled: bool) -> ErrorKind {
    match status {
        401 => ErrorKind::Credentials,
        403 if !throttled => ErrorKind::Permission,
        404 => ErrorKind::NotFound,
        400 | 409 | 412 => ErrorKind::Invalid,
        _ => ErrorKind::Failed,
    }
}

fn hint(status: u16, throttled: bool, message: &str) -> Option<String> {
    let lower = message.to_lowercase();
    let text = match status {
        _ if throttled => "Google limits how often a project asks; run fewer builds at a time".to_owned(),
        401 => "the token is expired, or not Google's; look at credentials_file, access_token and GOOGLE_APPLICATION_CREDENTIALS".to_owned(),
        403 if lower.contains("has not been used") || lower.contains("it is disabled") => {
            "enable the API: gcloud services enable compute.googleapis.com --project PROJECT".to_owned()
        }
        403 => match permission(message) {
            Some(permission) => format!("grant {permission} to the account that builds; roles/compute.instanceAdmin.v1 and roles/iam.serviceAccountUser hold what a build needs"),
            None => "roles/compute.instanceAdmin.v1 and roles/iam.serviceAccountUser hold what a build needs".to_owned(),
        },
        404 => "look at project_id, zone and the names of networks and images".to_owned(),
        409 => "use another name; -force replaces an image of the same name".to_owned(),
        _ => return None,
    };
    Some(text)
}

/// The permission that a message names: `Required 'compute.instances.create' permission for …`.
fn permission(message: &str) -> Option<&str> {
    message.split('\'').find(|part| part.starts_with("compute.") || part.starts_with("iam."))
}

/// Why an operation failed that Google had taken on.
pub(crate) fn operation(asked: &Asked, operation: Operation) -> Result<Operation, Failure> {
    let error = match operation.to_result() {
        Ok(operation) => return Ok(operation),
        Err(error) => error,
    };
    let mut parts: Vec<(String, String)> = Vec::new();
    let mut status = None;
    if let OperationError::Generic(error) = &error {
        status = error.status_code.and_then(|s| u16::try_from(s).ok());
        for one in error.details.iter().flat_map(|d| &d.errors) {
            parts.push((one.code.clone().unwrap_or_default(), one.message.clone().unwrap_or_default()));
        }
        if parts.is_empty() {
            parts.extend(error.message.clone().map(|m| (String::new(), m)));
        }
    }
    if parts.is_empty() {
        parts.push((String::new(), error.to_string()));
    }
    let words: Vec<String> = parts
        .iter()
        .map(|(code, message)| if code.is_empty() { message.clone() } else { format!("{message} ({code})") })
        .collect();
    let words = words.join("; ");
    let codes: Vec<&str> = parts.iter().map(|(code, _)| code.as_str()).collect();
    let kind = if status == Some(403) { ErrorKind::Permission } else { ErrorKind::Failed };
    let mut failed = Error::new(kind, format!("{asked} failed: {words}"));
    if let Some(hint) = operation_hint(&codes) {
        failed = failed.hint(hint);
    }
    Err(Failure { status, busy: false, transient: false, throttled: false, uncertain: false, error: failed })
}

fn operation_hint(codes: &[&str]) -> Option<&'static str> {
    codes.iter().find_map(|code| match *code {
        "QUOTA_EXCEEDED" => Some("ask for more quota in the console (IAM & Admin, Quotas), or remove what is not used any more"),
        c if c.starts_with("ZONE_RESOURCE_POOL_EXHAUSTED") || c == "STOCKOUT" => {
            Some("the zone has no such machine now; use another zone or machine_type, or try later")
        }
        "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE" => Some("something else uses it; detach or delete that first"),
        "CONDITION_NOT_MET" => Some("an organization policy forbids it; look at constraints of the project (external IPs, shielded VMs, locations)"),
        "PERMISSIONS_ERROR" | "FORBIDDEN" => Some("roles/compute.instanceAdmin.v1 and roles/iam.serviceAccountUser hold what a build needs"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use google_cloud_compute_v1::model;

    fn asked() -> Asked {
        Asked { call: "instances.insert", resource: "packer-1".into(), place: "p/us-central1-a".into() }
    }

    #[test]
    fn a_refusal_names_call_resource_reason_and_cure() {
        let message =
            "Required 'compute.instances.create' permission for 'projects/p/zones/us-central1-a/instances/packer-1'";
        let failure = refused(&asked(), 403, message);
        assert_eq!(failure.error.kind, ErrorKind::Permission);
        assert!(
            failure.error.summary.starts_with("instances.insert of packer-1 in p/us-central1-a was refused: Required")
        );
        assert!(failure.error.hint.unwrap().starts_with("grant compute.instances.create"));
        assert!(refused(&asked(), 403, "Rate Limit Exceeded").transient);
        assert!(refused(&asked(), 503, "").transient);
        assert!(!refused(&asked(), 501, "").transient);
    }

    #[test]
    fn a_done_operation_with_an_error_is_a_failure() {
        let one =
            model::operation::error::Errors::new().set_code("QUOTA_EXCEEDED").set_message("Quota 'CPUS' exceeded.");
        let op = model::Operation::new()
            .set_status(model::operation::Status::Done)
            .set_error(model::operation::Error::new().set_errors([one]))
            .set_http_error_status_code(403);
        let failure = operation(&asked(), op).unwrap_err();
        assert!(failure.error.summary.contains("Quota 'CPUS' exceeded. (QUOTA_EXCEEDED)"), "{}", failure.error);
        assert!(failure.error.hint.is_some());
    }
}
