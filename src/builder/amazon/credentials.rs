//! Where credentials come from. The order is the official SDKs' own; what it reads of the environment is the run's snapshot,
//! which is why the SDK's ready-made loader (it reads the process's) is not used.

use crate::config::{Access, AssumeRole};
use crate::failure::{self, Asked, Failure};
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use image_action_engine::wait::retry;
use image_action_engine::{CancellationToken, Env, Error, ErrorKind, IdentitySource, IdentityToken, Result, Secret};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How long the metadata service of an instance is waited for: it answers at once, where there is one.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);

/// What an identity token has to be for (the "client id" of the identity provider in IAM).
const AUDIENCE: &str = "sts.amazonaws.com";

/// The name of our sessions, where the template gives none.
const SESSION_NAME: &str = "image-action";

/// The shared configuration files: as `AWS_CONFIG_FILE`, `AWS_SHARED_CREDENTIALS_FILE` and `HOME` of the snapshot say, and the
/// template's own in place of the first. Files that do not exist are left out.
pub fn profile_files(env: &Env, access: &Access) -> EnvConfigFiles {
    let home = env.get("HOME").or_else(|| env.get("USERPROFILE")).map(|h| Path::new(h).join(".aws"));
    let at = |variable: &str, name: &str| {
        env.get(variable).map(PathBuf::from).or_else(|| home.as_ref().map(|h| h.join(name)))
    };
    let own = Some(&access.shared_credentials_file).filter(|p| !p.is_empty()).map(PathBuf::from);
    // The SDK panics on a set without any file.
    let mut builder = EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Config, "");
    if let Some(path) = own.or_else(|| at("AWS_CONFIG_FILE", "config")).filter(|p| p.exists()) {
        builder = builder.with_file(EnvConfigFileKind::Config, path);
    }
    if let Some(path) = at("AWS_SHARED_CREDENTIALS_FILE", "credentials").filter(|p| p.exists()) {
        builder = builder.with_file(EnvConfigFileKind::Credentials, path);
    }
    builder.build()
}

/// The profile that holds: the template's, `AWS_PROFILE`, or `default`.
pub fn profile_name(env: &Env, access: &Access) -> String {
    let named = Some(access.profile.as_str()).filter(|p| !p.is_empty());
    named.or_else(|| env.get("AWS_PROFILE")).unwrap_or("default").to_owned()
}

/// The credentials of an access, before any role is taken on.
pub fn base(
    env: &Env,
    access: &Access,
    provider_config: &ProviderConfig,
    sts: &aws_sdk_sts::config::Builder,
    region: &str,
) -> SharedCredentialsProvider {
    if let Some(keys) = from_template(access) {
        return SharedCredentialsProvider::new(keys);
    }
    let profile = ProfileFileCredentialsProvider::builder()
        .configure(provider_config)
        .profile_name(profile_name(env, access))
        .profile_files(profile_files(env, access))
        .build();
    if !access.profile.is_empty() {
        return SharedCredentialsProvider::new(profile);
    }
    let mut chain = CredentialsProviderChain::first_try("environment", FromEnvironment(from_environment(env)));
    let web = WebIdentity::of(env, sts, region);
    // Whoever vouches for this run goes before a profile that nobody has named.
    let first =
        matches!(&web, Some(w) if matches!(w.source, TokenSource::Vouched(_))) && env.get("AWS_PROFILE").is_none();
    match web {
        Some(web) if first => chain = chain.or_else("web identity", web).or_else("profile", profile),
        Some(web) => chain = chain.or_else("profile", profile).or_else("web identity", web),
        None => chain = chain.or_else("profile", profile),
    }
    if env
        .get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        .or_else(|| env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
        .is_some()
    {
        chain = chain.or_else("container", EcsCredentialsProvider::builder().configure(provider_config).build());
    }
    let disabled = env.get("AWS_EC2_METADATA_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true"));
    if !disabled && !access.skip_metadata_api_check {
        let client = imds::Client::builder()
            .configure(provider_config)
            .max_attempts(1)
            .connect_timeout(METADATA_TIMEOUT)
            .read_timeout(METADATA_TIMEOUT)
            .build();
        let instance = imds::credentials::ImdsCredentialsProvider::builder()
            .configure(provider_config)
            .imds_client(client)
            .build();
        chain = chain.or_else("instance", instance);
    }
    SharedCredentialsProvider::new(chain)
}

fn from_template(access: &Access) -> Option<Credentials> {
    if access.access_key.is_empty() && access.token.is_empty() {
        return None;
    }
    let token = Some(access.token.expose().to_owned()).filter(|t| !t.is_empty());
    Some(Credentials::new(&access.access_key, access.secret_key.expose(), token, None, "template"))
}

fn from_environment(env: &Env) -> Option<Credentials> {
    let key = env.get("AWS_ACCESS_KEY_ID")?;
    let secret = env.get("AWS_SECRET_ACCESS_KEY").or_else(|| env.get("SECRET_ACCESS_KEY"))?;
    Some(Credentials::new(key, secret, env.get("AWS_SESSION_TOKEN").map(str::to_owned), None, "environment"))
}

#[derive(Debug)]
struct FromEnvironment(Option<Credentials>);

impl ProvideCredentials for FromEnvironment {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(self.0.clone().ok_or_else(CredentialsError::not_loaded_no_source))
    }
}

