//! The SSH server in front of a guest. It runs outside, listens on loopback, and decides by the guest's own files who may log in,
//! as sshd in the guest would.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::keys::{PrivateKey, PublicKeyBase64};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, MethodKind, MethodSet, Pty, SshId};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::account::{Login, key_lines};
use super::control::{Control, locked};
use super::session;

/// Failed attempts before the connection is closed: sshd's MaxAuthTries.
const MAX_AUTH_TRIES: usize = 6;
/// Longest time without a byte before a connection is given up. sshd has none; builds have silent commands of an hour.
const INACTIVITY: Duration = Duration::from_secs(24 * 3600);
/// Longest packet, bytes: sshd's.
const PACKET: u32 = 32 << 10;
/// What a client may send ahead in one channel, bytes: sshd's.
const WINDOW: u32 = 2 << 20;
/// What the server calls itself. Clients that look for OpenSSH's name to choose workarounds find none they need.
const SERVER_ID: &str = "SSH-2.0-image-action_local_guest";

/// What the server of one guest shares among its connections.
pub struct Door {
    /// Key by which the guest shows that it is the same one.
    pub host_key: PrivateKey,
    /// The guest's processes; `None` while it is stopped.
    pub inside: watch::Receiver<Option<Arc<Control>>>,
    /// Passwords that may be used to log in.
    pub passwords: Arc<Mutex<HashMap<String, String>>>,
}

/// Accepts connections until it is dropped. A guest that is stopped hangs up at once.
pub async fn serve(listener: TcpListener, door: Arc<Door>) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of descriptors: others close theirs in the meantime.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let inside = door.inside.borrow().clone();
        if let Some(control) = inside {
            tokio::spawn(connection(stream, peer, door.clone(), control));
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, door: Arc<Door>, control: Arc<Control>) {
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else { return };
    let ended = control.ended().clone();
    let by_password = !locked(&door.passwords).is_empty();
    let methods: &[MethodKind] =
        if by_password { &[MethodKind::PublicKey, MethodKind::Password] } else { &[MethodKind::PublicKey] };
    let config = Config {
        server_id: SshId::Standard(SERVER_ID.into()),
        methods: MethodSet::from(methods),
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![door.host_key.clone()],
        max_auth_attempts: MAX_AUTH_TRIES,
        inactivity_timeout: Some(INACTIVITY),
        maximum_packet_size: PACKET,
        window_size: WINDOW,
        nodelay: true,
        ..Config::default()
    };
    let visitor = Visitor { door, control, peer, local, login: None, channels: HashMap::new() };
    let serve = async {
        if let Ok(running) = russh::server::run_stream(Arc::new(config), stream, visitor).await {
            let handle = running.handle();
            tokio::select! {
                _ = running => {}
                () = ended.cancelled() => {
                    let _ = handle.disconnect(russh::Disconnect::ByApplication, String::new(), String::new()).await;
                }
            }
        }
    };
    serve.await;
}

/// Who has come in by one connection.
struct Visitor {
    door: Arc<Door>,
    control: Arc<Control>,
    peer: SocketAddr,
    local: SocketAddr,
    login: Option<Arc<session::Who>>,
    channels: HashMap<ChannelId, session::Asked>,
}

impl Visitor {
    async fn look_up(&self, user: &str) -> Option<Login> {
        self.control.login(user).await.ok().flatten()
    }

    /// The user, if its own `authorized_keys` holds the key; with the command that the key is bound to.
    async fn by_key(&self, user: &str, key: &russh::keys::PublicKey) -> Option<session::Who> {
        let login = self.look_up(user).await?;
        let offered = key.public_key_base64();
        let line = key_lines(&login.authorized_keys).find(|l| l.key == offered)?;
        let forced = line.command;
        Some(session::Who { login, forced, peer: self.peer, local: self.local })
    }
}

impl Handler for Visitor {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        Ok(if self.by_key(user, offer.public_key).await.is_some() { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let Some(who) = self.by_key(user, key.public_key).await else { return Ok(Auth::reject()) };
        self.login = Some(Arc::new(who));
        Ok(Auth::Accept)
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        let right = locked(&self.door.passwords).get(user).is_some_and(|p| p == password);
        let Some(login) = self.look_up(user).await.filter(|_| right) else { return Ok(Auth::reject()) };
        self.login = Some(Arc::new(session::Who { login, forced: None, peer: self.peer, local: self.local }));
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some(who) = self.login.clone() else { return Ok(()) };
        self.channels.insert(channel.id(), session::Asked::default());
        reply.accept().await;
        tokio::spawn(session::serve(channel, session.handle(), self.control.clone(), who));
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _: &mut Session) -> Result<(), Self::Error> {
        self.channels.remove(&channel);
        Ok(())
    }

    // The requests themselves reach the channel's task; here they are only answered, at once, because an answer names no request.

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.answer(channel, session, |asked| !asked.started)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        _: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let accepted = session::accepts_variable(name);
        self.answer(channel, session, |asked| !asked.started && accepted)
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        self.answer(channel, session, session::Asked::start)
    }

    async fn exec_request(&mut self, channel: ChannelId, _: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        self.answer(channel, session, session::Asked::start)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let known = name == session::SFTP;
        self.answer(channel, session, |asked| known && asked.start())
    }
}

impl Visitor {
    fn answer(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
        judge: impl FnOnce(&mut session::Asked) -> bool,
    ) -> Result<(), russh::Error> {
        let granted = self.channels.get_mut(&channel).is_some_and(judge);
        if granted { session.channel_success(channel) } else { session.channel_failure(channel) }
    }
}
