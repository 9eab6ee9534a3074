//! The options of the communicator, which every builder embeds.

use crate::keys::{KeyKind, PrivateKey, load_certificate, load_private_key};
use image_action_derive::Config;
use image_action_engine::{Block, Env, Secret};
use image_action_lang::{Diagnostic, Diagnostics};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a machine has to let us in when the template says nothing.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// How often a key may be refused when the template says nothing.
pub const DEFAULT_HANDSHAKE_ATTEMPTS: u32 = 10;

/// How often a silent connection is asked whether it is still there.
pub const DEFAULT_KEEP_ALIVE: Duration = Duration::from_secs(5);

/// How the machine is reached.
#[derive(Clone, Debug, Config)]
pub struct CommunicatorConfig {
    /// How the machine is reached: `ssh`, or `none` for a machine that is not provisioned.
    #[config(
        default = "ssh",
        unsupported_values = "winrm",
        instead = "use ssh: Windows Server 2019 and later have OpenSSH as an optional feature; or build this source with Packer"
    )]
    pub communicator: String,
    /// A pause after the first successful connection; then the connection is made once more. For machines that restart
    /// sshd while they settle.
    pub pause_before_connecting: Duration,
    /// The host name or address to connect to, in place of the one that the builder finds.
    pub ssh_host: String,
    /// The port of sshd on the machine.
    #[config(default = "22")]
    pub ssh_port: i64,
    /// The user who logs in, such as `ubuntu`, `admin` or `ec2-user`: the one that the source image lets in.
    pub ssh_username: String,
    /// The password of the user; it also answers keyboard-interactive questions. Left out: a key is used.
    #[config(sensitive)]
    pub ssh_password: Secret,
    /// The name of a key pair that exists in the cloud already, in place of a temporary one. Its private key is
    /// `ssh_private_key_file`, or in the ssh-agent.
    pub ssh_keypair_name: String,
    /// The name of the temporary key pair. Left out: one is made up.
    pub temporary_key_pair_name: String,
    /// The type of the temporary key: `rsa`, `ecdsa` or `ed25519`.
    #[config(default = "rsa")]
    pub temporary_key_pair_type: String,
    /// The size of the temporary key in bits. Left out, or 0: 4096 for `rsa`, 521 for `ecdsa`.
    pub temporary_key_pair_bits: i64,
    /// Ciphers, in the order of preference; names that are not known are passed over. Left out: the usual ones.
    pub ssh_ciphers: Vec<String>,
    /// Key exchange algorithms, in the order of preference; names that are not known are passed over. Left out: the
    /// usual ones.
    pub ssh_key_exchange_algorithms: Vec<String>,
    /// Takes the temporary key out of `authorized_keys` before the image is made.
    pub ssh_clear_authorized_keys: bool,
    /// The path of a private key to log in with; `~` is the home directory. It must not be protected by a passphrase.
    /// Left out: a temporary key is made.
    pub ssh_private_key_file: String,
    /// The path of a certificate for the key `ssh_private_key_file`.
    pub ssh_certificate_file: String,
    /// Gives commands a terminal; their error output then arrives as ordinary output.
    pub ssh_pty: bool,
    /// How long the machine has to let us in. Left out: 5 minutes, or without a limit where `ssh_handshake_attempts` is
    /// set.
    pub ssh_timeout: Option<Duration>,
    /// The old name of `ssh_timeout`.
    #[config(deprecated = "ssh_timeout")]
    pub ssh_wait_timeout: Option<Duration>,
    /// How often our key may be refused before we give up. Left out, or 0: 10 times, or as often as `ssh_timeout`
    /// allows where that is set.
    pub ssh_handshake_attempts: i64,
    /// Tries the keys of the local ssh-agent (`SSH_AUTH_SOCK`), in place of a temporary one.
    pub ssh_agent_auth: bool,
    /// Whether the machine may not use the local ssh-agent. It may only where this says `false`.
    pub ssh_disable_agent_forwarding: Option<bool>,
    /// The host name or address of a bastion to connect through. Left out: the connection is direct.
    pub ssh_bastion_host: String,
    /// The port of sshd on the bastion.
    #[config(default = "22")]
    pub ssh_bastion_port: i64,
    /// Tries the keys of the local ssh-agent at the bastion.
    pub ssh_bastion_agent_auth: bool,
    /// The user who logs in to the bastion.
    pub ssh_bastion_username: String,
    /// The password for the bastion; it also answers keyboard-interactive questions.
    #[config(sensitive)]
    pub ssh_bastion_password: Secret,
    /// Asks a person for the bastion's password.
    #[config(unsupported)]
    pub ssh_bastion_interactive: bool,
    /// The path of the private key for the bastion. Left out: `ssh_private_key_file`.
    pub ssh_bastion_private_key_file: String,
    /// The path of a certificate for the key `ssh_bastion_private_key_file`.
    pub ssh_bastion_certificate_file: String,
    /// `scp` (files travel as streams through the login shell, directories as one tar stream) or `sftp`.
    #[config(default = "scp")]
    pub ssh_file_transfer_method: String,
    /// The host name or address of a SOCKS5 proxy to connect through. Left out: the connection is direct.
    pub ssh_proxy_host: String,
    /// The port of the SOCKS5 proxy.
    #[config(default = "1080")]
    pub ssh_proxy_port: i64,
    /// The user for the SOCKS5 proxy. Left out: it is used without a login.
    pub ssh_proxy_username: String,
    /// The password for the SOCKS5 proxy.
    #[config(sensitive)]
    pub ssh_proxy_password: Secret,
    /// How often a silent connection is asked whether it is still there: a duration, such as `5s`. Negative: never.
    #[config(default = "5s")]
    pub ssh_keep_alive_interval: String,
    /// How long the connection may be without any traffic before it is given up. Left out, or 0: without a limit.
    pub ssh_read_write_timeout: Duration,
    /// Ports of the machine that lead to the side of the build: `PORT:HOST:PORT` each.
    pub ssh_remote_tunnels: Vec<String>,
    /// Local ports that lead to where the machine can go: `PORT:HOST:PORT` each.
    pub ssh_local_tunnels: Vec<String>,
    /// The user who logs in over WinRM.
    #[config(only_with = "communicator = winrm")]
    pub winrm_username: String,
    /// The password for WinRM. Left out: the one that the cloud makes.
    #[config(sensitive, only_with = "communicator = winrm")]
    pub winrm_password: Secret,
    /// The host name or address to connect to, in place of the one that the builder finds.
    #[config(only_with = "communicator = winrm")]
    pub winrm_host: String,
    /// The port of WinRM. Left out, or 0: 5985, or 5986 with TLS.
    #[config(only_with = "communicator = winrm")]
    pub winrm_port: i64,
    /// How long the machine has to let us in.
    #[config(default = "30m", only_with = "communicator = winrm")]
    pub winrm_timeout: Duration,
    /// Speaks WinRM over TLS.
    #[config(only_with = "communicator = winrm")]
    pub winrm_use_ssl: bool,
    /// Takes the certificate of the machine without a check.
    #[config(only_with = "communicator = winrm")]
    pub winrm_insecure: bool,
    /// Whether NTLM is used to log in. Left out: basic authentication is.
    #[config(only_with = "communicator = winrm")]
    pub winrm_use_ntlm: Option<bool>,
    /// Reaches the machine without the proxy of the environment.
    #[config(only_with = "communicator = winrm")]
    pub winrm_no_proxy: bool,
}

