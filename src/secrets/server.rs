//! What clients of Consul and Vault have in common: TLS, proxies, attempts.

use image_action_engine::wait::retry_up_to;
use image_action_engine::{CancellationToken, Env, Error, ErrorKind, Result};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The most that is read of an answer, in bytes: Vault keeps secrets of 1 MiB, Consul of half of that.
const MAX_ANSWER: usize = 4 << 20;

/// How the server is talked to; empty texts are what is not set.
#[derive(Default)]
pub(super) struct Connection {
    /// A file of certificates that are trusted, in place of the system's.
    pub ca_file: Option<String>,
    /// A folder of such files.
    pub ca_path: Option<String>,
    /// Certificates themselves, in PEM form.
    pub ca_pem: Option<String>,
    /// Files of our own certificate and its key.
    pub identity: Option<(String, String)>,
    /// Takes any certificate.
    pub any_certificate: bool,
    /// A proxy for every request, before those of the environment.
    pub proxy: Option<String>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Attempts in all.
    pub attempts: u32,
}

/// What a server has answered.
pub(super) struct Answer {
    /// The status.
    pub status: u16,
    /// The body; null where it is no JSON.
    pub body: Value,
}

/// A bool as Go reads it, which both servers' own clients are written in.
///
/// # Errors
/// Another text.
pub(super) fn flag(env: &Env, name: &str) -> Result<Option<bool>> {
    let Some(text) = env.get(name) else { return Ok(None) };
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Some(true)),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Some(false)),
        _ => Err(Error::new(ErrorKind::Invalid, format!("{name} is {text:?}, which is neither true nor false"))
            .hint("set it to true or false, or unset it")),
    }
}

/// Refuses variables that are understood by the server's own client and not here.
///
/// # Errors
/// One of them is set.
pub(super) fn refuse(env: &Env, names: &[&str]) -> Result<()> {
    match names.iter().find(|n| env.get(n).is_some()) {
        Some(name) => Err(Error::new(ErrorKind::Invalid, format!("{name} is set, and not supported here"))
            .hint("unset it for this program")),
        None => Ok(()),
    }
}

impl Connection {
    /// Sends a request as often as is worth it.
    ///
    /// # Errors
    /// No answer. A refusal is an answer.
    pub async fn get(&self, env: &Env, what: &str, url: reqwest::Url, headers: &[(&str, String)]) -> Result<Answer> {
        let client = self.client(env, &url)?;
        let mut request = client.get(url.clone());
        for (name, value) in headers {
            let mut value = reqwest::header::HeaderValue::from_str(value).map_err(|_| {
                Error::new(ErrorKind::Invalid, format!("{what}: the header {name} cannot hold this text"))
                    .hint("a token holds neither line ends nor characters beyond ASCII; look for a line end at its end")
            })?;
            value.set_sensitive(true);
            request = request.header(*name, value);
        }
        let send = || async {
            // No body that could not be repeated.
            let request = request.try_clone().ok_or_else(|| Error::failed("the request cannot be repeated"))?;
            read(request, what, &url).await
        };
        let again = |e: &Error| e.kind == ErrorKind::Unreachable;
        retry_up_to(self.attempts, &CancellationToken::new(), again, send).await
    }

    fn client(&self, env: &Env, url: &reqwest::Url) -> Result<reqwest::Client> {
        let https = url.scheme() == "https";
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("image-action/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(self.timeout)
            // A standby server of Vault sends to the active one, once; the token goes there and never from TLS to plain text.
            .redirect(reqwest::redirect::Policy::custom(move |attempt| {
                let plain = https && attempt.url().scheme() != "https";
                if attempt.previous().len() > 1 || plain { attempt.stop() } else { attempt.follow() }
            }))
            .no_proxy();
        for pem in self.authorities()? {
            builder = builder.tls_built_in_root_certs(false);
            for certificate in
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| unreadable("certificates", &e))?
            {
                builder = builder.add_root_certificate(certificate);
            }
        }
        if let Some((certificate, key)) = &self.identity {
            let mut pem = file(certificate)?;
            pem.push(b'\n');
            pem.extend(file(key)?);
            let identity = reqwest::Identity::from_pem(&pem).map_err(|e| unreadable(certificate, &e))?;
            builder = builder.identity(identity);
        }
        if self.any_certificate {
            builder = builder.danger_accept_invalid_certs(true);
        }
        for proxy in self.proxies(env)? {
            builder = builder.proxy(proxy);
        }
        builder.build().map_err(|e| Error::failed(format!("no HTTP client: {e}")))
    }

    /// What is trusted in place of the system's certificates.
    fn authorities(&self) -> Result<Vec<Vec<u8>>> {
        if let Some(pem) = &self.ca_pem {
            return Ok(vec![pem.clone().into_bytes()]);
        }
        if let Some(path) = &self.ca_file {
            return Ok(vec![file(path)?]);
        }
        let Some(folder) = &self.ca_path else { return Ok(Vec::new()) };
        let entries = std::fs::read_dir(folder).map_err(|e| unreadable(folder, &e))?;
        let files = entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_file());
        files.map(|p| file(&p.to_string_lossy())).collect()
    }

    fn proxies(&self, env: &Env) -> Result<Vec<reqwest::Proxy>> {
        let wrong = |name: &str| {
            Error::new(ErrorKind::Invalid, format!("{name} is not the URL of a proxy"))
                .hint("write it as http://host:port")
        };
        if let Some(own) = &self.proxy {
            return Ok(vec![reqwest::Proxy::all(own).map_err(|_| wrong("the server's own proxy"))?]);
        }
        let either = |name: &str| env.get(&name.to_uppercase()).or_else(|| env.get(name));
        let except = format!("127.0.0.0/8,localhost,::1,{}", either("no_proxy").unwrap_or_default());
        let mut all = Vec::new();
        for (name, https) in [("http_proxy", false), ("https_proxy", true)] {
            let Some(proxy) = either(name) else { continue };
            let made = if https { reqwest::Proxy::https(proxy) } else { reqwest::Proxy::http(proxy) };
            let made = made.map_err(|_| wrong(&name.to_uppercase()))?;
            all.push(made.no_proxy(reqwest::NoProxy::from_string(&except)));
        }
        Ok(all)
    }
}

async fn read(request: reqwest::RequestBuilder, what: &str, url: &reqwest::Url) -> Result<Answer> {
    let place = format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
    let lost = |e: reqwest::Error| {
        let reason = std::iter::successors(std::error::Error::source(&e), |e| e.source()).last();
        let reason = reason.map_or_else(|| e.to_string(), ToString::to_string);
        Error::new(ErrorKind::Unreachable, format!("{what} got no answer from {place}: {reason}"))
    };
    let mut response = request.send().await.map_err(lost)?;
    let status = response.status().as_u16();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        if bytes.len() + chunk.len() > MAX_ANSWER {
            return Err(Error::failed(format!("{what} got more than {} MiB from {place}", MAX_ANSWER >> 20)));
        }
        bytes.extend_from_slice(&chunk);
    }
    if status == 429 || status == 412 || status >= 500 {
        return Err(Error::new(ErrorKind::Unreachable, format!("{what}: {place} answered with status {status}"))
            .detail(String::from_utf8_lossy(&bytes).chars().take(200).collect::<String>()));
    }
    Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_default() })
}

fn file(path: &str) -> Result<Vec<u8>> {
    std::fs::read(Path::new(path)).map_err(|e| unreadable(path, &e))
}

fn unreadable(what: &str, why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, format!("{what} cannot be read: {why}")).hint("name files in PEM form")
}
