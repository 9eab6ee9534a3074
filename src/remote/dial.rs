//! One attempt to reach a machine: the way to its port (direct, proxy, bastion), the handshake, the login.

use crate::config::{Login, SshSettings, Tunnel};
use image_action_engine::Secret;
use russh::client::{self, AuthResult, ChannelOpenHandle, Handle, KeyboardInteractiveAuthResponse, Msg, Session};
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, MethodKind, MethodSet, Preferred, SshId};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long handshake and login may take together, as in Packer.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(60);

/// How long a connection may stay silent, all questions unanswered, before it counts as lost.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);

/// How many keys of an ssh-agent are tried; servers end a connection after six refusals, hardened ones after three.
const AGENT_KEYS: usize = 5;

/// How many rounds of keyboard-interactive questions are answered.
const QUESTION_ROUNDS: usize = 10;

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// A sentence without a full stop.
    pub(crate) why: String,
}

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// Nothing listens.
    Closed,
    /// Nothing answers.
    Silent,
    /// The name is not known.
    NoSuchHost,
    /// What listens is no ssh server, or none that we have anything in common with.
    NotSsh,
    /// The login was refused.
    Refused,
    /// Anything else.
    Other,
}

pub(crate) fn failure(kind: FailureKind, why: impl Into<String>) -> Failure {
    Failure { kind, why: why.into() }
}

/// A connection that is logged in.
pub(crate) struct Live {
    pub(crate) handle: Handle<Client>,
    /// The connection it goes through; it ends with this one.
    _bastion: Option<Handle<Client>>,
    /// The machine's key as a `known_hosts` line without names.
    pub(crate) host_key: String,
}

/// Our side of a connection.
pub(crate) struct Client {
    seen: Arc<Mutex<String>>,
    agent: Option<PathBuf>,
    tunnels: Vec<Tunnel>,
}

impl client::Handler for Client {
    type Error = russh::Error;

    /// Takes every key: nobody knows it beforehand. The caller compares it with the one it saw first.
    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let text = match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.to_openssh(),
            PublicKeyOrCertificate::Certificate(certificate) => certificate.to_openssh(),
        };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = text.unwrap_or_default().trim_end().to_owned();
        Ok(true)
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some(socket) = self.agent.clone() else { return Ok(()) };
        reply.accept().await;
        tokio::spawn(async move {
            if let Ok(mut local) = tokio::net::UnixStream::connect(socket).await {
                let _ = tokio::io::copy_bidirectional(&mut channel.into_stream(), &mut local).await;
            }
        });
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        _connected_address: &str,
        connected_port: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some(tunnel) = self.tunnels.iter().find(|t| u32::from(t.listen) == connected_port).cloned() else {
            return Ok(());
        };
        reply.accept().await;
        tokio::spawn(async move {
            if let Ok(mut local) = TcpStream::connect((tunnel.host.as_str(), tunnel.port)).await {
                let _ = tokio::io::copy_bidirectional(&mut channel.into_stream(), &mut local).await;
            }
        });
        Ok(())
    }
}

/// Makes one connection and logs in. `patience` bounds the wait for the port alone.
pub(crate) async fn dial(
    settings: &SshSettings,
    host: &str,
    port: u16,
    patience: Duration,
) -> Result<Arc<Live>, Failure> {
    let seen = Arc::new(Mutex::new(String::new()));
    let client =
        Client { seen: seen.clone(), agent: settings.forward_agent.clone(), tunnels: settings.remote_tunnels.clone() };
    let (mut handle, bastion) = if let Some(bastion) = &settings.bastion {
        let seen = Arc::new(Mutex::new(String::new()));
        let inner = Client { seen, agent: None, tunnels: Vec::new() };
        let what = |f: Failure| failure(f.kind, format!("bastion {}: {}", bastion.host, f.why));
        let stream = tcp(&bastion.host, bastion.port, patience).await.map_err(what)?;
        let mut outer = shake(settings, stream, inner).await.map_err(what)?;
        limited(login(&mut outer, &bastion.login)).await.map_err(what)?;
        let opened = outer.channel_open_direct_tcpip(host, port.into(), "127.0.0.1", 0);
        let channel = limited(async {
            opened.await.map_err(|e| {
                failure(
                    FailureKind::Closed,
                    format!("bastion {} cannot reach port {port} of {host}: {e}", bastion.host),
                )
            })
        })
        .await?;
        (shake(settings, channel.into_stream(), client).await?, Some(outer))
    } else if let Some(proxy) = &settings.proxy {
        let stream = tcp(&proxy.host, proxy.port, patience).await;
        let stream = stream.map_err(|f| failure(f.kind, format!("proxy {}: {}", proxy.host, f.why)))?;
        let stream = limited(socks(stream, &proxy.user, &proxy.password, host, port)).await?;
        (shake(settings, stream, client).await?, None)
    } else {
        (shake(settings, tcp(host, port, patience).await?, client).await?, None)
    };
    limited(login(&mut handle, &settings.login)).await?;
    for tunnel in &settings.remote_tunnels {
        let opened = handle.tcpip_forward("localhost", tunnel.listen.into()).await;
        opened.map_err(|e| {
            failure(
                FailureKind::Other,
                format!("the machine does not open its port {} for a tunnel: {e}", tunnel.listen),
            )
        })?;
    }
    let host_key = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Arc::new(Live { handle, _bastion: bastion, host_key }))
}

