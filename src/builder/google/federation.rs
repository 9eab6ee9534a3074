//! Workload identity federation: an identity token of whoever vouches for this run, exchanged for a federated token at Google's
//! STS, and that for one of a service account. All three live minutes to an hour, and are had anew as long as the run lasts.
//!
//! The client library can do this too; what it says when Google does not trust us names neither subject nor audience.

use google_cloud_auth::credentials::{CacheableResource, CredentialsProvider, EntityTag};
use google_cloud_auth::errors::CredentialsError;
use http::{Extensions, HeaderMap, HeaderValue, header};
use image_action_engine::wait::retry;
use image_action_engine::{CancellationToken, Claims, Env, Error, ErrorKind, IdentitySource, Result, Secret, identity};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The resource name of the provider that trusts the issuer. Ours: no tool of Google's reads the environment for it.
pub(crate) const PROVIDER_VARIABLE: &str = "GOOGLE_WORKLOAD_IDENTITY_PROVIDER";

/// Email of the service account that is acted as. Ours, too.
pub(crate) const ACCOUNT_VARIABLE: &str = "GOOGLE_SERVICE_ACCOUNT";

/// The environment's names for other addresses (gcloud's own), with their defaults.
const STS: (&str, &str) = ("CLOUDSDK_API_ENDPOINT_OVERRIDES_STS", "https://sts.googleapis.com");
const IAM: (&str, &str) = ("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", "https://iamcredentials.googleapis.com");

/// What the federated token may do; what the final one may do is asked for with it.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Longest wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a token of a service account lives: the longest that needs no policy of the organization.
const LIFE: Duration = Duration::from_secs(3600);

/// Exchanges tokens for one provider, and keeps the last one.
pub(crate) struct Federation {
    identity: Arc<dyn IdentitySource>,
    /// `projects/…/providers/…`
    provider: String,
    /// Empty: the federated token is used as it is.
    account: String,
    scopes: Vec<String>,
    sts: String,
    iam: String,
    http: reqwest::Client,
    kept: tokio::sync::Mutex<Option<Kept>>,
}

struct Kept {
    headers: HeaderMap,
    tag: EntityTag,
    until: Instant,
}

impl std::fmt::Debug for Federation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Federation({} {})", self.provider, self.account)
    }
}

