//! Who calls: the credential file, the token endpoint, and the check of every request's bearer.
//!
//! Two kinds of bearer are good: a token that an endpoint here gave out, and a JWT that the key of the credential file has
//! signed itself (Google's client libraries send either).

use super::error::envelope;
use super::fixtures::PROJECT;
use crate::cloud::Cloud;
use crate::http::{Request, Response};
use crate::issuer::{self, Doubt};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use rsa::traits::PublicKeyParts;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Bits of the service account's key, as Google makes them.
const KEY_BITS: usize = 2048;

/// How long a token is good.
const TOKEN_LIFE: Duration = Duration::from_secs(3599);

/// The longest life of an assertion that the real endpoint takes, in seconds.
const ASSERTION_LIFE: u64 = 3600;

/// The audience that a self-signed JWT may name in place of a scope.
const AUDIENCE: &str = "https://compute.googleapis.com/";

/// The real token endpoint: google-auth for Python names it whatever `token_uri` says.
const TOKEN_AUDIENCE: &str = "https://oauth2.googleapis.com/token";

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The provider that trusts the job whose identity the local token service vouches for; it may act as [`account`].
pub const PROVIDER: &str = "projects/100000000001/locations/global/workloadIdentityPools/local/providers/github";

/// Keys and tokens of one local cloud.
#[derive(Default)]
pub(super) struct Auth {
    key: OnceLock<DecodingKey>,
    tokens: Mutex<BTreeMap<String, Token>>,
}

struct Token {
    /// Empty for a federated token that stands for no service account.
    email: String,
    scopes: String,
    until: Instant,
}

/// Who made a request.
#[derive(Clone)]
pub(super) struct Caller {
    pub email: String,
    pub scopes: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Option<String>,
    scope: Option<String>,
    iat: u64,
    exp: u64,
}

/// The service account of the credential file.
pub fn account() -> String {
    format!("builder@{PROJECT}.iam.gserviceaccount.com")
}

/// Where the credential file lies.
pub(super) fn credential_path(cloud: &Cloud) -> PathBuf {
    cloud.options.state_dir.join("google-credentials.json")
}

/// Makes the key (or takes the cached one) and writes the credential file.
pub(super) fn prepare(cloud: &Cloud) -> std::io::Result<()> {
    let cache = cloud.options.guests.as_ref().map(|g| g.cache_dir.join("google-key.pem"));
    let private = private_key(cache.as_deref())?;
    let key = rsa::RsaPrivateKey::from_pkcs8_pem(&private).map_err(std::io::Error::other)?;
    let key = DecodingKey::from_rsa_raw_components(&key.n().to_bytes_be(), &key.e().to_bytes_be());
    // `prepare` runs once a cloud.
    let _ = cloud.google.auth.key.set(key);
    let email = account();
    let file = json!({
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "local",
        "private_key": private,
        "client_email": email,
        "client_id": "100000000000000000001",
        "auth_uri": format!("{}/google/auth", cloud.http_url()),
        "token_uri": token_uri(cloud),
        "auth_provider_x509_cert_url": format!("{}/google/certs", cloud.http_url()),
        "client_x509_cert_url": format!("{}/google/certs/{email}", cloud.http_url()),
        "universe_domain": "googleapis.com",
    });
    write_private(&credential_path(cloud), &serde_json::to_string_pretty(&file)?)
}

fn token_uri(cloud: &Cloud) -> String {
    format!("{}/google/token", cloud.http_url())
}

/// One key for this process, kept in the cache where there is one: making it takes long in an unoptimised build. It opens
/// nothing but local clouds.
fn private_key(cache: Option<&Path>) -> std::io::Result<String> {
    static KEY: Mutex<Option<String>> = Mutex::new(None);
    let mut known = KEY.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(key) = &*known {
        return Ok(key.clone());
    }
    let cached = cache.and_then(|path| std::fs::read_to_string(path).ok());
    let key = match cached.filter(|text| rsa::RsaPrivateKey::from_pkcs8_pem(text).is_ok()) {
        Some(key) => key,
        None => {
            let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, KEY_BITS).map_err(std::io::Error::other)?;
            let key = key.to_pkcs8_pem(LineEnding::LF).map_err(std::io::Error::other)?.to_string();
            if let Some(path) = cache {
                if let Some(dir) = path.parent() {
                    std::fs::create_dir_all(dir)?;
                }
                write_private(path, &key)?;
            }
            key
        }
    };
    *known = Some(key.clone());
    Ok(key)
}

