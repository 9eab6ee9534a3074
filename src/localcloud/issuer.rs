//! Job identities: the token service of GitHub's runners, and what the local clouds know of whom it vouches for.
//!
//! Tokens are real ones: RS256, with the claims that GitHub puts into them, under a key that the service publishes as GitHub
//! Enterprise Server does (`HOST/_services/token`). The clouds take one only where signature, issuer, audience, time and subject
//! are what they trust.

use crate::cloud::Cloud;
use crate::http::{Request, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use rsa::traits::PublicKeyParts;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Where the service is below `/github`.
const SERVICE: &str = "/_services/token";

/// What a runner shows to get a token.
pub const REQUEST_TOKEN: &str = "local-cloud-request-token";

/// The name of the key.
const KEY_ID: &str = "local-1";

/// Bits of the key, as GitHub's has them.
const KEY_BITS: usize = 2048;

/// Who a job is, and whom the clouds trust. Tests change it; as it stands everyone trusts the job.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The subject of tokens.
    pub subject: String,
    /// The audience of tokens; `None`: the one that is asked for.
    pub audience: Option<String>,
    /// How long a token lives, in seconds; GitHub's live five minutes. A negative one has ended when it arrives.
    pub life: i64,
    /// Whether tokens are signed with a key that nobody knows.
    pub forged: bool,
    /// The subject that the clouds trust.
    pub trusted: String,
    /// How long lives what a cloud gives for a token.
    pub session: Duration,
}

impl Default for Trust {
    fn default() -> Trust {
        let subject = "repo:octo/images:ref:refs/heads/main".to_owned();
        Trust {
            trusted: subject.clone(),
            subject,
            audience: None,
            life: 300,
            forged: false,
            session: Duration::from_secs(3600),
        }
    }
}

/// What exists.
#[derive(Default)]
pub struct State(Mutex<Trust>);

impl State {
    /// Who is trusted now; what is changed holds from then on.
    pub fn trust(&self) -> MutexGuard<'_, Trust> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a cloud does not take a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It is no JWT, or lacks a claim.
    Malformed,
    /// No key of the issuer has signed it.
    Signature,
    /// Another issuer than the one that is trusted.
    Issuer(String),
    /// It is meant for somebody else.
    Audience(String),
    /// It has ended.
    Expired,
    /// It names somebody who is not trusted.
    Subject(String),
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
}

/// The variables that a runner sets for a job that may ask.
pub fn env(cloud: &Cloud) -> Vec<(String, String)> {
    let url = format!("{}/request?api-version=2.0", issuer(cloud));
    vec![
        ("ACTIONS_ID_TOKEN_REQUEST_URL".to_owned(), url),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN".to_owned(), REQUEST_TOKEN.to_owned()),
    ]
}

/// The `iss` of tokens.
pub fn issuer(cloud: &Cloud) -> String {
    format!("{}/github{SERVICE}", cloud.http_url())
}

/// One key for this process, and one that is nobody's.
fn keys() -> &'static [RsaPrivateKey; 2] {
    static KEYS: OnceLock<[RsaPrivateKey; 2]> = OnceLock::new();
    KEYS.get_or_init(|| {
        let make = || RsaPrivateKey::new(&mut rsa::rand_core::OsRng, KEY_BITS);
        // It fails for sizes that are too small only.
        #[allow(clippy::expect_used)]
        let make = || make().expect("a key of 2048 bits can be made");
        [make(), make()]
    })
}

/// The keys that the service publishes.
fn key_set() -> Value {
    let number = |n: &rsa::BigUint| URL_SAFE_NO_PAD.encode(n.to_bytes_be());
    let key = &keys()[0];
    json!({ "keys": [{
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": number(key.n()), "e": number(key.e()),
    }] })
}

