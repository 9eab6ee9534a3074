//! The listener: http and TLS on one port, and the way to the service that a request is for.
//!
//! | request | service |
//! | --- | --- |
//! | path `/_local/…` | the admin route below |
//! | path `/github/…` | GitHub |
//! | path `/compute/…`, `/google/…` | Google |
//! | an AWS signature, or a form POST to `/` | AWS |
//! | anything else | Azure (Resource Manager and login) |

use crate::cloud::{Cloud, Options};
use crate::fault::Fault;
use crate::guest::{GuestError, GuestHost};
use crate::http::{Request, Response};
use crate::machine::Machines;
use crate::{aws, azure, github, google};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The largest body that is read, in bytes: a release asset of a test is far below.
const BODY_LIMIT: usize = 64 << 20;

/// Thousandths of the ordinary pauses between looks at a state: the states of a local cloud are short.
const POLL_SCALE: &str = "20";

/// Names the port that stands for 22 on the addresses of machines, where port 22 is closed to us.
const SSH_PORT: &str = "IMAGE_ACTION_LOCAL_SSH_PORT";

/// First byte of a TLS record that holds a handshake (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// Why the local cloud did not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Guests cannot run here, or their root could not be made.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// A file could not be written.
    #[error("cannot write {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The port is taken.
    #[error("cannot listen on 127.0.0.1:{port}: {source}")]
    Listen {
        /// Which.
        port: u16,
        /// Why.
        source: std::io::Error,
    },
    /// The CA could not be made.
    #[error("cannot make the certificate of the local cloud: {0}")]
    Certificate(String),
}

/// A local cloud that answers. Ends with [`Running::stop`].
pub struct Running {
    /// Its state.
    pub cloud: Arc<Cloud>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    /// How clients find it: `KEY=VALUE` pairs, standard names where there are any.
    pub fn env(&self) -> BTreeMap<String, String> {
        let cloud = &self.cloud;
        let mut env: BTreeMap<String, String> = BTreeMap::new();
        env.insert("IMAGE_ACTION_LOCAL_URL".into(), cloud.http_url());
        env.insert("IMAGE_ACTION_POLL_SCALE".into(), POLL_SCALE.into());
        env.insert("IMAGE_ACTION_LOCAL_TLS_URL".into(), cloud.https_url());
        env.insert("IMAGE_ACTION_LOCAL_CA".into(), ca_path(&cloud.options.state_dir).display().to_string());
        env.extend(cloud.machines.other_ssh_port().map(|port| (SSH_PORT.to_owned(), port.to_string())));
        env.extend(aws::env(cloud));
        env.extend(azure::env(cloud));
        env.extend(google::env(cloud));
        env.extend(github::env(cloud));
        env
    }
    /// Ends every machine and the listener.
    pub async fn stop(&self) {
        self.task.abort();
        self.cloud.machines.shutdown().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn ca_path(dir: &Path) -> PathBuf {
    dir.join("ca.pem")
}

/// Brings a local cloud up; it answers when this returns.
///
/// # Errors
/// See [`StartError`].
pub async fn start(options: Options) -> Result<Running, StartError> {
    let dir = options.state_dir.clone();
    std::fs::create_dir_all(&dir).map_err(|source| StartError::File { path: dir.clone(), source })?;
    let host = match options.guests.clone() {
        Some(guests) => Some(GuestHost::new(guests).await?),
        None => None,
    };
    let port = options.port;
    let listener =
        TcpListener::bind(("127.0.0.1", port)).await.map_err(|source| StartError::Listen { port, source })?;
    let port = listener.local_addr().map_err(|source| StartError::Listen { port, source })?.port();
    let tls = tls(&dir)?;
    let cloud = Cloud::new(options, Machines::new(host));
    // It was just made: nobody else has set it.
    let _ = cloud.port.set(port);
    google::prepare(&cloud).map_err(|source| StartError::File { path: dir, source })?;
    let task = tokio::spawn(listen(listener, tls, cloud.clone()));
    Ok(Running { cloud, task })
}

/// Makes a CA of our own beside the state, and a certificate of it for loopback.
fn tls(dir: &Path) -> Result<TlsAcceptor, StartError> {
    let wrong = |e: rcgen::Error| StartError::Certificate(e.to_string());
    let mut authority = rcgen::CertificateParams::new(Vec::new()).map_err(wrong)?;
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    authority.distinguished_name.push(rcgen::DnType::CommonName, "image-action local cloud");
    // Python's ssl (VERIFY_X509_STRICT, 3.13) wants both usages said.
    authority.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    let key = rcgen::KeyPair::generate().map_err(wrong)?;
    let authority = rcgen::CertifiedIssuer::self_signed(authority, key).map_err(wrong)?;
    let path = ca_path(dir);
    std::fs::write(&path, authority.pem()).map_err(|source| StartError::File { path, source })?;

    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned(), "::1".to_owned()];
    let mut leaf = rcgen::CertificateParams::new(names).map_err(wrong)?;
    leaf.distinguished_name.push(rcgen::DnType::CommonName, "127.0.0.1");
    leaf.use_authority_key_identifier_extension = true;
    leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let leaf_key = rcgen::KeyPair::generate().map_err(wrong)?;
    let leaf = leaf.signed_by(&leaf_key, &authority).map_err(wrong)?;
    let chain: Vec<CertificateDer<'static>> = vec![leaf.der().clone()];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|b| b.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|e| StartError::Certificate(e.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn listen(listener: TcpListener, tls: TlsAcceptor, cloud: Arc<Cloud>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, say: others may be closed meanwhile.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (tls, cloud) = (tls.clone(), cloud.clone());
        tokio::spawn(async move {
            let mut first = [0u8; 1];
            if stream.peek(&mut first).await.unwrap_or(0) == 1 && first[0] == TLS_HANDSHAKE {
                if let Ok(stream) = tls.accept(stream).await {
                    connection(TokioIo::new(stream), cloud, true).await;
                }
            } else {
                plain(stream, cloud).await;
            }
        });
    }
}

