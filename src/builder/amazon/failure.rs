//! What AWS answers when it refuses, as one line that names the call, the resource and the cure.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use image_action_engine::{Claims, Error, ErrorKind};
use std::error::Error as StdError;

/// A call that did not work.
#[derive(Clone, Debug)]
pub struct Failure {
    /// AWS's own code (`InvalidAMIID.NotFound`), or empty where no answer came.
    pub code: String,
    /// AWS's own message, or why no answer came.
    pub message: String,
    /// Whether the same call may work in a moment: throttling, 5xx, no answer.
    pub transient: bool,
    /// Whether AWS may have done it all the same: the answer did not arrive.
    pub uncertain: bool,
    /// As a failure of the build.
    pub error: Error,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { code: String::new(), message: error.summary.clone(), transient: false, uncertain: true, error }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        failure.error
    }
}

impl Failure {
    /// Whether AWS says that we ask too often.
    pub fn is_throttled(&self) -> bool {
        THROTTLING.contains(&self.code.as_str())
    }
    /// Whether AWS's code says that the thing does not exist.
    pub fn is_not_found(&self) -> bool {
        is_not_found(&self.code)
    }
}

/// Codes that say "slower", of every service (the list of the official runtime, `aws-runtime`'s `retries`).
const THROTTLING: [&str; 14] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "RequestThrottled",
    "SlowDown",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
];

/// Codes that say the credentials are not good.
const CREDENTIALS: [&str; 12] = [
    "AuthFailure",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "UnrecognizedClientException",
    "MissingAuthenticationToken",
    "InvalidIdentityToken",
    "IncompleteSignature",
    "Blocked",
];

/// Codes that say a permission is missing.
const PERMISSION: [&str; 4] =
    ["UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "Client.UnauthorizedOperation"];

fn is_not_found(code: &str) -> bool {
    code.ends_with(".NotFound")
        || code.ends_with("NotFoundException")
        || code == "NoSuchEntity"
        || code.ends_with(".Unknown")
}

/// What was asked of AWS: names the call in every message.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// `ec2`, `kms`, `sts`.
    pub service: &'static str,
    /// `RunInstances`
    pub action: &'static str,
    /// What it was about (`t3.medium`, `ami-1`); may be empty.
    pub resource: &'a str,
    /// Where.
    pub region: &'a str,
}

impl std::fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.service, self.action)?;
        if !self.resource.is_empty() {
            write!(f, " of {}", self.resource)?;
        }
        write!(f, " in {}", self.region)
    }
}

/// The last cause of an error, which says most.
fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut current = error;
    while let Some(next) = current.source() {
        current = next;
    }
    current.to_string()
}

/// The first cause of a kind.
fn find_cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut current = Some(error);
    while let Some(e) = current {
        if let Some(found) = e.downcast_ref::<T>() {
            return Some(found);
        }
        current = e.source();
    }
    None
}

/// Reads what the SDK hands back.
pub fn read<E>(asked: &Asked<'_>, error: SdkError<E, HttpResponse>) -> Failure
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    if let Some(credentials) = find_cause::<CredentialsError>(&error) {
        return no_credentials(asked, credentials);
    }
    match &error {
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or_default();
            let message = service.err().message().unwrap_or_default();
            refused(asked, code, message, service.raw().status().as_u16())
        }
        SdkError::ResponseError(response) => {
            let status = response.raw().status().as_u16();
            let failure = format!("an answer with status {status} that is not AWS's");
            let error = Error::failed(format!("{asked} got {failure}"))
                .hint("something between here and AWS answers in its place; look at proxies and at AWS_ENDPOINT_URL");
            Failure { code: String::new(), message: failure, transient: status >= 500, uncertain: true, error }
        }
        SdkError::ConstructionFailure(_) => {
            let message = root_cause(&error);
            let error = Error::new(ErrorKind::Invalid, format!("{asked} cannot be asked: {message}"));
            Failure { code: String::new(), message, transient: false, uncertain: false, error }
        }
        _ => unreachable(asked, &error),
    }
}

fn unreachable(asked: &Asked<'_>, error: &(dyn StdError + 'static)) -> Failure {
    let message = root_cause(error);
    let error = Error::new(ErrorKind::Unreachable, format!("{asked} got no answer: {message}"))
        .hint("check the region's name, the network and HTTPS_PROXY; AWS_ENDPOINT_URL and custom_endpoint_ec2 change the address");
    Failure { code: String::new(), message, transient: true, uncertain: true, error }
}