/// Writes beside the path and renames: another process may read at the same time.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = std::fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&beside, path)
}

impl Auth {
    fn issue(&self, email: &str, scopes: &str, life: Duration) -> String {
        let token = format!("ya29.local-{}", uuid::Uuid::new_v4().simple());
        let entry = Token { email: email.to_owned(), scopes: scopes.to_owned(), until: Instant::now() + life };
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), entry);
        token
    }
    fn claims(&self, token: &str) -> Option<Claims> {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_aud = false;
        jsonwebtoken::decode::<Claims>(token, self.key.get()?, &validation).ok().map(|t| t.claims)
    }
    /// Who the bearer of a request is.
    pub fn caller(&self, request: &Request) -> Option<Caller> {
        let token = request.header("authorization")?.strip_prefix("Bearer ")?;
        if let Some(known) = self.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(token) {
            let live = known.until > Instant::now();
            return live.then(|| Caller { email: known.email.clone(), scopes: known.scopes.clone() });
        }
        let claims = self.claims(token)?;
        let scopes = claims.scope.unwrap_or_default();
        let named = claims.aud.is_some_and(|a| a.starts_with(AUDIENCE.trim_end_matches('/')));
        let wanted = !scopes.is_empty() || named;
        (claims.iss == account() && wanted).then_some(Caller { email: claims.iss, scopes })
    }
}

/// The answer to a request without a good bearer.
pub(super) fn unauthenticated(request: &Request) -> Response {
    let (reason, message) = if request.header("authorization").is_none() {
        (
            "required",
            "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid authentication credential.",
        )
    } else {
        (
            "authError",
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.",
        )
    };
    envelope(401, reason, message).header("www-authenticate", "Bearer realm=\"https://accounts.google.com/\"")
}

fn oauth_error(code: &str, why: &str) -> Response {
    Response::json(400, &json!({ "error": code, "error_description": why }))
}

/// `POST /google/token`: a service account's assertion for an access token.
pub(super) fn token(cloud: &Cloud, request: &Request) -> Response {
    let form: BTreeMap<String, String> = request.form().into_iter().collect();
    if form.get("grant_type").map(String::as_str) != Some(JWT_BEARER) {
        return oauth_error("unsupported_grant_type", "Invalid grant_type");
    }
    let auth = &cloud.google.auth;
    let Some(claims) = form.get("assertion").and_then(|a| auth.claims(a)) else {
        return oauth_error("invalid_grant", "Invalid JWT Signature.");
    };
    if claims.iss != account() {
        return oauth_error("invalid_grant", "Invalid grant: account not found");
    }
    let audience = claims.aud.unwrap_or_default();
    if audience != token_uri(cloud) && audience != TOKEN_AUDIENCE {
        return oauth_error("invalid_grant", "Invalid JWT: the audience is not this token endpoint.");
    }
    if claims.exp.saturating_sub(claims.iat) > ASSERTION_LIFE {
        return oauth_error(
            "invalid_grant",
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.",
        );
    }
    let scope = claims.scope.unwrap_or_default();
    if scope.is_empty() {
        return oauth_error("invalid_scope", "Invalid OAuth scope or ID token audience provided.");
    }
    let token = auth.issue(&claims.iss, &scope, TOKEN_LIFE);
    Response::json(200, &json!({ "access_token": token, "expires_in": TOKEN_LIFE.as_secs(), "token_type": "Bearer" }))
}

/// `grant_type` as JSON has it: `grantType`.
fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (head, tail) = part.split_at(part.len().min(1));
        text + &head.to_uppercase() + tail
    })
}

