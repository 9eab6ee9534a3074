//! Parameter Store: the data source `amazon-parameterstore`.
//!
//! Systems Manager has 150 operations, and the crate that has them all compiles for minutes; this room needs one of them.
//! Its request is made here, of what the SDK's crates are made of: signature, HTTP client, failures.

use crate::account::Account;
use crate::config::{ParameterData, check_access};
use crate::policy::{Arns, one_call};
use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_secretsmanager::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::ErrorMetadata;
use aws_types::service_config::ServiceConfigKey;
use image_action_engine::config::Block;
use image_action_engine::outline::Grant;
use image_action_engine::run::RunContext;
use image_action_engine::{Config, DataSource, Error, PrepareContext, Result};
use image_action_lang::{Diagnostics, Type, Value};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

/// Systems Manager, as signatures and host names call it.
const SERVICE: &str = "ssm";

/// The operation, as the protocol (AWS JSON 1.1) names it in a header.
const TARGET: &str = "AmazonSSM.GetParameter";

/// Why no parameter came.
type Refused = SdkError<ErrorMetadata, HttpResponse>;

/// `ssm:GetParameter` of one account and region.
#[derive(Clone)]
struct Store(SdkConfig);

impl Store {
    /// Makes the call once.
    async fn get(&self, name: &str, decrypt: bool) -> Result<Json, Refused> {
        let provider = self.0.credentials_provider().ok_or_else(CredentialsError::not_loaded_no_source);
        let keys = match provider {
            Ok(provider) => provider.provide_credentials().await,
            Err(e) => Err(e),
        };
        let keys = keys.map_err(SdkError::construction_failure)?;
        let endpoint = self.endpoint().await.map_err(SdkError::construction_failure)?;
        let region = self.0.region().map(ToString::to_string).unwrap_or_default();
        let body = json!({ "Name": name, "WithDecryption": decrypt }).to_string();
        let url = endpoint.clone();
        let mut operation = Operation::builder()
            .service_name(SERVICE)
            .operation_name("GetParameter")
            .endpoint_url(&endpoint)
            .no_auth()
            .no_retry()
            .serializer(move |body: String| signed(&url, body, &keys, &region))
            .deserializer(parse);
        if let Some(http) = self.0.http_client() {
            operation = operation.http_client(http);
        }
        if let Some(sleep) = self.0.sleep_impl() {
            operation = operation.sleep_impl(sleep);
        }
        if let Some(timeouts) = self.0.timeout_config() {
            operation = operation.timeout_config(timeouts.clone());
        }
        operation.build().invoke(body).await
    }
    /// Where the service is: as environment and profile say, else beside Secrets Manager of the same region, whose rules of
    /// partitions are the same.
    async fn endpoint(&self) -> Result<String, BoxError> {
        let key =
            ServiceConfigKey::builder().service_id("SSM").env("AWS_ENDPOINT_URL").profile("endpoint_url").build()?;
        if let Some(own) = self.0.service_config().and_then(|c| c.load_config(key)) {
            return Ok(own);
        }
        let region = self.0.region().map(ToString::to_string).unwrap_or_default();
        let neighbour = DefaultResolver::new().resolve_endpoint(&Params::builder().region(region).build()?).await?;
        Ok(neighbour.url().replacen("secretsmanager", SERVICE, 1))
    }
}

/// The request with its signature.
fn signed(endpoint: &str, body: String, keys: &Credentials, region: &str) -> Result<HttpRequest, BoxError> {
    let mut request = HttpRequest::new(SdkBody::from(body.clone()));
    request.set_method("POST")?;
    request.set_uri("/")?;
    request.headers_mut().insert("content-type", "application/x-amz-json-1.1");
    request.headers_mut().insert("x-amz-target", TARGET);
    let identity = keys.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SERVICE)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()?
        .into();
    let url = format!("{}/", endpoint.trim_end_matches('/'));
    let signable = SignableRequest::new("POST", url, request.headers().iter(), SignableBody::Bytes(body.as_bytes()))?;
    let (instructions, _) = sign(signable, &params)?.into_parts();
    let (headers, _) = instructions.into_parts();
    for header in headers {
        request.headers_mut().insert(header.name(), header.value().to_owned());
    }
    Ok(request)
}

/// The parameter in an answer, or the refusal that it is.
fn parse(response: &HttpResponse) -> Result<Json, OrchestratorError<ErrorMetadata>> {
    let body = response.body().bytes().unwrap_or_default();
    let json: Json = serde_json::from_slice(body).map_err(OrchestratorError::other)?;
    if response.status().is_success() {
        return Ok(json);
    }
    // `{"__type": "com.amazonaws.ssm#ParameterNotFound", "message": …}`
    let code = json["__type"].as_str().unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default();
    let message = json["message"].as_str().or_else(|| json["Message"].as_str()).unwrap_or_default();
    Err(OrchestratorError::operation(ErrorMetadata::builder().code(code).message(message).build()))
}

/// The ARN of a parameter; the version or label behind a colon is no part of it, nor is the slash of a hierarchy.
fn resource(region: &str, name: &str) -> String {
    if name.starts_with("arn:") {
        return name.to_owned();
    }
    let plain = name.split(':').next().unwrap_or_default().trim_start_matches('/');
    let known = !plain.is_empty() && !plain.contains('<');
    Arns::of(region).of_service("ssm", &format!("parameter/{}", if known { plain } else { "*" }))
}

/// `data "amazon-parameterstore"`
struct ParameterSource(ParameterData);

/// Makes the data source `amazon-parameterstore`.
///
/// # Errors
/// What is wrong with its options.
pub fn make_parameter_data(_: &PrepareContext, body: &Block) -> Result<Box<dyn DataSource>, Diagnostics> {
    let config = ParameterData::decode(body);
    let found = check_access(&config.access, body);
    found.or_ok(Box::new(ParameterSource(config)) as Box<dyn DataSource>).map(|(source, _)| source)
}

#[async_trait]
impl DataSource for ParameterSource {
    fn output_type(&self) -> Type {
        Type::object(["value", "version", "arn"].map(|n| (Arc::from(n), Type::String)))
    }
    fn grants(&self) -> Option<(&'static str, Vec<Grant>)> {
        one_call(&self.0.access, &resource(&self.0.access.region, &self.0.name), "ssm:GetParameter")
    }
    async fn read(&self, run: &RunContext) -> Result<Value> {
        let ParameterData { access, name, with_decryption } = &self.0;
        let account = Account::open(access, &run.env, &run.cancel).await?;
        let store = account.service(SERVICE, |config| Store(config.clone()), &run.cancel);
        let answer = store.call("GetParameter", name, || store.client.get(name, *with_decryption)).await;
        let answer = answer.map_err(|failure| {
            let hint = match failure.code.as_str() {
                "ParameterNotFound" => {
                    "check the name and the region; the name of a parameter in a hierarchy begins with a slash"
                }
                "ParameterVersionNotFound" => {
                    "the parameter exists and this version or label of it does not: correct what follows the colon"
                }
                _ => return Error::from(failure),
            };
            Error::from(failure).hint(hint)
        })?;
        let parameter = &answer["Parameter"];
        let text = |name: &str| parameter[name].as_str().unwrap_or_default();
        // What is stored in the clear may be shown: the id of an image, say.
        let secret = text("Type") == "SecureString";
        Ok(Value::object(BTreeMap::from([
            (Arc::from("value"), Value::string(text("Value")).with_sensitive(secret)),
            (Arc::from("version"), Value::string(parameter["Version"].to_string())),
            (Arc::from("arn"), Value::string(text("ARN"))),
        ])))
    }
}