fn no_credentials(asked: &Asked<'_>, error: &CredentialsError) -> Failure {
    let cause = root_cause(error);
    // What we have said ourselves, we have said in full.
    if let Some(own) = find_cause::<Error>(error) {
        let error = own.clone().context(format_args!("{asked} needs AWS credentials"));
        return Failure { code: String::new(), message: cause, transient: false, uncertain: false, error };
    }
    let missing = matches!(error, CredentialsError::CredentialsNotLoaded(_));
    let summary = if missing {
        format!("{asked} needs AWS credentials, and there are none")
    } else {
        format!("{asked} needs AWS credentials, and they could not be had: {cause}")
    };
    let error = Error::new(ErrorKind::Credentials, summary).hint(
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), or `profile`; in a workflow give the action the input aws-role-to-assume, with `id-token: write` in the permissions of the job",
    );
    Failure { code: String::new(), message: cause, transient: false, uncertain: false, error }
}

/// A refused exchange of an identity token: what the token said, and what of the role's trust has to change.
pub fn untrusted(failure: Failure, role: &str, claims: &Claims) -> Error {
    let (account, partition) = {
        let mut parts = role.split(':').skip(1);
        let partition = parts.next().unwrap_or("aws");
        (parts.nth(2).unwrap_or_default(), partition)
    };
    let issuer = claims.issuer_host();
    let provider = format!("arn:{partition}:iam::{account}:oidc-provider/{issuer}");
    let hint = match failure.code.as_str() {
        "AccessDenied" => format!(
            "check that the role exists, and that its trust policy has this statement (StringLike with * for more than one subject):\n{}",
            serde_json::json!({
                "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Principal": { "Federated": provider },
                "Condition": { "StringEquals": {
                    format!("{issuer}:aud"): claims.audience, format!("{issuer}:sub"): claims.subject,
                } },
            })
        ),
        "InvalidIdentityToken" => format!(
            "the identity provider {provider} has to exist in IAM of that account, with \"{}\" among its audiences (client ids)",
            claims.audience
        ),
        "ExpiredTokenException" | "ExpiredToken" => {
            "the token had ended when AWS looked at it: this machine's clock may be wrong, or the token came from a file that nobody renews".to_owned()
        }
        _ => return failure.error.detail(claims.to_string()),
    };
    Error { kind: ErrorKind::Credentials, ..failure.error }.detail(claims.to_string()).hint(hint)
}

/// AWS's message without the encoded part, which only AWS can read.
fn without_blob(message: &str) -> &str {
    message.split("Encoded authorization failure message:").next().unwrap_or(message).trim().trim_end_matches('.')
}

fn refused(asked: &Asked<'_>, code: &str, message: &str, status: u16) -> Failure {
    let throttled = THROTTLING.contains(&code);
    let transient = throttled || status >= 500 || code == "RequestTimeout" || code == "RequestTimeoutException";
    let (kind, hint) = cure(asked, code);
    let words = without_blob(message);
    let summary = match (code, words) {
        ("", "") => format!("{asked} was answered with status {status}"),
        ("", words) => format!("{asked} was refused: {words}"),
        (code, "") => format!("{asked} was refused: {code}"),
        (code, words) => format!("{asked} was refused: {words} ({code})"),
    };
    let mut error = Error::new(kind, summary);
    if throttled {
        error = error.hint("AWS limits how often an account asks; raise `max_retries`, or run fewer builds at a time");
    } else if let Some(hint) = hint {
        error = error.hint(hint);
    }
    Failure { code: code.to_owned(), message: message.to_owned(), transient, uncertain: status >= 500, error }
}

/// What kind of refusal a code is, and what helps.
fn cure(asked: &Asked<'_>, code: &str) -> (ErrorKind, Option<String>) {
    if PERMISSION.contains(&code) {
        let hint = format!(
            "allow {}:{} to the role or user of these credentials, on that resource",
            asked.service, asked.action
        );
        return (ErrorKind::Permission, Some(hint));
    }
    if CREDENTIALS.contains(&code) {
        let hint = if code.starts_with("Expired") || code == "RequestExpired" {
            "the session has ended (or this machine's clock is wrong); get new credentials"
        } else {
            "check the access key, its secret and the session token; they must belong together, and to an account that has this region enabled"
        };
        return (ErrorKind::Credentials, Some(hint.to_owned()));
    }
    if is_not_found(code) {
        return (ErrorKind::NotFound, Some(format!("check the id, and that it exists in {}", asked.region)));
    }
    let hint = match code {
        "InsufficientInstanceCapacity" => {
            "AWS has no such instance free there now; name another availability_zone or instance_type"
        }
        "VcpuLimitExceeded" | "InstanceLimitExceeded" => {
            "ask AWS for a higher quota of vCPUs, or use a smaller instance_type"
        }
        "OptInRequired" => "accept the terms of the product on AWS Marketplace with this account first",
        "InvalidAMIName.Duplicate" => "choose another ami_name, or set force_deregister (or run with -force)",
        "Unsupported" => "the instance type does not fit the image or the availability zone",
        _ => return (ErrorKind::Failed, None),
    };
    (ErrorKind::Failed, Some(hint.to_owned()))
}
