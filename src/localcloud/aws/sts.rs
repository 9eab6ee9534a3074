//! STS: whose the credentials are, and roles.

use super::{ACCOUNT, Answer, Call, Refused};
use chrono::{Duration, SecondsFormat, Utc};
use serde_json::json;

/// How long a session lasts where the call says nothing, in seconds (STS's own default).
const SESSION: i64 = 3600;

/// Answers one call.
pub fn answer(call: &Call) -> Answer {
    match call.action.as_str() {
        "GetCallerIdentity" => Ok(json!({
            "Arn": format!("arn:aws:iam::{ACCOUNT}:user/local"),
            "UserId": "AIDALOCALCLOUDUSER000",
            "Account": ACCOUNT,
        })),
        "AssumeRole" => role(call),
        "AssumeRoleWithWebIdentity" => match call.params.get("WebIdentityToken") {
            Some(token) if token.split('.').count() == 3 => role(call),
            _ => Err(Refused::new("InvalidIdentityToken", "The ID Token provided is not a valid JWT.")),
        },
        "DecodeAuthorizationMessage" => {
            let message = call.params.get("EncodedMessage").ok_or_else(|| Refused::missing("EncodedMessage"))?;
            Ok(json!({ "DecodedMessage": json!({ "allowed": false, "encoded": message }).to_string() }))
        }
        other => Err(Refused::new("InvalidAction", format!("Could not find operation {other} for version 2011-06-15"))),
    }
}

fn role(call: &Call) -> Answer {
    let arn = call.params.get("RoleArn").ok_or_else(|| Refused::missing("RoleArn"))?;
    let session = call.params.get("RoleSessionName").ok_or_else(|| Refused::missing("RoleSessionName"))?;
    let Some((account, name)) = arn.strip_prefix("arn:aws:iam::").and_then(|r| r.split_once(":role/")) else {
        return Err(Refused::new("ValidationError", format!("{arn} is invalid")));
    };
    let ends = Utc::now() + Duration::seconds(call.params.number("DurationSeconds").unwrap_or(SESSION));
    Ok(json!({
        "Credentials": {
            "AccessKeyId": "LOCALCLOUDSESSIONKEY",
            "SecretAccessKey": "local-cloud-has-no-secrets",
            "SessionToken": format!("local-session-of-{session}"),
            "Expiration": ends.to_rfc3339_opts(SecondsFormat::Secs, true),
        },
        "AssumedRoleUser": {
            "AssumedRoleId": format!("AROALOCALCLOUD0000000:{session}"),
            "Arn": format!("arn:aws:sts::{account}:assumed-role/{name}/{session}"),
        },
    }))
}
