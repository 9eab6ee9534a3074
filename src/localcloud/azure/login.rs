//! Who may call: the metadata of the cloud, OpenID documents, and tokens.

use super::arm::{Call, Fail, Result};
use crate::cloud::Cloud;
use crate::http::{Request, Response};
use crate::issuer::{self, Doubt};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::time::Duration;

/// The one subscription.
pub const SUBSCRIPTION: &str = "10ca1000-0000-4000-8000-000000000001";
/// Its tenant.
pub const TENANT: &str = "10ca1000-0000-4000-8000-000000000002";
/// The application that may do everything in it.
pub const CLIENT: &str = "10ca1000-0000-4000-8000-000000000003";
/// The application's own object.
const OBJECT: &str = "10ca1000-0000-4000-8000-000000000004";

/// The audience that a federated assertion has to name.
const EXCHANGE_AUDIENCE: &str = "api://AzureADTokenExchange";

/// How long an access token holds; the real one's lives between 60 and 90 minutes.
const TOKEN_LIFE: Duration = Duration::from_secs(3599);

/// The token of whoever is "logged in" holds for as long as a local cloud may live.
pub const CLI_TOKEN_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// What a client has to know.
pub struct Account {
    /// The secret of [`CLIENT`].
    pub secret: String,
    /// A token that holds all the time.
    pub token: String,
}

impl Account {
    /// With a new secret.
    #[allow(clippy::new_without_default)] // each one is different
    pub fn new() -> Account {
        Account { secret: uuid::Uuid::new_v4().simple().to_string(), token: make_token("local", CLI_TOKEN_LIFE) }
    }
}

/// A token in the form of a JWT, as clients decode some of its claims; what holds is what we remember, not its signature.
fn make_token(issuer: &str, life: Duration) -> String {
    let now = chrono::Utc::now().timestamp();
    let header = json!({ "typ": "JWT", "alg": "none" });
    let claims = json!({
        "aud": "https://management.azure.com", "iss": issuer, "iat": now, "nbf": now,
        "exp": now + i64::try_from(life.as_secs()).unwrap_or(0), "appid": CLIENT, "oid": OBJECT, "tid": TENANT,
        "uti": uuid::Uuid::new_v4().simple().to_string(),
    });
    let part = |v: &Value| URL_SAFE_NO_PAD.encode(v.to_string());
    format!("{}.{}.{}", part(&header), part(&claims), URL_SAFE_NO_PAD.encode("local"))
}

/// Answers what needs no token; `None` for everything else.
pub fn handle(cloud: &Cloud, request: &Request) -> Option<Response> {
    let origin = request.origin();
    let segments = request.segments();
    let lower: Vec<String> = segments.iter().map(|s| s.to_lowercase()).collect();
    let path: Vec<&str> = lower.iter().map(String::as_str).collect();
    match (request.method.as_str(), path.as_slice()) {
        ("GET", ["metadata", "endpoints"]) => Some(metadata(request, &origin)),
        ("GET", [tenant, "v2.0", ".well-known", "openid-configuration"]) => {
            Some(openid(&origin, tenant, "/v2.0", "/oauth2/v2.0"))
        }
        ("GET", [tenant, ".well-known", "openid-configuration"]) => Some(openid(&origin, tenant, "", "/oauth2")),
        ("GET", [_, "discovery", .., "keys"]) => Some(Response::json(200, &json!({ "keys": [] }))),
        ("GET", ["common", "discovery", "instance"]) => Some(discovery(request, &origin)),
        ("POST", [tenant, "oauth2", "v2.0", "token"] | [tenant, "oauth2", "token"]) => {
            Some(token(cloud, request, tenant).unwrap_or_else(|refused| refused))
        }
        _ => None,
    }
}

/// The list of clouds: this one.
fn metadata(request: &Request, origin: &str) -> Response {
    let version = request.param("api-version").unwrap_or_default();
    if version.len() < 10 || version < "2019-05-01" {
        let message = format!("The api-version '{version}' is invalid. The supported versions are '2022-09-01'.");
        return Fail::new(400, "InvalidApiVersionParameter", message).response();
    }
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    let cloud = json!({
        "name": "AzureCloud",
        "resourceManager": origin,
        "authentication": {
            "loginEndpoint": origin, "audiences": [origin], "tenant": "common", "identityProvider": "AAD"
        },
        "portal": origin, "graph": origin, "graphAudience": origin, "gallery": origin, "batch": origin,
        "suffixes": { "storage": host, "keyVaultDns": host, "acrLoginServer": host },
    });
    // Since 2022-09-01 one object; before, a list.
    let body = if version < "2022-09-01" { json!([cloud]) } else { cloud };
    Response::json(200, &body)
}

fn openid(origin: &str, tenant: &str, issuer: &str, below: &str) -> Response {
    let base = format!("{origin}/{tenant}");
    let keys = if below.ends_with("v2.0") { "discovery/v2.0/keys" } else { "discovery/keys" };
    Response::json(
        200,
        &json!({
            "token_endpoint": format!("{base}{below}/token"),
            "authorization_endpoint": format!("{base}{below}/authorize"),
            "device_authorization_endpoint": format!("{base}{below}/devicecode"),
            "end_session_endpoint": format!("{base}{below}/logout"),
            "jwks_uri": format!("{base}/{keys}"),
            "issuer": format!("{base}{issuer}"),
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "response_types_supported": ["code", "id_token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid"],
            "claims_supported": ["sub", "iss", "aud", "exp", "iat", "tid"],
            "tenant_region_scope": null,
            "cloud_instance_name": origin.split_once("://").map_or(origin, |(_, h)| h),
        }),
    )
}