/// One port that leads elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// The port that is listened on.
    pub listen: u16,
    /// Where it leads.
    pub host: String,
    /// The port there.
    pub port: u16,
}

/// Who logs in, and with what.
#[derive(Clone, Debug, Default)]
pub struct Login {
    /// The user.
    pub user: String,
    /// Keys, in the order in which they are tried.
    pub keys: Vec<PrivateKey>,
    /// A password, where it is not empty.
    pub password: Secret,
    /// The socket of an ssh-agent whose keys are tried after ours.
    pub agent: Option<PathBuf>,
}

/// A host that we connect through.
#[derive(Clone, Debug)]
pub struct Bastion {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Who logs in there.
    pub login: Login,
}

/// A SOCKS5 proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The user; empty where the proxy asks for none.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// How files travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transfer {
    /// Through the login shell; directories as one tar stream. By sftp where there is no such shell.
    #[default]
    Shell,
    /// By sftp.
    Sftp,
}

/// Everything that a connection by ssh needs, but the address.
#[derive(Clone, Debug)]
pub struct SshSettings {
    /// Who logs in, and with what.
    pub login: Login,
    /// How long the machine has to let us in; no bound where `None`.
    pub timeout: Option<Duration>,
    /// How often the login may be refused; no bound where `None`.
    pub handshake_attempts: Option<u32>,
    /// A host in between.
    pub bastion: Option<Bastion>,
    /// A proxy in between.
    pub proxy: Option<Proxy>,
    /// Whether commands get a terminal.
    pub pty: bool,
    /// How files travel.
    pub transfer: Transfer,
    /// How often a silent connection is asked whether it is there; never where `None`.
    pub keep_alive: Option<Duration>,
    /// How long a connection may be without traffic; no bound where `None`.
    pub idle: Option<Duration>,
    /// Ciphers in place of the usual ones, where not empty.
    pub ciphers: Vec<String>,
    /// Key exchange algorithms in place of the usual ones, where not empty.
    pub kex: Vec<String>,
    /// The socket of an ssh-agent that the machine may use.
    pub forward_agent: Option<PathBuf>,
    /// Ports of the machine that lead to us.
    pub remote_tunnels: Vec<Tunnel>,
    /// Local ports that lead to where the machine can go.
    pub local_tunnels: Vec<Tunnel>,
}

