//! Who calls: what the template says, or what the environment holds. A build without credentials fails at once; the client
//! library's own search asks a metadata server that is not there for most of a minute.

use crate::config::Authentication;
use crate::federation::Federation;
use google_cloud_auth::credentials::{
    CacheableResource, Credentials, CredentialsProvider, EntityTag, external_account, impersonated, mds,
    service_account, user_account,
};
use google_cloud_auth::errors::CredentialsError;
use http::{Extensions, HeaderMap, HeaderValue, header};
use image_action_engine::config::UNKNOWN_TEXT;
use image_action_engine::{Env, Error, ErrorKind, PrepareContext, Result, Secret};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What every scope's name begins with.
const SCOPE: &str = "https://www.googleapis.com/auth/";

/// What a token of a template's credential file may do; the same as Packer asks for.
const FILE_SCOPES: [&str; 3] = ["compute", "devstorage.full_control", "userinfo.email"];

/// What a token of the environment's credentials may do.
const ENV_SCOPES: [&str; 4] = ["compute", "devstorage.full_control", "userinfo.email", "cloud-platform"];

/// How long a metadata server may take to say that it is one.
const METADATA_PATIENCE: Duration = Duration::from_secs(1);

/// The metadata server of Compute Engine.
const METADATA_HOST: &str = "metadata.google.internal";

const HINT: &str = "set credentials_file, or GOOGLE_APPLICATION_CREDENTIALS; in a workflow give the action the inputs gcp-workload-identity-provider and gcp-service-account, with `id-token: write` in the permissions of the job";

/// What a way to authenticate comes from.
pub(crate) enum Source {
    Token(Secret),
    /// The content of a credential file, and how it is called in messages.
    Json(Box<Value>, String),
    /// The environment, looked at when the build runs.
    Environment,
}

/// Credentials, and whose they are where that is known.
#[derive(Clone)]
pub(crate) struct Identity {
    pub credentials: Credentials,
    /// Email of the service account.
    pub email: Option<String>,
}

/// Finds what the template says of credentials; reads and parses files.
///
/// # Errors
/// A file that cannot be read, or whose content is no credential.
pub(crate) fn look(options: &Authentication, cx: &PrepareContext) -> Result<Source> {
    source(options, &cx.cwd)
}

fn source(options: &Authentication, cwd: &Path) -> Result<Source> {
    let unknown = |s: &str| s.contains(UNKNOWN_TEXT);
    if !options.access_token.is_empty() {
        return Ok(Source::Token(options.access_token.clone()));
    }
    let account = options.account_file.expose().trim();
    let (file, json) = if account.starts_with('{') {
        ("", account)
    } else if !account.is_empty() {
        (account, "")
    } else {
        (options.credentials_file.as_str(), options.credentials_json.expose())
    };
    if unknown(file) || unknown(json) {
        return Ok(Source::Environment);
    }
    if !file.is_empty() {
        return read(&cwd.join(file));
    }
    if !json.is_empty() {
        return parse(json, "credentials_json".to_owned());
    }
    Ok(Source::Environment)
}

fn read(path: &Path) -> Result<Source> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Error::new(ErrorKind::Credentials, format!("the credential file {} cannot be read: {e}", path.display()))
            .hint(HINT)
    })?;
    parse(&text, path.display().to_string())
}

fn parse(text: &str, name: String) -> Result<Source> {
    let value: Value = serde_json::from_str(text).map_err(|e| {
        // The parser's own message may quote the text.
        let place = format!("line {}, column {}", e.line(), e.column());
        Error::new(ErrorKind::Credentials, format!("{name} is no JSON ({place})")).hint(HINT)
    })?;
    let kind = value["type"].as_str().unwrap_or_default();
    if ["service_account", "authorized_user", "external_account", "impersonated_service_account"].contains(&kind) {
        return Ok(Source::Json(Box::new(value), name));
    }
    let what = if kind.is_empty() { "no type".to_owned() } else { format!("the type \"{kind}\"") };
    Err(Error::new(ErrorKind::Credentials, format!("{name} has {what}, which is no credential that can be used here"))
        .hint("use a service account key, a file of workload identity federation (external_account), authorized_user or impersonated_service_account"))
}

