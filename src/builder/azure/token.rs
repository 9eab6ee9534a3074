//! Access tokens: where they come from, and for how long they are kept.

use crate::cloud::Endpoints;
use crate::failure::Failure;
use crate::http::{Answer, Call, Http};
use image_action_engine::{CancellationToken, Claims, Env, Error, ErrorKind, IdentitySource, Result, Secret, identity};
use reqwest::{Method, Url};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where a virtual machine asks for its own token; nothing else answers there.
const IMDS: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

/// How long that may take: it is a hop away, or not there.
const IMDS_TIMEOUT: Duration = Duration::from_secs(4);

/// How long the az command may take.
const CLI_TIMEOUT: Duration = Duration::from_secs(60);

/// How many times a token endpoint that fails is asked.
const ATTEMPTS: u32 = 4;

/// How many times one is asked that does not answer at all: a user who has no network learns it soon.
const ATTEMPTS_UNANSWERED: u32 = 2;

/// How a token is had.
#[derive(Clone)]
pub enum Source {
    /// An application and its secret.
    Secret {
        /// The application.
        client: String,
        /// Its secret.
        secret: Secret,
    },
    /// An application and a token of somebody whom it trusts, as it stands.
    Assertion {
        /// The application.
        client: String,
        /// The token.
        assertion: Secret,
    },
    /// An application that trusts whoever vouches for this run: a new identity token for each token of Azure's, as they live
    /// minutes only.
    Vouched {
        /// The application.
        client: String,
        /// Who vouches.
        identity: Arc<dyn IdentitySource>,
    },
    /// The same, from the address that the template names.
    Requested {
        /// The application.
        client: String,
        /// `oidc_request_url`
        url: String,
        /// `oidc_request_token`
        token: Secret,
    },
    /// Whoever is logged in with the az command.
    Cli {
        /// The environment that the command runs with.
        env: Env,
    },
    /// The machine that we run on.
    Managed {
        /// A user-assigned identity, or empty.
        client: String,
        /// `MSI_ENDPOINT` and `MSI_SECRET` of an app service.
        service: Option<(String, Secret)>,
    },
    /// A token that is simply given, by the local cloud.
    Fixed(Secret),
}

impl Source {
    /// A few words, for people.
    pub fn describe(&self) -> &'static str {
        match self {
            Source::Secret { .. } => "client secret",
            Source::Assertion { .. } => "client assertion",
            Source::Vouched { .. } | Source::Requested { .. } => "the job's own identity (OIDC)",
            Source::Cli { .. } => "the az command's login",
            Source::Managed { .. } => "managed identity",
            Source::Fixed(_) => "the local cloud's token",
        }
    }
}

struct Cached {
    token: Secret,
    until: Instant,
}

/// Tokens for one identity and one cloud. Cheap to clone; the cache is shared.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    source: Source,
    tenant: String,
    endpoints: Endpoints,
    http: Http,
    cached: tokio::sync::Mutex<Option<Cached>>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({})", self.0.source.describe())
    }
}

impl Tokens {
    /// For this identity.
    pub fn new(source: Source, tenant: &str, endpoints: Endpoints, http: Http) -> Tokens {
        let cached = tokio::sync::Mutex::new(None);
        Tokens(Arc::new(Inner { source, tenant: tenant.to_owned(), endpoints, http, cached }))
    }
    /// Where they come from.
    pub fn source(&self) -> &Source {
        &self.0.source
    }
    /// A token that holds for some minutes.
    ///
    /// # Errors
    /// Why there is none, and what to do about it.
    pub async fn get(&self, cancel: &CancellationToken) -> Result<Secret> {
        let mut cached = tokio::select! {
            () = cancel.cancelled() => return Err(Error::cancelled()),
            cached = self.0.cached.lock() => cached,
        };
        if let Some(known) = cached.as_ref().filter(|c| Instant::now() < c.until) {
            return Ok(known.token.clone());
        }
        let (token, life) = tokio::select! {
            () = cancel.cancelled() => return Err(Error::cancelled()),
            fresh = self.fresh(cancel) => fresh?,
        };
        *cached = Some(Cached { token: token.clone(), until: Instant::now() + identity::kept(life) });
        Ok(token)
    }
    /// Forgets a token that was refused.
    pub async fn forget(&self, refused: &Secret) {
        let mut cached = self.0.cached.lock().await;
        if cached.as_ref().is_some_and(|c| c.token == *refused) {
            *cached = None;
        }
    }