impl Default for SshSettings {
    fn default() -> Self {
        SshSettings {
            login: Login::default(),
            timeout: Some(DEFAULT_TIMEOUT),
            handshake_attempts: None,
            bastion: None,
            proxy: None,
            pty: false,
            transfer: Transfer::Shell,
            keep_alive: Some(DEFAULT_KEEP_ALIVE),
            idle: None,
            ciphers: Vec::new(),
            kex: Vec::new(),
            forward_agent: None,
            remote_tunnels: Vec::new(),
            local_tunnels: Vec::new(),
        }
    }
}

/// What may be known of the user and the key without the template saying it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Username {
    /// The template must name the user.
    Required,
    /// The builder has one of its own.
    FromBuilder,
}

impl CommunicatorConfig {
    /// Whether commands reach the machine by ssh.
    pub fn is_ssh(&self) -> bool {
        self.communicator == "ssh"
    }

    /// Whether commands are to reach the machine by WinRM, which only a check of the options gets to see.
    pub fn is_winrm(&self) -> bool {
        self.communicator == "winrm"
    }

    /// Whether nothing reaches the machine.
    pub fn is_none(&self) -> bool {
        self.communicator == "none"
    }

    /// Whether a temporary key has to be made: nothing else to log in with is given.
    pub fn needs_temporary_key(&self) -> bool {
        self.is_ssh() && self.ssh_private_key_file.is_empty() && self.ssh_password.is_empty() && !self.ssh_agent_auth
    }

    /// The type of the temporary key; RSA where the template's is wrong (which [`CommunicatorConfig::check`] says).
    pub fn key_kind(&self) -> KeyKind {
        KeyKind::parse(&self.temporary_key_pair_type, self.temporary_key_pair_bits)
            .unwrap_or(KeyKind::Rsa { bits: 4096 })
    }

    /// Everything that is wrong with the options, with their places in `body`. Files are looked for from `cwd`.
    pub fn check(&self, body: &Block, username: Username, cwd: &Path, env: &Env) -> Diagnostics {
        let mut found = Checks { body, all: Diagnostics::new() };
        match self.communicator.as_str() {
            "ssh" => self.check_ssh(&mut found, username, cwd, env),
            "none" | "<unknown>" => {}
            "winrm" => self.check_winrm(&mut found),
            other => found.push(
                "communicator",
                format!("The communicator \"{other}\" is not known"),
                "use \"ssh\", or \"none\" for a machine that is not provisioned",
            ),
        }
        found.all
    }

