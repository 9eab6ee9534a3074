//! An account as one build reaches it: credentials, region, clients of services by region, and how calls are made.

use crate::config::Access;
use crate::credentials;
use crate::failure::{Asked, Failure, read};
use aws_config::BehaviorVersion;
use aws_config::identity::IdentityCache;
use aws_config::profile::ProfileSet;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Connector, proxy::ProxyConfig};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::identity::SharedIdentityCache;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use image_action_engine::wait::{Limiter, RETRY_FIRST, Rate, limiter, retry_up_to};
use image_action_engine::{CancellationToken, Env, Error, ErrorKind, Result, Secret};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Attempts of one call in all, where `max_retries` says nothing (Packer's number).
const ATTEMPTS: u32 = 10;

/// Attempts of the first call of all: an address that does not answer is told within seconds.
const FIRST_ATTEMPTS: u32 = 2;

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// How long one attempt of a call may take, from its beginning to the end of the answer: AWS answers within a second or two.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long finding credentials may take.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(90);

/// How long before their end credentials are renewed: clocks differ, and a call that is tried again begins later.
const CREDENTIALS_EARLY: Duration = Duration::from_secs(60);

/// How fast one account asks one service in one region. EC2 fills its buckets for describing calls with ten to twenty tokens a
/// second, and they hold fifty to a hundred ("Request throttling for the Amazon EC2 API"); the others allow more.
const RATE: Rate = Rate { burst: 50, per_second: 10 };

/// An account as one build reaches it. Cheap to clone.
#[derive(Clone)]
pub struct Account(Arc<Inner>);

struct Inner {
    access: Access,
    env: Env,
    config: SdkConfig,
    region: String,
    attempts: u32,
    /// The account's number, once AWS has said it.
    number: OnceLock<String>,
    ec2: Mutex<BTreeMap<String, Ec2>>,
}

/// One service in one region. Cheap to clone.
#[derive(Clone)]
pub struct Service<C> {
    /// The region.
    pub region: String,
    /// The SDK's client; calls are made through [`Service::call`].
    pub client: C,
    name: &'static str,
    caller: Caller,
}

/// EC2 of one region.
pub type Ec2 = Service<aws_sdk_ec2::Client>;

/// Who makes calls, and how often each is tried.
#[derive(Clone)]
struct Caller {
    attempts: u32,
    /// Shared with all who call the same service with the same account.
    limiter: Arc<Limiter>,
    cancel: CancellationToken,
    /// Decodes the messages of refused calls, where the template asks for it.
    decoder: Option<aws_sdk_sts::Client>,
}

/// How the account is reached again: what a ledger keeps. Nothing in it is secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccessRecord {
    /// Profile of the shared configuration.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub profile: String,
    /// Path of the shared configuration.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub shared_credentials_file: String,
    /// The role that was taken on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub role_arn: String,
    /// The role's external id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub external_id: String,
    /// Address of EC2, where it is not AWS's own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub custom_endpoint_ec2: String,
    /// The template held the keys: they are not kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keys_in_template: bool,
}

impl AccessRecord {
    /// The options that reach the account again, in this region.
    pub fn access(&self, region: &str) -> Access {
        use image_action_engine::Config;
        let mut access = Access::decode(&image_action_engine::Block::default());
        access.profile.clone_from(&self.profile);
        access.shared_credentials_file.clone_from(&self.shared_credentials_file);
        access.custom_endpoint_ec2.clone_from(&self.custom_endpoint_ec2);
        access.region = region.to_owned();
        access.skip_credential_validation = true;
        if !self.role_arn.is_empty() {
            let mut role = crate::config::AssumeRole::decode(&image_action_engine::Block::default());
            role.role_arn.clone_from(&self.role_arn);
            role.external_id.clone_from(&self.external_id);
            access.assume_role = Some(role);
        }
        access
    }
}

/// Endpoints of the environment (`AWS_ENDPOINT_URL_EC2`, `AWS_ENDPOINT_URL`) and of the profile, for every client.
#[derive(Debug)]
struct Endpoints {
    env: BTreeMap<String, String>,
    profile: Option<BTreeMap<String, String>>,
}

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = format!("{}_{}", key.env(), key.service_id().to_uppercase().replace(' ', "_"));
        let env = self.env.get(&service).or_else(|| self.env.get(key.env()));
        env.or_else(|| self.profile.as_ref()?.get(key.profile())).cloned()
    }
}

