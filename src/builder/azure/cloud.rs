//! Which cloud: its endpoints, by name or from its own metadata document.

use crate::http::{Call, Http};
use image_action_engine::{CancellationToken, Error, ErrorKind, Result};
use reqwest::{Method, Url};
use serde_json::Value;

/// Where a cloud's services are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Resource Manager, without a slash at its end.
    pub manager: String,
    /// Entra ID, without a slash at its end.
    pub login: String,
}

impl Endpoints {
    fn new(manager: &str, login: &str) -> Endpoints {
        Endpoints { manager: manager.to_owned(), login: login.to_owned() }
    }
    /// What tokens are asked for.
    pub fn scope(&self) -> String {
        format!("{}/.default", self.manager)
    }
    /// The audience of an identity token that this cloud's Entra ID exchanges.
    pub fn exchange_audience(&self) -> &'static str {
        match self.login.rsplit('.').next() {
            Some("us") => "api://AzureADTokenExchangeUSGov",
            Some("cn") => "api://AzureADTokenExchangeChina",
            _ => "api://AzureADTokenExchange",
        }
    }
    /// The cloud of a template's name, in any case.
    pub fn named(name: &str) -> Option<Endpoints> {
        match name.to_lowercase().as_str() {
            "public" | "publiccloud" | "azurepubliccloud" => {
                Some(Endpoints::new("https://management.azure.com", "https://login.microsoftonline.com"))
            }
            "usgovernment" | "usgovernmentcloud" | "azureusgovernment" | "azureusgovernmentcloud" => {
                Some(Endpoints::new("https://management.usgovcloudapi.net", "https://login.microsoftonline.us"))
            }
            "china" | "chinacloud" | "azurechinacloud" => {
                Some(Endpoints::new("https://management.chinacloudapi.cn", "https://login.chinacloudapi.cn"))
            }
            _ => None,
        }
    }
    /// The endpoints that the metadata document of `host` names.
    ///
    /// # Errors
    /// A host without a scheme, or a document that cannot be had: a token must not go to another cloud than the one asked for.
    pub async fn described_by(host: &str, http: &Http, cancel: &CancellationToken) -> Result<Endpoints> {
        let hint = "metadata_host (or ARM_METADATA_URL) is a whole URL, such as https://management.example.com";
        let wrong = |why: String| Error::new(ErrorKind::Invalid, why).hint(hint);
        let address = format!("{}/metadata/endpoints?api-version=2022-09-01", host.trim_end_matches('/'));
        let url = Url::parse(&address).ok().filter(|u| u.has_host() && matches!(u.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| wrong(format!("the metadata host \"{host}\" is no URL")))?;
        let name = format!("GET the metadata of {host}");
        let call = Call::new(Method::GET, url);
        // The first call of all: an address that does not answer is told soon.
        let answer = image_action_engine::wait::retry_up_to(
            2,
            cancel,
            |e: &Error| e.kind == ErrorKind::Unreachable,
            || async { http.send(&call, None, &name).await.map_err(Error::from) },
        )
        .await?;
        let document = answer.json();
        let manager = document.get("resourceManager").and_then(Value::as_str);
        let login = document.pointer("/authentication/loginEndpoint").and_then(Value::as_str);
        match (manager, login) {
            (Some(manager), Some(login)) if answer.is_success() => {
                Ok(Endpoints::new(manager.trim_end_matches('/'), login.trim_end_matches('/')))
            }
            _ => Err(wrong(format!("{name}: {} and no endpoints in the answer", answer.status))),
        }
    }
}
