//! The account of a build: cloud, identity, tenant, subscription, and the client that they make.

use crate::arm::{Arm, SUBSCRIPTIONS};
use crate::cloud::Endpoints;
use crate::compute::Compute;
use crate::config::Access;
use crate::http::{Call, Http};
use crate::token::{Source, Tokens, has_az};
use image_action_engine::{CancellationToken, Env, Error, ErrorKind, Result, Secret};
use reqwest::{Method, Url};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;

/// The variable with which the local cloud stands in for the login of the az command.
pub const LOCAL_TOKEN: &str = "IMAGE_ACTION_LOCAL_AZURE_TOKEN";

/// How the account is reached again: what a line of the ledger says. Secrets come from the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The subscription.
    pub subscription: String,
    /// Its tenant.
    pub tenant: String,
    /// Name of the cloud.
    pub cloud: String,
    /// URL of its metadata, where it is none of the named ones.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    /// The application.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client: String,
    /// Whether the az command's login was asked for.
    pub cli: bool,
}

/// An account.
#[derive(Clone)]
pub struct Account {
    /// Any resource.
    pub arm: Arm,
    /// `Microsoft.Compute`.
    pub compute: Compute,
    /// How it is reached again.
    pub record: Record,
}

impl Account {
    /// The account that a template names.
    ///
    /// # Errors
    /// What is missing, or not there.
    pub async fn open(access: &Access, env: &Env, cancel: &CancellationToken) -> Result<Account> {
        let http = Http::new(env)?;
        let metadata =
            Some(access.metadata_host.as_str()).filter(|h| !h.is_empty()).or_else(|| env.get("ARM_METADATA_URL"));
        let endpoints = endpoints(&access.cloud_environment_name, metadata, &http, cancel).await?;
        let mut identity = Identity::of(access, env)?;
        if identity.subscription.is_empty() {
            identity.subscription = subscription_of_machine(&http).await?;
        }
        if identity.tenant.is_empty() && identity.needs_tenant() {
            identity.tenant = tenant(&http, &endpoints, &identity.subscription, cancel).await?;
        }
        let record = Record {
            subscription: identity.subscription.clone(),
            tenant: identity.tenant.clone(),
            cloud: access.cloud_environment_name.clone(),
            metadata: metadata.unwrap_or_default().to_owned(),
            client: identity.client(),
            cli: access.use_azure_cli_auth,
        };
        Account::assemble(http, endpoints, identity, record, cancel)
    }
    /// The account of a line of the ledger, with the secrets of the environment.
    ///
    /// # Errors
    /// As [`Account::open`].
    pub async fn again(record: &Record, env: &Env, cancel: &CancellationToken) -> Result<Account> {
        let http = Http::new(env)?;
        let metadata = Some(record.metadata.as_str()).filter(|h| !h.is_empty());
        let endpoints = endpoints(&record.cloud, metadata, &http, cancel).await?;
        let known = |name: &str| env.get(&format!("ARM_{name}")).or_else(|| env.get(&format!("AZURE_{name}")));
        let secret = known("CLIENT_SECRET").filter(|_| !record.client.is_empty());
        let source = match secret {
            Some(secret) => Source::Secret { client: record.client.clone(), secret: Secret::new(secret) },
            None => match ambient(env, &record.client, &record.tenant) {
                Some(source) => source,
                None if record.cli && has_az(env) => Source::Cli { env: env.clone() },
                None => managed(&record.client, env),
            },
        };
        let identity = Identity { source, tenant: record.tenant.clone(), subscription: record.subscription.clone() };
        Account::assemble(http, endpoints, identity, record.clone(), cancel)
    }
    fn assemble(
        http: Http,
        endpoints: Endpoints,
        identity: Identity,
        record: Record,
        cancel: &CancellationToken,
    ) -> Result<Account> {
        let manager = endpoints.manager.clone();
        let tokens = Tokens::new(identity.source, &identity.tenant, endpoints, http.clone());
        let arm = Arm::new(http, tokens, &manager, &identity.subscription, cancel)?;
        Ok(Account { compute: Compute::new(&arm)?, arm, record })
    }
    /// The same account, whose calls another token ends.
    ///
    /// # Errors
    /// Where the SDK refuses its options.
    pub fn with_cancel(&self, cancel: &CancellationToken) -> Result<Account> {
        let arm = self.arm.with_cancel(cancel);
        Ok(Account { compute: Compute::new(&arm)?, arm, record: self.record.clone() })
    }
}