    fn check_winrm(&self, found: &mut Checks<'_>) {
        if self.winrm_username.is_empty() {
            found.push("communicator", "winrm_username must be specified", "set winrm_username");
        }
    }

    fn check_ssh(&self, found: &mut Checks<'_>, username: Username, cwd: &Path, env: &Env) {
        if self.ssh_username.is_empty() && username == Username::Required {
            found.push(
                "ssh_username",
                "An ssh_username must be specified",
                "set ssh_username to the user that the image lets in (\"ubuntu\", \"admin\", \"ec2-user\", …)",
            );
        }
        for (key, certificate) in [
            ("ssh_private_key_file", "ssh_certificate_file"),
            ("ssh_bastion_private_key_file", "ssh_bastion_certificate_file"),
        ] {
            let (key_file, certificate_file) = self.files(key);
            if !certificate_file.is_empty() && key_file.is_empty() {
                found.push(
                    certificate,
                    format!("{key} must be specified if {certificate} is specified"),
                    format!("set {key} to the certificate's private key"),
                );
            }
            if !key_file.is_empty()
                && key_file != image_action_engine::config::UNKNOWN_TEXT
                && let Err(why) = load_private_key(&expand(key_file, cwd, env))
            {
                found.push(
                    key,
                    format!("{key} is invalid: {why}"),
                    "name a private key in OpenSSH or PEM form that has no passphrase",
                );
            } else if !certificate_file.is_empty()
                && let Err(why) = load_certificate(&expand(certificate_file, cwd, env))
            {
                found.push(
                    certificate,
                    format!("{certificate} is invalid: {why}"),
                    "name a certificate that `ssh-keygen -s` made and that is valid now",
                );
            }
        }
        if !self.ssh_bastion_host.is_empty() {
            let key = !self.ssh_bastion_private_key_file.is_empty() || !self.ssh_private_key_file.is_empty();
            if self.ssh_bastion_password.is_empty() && !key && !self.ssh_bastion_agent_auth {
                found.push("ssh_bastion_host", "The bastion needs a login: ssh_bastion_password, ssh_bastion_private_key_file or ssh_bastion_agent_auth must be specified", "set one of the three");
            }
            if !self.ssh_proxy_host.is_empty() {
                found.push(
                    "ssh_proxy_host",
                    "Either ssh_bastion_host or ssh_proxy_host can be specified, not both",
                    "remove one of them",
                );
            }
        }
        if !["scp", "sftp", "<unknown>"].contains(&self.ssh_file_transfer_method.as_str()) {
            found.push(
                "ssh_file_transfer_method",
                format!("ssh_file_transfer_method \"{}\" is not known", self.ssh_file_transfer_method),
                "use \"scp\" or \"sftp\"",
            );
        }
        for name in ["ssh_port", "ssh_bastion_port", "ssh_proxy_port"] {
            if self.body_port(name).is_none() {
                found.push(name, format!("{name} is not a port"), "a port is a whole number from 1 to 65535");
            }
        }
        if let Err(why) = keep_alive(&self.ssh_keep_alive_interval) {
            found.push("ssh_keep_alive_interval", "ssh_keep_alive_interval is not a duration", why);
        }
        if let Err(why) = KeyKind::parse(&self.temporary_key_pair_type, self.temporary_key_pair_bits) {
            found.push("temporary_key_pair_type", why, "use \"ed25519\", or \"rsa\" with 2048 or 4096 bits");
        }
        for (name, list) in
            [("ssh_local_tunnels", &self.ssh_local_tunnels), ("ssh_remote_tunnels", &self.ssh_remote_tunnels)]
        {
            for text in list {
                if let Err(why) = Tunnel::parse(text) {
                    found.push(
                        name,
                        format!("{name} \"{text}\" is invalid: {why}"),
                        "write PORT:HOST:PORT, an IPv6 host in brackets",
                    );
                }
            }
        }
    }