    async fn fresh(&self, cancel: &CancellationToken) -> Result<(Secret, Duration)> {
        match &self.0.source {
            Source::Fixed(token) => Ok((token.clone(), Duration::from_secs(24 * 3600))),
            Source::Secret { client, secret } => {
                self.exchange(client, &[("client_secret", secret.expose())], cancel).await
            }
            Source::Assertion { client, assertion } => self.federated(client, assertion, cancel).await,
            Source::Vouched { client, identity } => {
                let assertion = identity.token(self.0.endpoints.exchange_audience(), cancel).await?;
                let made = self.federated(client, &assertion.token, cancel).await?;
                identity.conceal(&made.0);
                Ok(made)
            }
            Source::Requested { client, url, token } => {
                let assertion = self.request(url, token, cancel).await?;
                self.federated(client, &assertion, cancel).await
            }
            Source::Cli { env } => self.az(env).await,
            Source::Managed { client, service } => self.machine(client, service.as_ref()).await,
        }
    }

    async fn federated(
        &self,
        client: &str,
        assertion: &Secret,
        cancel: &CancellationToken,
    ) -> Result<(Secret, Duration)> {
        let fields = [
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion.expose()),
        ];
        let result = self.exchange(client, &fields, cancel).await;
        let claims = Claims::of(assertion.expose()).unwrap_or_default();
        result.map_err(|e| untrusted(e, client, &claims))
    }

    /// `client_credentials` at the tenant's token endpoint.
    async fn exchange(
        &self,
        client: &str,
        proof: &[(&str, &str)],
        cancel: &CancellationToken,
    ) -> Result<(Secret, Duration)> {
        let name = format!("log in to tenant {} as application {client}", self.0.tenant);
        let url = parse(&format!("{}/{}/oauth2/v2.0/token", self.0.endpoints.login, self.0.tenant))?;
        let scope = self.0.endpoints.scope();
        let mut fields = vec![("client_id", client), ("grant_type", "client_credentials"), ("scope", scope.as_str())];
        fields.extend(proof);
        let call = Call::new(Method::POST, url).header("accept", "application/json").form(&fields);
        let answer = self.ask(&call, None, &name, cancel).await?;
        if !answer.is_success() {
            return Err(refusal(&name, &answer));
        }
        token_of(&name, &answer.json())
    }

    /// The identity token that the template's address gives.
    async fn request(&self, url: &str, token: &Secret, cancel: &CancellationToken) -> Result<Secret> {
        let name = "ask oidc_request_url for an identity token";
        let mut url = parse(url)?;
        if !url.query_pairs().any(|(k, _)| k == "audience") {
            url.query_pairs_mut().append_pair("audience", self.0.endpoints.exchange_audience());
        }
        let call = Call::new(Method::GET, url).header("accept", "application/json");
        let bearer = format!("Bearer {}", token.expose());
        let answer = self.ask(&call, Some(&bearer), name, cancel).await?;
        match answer.json().get("value").and_then(Value::as_str) {
            Some(value) if answer.is_success() => Ok(Secret::new(value)),
            _ => {
                Err(Error::new(ErrorKind::Credentials, format!("{name}: {} and no token in the answer", answer.status))
                    .hint("the job needs `permissions: id-token: write`; pull requests of forks never have it"))
            }
        }
    }

    /// Sends a request for a token; what fails on the way is tried again.
    async fn ask(&self, call: &Call, bearer: Option<&str>, name: &str, cancel: &CancellationToken) -> Result<Answer> {
        let mut next = image_action_engine::wait::RETRY_FIRST;
        for tried in 1.. {
            let answer = self.0.http.send(call, bearer, name).await;
            let most = match &answer {
                Ok(answer) if !matches!(answer.status, 429 | 500..) => 0,
                Ok(_) => ATTEMPTS,
                Err(_) => ATTEMPTS_UNANSWERED,
            };
            if tried >= most {
                return Ok(answer?);
            }
            image_action_engine::wait::pause(image_action_engine::wait::scaled(next), cancel).await?;
            next *= 2;
        }
        Err(Error::cancelled())
    }

    async fn az(&self, env: &Env) -> Result<(Secret, Duration)> {
        let scope = self.0.endpoints.scope();
        let mut arguments = vec!["account", "get-access-token", "--scope", &scope, "--output", "json"];
        if !self.0.tenant.is_empty() {
            arguments.extend(["--tenant", &self.0.tenant]);
        }
        let name = "az account get-access-token";
        let hint =
            "log in with `az login`, or give client_id with client_secret, or oidc_request_url and oidc_request_token";
        let wrong = |why: String| Error::new(ErrorKind::Credentials, format!("{name}: {why}")).hint(hint);
        let Some(program) = find_program("az", env) else {
            return Err(wrong("the az command is not installed here, and use_azure_cli_auth asks for it".to_owned()));
        };
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).env_clear().envs(env.iter()).stdin(std::process::Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(CLI_TIMEOUT, command.output()).await;
        let output = output.map_err(|_| wrong("it did not end".to_owned()))?.map_err(|e| wrong(e.to_string()))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let line = text.lines().last().unwrap_or("it failed without a word").to_owned();
            return Err(wrong(line).detail(text));
        }
        let document: Value =
            serde_json::from_slice(&output.stdout).map_err(|e| wrong(format!("its answer is no JSON: {e}")))?;
        let token = document.get("accessToken").and_then(Value::as_str);
        let token = token.ok_or_else(|| wrong("its answer has no token".to_owned()))?;
        let until = document.get("expires_on").and_then(Value::as_i64).unwrap_or(0);
        Ok((Secret::new(token), life_until(until)))
    }

    async fn machine(&self, client: &str, service: Option<&(String, Secret)>) -> Result<(Secret, Duration)> {
        let name = "ask the machine's identity service for a token";
        let (endpoint, version) = service.map_or((IMDS, "2018-02-01"), |(url, _)| (url.as_str(), "2019-08-01"));
        let mut url = parse(endpoint)?;
        url.query_pairs_mut().append_pair("api-version", version).append_pair("resource", &self.0.endpoints.manager);
        if !client.is_empty() {
            url.query_pairs_mut().append_pair("client_id", client);
        }
        let mut call = Call::new(Method::GET, url).header("metadata", "true");
        if let Some((_, secret)) = service {
            call = call.header("x-identity-header", secret.expose()).header("secret", secret.expose());
        }
        let hint = "managed identity works on machines of Azure only; elsewhere give client_id with client_secret, oidc_request_url with oidc_request_token, or use_azure_cli_auth = true";
        let missing = |why: &str| Error::new(ErrorKind::Credentials, format!("{name}: {why}")).hint(hint);
        let answer = tokio::time::timeout(IMDS_TIMEOUT, self.0.http.send(&call, None, name)).await;
        let answer = answer.map_err(|_| missing("nothing answers"))?.map_err(|e| missing(&e.message))?;
        if !answer.is_success() {
            return Err(refusal(name, &answer).hint(hint));
        }
        token_of(name, &answer.json())
    }
}