async fn plain(stream: TcpStream, cloud: Arc<Cloud>) {
    connection(TokioIo::new(stream), cloud, false).await;
}

async fn connection<I>(io: I, cloud: Arc<Cloud>, tls: bool)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let cloud = cloud.clone();
        async move {
            let (parts, body) = request.into_parts();
            let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
                return Err(Hangup);
            };
            let request = Request::from_parts(&parts, body.to_bytes(), tls);
            answer(&cloud, &request).await.map(into_hyper).ok_or(Hangup)
        }
    });
    // A client that goes away is no news.
    let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new()).serve_connection(io, service).await;
}

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("connection closed")]
struct Hangup;

fn into_hyper(response: Response) -> hyper::Response<Full<Bytes>> {
    let mut builder = hyper::Response::builder().status(response.status);
    for (name, value) in &response.headers {
        builder = builder.header(name, value);
    }
    builder.body(Full::new(response.body)).unwrap_or_else(|_| {
        let mut wrong =
            hyper::Response::new(Full::new(Bytes::from_static(b"a header of the local cloud is not valid")));
        *wrong.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        wrong
    })
}

/// Answers; `None` closes the connection.
async fn answer(cloud: &Arc<Cloud>, request: &Request) -> Option<Response> {
    if let Some(admin) = request.below("/_local") {
        return Some(self::admin(cloud, &admin));
    }
    let (service, request) = match route(request) {
        (service, Some(inner)) => (service, inner),
        (service, None) => (service, request.clone()),
    };
    let call = match service {
        "aws" => aws::describe(&request),
        "google" => google::describe(&request),
        _ => format!("{} {}", request.method, request.path),
    };
    let fault = cloud.faults.hit(&call);
    if let Some(fault) = &fault {
        tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
        if fault.reset {
            return None;
        }
        if fault.status != 0 {
            let response = match service {
                "aws" => aws::fault(&request, fault),
                "google" => google::fault(&request, fault),
                "github" => github::fault(&request, fault),
                _ => azure::fault(&request, fault),
            };
            cloud.note(service, call, &request, &response);
            return Some(response);
        }
    }
    let response = match service {
        "aws" => aws::handle(cloud, &request).await,
        "google" => google::handle(cloud, &request).await,
        "github" => github::handle(cloud, &request).await,
        _ => azure::handle(cloud, &request).await,
    };
    cloud.note(service, call, &request, &response);
    (!fault.is_some_and(|f| f.lose_answer)).then_some(response)
}

fn route(request: &Request) -> (&'static str, Option<Request>) {
    if let Some(inner) = request.below("/github") {
        return ("github", Some(inner));
    }
    if request.path.starts_with("/compute/") || request.path.starts_with("/google/") {
        return ("google", None);
    }
    let signed = request.header("authorization").is_some_and(|a| a.starts_with("AWS4-HMAC-SHA256"));
    let form = request.header("content-type").is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
    if signed || (request.path == "/" && request.method == http::Method::POST && form) {
        return ("aws", None);
    }
    ("azure", None)
}

/// The admin route: what tests and people ask the local cloud itself.
///
/// `GET /existing`, `GET /log`, `DELETE /log`, `POST /faults` (one [`Fault`]), `DELETE /faults`.
fn admin(cloud: &Arc<Cloud>, request: &Request) -> Response {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/existing") => Response::json(200, &serde_json::json!(cloud.existing())),
        ("GET", "/log") => Response::json(200, &serde_json::json!(cloud.log())),
        ("DELETE", "/log") => {
            cloud.clear_log();
            Response::empty(204)
        }
        ("POST", "/faults") => match serde_json::from_slice::<Fault>(&request.body) {
            Ok(fault) => {
                cloud.faults.add(fault);
                Response::empty(204)
            }
            Err(e) => Response::json(400, &serde_json::json!({ "error": e.to_string() })),
        },
        ("DELETE", "/faults") => {
            cloud.faults.clear();
            Response::empty(204)
        }
        _ => Response::json(
            404,
            &serde_json::json!({
                "error": "the admin route has GET /existing, GET and DELETE /log, POST and DELETE /faults"
            }),
        ),
    }
}
