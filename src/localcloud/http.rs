//! A request and a response as the services see them: whole bodies, no streams.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use percent_encoding::percent_decode_str;

/// One request, with its whole body.
#[derive(Clone, Debug)]
pub struct Request {
    /// GET, POST, …
    pub method: Method,
    /// Decoded path below the service's own prefix, beginning with `/`.
    pub path: String,
    /// The path and query as they came.
    pub raw: String,
    /// Decoded parameters of the query, in order.
    pub query: Vec<(String, String)>,
    /// Headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Whether it came over TLS.
    pub tls: bool,
}

/// Decodes `a=b&c=d`.
pub fn decode_form(text: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

impl Request {
    /// The first value of a query parameter.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }
    /// The body's parameters, where it is a form.
    pub fn form(&self) -> Vec<(String, String)> {
        decode_form(&String::from_utf8_lossy(&self.body))
    }
    /// The body as JSON; `Null` where there is none.
    ///
    /// # Errors
    /// What the parser says.
    pub fn json(&self) -> Result<serde_json::Value, serde_json::Error> {
        if self.body.is_empty() { Ok(serde_json::Value::Null) } else { serde_json::from_slice(&self.body) }
    }
    /// Segments of the path, without empty ones.
    pub fn segments(&self) -> Vec<&str> {
        self.path.split('/').filter(|s| !s.is_empty()).collect()
    }
    /// The same request with its path below `prefix`, where it lies there.
    pub fn below(&self, prefix: &str) -> Option<Request> {
        let rest = self.path.strip_prefix(prefix)?;
        if !rest.is_empty() && !rest.starts_with('/') {
            return None;
        }
        let path = if rest.is_empty() { "/".to_owned() } else { rest.to_owned() };
        Some(Request { path, ..self.clone() })
    }
    /// `SCHEME://HOST` as the client reached us, for links in answers.
    pub fn origin(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let host = self.header("host").map(str::to_owned);
        // HTTP/2 has the authority in the URI.
        let host = host.or_else(|| self.raw.split("://").nth(1).and_then(|r| r.split('/').next()).map(str::to_owned));
        format!("{scheme}://{}", host.unwrap_or_else(|| "127.0.0.1".to_owned()))
    }
    pub(crate) fn from_parts(parts: &http::request::Parts, body: Bytes, tls: bool) -> Request {
        let path = percent_decode_str(parts.uri.path()).decode_utf8_lossy().into_owned();
        Request {
            method: parts.method.clone(),
            path,
            raw: parts.uri.to_string(),
            query: decode_form(parts.uri.query().unwrap_or_default()),
            headers: parts.headers.clone(),
            body,
            tls,
        }
    }
}

/// One response.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status code.
    pub status: StatusCode,
    /// Headers by name.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// An empty answer.
    pub fn empty(status: u16) -> Response {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Response { status, headers: Vec::new(), body: Bytes::new() }
    }
    /// Text of a content type.
    pub fn text(status: u16, content_type: &str, text: impl Into<String>) -> Response {
        let mut response = Response::empty(status).header("content-type", content_type);
        response.body = Bytes::from(text.into());
        response
    }
    /// JSON.
    pub fn json(status: u16, value: &serde_json::Value) -> Response {
        Response::text(status, "application/json; charset=utf-8", value.to_string())
    }
    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Response {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}