    fn files(&self, key: &str) -> (&str, &str) {
        if key == "ssh_private_key_file" {
            (&self.ssh_private_key_file, &self.ssh_certificate_file)
        } else {
            (&self.ssh_bastion_private_key_file, &self.ssh_bastion_certificate_file)
        }
    }

    fn body_port(&self, name: &str) -> Option<u16> {
        let port = match name {
            "ssh_port" => self.ssh_port,
            "ssh_bastion_port" => self.ssh_bastion_port,
            _ => self.ssh_proxy_port,
        };
        u16::try_from(port).ok().filter(|p| *p > 0)
    }

    /// The port of sshd.
    pub fn port(&self) -> u16 {
        self.body_port("ssh_port").unwrap_or(22)
    }

    /// Time limit and number of attempts: each has a default only where the other is not set.
    fn limits(&self) -> (Option<Duration>, Option<u32>) {
        let attempts = u32::try_from(self.ssh_handshake_attempts).ok().filter(|n| *n > 0);
        let timeout = self.ssh_timeout.filter(|t| !t.is_zero());
        let (timeout, attempts) = match (timeout, attempts) {
            (None, None) => (Some(DEFAULT_TIMEOUT), Some(DEFAULT_HANDSHAKE_ATTEMPTS)),
            given => given,
        };
        (self.ssh_wait_timeout.filter(|t| !t.is_zero()).or(timeout), attempts)
    }

    /// What a connection needs. Files are looked for from `cwd`; `temporary` is a key made for this build, `user` the
    /// builder's own choice where the template names none.
    ///
    /// # Errors
    /// Where a key file cannot be read any more, or the ssh-agent is asked for and not there.
    pub fn ssh(
        &self,
        cwd: &Path,
        env: &Env,
        user: &str,
        temporary: Option<&PrivateKey>,
    ) -> Result<SshSettings, image_action_engine::Error> {
        let mut login = Login {
            user: if self.ssh_username.is_empty() { user.to_owned() } else { self.ssh_username.clone() },
            keys: file_key(&self.ssh_private_key_file, &self.ssh_certificate_file, cwd, env)?,
            password: self.ssh_password.clone(),
            agent: agent(self.ssh_agent_auth, env)?,
        };
        login.keys.extend(temporary.cloned());
        let (timeout, handshake_attempts) = self.limits();
        let forward = self.ssh_disable_agent_forwarding == Some(false);
        Ok(SshSettings {
            bastion: self.bastion(cwd, env)?,
            login,
            timeout,
            handshake_attempts,
            proxy: (!self.ssh_proxy_host.is_empty()).then(|| Proxy {
                host: self.ssh_proxy_host.clone(),
                port: self.body_port("ssh_proxy_port").unwrap_or(1080),
                user: self.ssh_proxy_username.clone(),
                password: self.ssh_proxy_password.clone(),
            }),
            pty: self.ssh_pty,
            transfer: if self.ssh_file_transfer_method == "sftp" { Transfer::Sftp } else { Transfer::Shell },
            keep_alive: keep_alive(&self.ssh_keep_alive_interval).unwrap_or(Some(DEFAULT_KEEP_ALIVE)),
            idle: Some(self.ssh_read_write_timeout).filter(|t| !t.is_zero()),
            ciphers: self.ssh_ciphers.clone(),
            kex: self.ssh_key_exchange_algorithms.clone(),
            forward_agent: env.get("SSH_AUTH_SOCK").filter(|_| forward).map(PathBuf::from),
            remote_tunnels: self.ssh_remote_tunnels.iter().filter_map(|t| Tunnel::parse(t).ok()).collect(),
            local_tunnels: self.ssh_local_tunnels.iter().filter_map(|t| Tunnel::parse(t).ok()).collect(),
        })
    }

    fn bastion(&self, cwd: &Path, env: &Env) -> Result<Option<Bastion>, image_action_engine::Error> {
        if self.ssh_bastion_host.is_empty() {
            return Ok(None);
        }
        let (key, certificate) = if self.ssh_bastion_private_key_file.is_empty() {
            (&self.ssh_private_key_file, &self.ssh_certificate_file)
        } else {
            (&self.ssh_bastion_private_key_file, &self.ssh_bastion_certificate_file)
        };
        Ok(Some(Bastion {
            host: self.ssh_bastion_host.clone(),
            port: self.body_port("ssh_bastion_port").unwrap_or(22),
            login: Login {
                user: self.ssh_bastion_username.clone(),
                keys: file_key(key, certificate, cwd, env)?,
                password: self.ssh_bastion_password.clone(),
                agent: agent(self.ssh_bastion_agent_auth, env)?,
            },
        }))
    }