impl Federation {
    /// What the environment asks for; `None` where it names no provider, or nobody vouches for it.
    ///
    /// # Errors
    /// No TLS to be had.
    pub fn of(env: &Env, scopes: &[String]) -> Result<Option<Federation>> {
        let (Some(identity), Some(provider)) = (env.identity(), env.get(PROVIDER_VARIABLE)) else { return Ok(None) };
        let at = |(variable, default): (&str, &str)| {
            env.get(variable).unwrap_or(default).trim_end_matches('/').trim_end_matches("/v1").to_owned()
        };
        let http = reqwest::Client::builder()
            .user_agent(crate::client::agent())
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| Error::failed(format!("no HTTP client for Google's token services: {e}")))?;
        Ok(Some(Federation {
            identity: identity.clone(),
            provider: provider.to_owned(),
            account: env.get(ACCOUNT_VARIABLE).unwrap_or_default().to_owned(),
            scopes: scopes.to_vec(),
            sts: at(STS),
            iam: at(IAM),
            http,
            kept: tokio::sync::Mutex::new(None),
        }))
    }
    /// The service account, where there is one.
    pub fn account(&self) -> Option<&str> {
        Some(self.account.as_str()).filter(|a| !a.is_empty())
    }

    /// All three steps.
    async fn fresh(&self) -> Result<(Secret, Duration)> {
        // The caller's own wait ends with the build; what is asked here is dropped with it.
        let cancel = CancellationToken::new();
        let audience = format!("https://iam.googleapis.com/{}", self.provider);
        let token = self.identity.token(&audience, &cancel).await?;
        let again = |e: &Error| e.kind == ErrorKind::Unreachable;
        let federated = retry(&cancel, again, || self.federate(&token.token));
        let (federated, life) = federated.await.map_err(|e| self.untrusted(e, &token.claims))?;
        self.identity.conceal(&federated);
        if self.account.is_empty() {
            return Ok((federated, life));
        }
        let made = retry(&cancel, again, || self.impersonate(&federated));
        let made = made.await.map_err(|e| self.not_allowed(e, &token.claims))?;
        self.identity.conceal(&made.0);
        Ok(made)
    }

    async fn federate(&self, token: &Secret) -> Result<(Secret, Duration)> {
        let body = json!({
            "grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
            "requestedTokenType": "urn:ietf:params:oauth:token-type:access_token",
            "subjectTokenType": "urn:ietf:params:oauth:token-type:jwt",
            "subjectToken": token.expose(),
            "audience": format!("//iam.googleapis.com/{}", self.provider),
            "scope": SCOPE,
        });
        let name = format!("exchange the identity token at {}", self.provider);
        let answer = self.post(&name, &format!("{}/v1/token", self.sts), None, &body).await?;
        let life = answer["expires_in"].as_u64().map_or(LIFE, Duration::from_secs);
        secret(&answer["access_token"], &name).map(|token| (token, life))
    }

    async fn impersonate(&self, federated: &Secret) -> Result<(Secret, Duration)> {
        let url = format!("{}/v1/projects/-/serviceAccounts/{}:generateAccessToken", self.iam, self.account);
        let body = json!({ "scope": self.scopes, "lifetime": format!("{}s", LIFE.as_secs()) });
        let name = format!("act as {}", self.account);
        let answer = self.post(&name, &url, Some(federated), &body).await?;
        let until = answer["expireTime"].as_str().and_then(|t| chrono::DateTime::parse_from_rfc3339(t).ok());
        let left = until.and_then(|until| (until.to_utc() - chrono::Utc::now()).to_std().ok());
        secret(&answer["accessToken"], &name).map(|token| (token, left.unwrap_or(LIFE)))
    }

    async fn post(&self, name: &str, url: &str, bearer: Option<&Secret>, body: &Value) -> Result<Value> {
        let lost = |e: reqwest::Error| {
            Error::new(ErrorKind::Unreachable, format!("{name}: no answer from Google: {}", e.without_url()))
                .hint("check the network and HTTPS_PROXY")
        };
        let mut request = self.http.post(url).json(body);
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer.expose());
        }
        let answer = request.send().await.map_err(lost)?;
        let status = answer.status().as_u16();
        let text = answer.bytes().await.map_err(lost)?;
        let answer: Value = serde_json::from_slice(&text).unwrap_or_default();
        match status {
            200..300 => Ok(answer),
            429 | 500.. => Err(Error::new(ErrorKind::Unreachable, format!("{name}: Google answered {status}"))),
            _ => {
                let words = answer["error_description"].as_str().or_else(|| answer["error"]["message"].as_str());
                let words = words.map_or_else(|| format!("status {status}"), |w| format!("{w} ({status})"));
                Err(Error::new(ErrorKind::Credentials, format!("{name}: {words}")))
            }
        }
    }

    /// A refused exchange: what the token said, and what of the provider's trust has to change.
    fn untrusted(&self, error: Error, claims: &Claims) -> Error {
        if error.kind != ErrorKind::Credentials {
            return error;
        }
        let hint = format!(
            "check that the provider exists and is enabled, has the issuer {}, no allowed audiences (or {} among them), and that its attribute condition lets this subject through:\ngcloud iam workload-identity-pools providers describe {}",
            claims.issuer, claims.audience, self.provider
        );
        error.detail(claims.to_string()).hint(hint)
    }

    /// A service account that may not be acted as.
    fn not_allowed(&self, error: Error, claims: &Claims) -> Error {
        if error.kind != ErrorKind::Credentials {
            return error;
        }
        let pool = self.provider.split("/providers/").next().unwrap_or_default();
        let hint = format!(
            "let the job's identity act as the account:\ngcloud iam service-accounts add-iam-policy-binding {} --role roles/iam.workloadIdentityUser --member 'principal://iam.googleapis.com/{pool}/subject/{}'",
            self.account, claims.subject
        );
        error.detail(claims.to_string()).hint(hint)
    }
}

fn secret(value: &Value, name: &str) -> Result<Secret> {
    let missing = || Error::new(ErrorKind::Credentials, format!("{name}: no token in the answer"));
    value.as_str().map(Secret::new).ok_or_else(missing)
}

impl CredentialsProvider for Federation {
    async fn headers(&self, extensions: Extensions) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        let mut kept = self.kept.lock().await;
        if let Some(known) = kept.as_ref().filter(|k| Instant::now() < k.until) {
            return Ok(match extensions.get::<EntityTag>() {
                Some(tag) if *tag == known.tag => CacheableResource::NotModified,
                _ => CacheableResource::New { entity_tag: known.tag.clone(), data: known.headers.clone() },
            });
        }
        let (token, life) = self.fresh().await.map_err(|e| CredentialsError::from_source(false, e))?;
        let wrong = |e: http::header::InvalidHeaderValue| CredentialsError::from_source(false, e);
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(wrong)?;
        value.set_sensitive(true);
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        let tag = EntityTag::new();
        let until = Instant::now() + identity::kept(life);
        *kept = Some(Kept { headers: headers.clone(), tag: tag.clone(), until });
        Ok(CacheableResource::New { entity_tag: tag, data: headers })
    }
    async fn universe_domain(&self) -> Option<String> {
        None
    }
}
