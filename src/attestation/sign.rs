//! Signing: a key for one signature, a certificate for it, and the signature in the log.

use super::crypto;
use crate::attestation::provenance;
use image_action_engine::{CancellationToken, Env, Error, ErrorKind, IdentitySource, Result};
use serde_json::Value;
use sigstore_sign::oidc::IdentityToken;
use sigstore_sign::{SigningContext, SigningServices, fulcio, rekor};
use std::time::Duration;
use url::{Host, Url};

/// Whom tokens for Sigstore are meant for.
const AUDIENCE: &str = "sigstore";

/// Sigstore's public instance.
const FULCIO: &str = "https://fulcio.sigstore.dev";
/// Its log.
const REKOR: &str = "https://rekor.sigstore.dev";

/// The variables that name another instance.
const FULCIO_VARIABLE: &str = "IMAGE_ACTION_FULCIO_URL";
const REKOR_VARIABLE: &str = "IMAGE_ACTION_REKOR_URL";

/// Longest wait for an answer; Rekor answers when the entry is in the log, which takes some seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Where signatures are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Services {
    fulcio: String,
    rekor: String,
}

impl Services {
    /// Whether what is signed is seen by everyone.
    pub fn are_public(&self) -> bool {
        self.rekor == REKOR
    }
    /// The public instance, or the one that the environment names.
    ///
    /// # Errors
    /// An address that is none, or to which the identity token would travel in the clear.
    pub fn of(env: &Env) -> Result<Services> {
        let url = |variable: &str, default: &str| -> Result<String> {
            let text = env.get(variable).unwrap_or(default);
            let hint = "the identity token of the job is sent there: it has to be an address with https://";
            let wrong = |why: String| Error::new(ErrorKind::Invalid, format!("{variable}: {why}")).hint(hint);
            let url = Url::parse(text).map_err(|e| wrong(format!("{text:?} is no URL: {e}")))?;
            let loopback = match url.host() {
                Some(Host::Ipv4(address)) => address.is_loopback(),
                Some(Host::Ipv6(address)) => address.is_loopback(),
                _ => false,
            };
            match url.scheme() {
                "https" => Ok(()),
                "http" if loopback => Ok(()),
                _ => Err(wrong(format!("{text:?} is not encrypted"))),
            }?;
            Ok(text.trim_end_matches('/').to_owned())
        };
        Ok(Services { fulcio: url(FULCIO_VARIABLE, FULCIO)?, rekor: url(REKOR_VARIABLE, REKOR)? })
    }
}

/// A token for one signature, and what it says of the job.
pub struct Signer {
    services: Services,
    token: IdentityToken,
    /// The claims of the token.
    pub claims: Value,
}

impl Signer {
    /// Asks who the job is.
    ///
    /// # Errors
    /// Where the job may not ask, or what it gets is no token.
    pub async fn new(services: Services, source: &dyn IdentitySource, cancel: &CancellationToken) -> Result<Signer> {
        let token = source.token(AUDIENCE, cancel).await?;
        let wrong =
            |why: String| Error::new(ErrorKind::Credentials, format!("the identity token cannot be used: {why}"));
        let claims = all_claims(token.token.expose()).ok_or_else(|| wrong("it is no JWT".to_owned()))?;
        let token = IdentityToken::from_jwt(token.token.expose()).map_err(|e| wrong(e.to_string()))?;
        Ok(Signer { services, token, claims })
    }

    /// Signs a statement; the bundle, as JSON.
    ///
    /// # Errors
    /// Whatever Fulcio or Rekor refuse, or that they cannot be reached, with what to do.
    pub async fn sign(&self, statement: &Value) -> Result<String> {
        crypto::install();
        let http = sigstore_sign::reqwest::Client::builder()
            .user_agent(concat!("image-action/", env!("CARGO_PKG_VERSION")))
            .timeout(ANSWER_TIMEOUT)
            // The token is for this address alone.
            .redirect(sigstore_sign::reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| Error::failed(format!("cannot set up the connection to Sigstore: {e}")))?;
        let services = SigningServices::new(&self.services.fulcio, &self.services.rekor);
        let signer = SigningContext::new(services).with_http_client(http).signer(self.token.clone());
        let bundle = signer.sign_raw_statement(statement.to_string().as_bytes()).await;
        let bundle = bundle.map_err(|e| refused(&e, &self.services, &self.claims))?;
        bundle.to_json().map_err(|e| Error::failed(format!("the attestation cannot be written: {e}")))
    }
}

fn all_claims(token: &str) -> Option<Value> {
    use base64::Engine;
    let payload = token.split('.').nth(1)?.trim_end_matches('=');
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&bytes).ok().filter(Value::is_object)
}

/// Most characters of an answer that are shown.
const SHOWN: usize = 300;

fn refused(e: &sigstore_sign::Error, services: &Services, claims: &Value) -> Error {
    let status = |name: &str, url: &str, status: u16, message: &str| {
        let message: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
        let (kind, hint) = match status {
            400..=403 if name == "Fulcio" => (
                ErrorKind::Credentials,
                format!(
                    "it was sent a token of the issuer {} for the subject {}: Fulcio has to know that issuer, and the clock of \
                     this machine has to be right",
                    claims["iss"], claims["sub"]
                ),
            ),
            409 => (ErrorKind::Failed, "the log has this entry already: run the job again".to_owned()),
            429 | 500.. => {
                (ErrorKind::Unreachable, "run the job again; https://status.sigstore.dev tells of outages".to_owned())
            }
            _ => (ErrorKind::Failed, "run the job again; without `attest: true` nothing is signed".to_owned()),
        };
        Error::new(kind, format!("{name} at {url} refused (status {status}): {message}")).hint(hint)
    };
    let lost = |name: &str, url: &str, why: &str| {
        Error::new(ErrorKind::Unreachable, format!("{name} at {url} cannot be used: {why}"))
            .hint("the runner has to reach it by HTTPS; https://status.sigstore.dev tells of outages")
    };
    match e {
        sigstore_sign::Error::Fulcio(fulcio::Error::Status { status: code, message }) => {
            status("Fulcio", &services.fulcio, *code, message)
        }
        sigstore_sign::Error::Rekor(rekor::Error::Status { status: code, message }) => {
            status("Rekor", &services.rekor, *code, message)
        }
        sigstore_sign::Error::Fulcio(other) => lost("Fulcio", &services.fulcio, &other.to_string()),
        sigstore_sign::Error::Rekor(other) => lost("Rekor", &services.rekor, &other.to_string()),
        other => Error::failed(format!("the attestation cannot be signed: {other}"))
            .hint(format!("its predicate is {}", provenance::PREDICATE)),
    }
}