    /// The private key file as an absolute path, where one is given.
    pub fn private_key_path(&self, cwd: &Path, env: &Env) -> Option<PathBuf> {
        (!self.ssh_private_key_file.is_empty()).then(|| expand(&self.ssh_private_key_file, cwd, env))
    }
}

impl Tunnel {
    /// Reads `PORT:HOST:PORT`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Tunnel, String> {
        let three = || "it does not have the form PORT:HOST:PORT".to_owned();
        let (listen, rest) = text.split_once(':').ok_or_else(three)?;
        let (host, port) = rest.rsplit_once(':').ok_or_else(three)?;
        let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        if inner.is_none() && host.contains(':') {
            return Err("an IPv6 address stands in brackets".to_owned());
        }
        let number = |t: &str| t.parse::<u16>().map_err(|_| format!("\"{t}\" is not a port"));
        let host = inner.unwrap_or(host);
        if host.is_empty() {
            return Err("the host is missing".to_owned());
        }
        Ok(Tunnel { listen: number(listen)?, host: host.to_owned(), port: number(port)? })
    }
}

/// Collects what is wrong, with the places.
struct Checks<'a> {
    body: &'a Block,
    all: Diagnostics,
}

impl Checks<'_> {
    fn push(&mut self, option: &str, summary: impl Into<String>, hint: impl Into<String>) {
        self.all.push(Diagnostic::error(summary).at(self.body.span_of(option)).hint(hint));
    }
}

/// A duration that may be negative, which means never.
fn keep_alive(text: &str) -> Result<Option<Duration>, String> {
    match text.strip_prefix('-') {
        Some(rest) => image_action_engine::duration::parse(rest).map(|_| None),
        None if text.is_empty() || text == image_action_engine::config::UNKNOWN_TEXT => Ok(Some(DEFAULT_KEEP_ALIVE)),
        None => image_action_engine::duration::parse(text).map(|d| Some(d).filter(|d| !d.is_zero())),
    }
}

/// A path of an option: `~` is the home directory, a relative one starts from `cwd`.
fn expand(path: &str, cwd: &Path, env: &Env) -> PathBuf {
    match (path.strip_prefix('~'), env.get("HOME")) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => PathBuf::from(format!("{home}{rest}")),
        _ => cwd.join(path),
    }
}

fn file_key(
    key: &str,
    certificate: &str,
    cwd: &Path,
    env: &Env,
) -> Result<Vec<PrivateKey>, image_action_engine::Error> {
    if key.is_empty() {
        return Ok(Vec::new());
    }
    let invalid = |what: &str, why: String| {
        image_action_engine::Error::new(image_action_engine::ErrorKind::Invalid, format!("{what} is invalid: {why}"))
    };
    let mut loaded = load_private_key(&expand(key, cwd, env)).map_err(|e| invalid(key, e))?;
    if !certificate.is_empty() {
        loaded.certificate =
            Some(load_certificate(&expand(certificate, cwd, env)).map_err(|e| invalid(certificate, e))?);
    }
    Ok(vec![loaded])
}

fn agent(wanted: bool, env: &Env) -> Result<Option<PathBuf>, image_action_engine::Error> {
    if !wanted {
        return Ok(None);
    }
    let socket = env.get("SSH_AUTH_SOCK").ok_or_else(|| {
        image_action_engine::Error::new(
            image_action_engine::ErrorKind::Credentials,
            "the template logs in by ssh-agent, and SSH_AUTH_SOCK is not set",
        )
        .hint("start an ssh-agent and add the key (`ssh-add`), or name the key in ssh_private_key_file")
    })?;
    Ok(Some(PathBuf::from(socket)))
}