async fn limited<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(HANDSHAKE_LIMIT, work).await.unwrap_or_else(|_| {
        let seconds = HANDSHAKE_LIMIT.as_secs();
        Err(failure(FailureKind::NotSsh, format!("it accepts the connection and does not answer within {seconds} s")))
    })
}

async fn tcp(host: &str, port: u16, patience: Duration) -> Result<TcpStream, Failure> {
    use std::io::ErrorKind as Io;
    let stream = match tokio::time::timeout(patience, TcpStream::connect((host, port))).await {
        Err(_) => return Err(failure(FailureKind::Silent, format!("nothing answers at {host} port {port}"))),
        Ok(Ok(stream)) => stream,
        Ok(Err(e)) => {
            return Err(match e.kind() {
                Io::ConnectionRefused => failure(FailureKind::Closed, format!("port {port} of {host} is closed")),
                Io::TimedOut | Io::HostUnreachable | Io::NetworkUnreachable => {
                    failure(FailureKind::Silent, format!("nothing answers at {host} port {port}: {e}"))
                }
                // The resolver's errors have no kind of their own.
                _ if e.to_string().contains("lookup") => {
                    failure(FailureKind::NoSuchHost, format!("the host {host} is not known: {e}"))
                }
                _ => failure(FailureKind::Other, format!("{host} port {port}: {e}")),
            });
        }
    };
    // Small packets go out at once; where the system refuses, they go out later.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

async fn shake<S>(settings: &SshSettings, stream: S, client: Client) -> Result<Handle<Client>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connected = client::connect_stream(Arc::new(protocol(settings)), stream, client);
    limited(async { connected.await.map_err(|e| broken(&e)) }).await
}

/// What a failed handshake means.
fn broken(e: &russh::Error) -> Failure {
    match e {
        russh::Error::Version => failure(FailureKind::NotSsh, "what listens there does not speak ssh"),
        russh::Error::NoCommonAlgo { kind, ours, theirs } => failure(
            FailureKind::NotSsh,
            format!(
                "no common {kind:?} algorithm: ours are {}, the machine's are {}",
                ours.join(","),
                theirs.join(",")
            ),
        ),
        russh::Error::Disconnect | russh::Error::HUP | russh::Error::IO(_) => {
            failure(FailureKind::Other, format!("the connection was closed in the handshake ({e})"))
        }
        e => failure(FailureKind::Other, format!("the handshake failed: {e}")),
    }
}

fn protocol(settings: &SshSettings) -> client::Config {
    let mut preferred = Preferred::DEFAULT;
    let ciphers: Vec<_> = settings.ciphers.iter().filter_map(|n| n.as_str().try_into().ok()).collect();
    if !ciphers.is_empty() {
        preferred.cipher = Cow::Owned(ciphers);
    }
    let kex: Vec<_> = settings.kex.iter().filter_map(|n| n.as_str().try_into().ok()).collect();
    if !kex.is_empty() {
        preferred.kex = Cow::Owned(kex);
    }
    let asks = settings.keep_alive.map_or(0, |every| SILENCE_LIMIT.as_millis() / every.as_millis().max(1));
    client::Config {
        client_id: SshId::Standard(Cow::Borrowed("SSH-2.0-image-action")),
        preferred,
        keepalive_interval: settings.keep_alive,
        keepalive_max: usize::try_from(asks).unwrap_or(usize::MAX).max(1),
        inactivity_timeout: settings.idle,
        nodelay: true,
        ..client::Config::default()
    }
}