/// Answers what is below `/github/_services/token`; `None` for everything else.
pub fn handle(cloud: &Cloud, request: &Request) -> Option<Response> {
    let path = request.path.strip_prefix(SERVICE)?;
    let base = issuer(cloud);
    Some(match (request.method.as_str(), path) {
        ("GET", "/.well-known/openid-configuration") => Response::json(
            200,
            &json!({
                "issuer": base, "jwks_uri": format!("{base}/.well-known/jwks"),
                "subject_types_supported": ["public", "pairwise"], "response_types_supported": ["id_token"],
                "claims_supported": ["sub", "aud", "exp", "iat", "iss", "jti", "nbf", "ref", "repository", "run_id"],
                "id_token_signing_alg_values_supported": ["RS256"], "scopes_supported": ["openid"],
            }),
        ),
        ("GET", "/.well-known/jwks") => Response::json(200, &key_set()),
        ("GET", "/request") => give(cloud, request),
        _ => Response::json(404, &json!({ "message": "Not Found" })),
    })
}

/// Gives a token to the job.
fn give(cloud: &Cloud, request: &Request) -> Response {
    let bearer = request.header("authorization").and_then(|a| a.strip_prefix("Bearer "));
    if bearer != Some(REQUEST_TOKEN) {
        return Response::json(401, &json!({ "message": "The request token is not valid." }));
    }
    let Some(audience) = request.param("audience") else {
        return Response::json(400, &json!({ "message": "The local token service wants an audience." }));
    };
    match token(cloud, audience) {
        Ok(token) => Response::json(200, &json!({ "count": token.len(), "value": token })),
        Err(e) => Response::json(500, &json!({ "message": e })),
    }
}

/// A new token, with the claims of GitHub's.
fn token(cloud: &Cloud, audience: &str) -> Result<String, String> {
    let trust = cloud.issuer.trust().clone();
    let now = chrono::Utc::now().timestamp();
    let (repository, git_ref) = ("octo/images", "refs/heads/main");
    let workflow = format!("{repository}/.github/workflows/images.yml@{git_ref}");
    let claims = json!({
        "jti": uuid::Uuid::new_v4().to_string(), "iss": issuer(cloud), "sub": trust.subject,
        "aud": trust.audience.as_deref().unwrap_or(audience),
        "iat": now.min(now + trust.life), "nbf": now.min(now + trust.life) - 10, "exp": now + trust.life,
        "repository": repository, "repository_id": "1", "repository_owner": "octo", "repository_owner_id": "2",
        "repository_visibility": "public", "ref": git_ref, "ref_type": "branch", "event_name": "workflow_dispatch",
        "sha": "1111111111111111111111111111111111111111", "workflow": "images", "workflow_ref": workflow,
        "workflow_sha": "1111111111111111111111111111111111111111", "job_workflow_ref": workflow,
        "job_workflow_sha": "1111111111111111111111111111111111111111", "runner_environment": "github-hosted",
        "run_id": "42", "run_number": "7", "run_attempt": "1", "actor": "octocat", "actor_id": "3",
        "base_ref": "", "head_ref": "",
    });
    let key = &keys()[usize::from(trust.forged)];
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|e| e.to_string())?;
    let key = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|e| e.to_string())?;
    let header = Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::RS256) };
    jsonwebtoken::encode(&header, &claims, &key).map_err(|e| e.to_string())
}

/// What a cloud looks at before it takes a token; `audiences` are those it goes by. Says who the token vouches for.
///
/// # Errors
/// The first thing that is not as it has to be.
pub fn check(cloud: &Cloud, token: &str, audiences: &[&str]) -> Result<String, Doubt> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| Doubt::Malformed)?;
    let keys: JwkSet = serde_json::from_value(key_set()).map_err(|_| Doubt::Malformed)?;
    let key = header.kid.as_deref().and_then(|id| keys.find(id)).ok_or(Doubt::Signature)?;
    let key = DecodingKey::from_jwk(key).map_err(|_| Doubt::Signature)?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.leeway = 0;
    validation.validate_nbf = true;
    // Compared below, where it can be told what was found.
    validation.validate_aud = false;
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation).map_err(|e| match e.kind() {
        ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature => Doubt::Expired,
        ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => Doubt::Signature,
        _ => Doubt::Malformed,
    })?;
    let Claims { iss, aud, sub } = claims.claims;
    if iss != issuer(cloud) {
        return Err(Doubt::Issuer(iss));
    }
    if !audiences.contains(&aud.as_str()) {
        return Err(Doubt::Audience(aud));
    }
    if sub != cloud.issuer.trust().trusted {
        return Err(Doubt::Subject(sub));
    }
    Ok(sub)
}