/// `POST /google/sts/v1/token`: a foreign identity token for a federated one.
pub(super) fn exchange(cloud: &Cloud, request: &Request) -> Response {
    // Google takes JSON in camel case and forms in snake case.
    let form: BTreeMap<String, String> = request.form().into_iter().collect();
    let json = request.json().unwrap_or_default();
    let field = |name: &str| {
        let inside = || json[camel(name)].as_str().unwrap_or_default();
        form.get(name).map_or_else(inside, String::as_str)
    };
    if field("grant_type") != TOKEN_EXCHANGE {
        return oauth_error("unsupported_grant_type", "Invalid grant_type");
    }
    if field("subject_token").is_empty() {
        return oauth_error("invalid_request", "Missing required field: subject_token");
    }
    let audience = field("audience");
    if !audience.starts_with("//iam.googleapis.com/projects/") || !audience.contains("/workloadIdentityPools/") {
        return oauth_error(
            "invalid_request",
            "Invalid value for \"audience\". This value should be the full resource name of the Identity Provider.",
        );
    }
    let resource = audience.trim_start_matches("//iam.googleapis.com/");
    if resource != PROVIDER {
        return oauth_error(
            "invalid_target",
            "The target service indicated by the \"audience\" parameters is invalid. This might either be because the pool or provider is disabled or deleted or because it doesn't exist.",
        );
    }
    let own = [format!("https:{audience}"), audience.to_owned()];
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    if let Err(doubt) = issuer::check(cloud, field("subject_token"), &own) {
        return match doubt {
            Doubt::Malformed => oauth_error("invalid_grant", "Unable to parse the ID Token."),
            Doubt::Signature => oauth_error(
                "invalid_grant",
                "Invalid value for 'subject_token': the signature of the ID Token could not be verified.",
            ),
            Doubt::Issuer(issuer) => oauth_error(
                "invalid_grant",
                &format!("The issuer in ID Token {issuer} does not match the expected ones."),
            ),
            Doubt::Audience(audience) => oauth_error(
                "invalid_grant",
                &format!("The audience in ID Token [{audience}] does not match the expected audience."),
            ),
            Doubt::Expired => oauth_error("invalid_grant", "ID Token issued at an invalid time or has expired."),
            Doubt::Subject(_) => {
                oauth_error("unauthorized_client", "The given credential is rejected by the attribute condition.")
            }
        };
    }
    let life = TOKEN_LIFE.min(cloud.issuer.trust().session);
    let token = cloud.google.auth.issue("", field("scope"), life);
    let answer = json!({
        "access_token": token,
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": life.as_secs(),
    });
    Response::json(200, &answer)
}

/// `POST /google/iamcredentials/v1/projects/-/serviceAccounts/EMAIL:generateAccessToken`
pub(super) fn impersonate(cloud: &Cloud, request: &Request, email: &str) -> Response {
    let Some(caller) = cloud.google.auth.caller(request) else { return unauthenticated(request) };
    let body = request.json().unwrap_or_default();
    let scopes: Vec<_> = body["scope"].as_array().into_iter().flatten().filter_map(|s| s.as_str()).collect();
    if scopes.is_empty() {
        return envelope(400, "invalid", "Request contains an invalid argument: scope.");
    }
    if caller.email.is_empty() && email != account() {
        let message = format!(
            "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist): {email}"
        );
        return envelope(403, "forbidden", &message);
    }
    let life = TOKEN_LIFE.min(cloud.issuer.trust().session);
    let token = cloud.google.auth.issue(email, &scopes.join(" "), life);
    let until = chrono::Utc::now() + life;
    let until = until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    Response::json(200, &json!({ "accessToken": token, "expireTime": until }))
}

/// `/google/oauth2/v2/tokeninfo`
pub(super) fn token_info(cloud: &Cloud, request: &Request) -> Response {
    match cloud.google.auth.caller(request) {
        None => oauth_error("invalid_token", "Invalid Value"),
        Some(caller) => {
            let mut info = json!({ "issued_to": "local", "audience": "local", "scope": caller.scopes, "expires_in": TOKEN_LIFE.as_secs() });
            if !caller.email.is_empty() && caller.scopes.contains("userinfo.email") {
                info["email"] = json!(caller.email);
                info["verified_email"] = json!(true);
            }
            Response::json(200, &info)
        }
    }
}