/// Tries keys, agent, password in turn.
async fn login(handle: &mut Handle<Client>, login: &Login) -> Result<(), Failure> {
    let mut attempt = Attempt { handle, login, allowed: None, tried: Vec::new() };
    if attempt.all().await? {
        return Ok(());
    }
    let tried = if attempt.tried.is_empty() { "nothing to log in with".to_owned() } else { attempt.tried.join(", ") };
    let hung_up = if attempt.handle.is_closed() { "; it hung up" } else { "" };
    let accepts = match &attempt.allowed {
        Some(methods) if !methods.is_empty() => {
            let names: Vec<&str> = methods.iter().map(Into::into).collect();
            format!("; it accepts {}", names.join(", "))
        }
        _ => String::new(),
    };
    let why = format!("the login of {:?} was refused (tried: {tried}{accepts}{hung_up})", login.user);
    Err(failure(FailureKind::Refused, why))
}

struct Attempt<'a> {
    handle: &'a mut Handle<Client>,
    login: &'a Login,
    /// What the server says it takes, once it said so.
    allowed: Option<MethodSet>,
    tried: Vec<String>,
}

impl Attempt<'_> {
    async fn all(&mut self) -> Result<bool, Failure> {
        Ok(self.keys().await? || self.agent().await? || self.password().await? || self.questions().await?)
    }

    fn may(&self, method: MethodKind) -> bool {
        !self.handle.is_closed() && self.allowed.as_ref().is_none_or(|a| a.is_empty() || a.contains(&method))
    }

    /// Keeps what the server said; whether it let us in.
    fn heard(&mut self, result: AuthResult) -> bool {
        match result {
            AuthResult::Success => true,
            AuthResult::Failure { remaining_methods, .. } => {
                self.allowed = Some(remaining_methods);
                false
            }
        }
    }

    async fn keys(&mut self) -> Result<bool, Failure> {
        let login = self.login;
        for key in &login.keys {
            if !self.may(MethodKind::PublicKey) {
                break;
            }
            self.tried.push(match &key.file {
                Some(file) => format!("key {}", file.display()),
                None => "temporary key".to_owned(),
            });
            let user = login.user.as_str();
            let result = match &key.certificate {
                Some(certificate) => {
                    self.handle.authenticate_openssh_cert(user, key.key.clone(), certificate.clone()).await
                }
                None => {
                    let hash = self.hash().await;
                    let signer = PrivateKeyWithHashAlg::new(key.key.clone(), hash);
                    self.handle.authenticate_publickey(user, signer).await
                }
            };
            let result = result.map_err(|e| broken(&e))?;
            if self.heard(result) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The hash for RSA signatures: what the server says it takes, else SHA-512, which every server of today takes.
    async fn hash(&self) -> Option<HashAlg> {
        match self.handle.best_supported_rsa_hash().await {
            Ok(Some(said)) => said,
            _ => Some(HashAlg::Sha512),
        }
    }

    async fn agent(&mut self) -> Result<bool, Failure> {
        let Some(socket) = &self.login.agent else { return Ok(false) };
        let mut agent = connect_agent(socket).await?;
        let known = agent.request_identities().await;
        let known = known.map_err(|e| failure(FailureKind::Other, format!("ssh-agent lists no keys: {e}")))?;
        if known.is_empty() {
            self.tried.push("ssh-agent, which holds no key".to_owned());
        }
        for identity in known.iter().take(AGENT_KEYS) {
            if !self.may(MethodKind::PublicKey) {
                break;
            }
            self.tried.push(format!("key {:?} of ssh-agent", identity.comment()));
            let hash = self.hash().await;
            let key = identity.public_key().into_owned();
            let hash = if key.algorithm().is_rsa() { hash } else { None };
            let result = self.handle.authenticate_publickey_with(self.login.user.as_str(), key, hash, &mut agent).await;
            let result = result.map_err(|e| failure(FailureKind::Other, format!("ssh-agent does not sign: {e}")))?;
            if self.heard(result) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn password(&mut self) -> Result<bool, Failure> {
        if self.login.password.is_empty() || !self.may(MethodKind::Password) {
            return Ok(false);
        }
        self.tried.push("password".to_owned());
        let result = self.handle.authenticate_password(self.login.user.as_str(), self.login.password.expose()).await;
        let result = result.map_err(|e| broken(&e))?;
        Ok(self.heard(result))
    }

    /// Answers every question with the password.
    async fn questions(&mut self) -> Result<bool, Failure> {
        if self.login.password.is_empty() || !self.may(MethodKind::KeyboardInteractive) {
            return Ok(false);
        }
        self.tried.push("keyboard-interactive".to_owned());
        let user = self.login.user.as_str();
        let mut answer = self.handle.authenticate_keyboard_interactive_start(user, None::<String>).await;
        for _ in 0..QUESTION_ROUNDS {
            match answer.map_err(|e| broken(&e))? {
                KeyboardInteractiveAuthResponse::Success => return Ok(true),
                KeyboardInteractiveAuthResponse::Failure { remaining_methods, .. } => {
                    self.allowed = Some(remaining_methods);
                    return Ok(false);
                }
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                    let answers = vec![self.login.password.expose().to_owned(); prompts.len()];
                    answer = self.handle.authenticate_keyboard_interactive_respond(answers).await;
                }
            }
        }
        Ok(false)
    }
}

async fn connect_agent(socket: &Path) -> Result<AgentClient<tokio::net::UnixStream>, Failure> {
    AgentClient::connect_uds(socket)
        .await
        .map_err(|e| failure(FailureKind::Other, format!("ssh-agent does not answer at {}: {e}", socket.display())))
}

/// Asks a SOCKS5 proxy (RFC 1928, RFC 1929) for a connection.
async fn socks(
    mut stream: TcpStream,
    user: &str,
    password: &Secret,
    host: &str,
    port: u16,
) -> Result<TcpStream, Failure> {
    let io = |e: std::io::Error| failure(FailureKind::Other, format!("the proxy hung up: {e}"));
    let say = |why: &str| failure(FailureKind::Other, format!("the proxy {why}"));
    let method: u8 = if user.is_empty() { 0 } else { 2 };
    stream.write_all(&[5, 1, method]).await.map_err(io)?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).await.map_err(io)?;
    if answer[0] != 5 {
        return Err(say("does not speak SOCKS5"));
    }
    if answer[1] != method {
        return Err(say("asks for another kind of login (ssh_proxy_username, ssh_proxy_password)"));
    }
    if method == 2 {
        let mut login = vec![1];
        for text in [user, password.expose()] {
            login.push(u8::try_from(text.len()).map_err(|_| say("takes no login longer than 255 bytes"))?);
            login.extend_from_slice(text.as_bytes());
        }
        stream.write_all(&login).await.map_err(io)?;
        stream.read_exact(&mut answer).await.map_err(io)?;
        if answer[1] != 0 {
            return Err(failure(FailureKind::Refused, "the proxy refused ssh_proxy_username and ssh_proxy_password"));
        }
    }
    let mut request = vec![5, 1, 0, 3];
    request.push(u8::try_from(host.len()).map_err(|_| say("takes no host name longer than 255 bytes"))?);
    request.extend_from_slice(host.as_bytes());
    request.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&request).await.map_err(io)?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.map_err(io)?;
    match head[1] {
        0 => {}
        5 => return Err(failure(FailureKind::Closed, format!("port {port} of {host} is closed (says the proxy)"))),
        3 | 4 | 6 => return Err(failure(FailureKind::Silent, format!("the proxy cannot reach {host}"))),
        code => return Err(say(&format!("refused the connection (code {code})"))),
    }
    // The address it bound: of no use, and of a length that depends on its kind.
    let length = match head[3] {
        1 => 4,
        4 => 16,
        _ => usize::from(stream.read_u8().await.map_err(io)?),
    };
    let mut rest = vec![0; length + 2];
    stream.read_exact(&mut rest).await.map_err(io)?;
    Ok(stream)
}