fn scopes(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| format!("{SCOPE}{n}")).collect()
}

/// The credentials of a build. `vm_scopes` are what impersonated tokens carry, as in Packer.
///
/// # Errors
/// None there, or none that can be used.
pub(crate) async fn identity(
    options: &Authentication,
    vm_scopes: &[String],
    cwd: &Path,
    env: &Env,
) -> Result<Identity> {
    if !options.impersonate_service_account.is_empty() {
        let base = environment(cwd, env).await?;
        let credentials = impersonated::Builder::from_source_credentials(base.credentials)
            .with_target_principal(&options.impersonate_service_account)
            .with_scopes(vm_scopes)
            .build()
            .map_err(|e| unusable("impersonate_service_account", &e))?;
        return Ok(Identity { credentials, email: Some(options.impersonate_service_account.clone()) });
    }
    match source(options, cwd)? {
        Source::Environment => environment(cwd, env).await,
        Source::Token(token) => from_token(&token),
        Source::Json(value, name) => from_json(*value, &name, &scopes(&FILE_SCOPES)),
    }
}

/// What the environment holds: a provider of workload identity federation, then the order of Google's own libraries, with the
/// names of Terraform after them.
///
/// # Errors
/// None there, or none that can be used.
pub(crate) async fn environment(cwd: &Path, env: &Env) -> Result<Identity> {
    let wanted = scopes(&ENV_SCOPES);
    let from = |source| match source {
        Source::Json(value, name) => from_json(*value, &name, &wanted),
        Source::Token(token) => from_token(&token),
        // Neither `read` nor `parse` gives this one.
        Source::Environment => Err(none()),
    };
    // Whoever names a provider in a job that somebody vouches for means that one.
    if let Some(federation) = Federation::of(env, &wanted)? {
        let email = federation.account().map(str::to_owned);
        return Ok(Identity { credentials: federation.into(), email });
    }
    if let Some(path) = env.get("GOOGLE_APPLICATION_CREDENTIALS") {
        return from(read(&cwd.join(path))?);
    }
    if let Some(text) = env.get("GOOGLE_CREDENTIALS") {
        let inline = text.trim_start().starts_with('{');
        return from(if inline { parse(text, "GOOGLE_CREDENTIALS".to_owned())? } else { read(&cwd.join(text))? });
    }
    if let Some(token) = env.get("GOOGLE_OAUTH_ACCESS_TOKEN") {
        return from(Source::Token(Secret::new(token)));
    }
    if let Some(path) = well_known(env).filter(|p| p.is_file()) {
        return from(read(&path)?);
    }
    if let Some(endpoint) = metadata_server(env).await {
        let credentials = mds::Builder::default()
            .with_endpoint(endpoint)
            .with_scopes(wanted)
            .build()
            .map_err(|e| unusable("the metadata server", &e))?;
        return Ok(Identity { credentials, email: None });
    }
    Err(none())
}

fn none() -> Error {
    Error::new(ErrorKind::Credentials, "there are no Google Cloud credentials").hint(HINT)
}

/// Where gcloud keeps application-default credentials.
fn well_known(env: &Env) -> Option<PathBuf> {
    let dir = env.get("CLOUDSDK_CONFIG").map(PathBuf::from).or_else(|| {
        let home = env.get("HOME")?;
        Some(Path::new(home).join(".config/gcloud"))
    });
    dir.map(|d| d.join("application_default_credentials.json"))
}

/// The address of a metadata server that answers as one; a resolver may find a name that leads to something else.
async fn metadata_server(env: &Env) -> Option<String> {
    let host = env.get("GCE_METADATA_HOST").unwrap_or(METADATA_HOST);
    let url = format!("http://{host}");
    let client = reqwest::Client::builder().no_proxy().timeout(METADATA_PATIENCE).build().ok()?;
    let answer = client.get(&url).header("Metadata-Flavor", "Google").send().await.ok()?;
    let flavor = answer.headers().get("Metadata-Flavor").is_some_and(|v| v == "Google");
    flavor.then_some(url)
}