fn parse(url: &str) -> Result<Url> {
    Url::parse(url).map_err(|e| Error::new(ErrorKind::Invalid, format!("{url} is no URL: {e}")))
}

/// A program of the environment's PATH.
fn find_program(name: &str, env: &Env) -> Option<std::path::PathBuf> {
    let path = env.get("PATH")?;
    std::env::split_paths(path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Whether the az command is there.
pub fn has_az(env: &Env) -> bool {
    find_program("az", env).is_some()
}

fn life_until(seconds: i64) -> Duration {
    let left = seconds - chrono::Utc::now().timestamp();
    Duration::from_secs(u64::try_from(left).unwrap_or(0))
}

/// The token of an answer; its life arrives as a number or as text.
fn token_of(name: &str, document: &Value) -> Result<(Secret, Duration)> {
    let token = document.get("access_token").and_then(Value::as_str);
    let token = token.ok_or_else(|| Error::new(ErrorKind::Credentials, format!("{name}: no token in the answer")))?;
    let life = document.get("expires_in");
    let life = life.and_then(|v| v.as_u64().or_else(|| v.as_str().and_then(|s| s.parse().ok()))).unwrap_or(0);
    Ok((Secret::new(token), Duration::from_secs(life)))
}

/// The words of Entra ID, with the cure of the frequent ones.
fn refusal(name: &str, answer: &Answer) -> Error {
    let document = answer.json();
    let text = document.get("error_description").and_then(Value::as_str).unwrap_or_default();
    // The first line says it; the rest are ids for a support case.
    let line = text.split(" Trace ID:").next().and_then(|t| t.lines().next()).unwrap_or_default().trim();
    if line.is_empty() {
        return Error::from(Failure {
            kind: Some(ErrorKind::Credentials),
            ..Failure::answered(name, answer.status, &answer.body)
        });
    }
    let error = Error::new(ErrorKind::Credentials, format!("{name}: {line}"));
    let hints = [
        (
            "AADSTS7000215",
            "client_secret is not the value of a secret of this application (its id is not its value), or it has expired",
        ),
        ("AADSTS7000222", "the secret has expired: make a new one"),
        ("AADSTS700016", "check client_id and tenant_id: the application is not in this tenant"),
        ("AADSTS90002", "check tenant_id"),
        ("AADSTS900023", "check tenant_id"),
        (
            "AADSTS700024",
            "the token had ended when Azure looked at it; in a workflow give the inputs azure-client-id and azure-tenant-id in place of client_jwt, so that a new one is asked for each time",
        ),
    ];
    match hints.iter().find(|(code, _)| line.contains(&format!("{code}:"))) {
        Some((_, hint)) => error.hint(*hint),
        None => error,
    }
}

/// Codes that say that the application trusts no such token: no federated credential, or none with this issuer, audience or
/// subject.
const UNTRUSTED: [&str; 4] = ["AADSTS70021:", "AADSTS700211:", "AADSTS700212:", "AADSTS700213:"];

/// A refused exchange of an identity token: what the token said, and what of the application's trust has to change.
fn untrusted(error: Error, client: &str, claims: &Claims) -> Error {
    let hint = UNTRUSTED.iter().any(|code| error.summary.contains(code)).then(|| {
        format!(
            "give the application a federated credential with exactly this issuer, subject and audience:\naz ad app federated-credential create --id {client} --parameters '{}'",
            serde_json::json!({
                "name": "image-action", "issuer": claims.issuer, "subject": claims.subject, "audiences": [claims.audience],
            })
        )
    });
    let error = error.detail(claims.to_string());
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

#[async_trait::async_trait]
impl azure_core::auth::TokenCredential for Tokens {
    async fn get_token(&self, _scopes: &[&str]) -> azure_core::Result<azure_core::auth::AccessToken> {
        // The transport authorises by itself, and asks with the build's own token of cancellation.
        let token = self.get(&CancellationToken::new()).await;
        let token = token.map_err(|e| {
            let failure = Failure::from_error("log in", &e);
            azure_core::Error::new(azure_core::error::ErrorKind::Credential, failure)
        })?;
        let soon = std::time::SystemTime::now() + identity::RENEW_EARLY;
        Ok(azure_core::auth::AccessToken::new(token.expose().to_owned(), soon.into()))
    }
    async fn clear_cache(&self) -> azure_core::Result<()> {
        *self.0.cached.lock().await = None;
        Ok(())
    }
}
