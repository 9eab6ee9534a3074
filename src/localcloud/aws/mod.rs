//! EC2 (query protocol), KMS (JSON 1.1) and STS (query protocol). Which of them a request is for, and in which region, its
//! signature says.

mod ec2;
mod fixtures;
mod kms;
mod query;
mod resources;
mod sts;
mod world;

pub use sts::WEB_ROLE;

use crate::cloud::{Cloud, Existing};
use crate::fault::Fault;
use crate::http::{Request, Response};
use chrono::{DateTime, Utc};
use query::Params;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use world::World;

/// The account that every key belongs to.
pub const ACCOUNT: &str = "111122223333";

/// The key that the environment of a local cloud carries; any other is accepted as well.
const ACCESS_KEY: &str = "LOCALCLOUDACCESSKEY1";

/// Its secret: signatures are not checked.
const SECRET_KEY: &str = "local-cloud-has-no-secrets";

/// The region of the environment of a local cloud.
const REGION: &str = "us-west-2";

/// What exists.
#[derive(Default)]
pub struct State {
    world: Mutex<World>,
    /// Session tokens that STS gave, and when they end.
    sessions: Mutex<BTreeMap<String, DateTime<Utc>>>,
}

impl State {
    fn sessions(&self) -> MutexGuard<'_, BTreeMap<String, DateTime<Utc>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn world(&self) -> MutexGuard<'_, World> {
        // Every change is made whole before the lock is left: a panic elsewhere leaves the world as it was.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A refusal, in the words of the real service.
#[derive(Clone, Debug)]
pub struct Refused {
    status: u16,
    code: String,
    message: String,
}

impl Refused {
    fn new(code: &str, message: impl Into<String>) -> Refused {
        Refused { status: 400, code: code.to_owned(), message: message.into() }
    }
    fn missing(parameter: &str) -> Refused {
        Refused::new("MissingParameter", format!("The request must contain the parameter {parameter}"))
    }
    fn invalid(message: impl Into<String>) -> Refused {
        Refused::new("InvalidParameterValue", message)
    }
}

type Answer = Result<Value, Refused>;

/// One call, read.
struct Call {
    service: String,
    region: String,
    action: String,
    params: Params,
}

/// How clients find it.
pub fn env(cloud: &Cloud) -> Vec<(String, String)> {
    let pairs = [
        ("AWS_ENDPOINT_URL", cloud.http_url()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ];
    pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

/// `Credential=KEY/DATE/REGION/SERVICE/aws4_request` of the signature.
fn scope(request: &Request) -> Option<(String, String)> {
    let authorization = request.header("authorization")?;
    let credential = authorization.split("Credential=").nth(1)?.split(',').next()?;
    let mut parts = credential.split('/').skip(2);
    Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
}

fn read(request: &Request) -> Call {
    let params = Params::new(request.query.iter().cloned().chain(request.form()));
    let target = request.header("x-amz-target").and_then(|t| t.split('.').nth(1));
    let action = target.or_else(|| params.get("Action")).unwrap_or_default().to_owned();
    let (region, service) = scope(request).unwrap_or_else(|| {
        // AssumeRoleWithWebIdentity is not signed.
        let service = if action.starts_with("AssumeRole") { "sts" } else { "" };
        (REGION.to_owned(), service.to_owned())
    });
    Call { service, region, action, params }
}

/// Why a session of STS's is not taken: it has ended, or never was.
fn ended(cloud: &Cloud, request: &Request, call: &Call) -> Option<Refused> {
    let token = request.header("x-amz-security-token")?;
    let (code, message) = match (cloud.aws.sessions().get(token), call.service.as_str()) {
        (Some(until), _) if *until > Utc::now() => return None,
        (Some(_), "ec2") => ("RequestExpired", "Request has expired."),
        (Some(_), _) => ("ExpiredToken", "The security token included in the request is expired"),
        (None, "ec2") => ("AuthFailure", "AWS was not able to validate the provided access credentials"),
        (None, _) => ("InvalidClientTokenId", "The security token included in the request is invalid."),
    };
    Some(Refused { status: 403, ..Refused::new(code, message) })
}

/// Answers one request.
pub async fn handle(cloud: &Arc<Cloud>, request: &Request) -> Response {
    let call = read(request);
    if let Some(refused) = ended(cloud, request, &call) {
        return refuse(&call, &refused);
    }
    let answer = match call.service.as_str() {
        "ec2" => ec2::answer(cloud, &call).await,
        "sts" => sts::answer(cloud, &call),
        "kms" => match request.json() {
            Ok(body) => kms::answer(cloud, &call, &body),
            Err(e) => Err(Refused::new("SerializationException", e.to_string())),
        },
        "" => Err(Refused {
            status: 403,
            ..Refused::new("MissingAuthenticationToken", "Request is missing Authentication Token")
        }),
        other => Err(Refused::new("InvalidAction", format!("The local cloud has no service {other}"))),
    };
    match answer {
        Ok(value) => succeed(&call, value),
        Err(refused) => refuse(&call, &refused),
    }
}

fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn succeed(call: &Call, value: Value) -> Response {
    let Call { action, .. } = call;
    let id = request_id();
    let body = match call.service.as_str() {
        "kms" => return json_response(200, &value, &id),
        "sts" => format!(
            "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>{}</{action}Result><ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{action}Response>",
            query::xml(&value)
        ),
        _ => format!(
            "<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>{id}</requestId>{}</{action}Response>",
            query::xml(&value)
        ),
    };
    xml_response(200, &body, &id)
}

fn refuse(call: &Call, refused: &Refused) -> Response {
    let id = request_id();
    let error = json!({ "Code": refused.code, "Message": refused.message });
    let body = match call.service.as_str() {
        "kms" => {
            let body = json!({ "__type": refused.code, "message": refused.message });
            return json_response(refused.status, &body, &id).header("x-amzn-errortype", &refused.code);
        }
        "sts" => format!(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>{}</Error><RequestId>{id}</RequestId></ErrorResponse>",
            query::xml(&error)
        ),
        _ => format!(
            "<Response><Errors><Error>{}</Error></Errors><RequestID>{id}</RequestID></Response>",
            query::xml(&error)
        ),
    };
    xml_response(refused.status, &body, &id)
}

fn xml_response(status: u16, body: &str, id: &str) -> Response {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}");
    Response::text(status, "text/xml;charset=UTF-8", text).header("x-amzn-requestid", id)
}

fn json_response(status: u16, body: &Value, id: &str) -> Response {
    Response::text(status, "application/x-amz-json-1.1", body.to_string()).header("x-amzn-requestid", id)
}

/// A fault in this service's own envelope.
pub fn fault(request: &Request, fault: &Fault) -> Response {
    refuse(&read(request), &Refused { status: fault.status, code: fault.code.clone(), message: fault.message.clone() })
}

/// Everything that is no fixture.
pub fn existing(cloud: &Cloud) -> Vec<Existing> {
    cloud.aws.world().existing()
}

/// The call, for the log and for faults.
pub fn describe(request: &Request) -> String {
    let call = read(request);
    format!("{} {} {}", call.service, call.region, call.action)
}
