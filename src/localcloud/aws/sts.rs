//! STS: whose the credentials are, and roles.

use super::{ACCOUNT, Answer, Call, Refused};
use crate::cloud::Cloud;
use crate::issuer::{self, Doubt};
use chrono::{Duration, SecondsFormat, Utc};
use serde_json::json;

/// How long a session lasts where the call says nothing, in seconds (STS's own default).
const SESSION: i64 = 3600;

/// The role that trusts the job whose identity the local token service vouches for.
pub const WEB_ROLE: &str = "arn:aws:iam::111122223333:role/image-builder";

/// The audience that the identity provider of the account goes by.
const AUDIENCE: &str = "sts.amazonaws.com";

/// Answers one call.
pub fn answer(cloud: &Cloud, call: &Call) -> Answer {
    match call.action.as_str() {
        "GetCallerIdentity" => Ok(json!({
            "Arn": format!("arn:aws:iam::{ACCOUNT}:user/local"),
            "UserId": "AIDALOCALCLOUDUSER000",
            "Account": ACCOUNT,
        })),
        "AssumeRole" => role(cloud, call, SESSION),
        "AssumeRoleWithWebIdentity" => web_identity(cloud, call),
        "DecodeAuthorizationMessage" => {
            let message = call.params.get("EncodedMessage").ok_or_else(|| Refused::missing("EncodedMessage"))?;
            Ok(json!({ "DecodedMessage": json!({ "allowed": false, "encoded": message }).to_string() }))
        }
        other => Err(Refused::new("InvalidAction", format!("Could not find operation {other} for version 2011-06-15"))),
    }
}

/// A job's identity for a session of [`WEB_ROLE`].
fn web_identity(cloud: &Cloud, call: &Call) -> Answer {
    let token = call.params.get("WebIdentityToken").ok_or_else(|| Refused::missing("WebIdentityToken"))?;
    let denied = || Refused {
        status: 403,
        ..Refused::new("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
    };
    let invalid = |message: &str| Refused::new("InvalidIdentityToken", message);
    issuer::check(cloud, token, &[AUDIENCE]).map_err(|doubt| match doubt {
        Doubt::Malformed => invalid("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"),
        Doubt::Signature => invalid("Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements"),
        Doubt::Issuer(issuer) => invalid(&format!("No OpenIDConnect provider found in your account for {issuer}")),
        Doubt::Audience(_) => invalid("Incorrect token audience"),
        Doubt::Expired => Refused::new("ExpiredTokenException", "Token expired: current date/time must be before the expiration date/time"),
        Doubt::Subject(_) => denied(),
    })?;
    if call.params.get("RoleArn") != Some(WEB_ROLE) {
        return Err(denied());
    }
    let session = cloud.issuer.trust().session;
    role(cloud, call, i64::try_from(session.as_secs()).unwrap_or(SESSION))
}

fn role(cloud: &Cloud, call: &Call, life: i64) -> Answer {
    let arn = call.params.get("RoleArn").ok_or_else(|| Refused::missing("RoleArn"))?;
    let session = call.params.get("RoleSessionName").ok_or_else(|| Refused::missing("RoleSessionName"))?;
    let Some((account, name)) = arn.strip_prefix("arn:aws:iam::").and_then(|r| r.split_once(":role/")) else {
        return Err(Refused::new("ValidationError", format!("{arn} is invalid")));
    };
    let life = call.params.number("DurationSeconds").unwrap_or(life);
    let ends = Utc::now() + Duration::seconds(life);
    let token = format!("local-session-of-{session}-{}", uuid::Uuid::new_v4().simple());
    cloud.aws.sessions().insert(token.clone(), ends);
    Ok(json!({
        "Credentials": {
            "AccessKeyId": "LOCALCLOUDSESSIONKEY",
            "SecretAccessKey": "local-cloud-has-no-secrets",
            "SessionToken": token,
            "Expiration": ends.to_rfc3339_opts(SecondsFormat::Secs, true),
        },
        "AssumedRoleUser": {
            "AssumedRoleId": format!("AROALOCALCLOUD0000000:{session}"),
            "Arn": format!("arn:aws:sts::{account}:assumed-role/{name}/{session}"),
        },
    }))
}