async fn endpoints(name: &str, metadata: Option<&str>, http: &Http, cancel: &CancellationToken) -> Result<Endpoints> {
    if let Some(host) = metadata {
        return Endpoints::described_by(host, http, cancel).await;
    }
    // The check of the options has refused every other name.
    let name = if name.is_empty() { "Public" } else { name };
    Endpoints::named(name).ok_or_else(|| Error::new(ErrorKind::Invalid, format!("no cloud is named \"{name}\"")))
}

struct Identity {
    source: Source,
    tenant: String,
    subscription: String,
}

impl Identity {
    /// Who a template says we are.
    fn of(access: &Access, env: &Env) -> Result<Identity> {
        let (tenant, subscription) = (access.tenant_id.clone(), access.subscription_id.clone());
        let client = access.client_id.clone();
        if access.use_azure_cli_auth {
            return Identity::of_login(access, env);
        }
        let source = if !access.client_secret.is_empty() {
            Source::Secret { client, secret: access.client_secret.clone() }
        } else if !access.oidc_request_token.is_empty() {
            // Templates name the runner's own address, as Packer reads no environment here.
            match env.identity().filter(|identity| identity.is_at(&access.oidc_request_url)) {
                Some(identity) => Source::Vouched { client, identity: identity.clone() },
                None => Source::Requested {
                    client,
                    url: access.oidc_request_url.clone(),
                    token: access.oidc_request_token.clone(),
                },
            }
        } else if !access.client_jwt.is_empty() {
            Source::Assertion { client, assertion: access.client_jwt.clone() }
        } else if let Some(token) = env.get(LOCAL_TOKEN) {
            Source::Fixed(Secret::new(token))
        } else {
            let given = Given::of(access, env);
            if let Some(source) = vouched(env, &given.client, &given.tenant) {
                return Ok(Identity { source, tenant: given.tenant, subscription: given.subscription });
            }
            managed(&client, env)
        };
        Ok(Identity { source, tenant, subscription })
    }
    /// Whoever is logged in: in a workflow the workflow itself, before the az command, whose login expires within minutes there.
    fn of_login(access: &Access, env: &Env) -> Result<Identity> {
        let Given { client, tenant, subscription } = Given::of(access, env);
        if let Some(source) = ambient(env, &client, &tenant) {
            return Ok(Identity { source, tenant, subscription });
        }
        if has_az(env) {
            let (default_tenant, default_subscription) = profile(env)?;
            let subscription = if subscription.is_empty() { default_subscription } else { subscription };
            return Ok(Identity { source: Source::Cli { env: env.clone() }, tenant: default_tenant, subscription });
        }
        let secret = env.get("ARM_CLIENT_SECRET").or_else(|| env.get("AZURE_CLIENT_SECRET"));
        if let (Some(secret), false, false) = (secret, client.is_empty(), tenant.is_empty()) {
            let source = Source::Secret { client, secret: Secret::new(secret) };
            return Ok(Identity { source, tenant, subscription });
        }
        Err(Error::new(
            ErrorKind::Credentials,
            "use_azure_cli_auth is set, the az command is not installed here, and the environment has no other way to log in",
        )
        .hint("in a workflow: `id-token: write` in the permissions of the job, and the inputs azure-client-id, azure-tenant-id and azure-subscription-id; elsewhere: install az and run `az login`"))
    }
    fn needs_tenant(&self) -> bool {
        matches!(
            self.source,
            Source::Secret { .. } | Source::Assertion { .. } | Source::Vouched { .. } | Source::Requested { .. }
        )
    }
    fn client(&self) -> String {
        match &self.source {
            Source::Secret { client, .. }
            | Source::Assertion { client, .. }
            | Source::Vouched { client, .. }
            | Source::Requested { client, .. }
            | Source::Managed { client, .. } => client.clone(),
            Source::Cli { .. } | Source::Fixed(_) => String::new(),
        }
    }
}

/// Names of the application, its tenant and the subscription: the template's, else the environment's.
struct Given {
    client: String,
    tenant: String,
    subscription: String,
}

impl Given {
    fn of(access: &Access, env: &Env) -> Given {
        let given = |own: &str, names: [&str; 2]| {
            let from = || names.iter().find_map(|n| env.get(n)).unwrap_or_default().to_owned();
            if own.is_empty() { from() } else { own.to_owned() }
        };
        Given {
            client: given(&access.client_id, ["ARM_CLIENT_ID", "AZURE_CLIENT_ID"]),
            tenant: given(&access.tenant_id, ["ARM_TENANT_ID", "AZURE_TENANT_ID"]),
            subscription: given(&access.subscription_id, ["ARM_SUBSCRIPTION_ID", "AZURE_SUBSCRIPTION_ID"]),
        }
    }
}