fn discovery(request: &Request, origin: &str) -> Response {
    let host = origin.split_once("://").map_or(origin, |(_, h)| h);
    let endpoint = request.param("authorization_endpoint").unwrap_or_default();
    let tenant = endpoint.split('/').nth(3).unwrap_or(TENANT);
    Response::json(
        200,
        &json!({
            "tenant_discovery_endpoint": format!("{origin}/{tenant}/v2.0/.well-known/openid-configuration"),
            "api-version": "1.1",
            "metadata": [{ "preferred_network": host, "preferred_cache": host, "aliases": [host] }],
        }),
    )
}

/// A refusal in the words of the token endpoint.
fn refuse(status: u16, error: &str, number: u32, text: &str) -> Response {
    let trace = uuid::Uuid::new_v4().to_string();
    let at = chrono::Utc::now().format("%Y-%m-%d %H:%M:%SZ").to_string();
    Response::json(
        status,
        &json!({
            "error": error,
            "error_description": format!("AADSTS{number}: {text} Trace ID: {trace} Timestamp: {at}"),
            "error_codes": [number], "timestamp": at, "trace_id": trace, "correlation_id": trace,
        }),
    )
}

fn token(cloud: &Cloud, request: &Request, tenant: &str) -> std::result::Result<Response, Response> {
    let form = request.form();
    let field = |name: &str| form.iter().find(|(k, _)| k == name).map_or("", |(_, v)| v.as_str());
    if tenant != TENANT {
        let text = format!("Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID.");
        return Err(refuse(400, "invalid_request", 90002, &text));
    }
    if field("grant_type") != "client_credentials" {
        let text = "The local cloud knows the grant type client_credentials only.";
        return Err(refuse(400, "unsupported_grant_type", 70003, text));
    }
    if field("client_id") != CLIENT {
        let text = format!("Application with identifier '{}' was not found in the directory.", field("client_id"));
        return Err(refuse(400, "unauthorized_client", 700_016, &text));
    }
    if field("scope").is_empty() && field("resource").is_empty() {
        let text = "The request body must contain the following parameter: 'scope'.";
        return Err(refuse(400, "invalid_request", 900_144, text));
    }
    let assertion = field("client_assertion");
    if !assertion.is_empty() {
        check_assertion(cloud, assertion)?;
    } else if field("client_secret") != cloud.azure.account.secret {
        let text = format!("Invalid client secret provided for app '{CLIENT}'.");
        return Err(refuse(401, "invalid_client", 7_000_215, &text));
    }
    let life = if assertion.is_empty() { TOKEN_LIFE } else { TOKEN_LIFE.min(cloud.issuer.trust().session) };
    let token = make_token(&format!("{}/{TENANT}/v2.0", request.origin()), life);
    cloud.azure.store().add_token(&token, life);
    let life = life.as_secs();
    Ok(Response::json(
        200,
        &json!({ "token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token }),
    ))
}

/// Looks at an assertion: a job's identity against the one federated credential of [`CLIENT`], in full; one that the application
/// signs itself (a certificate; it names the token endpoint) by its time alone, as its certificate is not ours to know.
fn check_assertion(cloud: &Cloud, assertion: &str) -> std::result::Result<(), Response> {
    let claims = assertion.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok());
    let claims: Option<Value> = claims.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let Some(claims) = claims else {
        return Err(refuse(401, "invalid_client", 50027, "JWT token is invalid or malformed."));
    };
    let expired = || refuse(401, "invalid_client", 700_024, "Client assertion is not within its valid time range.");
    if claims.get("aud").and_then(Value::as_str).unwrap_or_default().contains("/oauth2/") {
        let until = claims.get("exp").and_then(Value::as_i64).unwrap_or(0);
        return if until <= chrono::Utc::now().timestamp() { Err(expired()) } else { Ok(()) };
    }
    let unmatched = |number: u32, what: &str, value: &str| {
        let text = format!(
            "No matching federated identity record found for presented assertion {what} '{value}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
        );
        refuse(401, "invalid_client", number, &text)
    };
    issuer::check(cloud, assertion, &[EXCHANGE_AUDIENCE]).map(|_| ()).map_err(|doubt| match doubt {
        Doubt::Malformed => refuse(401, "invalid_client", 50027, "JWT token is invalid or malformed."),
        Doubt::Signature => refuse(401, "invalid_client", 700_027, "Client assertion failed signature validation."),
        Doubt::Issuer(issuer) => unmatched(700_211, "issuer", &issuer),
        Doubt::Audience(audience) => unmatched(700_212, "audience", &audience),
        Doubt::Expired => expired(),
        Doubt::Subject(subject) => unmatched(700_213, "subject", &subject),
    })
}

/// Checks the bearer token of a call to Resource Manager.
///
/// # Errors
/// The refusals of the real one, which say where to get a token.
pub fn check(call: &Call) -> Result<()> {
    let header = call.request.header("authorization").unwrap_or_default();
    let Some(token) = header.strip_prefix("Bearer ") else {
        let message = "Authentication failed. The 'Authorization' header is missing.";
        return Err(Fail::new(401, "AuthenticationFailed", message));
    };
    match call.store().token_holds(token.trim()) {
        Some(true) => Ok(()),
        Some(false) => Err(Fail::new(401, "ExpiredAuthenticationToken", "The access token has expired.")),
        None => Err(Fail::new(401, "InvalidAuthenticationToken", "The access token is invalid.")),
    }
}

/// The header that a 401 carries: where the subscription's tenant logs in.
pub fn challenge(origin: &str) -> String {
    format!(
        "Bearer authorization_uri=\"{origin}/{TENANT}\", error=\"invalid_token\", error_description=\"The access token is missing, expired or invalid.\""
    )
}