/// Keys of STS, as the SDK's own type.
fn keys(credentials: Option<aws_sdk_sts::types::Credentials>, name: &'static str) -> provider::Result {
    let keys = credentials.ok_or_else(|| CredentialsError::unhandled("the answer of STS holds no credentials"))?;
    let expiry = SystemTime::try_from(keys.expiration).map_err(CredentialsError::unhandled)?;
    Ok(Credentials::new(keys.access_key_id, keys.secret_access_key, Some(keys.session_token), Some(expiry), name))
}

/// A token that is exchanged for keys of a role: out of a file (`AWS_WEB_IDENTITY_TOKEN_FILE`), or from whoever vouches for this
/// run. In contrast to the SDK's own provider the exchange honours `AWS_ENDPOINT_URL`, and every renewal has a new token.
struct WebIdentity {
    source: TokenSource,
    role: String,
    session: String,
    sts: aws_sdk_sts::Client,
    region: String,
}

enum TokenSource {
    File(PathBuf),
    Vouched(Arc<dyn IdentitySource>),
}

impl std::fmt::Debug for WebIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WebIdentity({})", self.role)
    }
}

impl WebIdentity {
    /// By what the environment names: a file before whoever vouches for us. Without a role there is nothing to exchange for.
    fn of(env: &Env, sts: &aws_sdk_sts::config::Builder, region: &str) -> Option<WebIdentity> {
        let file = env.get("AWS_WEB_IDENTITY_TOKEN_FILE").map(|file| TokenSource::File(PathBuf::from(file)));
        let source = file.or_else(|| Some(TokenSource::Vouched(env.identity()?.clone())))?;
        Some(WebIdentity {
            source,
            role: env.get("AWS_ROLE_ARN")?.to_owned(),
            session: env.get("AWS_ROLE_SESSION_NAME").unwrap_or(SESSION_NAME).to_owned(),
            sts: aws_sdk_sts::Client::from_conf(sts.clone().build()),
            region: region.to_owned(),
        })
    }

    async fn token(&self) -> Result<IdentityToken> {
        match &self.source {
            TokenSource::Vouched(source) => source.token(AUDIENCE, &CancellationToken::new()).await,
            TokenSource::File(file) => {
                let text = tokio::fs::read_to_string(file).await;
                let text = text.map_err(|e| {
                    let what = format!("AWS_WEB_IDENTITY_TOKEN_FILE {} cannot be read: {e}", file.display());
                    Error::new(ErrorKind::Credentials, what)
                        .hint("in a container action only the workspace and its own folders can be seen; give the input aws-role-to-assume in its place")
                })?;
                IdentityToken::parse(Secret::new(text.trim()))
            }
        }
    }

    async fn exchange(&self) -> Result<Credentials> {
        let token = self.token().await?;
        // The session lasts as long as STS gives by itself (an hour, which every role allows): it is renewed in any case.
        let call = self.sts.assume_role_with_web_identity().role_arn(&self.role).role_session_name(&self.session);
        let call = call.web_identity_token(token.token.expose());
        let (service, action) = ("sts", "AssumeRoleWithWebIdentity");
        let asked = Asked { service, action, resource: &self.role, region: &self.region };
        let send = || async { call.clone().send().await.map_err(|e| failure::read(&asked, e)) };
        let answer = retry(&CancellationToken::new(), |f: &Failure| f.transient, send).await;
        let answer = answer.map_err(|f| failure::untrusted(f, &self.role, &token.claims))?;
        let keys = keys(answer.credentials, "web-identity")
            .map_err(|e| Error::new(ErrorKind::Credentials, format!("{asked} gave no keys: {e}")))?;
        if let TokenSource::Vouched(source) = &self.source {
            source.conceal(&Secret::new(keys.secret_access_key()));
            source.conceal(&Secret::new(keys.session_token().unwrap_or_default()));
        }
        Ok(keys)
    }
}

impl ProvideCredentials for WebIdentity {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move { self.exchange().await.map_err(CredentialsError::provider_error) })
    }
}

/// Keys of a role that is taken on with other credentials.
#[derive(Debug)]
pub struct Role(aws_sdk_sts::operation::assume_role::builders::AssumeRoleFluentBuilder);

impl Role {
    /// The role of the template, by a client of STS that has the first credentials.
    pub fn new(role: &AssumeRole, sts: &aws_sdk_sts::Client) -> Role {
        let text = |s: &String| Some(s.clone()).filter(|s| !s.is_empty());
        let policies =
            role.policy_arns.iter().map(|arn| aws_sdk_sts::types::PolicyDescriptorType::builder().arn(arn).build());
        let tags =
            role.tags.iter().filter_map(|(k, v)| aws_sdk_sts::types::Tag::builder().key(k).value(v).build().ok());
        let list = |v: Vec<_>| Some(v).filter(|v| !v.is_empty());
        Role(
            sts.assume_role()
                .role_arn(&role.role_arn)
                .role_session_name(text(&role.session_name).unwrap_or_else(|| SESSION_NAME.to_owned()))
                .set_external_id(text(&role.external_id))
                .set_policy(text(&role.policy))
                .set_policy_arns(Some(policies.collect::<Vec<_>>()).filter(|v| !v.is_empty()))
                .set_tags(Some(tags.collect::<Vec<_>>()).filter(|v| !v.is_empty()))
                .set_transitive_tag_keys(list(role.transitive_tag_keys.clone()))
                .set_duration_seconds(i32::try_from(role.duration_seconds).ok().filter(|s| *s > 0)),
        )
    }
}

impl ProvideCredentials for Role {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            let answer = self.0.clone().send().await.map_err(CredentialsError::provider_error)?;
            keys(answer.credentials, "assume-role")
        })
    }
}