/// What the surroundings give: the local cloud's token, or whoever vouches for this run.
fn ambient(env: &Env, client: &str, tenant: &str) -> Option<Source> {
    if let Some(token) = env.get(LOCAL_TOKEN) {
        return Some(Source::Fixed(Secret::new(token)));
    }
    vouched(env, client, tenant)
}

/// Whoever vouches for this run, to an application of this tenant.
fn vouched(env: &Env, client: &str, tenant: &str) -> Option<Source> {
    let identity = env.identity()?.clone();
    let named = !client.is_empty() && !tenant.is_empty();
    named.then(|| Source::Vouched { client: client.to_owned(), identity })
}

fn managed(client: &str, env: &Env) -> Source {
    let pair = |url: &str, secret: &str| Some((env.get(url)?.to_owned(), Secret::new(env.get(secret)?)));
    let service = pair("IDENTITY_ENDPOINT", "IDENTITY_HEADER").or_else(|| pair("MSI_ENDPOINT", "MSI_SECRET"));
    Source::Managed { client: client.to_owned(), service }
}

/// Tenant and subscription that the az command has chosen.
fn profile(env: &Env) -> Result<(String, String)> {
    let dir = env.get("AZURE_CONFIG_DIR").map(PathBuf::from);
    let dir = dir.or_else(|| env.get("HOME").map(|home| PathBuf::from(home).join(".azure"))).unwrap_or_default();
    let file = dir.join("azureProfile.json");
    let wrong = |why: String| {
        Error::new(ErrorKind::Credentials, format!("the az command has no default subscription: {why}"))
            .hint("run `az login`")
    };
    let text = std::fs::read_to_string(&file).map_err(|e| wrong(format!("{}: {e}", file.display())))?;
    // The file begins with a byte order mark.
    let document: Value =
        serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|e| wrong(e.to_string()))?;
    let all = document.get("subscriptions").and_then(Value::as_array);
    let default = all.into_iter().flatten().find(|s| s.get("isDefault") == Some(&Value::Bool(true)));
    let text = |name: &str| default.and_then(|d| d.get(name)).and_then(Value::as_str).map(str::to_owned);
    match (text("tenantId"), text("id")) {
        (Some(tenant), Some(subscription)) => Ok((tenant, subscription)),
        _ => Err(wrong(format!("{} marks none", file.display()))),
    }
}

/// The tenant of a subscription: an unauthenticated call is told where to log in.
async fn tenant(http: &Http, endpoints: &Endpoints, subscription: &str, cancel: &CancellationToken) -> Result<String> {
    let name = format!("find the tenant of subscription {subscription}");
    let missing = |why: String| Error::new(ErrorKind::Credentials, format!("{name}: {why}")).hint("set tenant_id");
    let address = format!("{}/subscriptions/{subscription}?api-version={SUBSCRIPTIONS}", endpoints.manager);
    let url = Url::parse(&address).map_err(|e| missing(e.to_string()))?;
    let call = Call::new(Method::GET, url);
    let answer = image_action_engine::wait::retry_up_to(
        2,
        cancel,
        |e: &Error| e.kind == ErrorKind::Unreachable,
        || async { http.send(&call, None, &name).await.map_err(Error::from) },
    )
    .await?;
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    let uri = challenge.split("authorization_uri=\"").nth(1).and_then(|rest| rest.split('"').next());
    let tenant = uri.and_then(|uri| uri.trim_end_matches('/').rsplit('/').next()).unwrap_or_default();
    if uuid::Uuid::parse_str(tenant).is_err() {
        return Err(missing(format!("{} without the name of a tenant", answer.status)));
    }
    Ok(tenant.to_owned())
}

/// The subscription of the machine that we run on.
async fn subscription_of_machine(http: &Http) -> Result<String> {
    const ADDRESS: &str = "http://169.254.169.254/metadata/instance/compute?format=json&api-version=2017-08-01";
    let missing = |why: &str| {
        Error::new(ErrorKind::Credentials, format!("no subscription is given, and this machine names none: {why}"))
            .hint("set subscription_id")
    };
    let url = Url::parse(ADDRESS).map_err(|e| missing(&e.to_string()))?;
    let call = Call::new(Method::GET, url).header("metadata", "true");
    let answer =
        tokio::time::timeout(std::time::Duration::from_secs(4), http.send(&call, None, "ask the machine's metadata"))
            .await;
    let answer = answer.map_err(|_| missing("nothing answers"))?.map_err(|e| missing(&e.message))?;
    let found = answer.json().get("subscriptionId").and_then(Value::as_str).map(str::to_owned);
    found.ok_or_else(|| missing("its metadata has none"))
}
