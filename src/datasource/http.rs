//! `http`: the answer of a web server.

use async_trait::async_trait;
use image_action_engine::run::RunContext;
use image_action_engine::{Block, Config, DataSource, Error, ErrorKind, PrepareContext, Result};
use image_action_lang::{Diagnostic, Diagnostics, Type, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Asks a web server, and gives its answer to the template.
#[derive(Config)]
pub struct HttpData {
    /// The address that is asked. It must be set.
    url: Option<String>,
    /// The method of the request: `HEAD`, `GET`, `POST`, `PUT`, `DELETE`, `OPTIONS` or `PATCH`.
    #[config(default = "GET")]
    method: String,
    /// The headers of the request.
    request_headers: BTreeMap<String, String>,
    /// What is sent with the request. Left out: nothing.
    request_body: String,
}

/// The methods that may be used.
const METHODS: [&str; 7] = ["HEAD", "GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];

/// How long a server has for its answer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The most that is read of an answer, in bytes: it becomes a value of the template.
const MAX_BODY: usize = 16 << 20;

/// Makes it.
///
/// # Errors
/// A missing address, an unknown method.
pub fn make(_: &PrepareContext, body: &Block) -> std::result::Result<Box<dyn DataSource>, Diagnostics> {
    let config = HttpData::decode(body);
    let mut diags = Diagnostics::new();
    if config.url.as_deref().unwrap_or_default().is_empty() {
        diags.push(
            Diagnostic::error("the `url` must be specified")
                .detail("There is no server to be asked.")
                .at(body.span_of("url")),
        );
    }
    if !METHODS.contains(&config.method.as_str()) && body.value("method").is_none_or(|v| !v.is_unknown()) {
        diags.push(
            Diagnostic::error(format!("the `method` must be one of {}", METHODS.join(", ")))
                .detail(format!("{:?} is none of them.", config.method))
                .at(body.span_of("method")),
        );
    }
    if diags.has_errors() { Err(diags) } else { Ok(Box::new(config)) }
}

#[async_trait]
impl DataSource for HttpData {
    fn output_type(&self) -> Type {
        Type::object([
            (Arc::from("body"), Type::String),
            (Arc::from("request_headers"), Type::map(Type::String)),
            (Arc::from("response_headers"), Type::map(Type::String)),
            (Arc::from("url"), Type::String),
        ])
    }

    async fn read(&self, run: &RunContext) -> Result<Value> {
        tokio::select! {
            () = run.cancel.cancelled() => Err(Error::cancelled()),
            answer = self.ask() => answer,
        }
    }
}

impl HttpData {
    async fn ask(&self) -> Result<Value> {
        let url = self.url.clone().unwrap_or_default();
        let failed = |e: reqwest::Error| {
            let kind = if e.is_connect() || e.is_timeout() { ErrorKind::Unreachable } else { ErrorKind::Failed };
            let reason = std::iter::successors(std::error::Error::source(&e), |e| e.source()).last();
            let reason = reason.map_or_else(|| e.to_string(), ToString::to_string);
            Error::new(kind, format!("{} {url} failed: {reason}", self.method))
        };
        let client = reqwest::Client::builder().timeout(TIMEOUT).build().map_err(failed)?;
        let method = self.method.parse().map_err(|_| Error::failed(format!("{:?} is no HTTP method", self.method)))?;
        let mut request = client.request(method, &url);
        for (name, value) in &self.request_headers {
            request = request.header(name, value);
        }
        if !self.request_body.is_empty() {
            request = request.body(self.request_body.clone());
        }
        let mut response = request.send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(Error::failed(format!("{} {url} answered {}", self.method, response.status())));
        }
        let headers = response.headers().iter().map(|(name, value)| {
            // Packer has them in Go's spelling, the values of a repeated header joined.
            (Arc::from(canonical(name.as_str())), Value::string(String::from_utf8_lossy(value.as_bytes())))
        });
        let headers: BTreeMap<Arc<str>, Value> = headers.collect();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(Error::failed(format!("{} {url} answered with more than {MAX_BODY} bytes", self.method)));
            }
            body.extend_from_slice(&chunk);
        }
        let body = String::from_utf8(body)
            .map_err(|_| Error::failed(format!("the answer of {} {url} is not UTF-8 text", self.method)))?;
        Ok(Value::object(BTreeMap::from([
            (Arc::from("body"), Value::string(body)),
            // Packer's name for the headers of the response; theirs is the right one beside it.
            (Arc::from("request_headers"), Value::map(Type::String, headers.clone())),
            (Arc::from("response_headers"), Value::map(Type::String, headers)),
            (Arc::from("url"), Value::string(&url)),
        ])))
    }
}

/// A header's name as Go writes it: `content-type` is `Content-Type`.
fn canonical(name: &str) -> String {
    let part = |p: &str| {
        let mut chars = p.chars();
        chars.next().map(|c| c.to_ascii_uppercase()).into_iter().chain(chars).collect::<String>()
    };
    name.split('-').map(part).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn an_answer_becomes_a_value_and_a_refusal_an_error() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            for answer in [
                "HTTP/1.1 200 OK\r\nx-a-b: 1\r\ncontent-length: 2\r\n\r\nhi",
                "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n",
            ] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let n = stream.read(&mut request).await.unwrap();
                assert!(String::from_utf8_lossy(&request[..n]).starts_with("GET /x"));
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let data = HttpData {
            url: Some(url),
            method: "GET".into(),
            request_headers: BTreeMap::new(),
            request_body: String::new(),
        };
        let value = data.ask().await.unwrap();
        let entries = value.entries().unwrap();
        assert_eq!(entries["body"].as_str(), Some("hi"));
        assert_eq!(entries["response_headers"].entries().unwrap()["X-A-B"].as_str(), Some("1"));
        let e = data.ask().await.unwrap_err();
        assert!(e.summary.contains("404"), "{e}");
        server.await.unwrap();
        assert_eq!(data.ask().await.unwrap_err().kind, ErrorKind::Unreachable);
    }
}
