//! One HTTP client for everything: tokens, documents, Resource Manager, and the SDK's requests.

use crate::failure::Failure;
use bytes::Bytes;
use image_action_engine::{Env, Error, ErrorKind, Result};
use reqwest::{Method, Url};
use std::collections::HashMap;
use std::time::Duration;

/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an answer may take: Resource Manager itself gives up after 60 seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(75);

/// One answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers by lower-case name.
    pub headers: HashMap<String, String>,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
    /// The body as JSON; `Null` where it is empty or something else.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
    /// Whether the call worked.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
    /// How long the service asks us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.header("retry-after").and_then(|v| v.trim().parse().ok());
        seconds.map(Duration::from_secs).filter(|d| !d.is_zero())
    }
}

/// A request, as it is sent (and sent again).
#[derive(Clone, Debug)]
pub struct Call {
    /// GET, PUT, …
    pub method: Method,
    /// Where.
    pub url: Url,
    /// Headers; never the authorization, which is added on the way.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Call {
    /// A call without a body.
    pub fn new(method: Method, url: Url) -> Call {
        Call { method, url, headers: Vec::new(), body: Bytes::new() }
    }
    /// With a JSON body.
    #[must_use]
    pub fn json(mut self, body: &serde_json::Value) -> Call {
        self.body = Bytes::from(body.to_string());
        self.header("content-type", "application/json; charset=utf-8")
    }
    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Call {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
    /// With a form as its body.
    #[must_use]
    pub fn form(mut self, fields: &[(&str, &str)]) -> Call {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.body = Bytes::from(body);
        self.header("content-type", "application/x-www-form-urlencoded")
    }
}

/// The client. Cheap to clone; connections are shared.
#[derive(Clone, Debug)]
pub struct Http(reqwest::Client);

impl Http {
    /// With the proxies of the environment; loopback is never asked of a proxy.
    ///
    /// # Errors
    /// A proxy that is no URL, or a program that has chosen no TLS provider.
    pub fn new(env: &Env) -> Result<Http> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("image-action/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            // Redirects would carry the token elsewhere; Resource Manager sends none.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        let either = |name: &str| env.get(&name.to_uppercase()).or_else(|| env.get(name)).map(str::to_owned);
        let except = format!("127.0.0.0/8,localhost,::1,{}", either("no_proxy").unwrap_or_default());
        for (name, https) in [("http_proxy", false), ("https_proxy", true)] {
            let Some(proxy) = either(name) else { continue };
            let made = if https { reqwest::Proxy::https(&proxy) } else { reqwest::Proxy::http(&proxy) };
            let made = made.map_err(|_| {
                Error::new(ErrorKind::Invalid, format!("{} is not the URL of a proxy", name.to_uppercase()))
                    .hint("write it as http://host:port")
            })?;
            builder = builder.proxy(made.no_proxy(reqwest::NoProxy::from_string(&except)));
        }
        let client = builder.build().map_err(|e| Error::failed(format!("no HTTP client: {e}")))?;
        Ok(Http(client))
    }
    /// Sends it once, and reads the whole answer.
    ///
    /// # Errors
    /// Where no whole answer came.
    pub async fn send(
        &self,
        call: &Call,
        authorization: Option<&str>,
        name: &str,
    ) -> std::result::Result<Answer, Failure> {
        let mut request = self.0.request(call.method.clone(), call.url.clone());
        for (header, value) in &call.headers {
            request = request.header(header, value);
        }
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        // A PUT without a length is refused by some gateways: an empty body still has one.
        let lost = |e: reqwest::Error, uncertain: bool| Failure {
            uncertain,
            ..Failure::unanswered(name, format!("no answer from {}: {}", host(&call.url), reason(&e)))
        };
        let response = request.body(call.body.clone()).send().await.map_err(|e| {
            let connected = !e.is_connect();
            lost(e, connected)
        })?;
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let headers = headers.filter_map(|(k, v)| Some((k.as_str().to_owned(), v.to_str().ok()?.to_owned()))).collect();
        let body = response.bytes().await.map_err(|e| lost(e, true))?;
        Ok(Answer { status, headers, body })
    }
}

fn host(url: &Url) -> String {
    url.port().map_or_else(
        || url.host_str().unwrap_or_default().to_owned(),
        |port| format!("{}:{port}", url.host_str().unwrap_or_default()),
    )
}

/// The innermost reason, which says more than the outer ones.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