impl Account {
    /// Finds region and credentials and, unless the template leaves that out, asks AWS whose they are.
    ///
    /// # Errors
    /// No region, no credentials, refused ones, or an address that does not answer: each within seconds.
    pub async fn open(access: &Access, env: &Env, cancel: &CancellationToken) -> Result<Account> {
        let profiles = profiles(env, access).await?;
        let region = region(env, access, profiles.as_ref())?;
        let http = http_client(env)?;
        let attempts = u32::try_from(access.max_retries).ok().filter(|n| *n > 0).unwrap_or(ATTEMPTS);
        let endpoints = endpoints(env, access, profiles.as_ref());
        let unsigned = sdk_config(&region, http.clone(), endpoints);
        let provider_config =
            ProviderConfig::without_region().with_region(Some(Region::new(region.clone()))).with_http_client(http);
        let credentials =
            credentials::base(env, access, &provider_config, &aws_sdk_sts::config::Builder::from(&unsigned), &region);
        let mut config = unsigned.into_builder().credentials_provider(credentials).build();
        if let Some(role) = access.assume_role.as_ref().filter(|r| !r.role_arn.is_empty()) {
            let role = credentials::Role::new(role, &aws_sdk_sts::Client::new(&config));
            config = config
                .into_builder()
                .identity_cache(identity_cache())
                .credentials_provider(SharedCredentialsProvider::new(role))
                .build();
        }
        let account = Account(Arc::new(Inner {
            access: access.clone(),
            env: env.clone(),
            config,
            region,
            attempts,
            number: OnceLock::new(),
            ec2: Mutex::default(),
        }));
        if !access.skip_credential_validation {
            account.identity(cancel).await?;
        }
        Ok(account)
    }
    /// The region of the build.
    pub fn region(&self) -> &str {
        &self.0.region
    }
    /// Asks whose the credentials are.
    async fn identity(&self, cancel: &CancellationToken) -> Result<()> {
        let sts = aws_sdk_sts::Client::new(&self.0.config);
        let limiter = self.limiter("sts", &self.0.region);
        let caller = Caller { attempts: FIRST_ATTEMPTS, limiter, cancel: cancel.clone(), decoder: None };
        let asked = Asked { service: "sts", action: "GetCallerIdentity", resource: "", region: &self.0.region };
        let answer = caller.call(&asked, || sts.get_caller_identity().send()).await?;
        if let Some(number) = answer.account {
            // Only asked once: it cannot be set already.
            let _ = self.0.number.set(number);
        }
        Ok(())
    }
    /// The limiter of a service in a region. Without the account's number the way to it stands for it.
    fn limiter(&self, service: &str, region: &str) -> Arc<Limiter> {
        let account = self.0.number.get().cloned().unwrap_or_else(|| format!("{:?}", self.record()));
        limiter(&format!("aws {service} {region} {account}"), RATE)
    }
    /// EC2 of a region.
    pub fn ec2(&self, region: &str, cancel: &CancellationToken) -> Ec2 {
        let mut all = self.0.ec2.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(region.to_owned()).or_insert_with(|| self.connect(region));
        Ec2 { caller: Caller { cancel: cancel.clone(), ..known.caller.clone() }, ..known.clone() }
    }
    fn connect(&self, region: &str) -> Ec2 {
        let inner = &self.0;
        let mut config = aws_sdk_ec2::config::Builder::from(&inner.config).region(Region::new(region.to_owned()));
        if !inner.access.custom_endpoint_ec2.is_empty() {
            config = config.endpoint_url(&inner.access.custom_endpoint_ec2);
        }
        let decoder = inner.access.decode_authorization_messages.then(|| aws_sdk_sts::Client::new(&inner.config));
        let limiter = self.limiter("ec2", region);
        let caller = Caller { attempts: inner.attempts, limiter, cancel: CancellationToken::new(), decoder };
        Ec2 { region: region.to_owned(), client: aws_sdk_ec2::Client::from_conf(config.build()), name: "ec2", caller }
    }
    /// Another service of the account's own region.
    pub fn service<C>(
        &self,
        name: &'static str,
        connect: impl FnOnce(&SdkConfig) -> C,
        cancel: &CancellationToken,
    ) -> Service<C> {
        let region = self.0.region.clone();
        let limiter = self.limiter(name, &region);
        let caller = Caller { attempts: self.0.attempts, limiter, cancel: cancel.clone(), decoder: None };
        Service { client: connect(&self.0.config), region, name, caller }
    }
    /// How the account is reached again, for the ledger.
    pub fn record(&self) -> AccessRecord {
        let access = &self.0.access;
        let role = access.assume_role.as_ref();
        let endpoint = Some(access.custom_endpoint_ec2.clone()).filter(|e| !e.is_empty());
        let from_env =
            || self.0.env.get("AWS_ENDPOINT_URL_EC2").or_else(|| self.0.env.get("AWS_ENDPOINT_URL")).map(str::to_owned);
        AccessRecord {
            profile: access.profile.clone(),
            shared_credentials_file: access.shared_credentials_file.clone(),
            role_arn: role.map(|r| r.role_arn.clone()).unwrap_or_default(),
            external_id: role.map(|r| r.external_id.clone()).unwrap_or_default(),
            custom_endpoint_ec2: endpoint.or_else(from_env).unwrap_or_default(),
            keys_in_template: access.secret_key != Secret::default(),
        }
    }
}