fn unusable(name: &str, why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Credentials, format!("the credentials of {name} cannot be used: {why}")).hint(HINT)
}

fn from_json(value: Value, name: &str, scopes: &[String]) -> Result<Identity> {
    let email = email(&value);
    let scopes = scopes.to_vec();
    let credentials = match value["type"].as_str() {
        Some("service_account") => service_account::Builder::new(value)
            .with_access_specifier(service_account::AccessSpecifier::from_scopes(scopes))
            .build(),
        Some("authorized_user") => user_account::Builder::new(value).with_scopes(scopes).build(),
        Some("impersonated_service_account") => impersonated::Builder::new(value).with_scopes(scopes).build(),
        _ => external_account::Builder::new(value).with_scopes(scopes).build(),
    };
    Ok(Identity { credentials: credentials.map_err(|e| unusable(name, &e))?, email })
}

/// The service account of a credential file: its own, or the one that it impersonates.
fn email(value: &Value) -> Option<String> {
    if let Some(email) = value["client_email"].as_str() {
        return Some(email.to_owned());
    }
    let url = value["service_account_impersonation_url"].as_str()?;
    let account = url.rsplit('/').next()?;
    account.strip_suffix(":generateAccessToken").map(str::to_owned)
}

/// Credentials that are one token.
#[derive(Debug)]
struct StaticToken {
    headers: HeaderMap,
    tag: EntityTag,
}

impl CredentialsProvider for StaticToken {
    async fn headers(&self, extensions: Extensions) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        Ok(match extensions.get::<EntityTag>() {
            Some(tag) if *tag == self.tag => CacheableResource::NotModified,
            _ => CacheableResource::New { entity_tag: self.tag.clone(), data: self.headers.clone() },
        })
    }
    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

fn from_token(token: &Secret) -> Result<Identity> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose().trim()))
        .map_err(|_| unusable("access_token", &"it holds characters that no token has"))?;
    value.set_sensitive(true);
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
    Ok(Identity { credentials: StaticToken { headers, tag: EntityTag::new() }.into(), email: None })
}

/// The headers that a request outside of the client library carries.
///
/// # Errors
/// No token could be had.
pub(crate) async fn headers(credentials: &Credentials) -> Result<HeaderMap, CredentialsError> {
    Ok(match credentials.headers(Extensions::new()).await? {
        CacheableResource::New { data, .. } => data,
        // Only said to whoever shows a tag.
        CacheableResource::NotModified => HeaderMap::new(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        Env::from_pairs(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[tokio::test]
    async fn without_credentials_it_ends_at_once() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let begin = std::time::Instant::now();
        // A port that nobody listens on.
        let found = environment(Path::new("/"), &env(&[("GCE_METADATA_HOST", "127.0.0.1:1")])).await;
        let error = found.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Credentials);
        assert!(begin.elapsed() < Duration::from_secs(3));
    }

    #[test]
    fn content_is_told_from_a_path_and_never_quoted() {
        let wrong = parse("{\"private_key\": secret}", "f".to_owned()).err().unwrap();
        assert!(!wrong.to_string().contains("secret"), "{wrong}");
        let other = parse("{\"type\":\"gdch_service_account\"}", "f".to_owned()).err().unwrap();
        assert!(other.to_string().contains("gdch_service_account"));
    }

    #[test]
    fn the_account_of_a_federated_file_is_the_one_it_impersonates() {
        let url = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@b.iam.gserviceaccount.com:generateAccessToken";
        let file = serde_json::json!({ "type": "external_account", "service_account_impersonation_url": url });
        assert_eq!(email(&file).as_deref(), Some("a@b.iam.gserviceaccount.com"));
    }
}