impl<C> Service<C> {
    /// Makes one call, as often as its failures are worth it.
    ///
    /// # Errors
    /// What AWS answered last; names the call and `resource`.
    pub async fn call<T, E, Fut>(
        &self,
        action: &'static str,
        resource: &str,
        send: impl FnMut() -> Fut,
    ) -> Result<T, Failure>
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let asked = Asked { service: self.name, action, resource, region: &self.region };
        self.caller.call(&asked, send).await
    }
    /// What ends the calls.
    pub fn cancel(&self) -> &CancellationToken {
        &self.caller.cancel
    }
}

impl Caller {
    async fn call<T, E, Fut>(&self, asked: &Asked<'_>, mut send: impl FnMut() -> Fut) -> Result<T, Failure>
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let attempt = || {
            let sent = send();
            async move {
                self.limiter.pass(&self.cancel).await?;
                let answer = sent.await.map_err(|e| read(asked, e));
                if answer.as_ref().is_err_and(Failure::is_throttled) {
                    self.limiter.slow_down(RETRY_FIRST);
                }
                answer
            }
        };
        let result = retry_up_to(self.attempts, &self.cancel, |f: &Failure| f.transient, attempt).await;
        match (result, &self.decoder) {
            (Err(failure), Some(sts)) if failure.error.kind == ErrorKind::Permission => Err(decode(sts, failure).await),
            (result, _) => result,
        }
    }
}

/// Puts the decoded message in place of the encoded one.
async fn decode(sts: &aws_sdk_sts::Client, mut failure: Failure) -> Failure {
    let Some((_, blob)) = failure.message.split_once("Encoded authorization failure message:") else { return failure };
    // The build fails in any case; what cannot be decoded stays out of the message.
    if let Ok(answer) = sts.decode_authorization_message().encoded_message(blob.trim()).send().await {
        failure.error = failure.error.detail(answer.decoded_message.unwrap_or_default());
    }
    failure
}

async fn profiles(env: &Env, access: &Access) -> Result<Option<ProfileSet>> {
    use aws_types::os_shim_internal as shim;
    let name = credentials::profile_name(env, access);
    let own = std::path::Path::new(&access.shared_credentials_file);
    if !access.shared_credentials_file.is_empty() && !own.exists() {
        return Err(Error::new(
            ErrorKind::Credentials,
            format!("shared_credentials_file {} does not exist", own.display()),
        )
        .hint("correct the path, or leave it out"));
    }
    let files = credentials::profile_files(env, access);
    // Nothing but the files is read: they are named in full.
    let nothing = shim::Env::from_slice(&[]);
    let set = aws_config::profile::load(&shim::Fs::real(), &nothing, &files, Some(name.clone().into())).await;
    let set = set.map_err(|e| {
        Error::new(ErrorKind::Invalid, format!("the shared configuration of AWS cannot be read: {e}"))
            .hint("mend the file, or name another one with AWS_CONFIG_FILE")
    })?;
    let asked_for = !access.profile.is_empty() || env.get("AWS_PROFILE").is_some();
    if asked_for && set.get_profile(&name).is_none() {
        return Err(Error::new(ErrorKind::Credentials, format!("the AWS profile \"{name}\" does not exist"))
            .hint("add it to ~/.aws/config, or change `profile` (or AWS_PROFILE)"));
    }
    Ok(Some(set))
}

fn region(env: &Env, access: &Access, profiles: Option<&ProfileSet>) -> Result<String> {
    let template = Some(access.region.as_str()).filter(|r| !r.is_empty());
    let env = || env.get("AWS_REGION").or_else(|| env.get("AWS_DEFAULT_REGION"));
    let profile = || profiles.and_then(|p| p.get("region"));
    template
        .or_else(env)
        .or_else(profile)
        .map(str::to_owned)
        .ok_or_else(|| Error::new(ErrorKind::Invalid, "no AWS region is named").hint("set `region`, or AWS_REGION"))
}

fn endpoints(env: &Env, access: &Access, profiles: Option<&ProfileSet>) -> Endpoints {
    let off = |value: Option<&str>| value.is_some_and(|v| v.eq_ignore_ascii_case("true"));
    if off(env.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")) {
        return Endpoints { env: BTreeMap::new(), profile: None };
    }
    let profile = profiles.and_then(|p| p.get_profile(&credentials::profile_name(env, access)));
    let profile = profile
        .and_then(|p| p.get("endpoint_url"))
        .map(|url| BTreeMap::from([("endpoint_url".to_owned(), url.to_owned())]));
    let env = env.iter().filter(|(k, v)| k.starts_with("AWS_ENDPOINT_URL") && !v.is_empty());
    Endpoints { env: env.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(), profile }
}

fn sdk_config(region: &str, http: SharedHttpClient, endpoints: Endpoints) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT);
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .http_client(http)
        // Retries are ours, so that there is one policy, and AWS_MAX_ATTEMPTS keeps its meaning for waits.
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build())
        .identity_cache(identity_cache())
        .service_config(endpoints)
        .build()
}

/// The HTTP client: rustls with ring, the system's trust and `AWS_CA_BUNDLE`, `HTTPS_PROXY` and `NO_PROXY` of the snapshot.
fn http_client(env: &Env) -> Result<SharedHttpClient> {
    let own = env.iter().filter(|(k, v)| k.starts_with("AWS_ENDPOINT_URL") && !v.is_empty());
    let (mut any, mut all_plain) = (false, true);
    for (_, url) in own {
        any = true;
        all_plain &= url.starts_with("http://");
    }
    // Reading the system's roots takes time, and a machine without any makes the SDK panic in debug builds.
    let mut trust = if any && all_plain { TrustStore::empty() } else { TrustStore::default() };
    if let Some(path) = env.get("AWS_CA_BUNDLE") {
        let wrong = |e: String| {
            Error::new(ErrorKind::Invalid, format!("AWS_CA_BUNDLE names {path}, which cannot be used: {e}"))
                .hint("name a file of certificates in PEM form, or unset it")
        };
        let pem = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
        check_pem(&pem).map_err(wrong)?;
        trust = trust.with_pem_certificate(pem);
    }
    let context = TlsContext::builder().with_trust_store(trust).build();
    let context = context.map_err(|e| Error::failed(format!("TLS cannot be set up: {e}")))?;
    let proxy = proxy(env)?;
    Ok(aws_smithy_http_client::Builder::new().build_with_connector_fn(move |settings, components| {
        let mut builder = Connector::builder();
        builder.set_sleep_impl(components.and_then(|c| c.sleep_impl()));
        if let Some(settings) = settings {
            builder = builder.connector_settings(settings.clone());
        }
        builder
            .proxy_config(proxy.clone())
            .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
            .tls_context(context.clone())
            .build()
    }))
}

/// Keeps credentials until shortly before they end. They may take more than one call to be had, each of which is tried again.
fn identity_cache() -> SharedIdentityCache {
    IdentityCache::lazy().load_timeout(CREDENTIALS_TIMEOUT).buffer_time(CREDENTIALS_EARLY).build()
}

/// The SDK panics on a certificate that cannot be read.
fn check_pem(pem: &[u8]) -> Result<(), String> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|e| e.to_string())?;
        roots.add(certificate).map_err(|e| e.to_string())?;
    }
    if roots.is_empty() { Err("it holds no certificate".to_owned()) } else { Ok(()) }
}

fn proxy(env: &Env) -> Result<ProxyConfig> {
    let get = |name: &str| env.get(&name.to_lowercase()).or_else(|| env.get(name));
    let Some(url) = get("HTTPS_PROXY").or_else(|| get("ALL_PROXY")) else { return Ok(ProxyConfig::disabled()) };
    let proxy = ProxyConfig::https(url.to_owned()).map_err(|e| {
        Error::new(ErrorKind::Invalid, format!("HTTPS_PROXY cannot be used: {e}"))
            .hint("write it like http://proxy:3128")
    })?;
    Ok(proxy.no_proxy(get("NO_PROXY").unwrap_or_default()))
}
