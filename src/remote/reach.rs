//! What every builder does once its machine has an address: the wait, its messages, the facts that templates may use.

use crate::{CommunicatorConfig, NoneCommunicator, PrivateKey, connect};
use image_action_engine::{BuildContext, Communicator, Error, ErrorKind, Facts, Result, duration, wait};
use image_action_lang::Value;
use std::sync::Arc;

/// Where a machine is, and who may come in.
#[derive(Clone, Debug, Default)]
pub struct Machine<'a> {
    /// The address that the builder found; `ssh_host` goes before it.
    pub host: &'a str,
    /// Another port than the template's: that of a tunnel which the builder made.
    pub port: Option<u16>,
    /// Who logs in where the template does not say.
    pub user: &'a str,
    /// The key that was made for this build.
    pub key: Option<&'a PrivateKey>,
}

/// Waits until the machine lets us in, as the template wants it, and adds what is known of the way to `facts`
/// (`build.Host`, `build.Port`, `build.User`, …).
///
/// # Errors
/// A key that cannot be read, no login within the time that the template allows, [`Error::cancelled`].
pub async fn reach(
    cx: &BuildContext,
    config: &CommunicatorConfig,
    machine: &Machine<'_>,
    facts: &mut Facts,
) -> Result<Arc<dyn Communicator>> {
    let secret = |text: &str| Value::string(text).with_sensitive(true);
    facts.insert("ConnType".to_owned(), Value::string(&config.communicator));
    facts.insert("PackerRunUUID".to_owned(), Value::string(&cx.run.id));
    facts.insert("WinRMPassword".to_owned(), secret(""));
    if config.is_none() {
        for (name, value) in [("Host", ""), ("User", ""), ("Password", ""), ("SSHPublicKey", ""), ("SSHPrivateKey", "")]
        {
            facts.insert(name.to_owned(), Value::string(value));
        }
        facts.insert("Port".to_owned(), Value::int(0));
        return Ok(Arc::new(NoneCommunicator));
    }
    if !config.is_ssh() {
        let what = format!("the communicator \"{}\" is not supported yet", config.communicator);
        return Err(Error::new(ErrorKind::Invalid, what)
            .hint("use ssh: Windows Server 2019 and later have OpenSSH as an optional feature"));
    }
    let settings = config.ssh(&cx.run.cwd, cx.env(), machine.user, machine.key)?;
    let host = if config.ssh_host.is_empty() { machine.host } else { config.ssh_host.as_str() };
    let port = machine.port.or_else(|| local_port(cx, host, config.port())).unwrap_or(config.port());
    if host.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "the machine has no address to connect to").hint("set ssh_host"));
    }
    cx.phase("waiting for ssh");
    cx.say(format!("Waiting for ssh at {host} port {port}"));
    let told = cx.clone();
    let notice: crate::Notice = Arc::new(move |line| told.message(line));
    let reached = || connect(&settings, host, port, &cx.cancel, notice.clone());
    let mut communicator = cx.step("waiting for ssh", reached).await?;
    if !config.pause_before_connecting.is_zero() {
        cx.say(format!(
            "Connected; pausing {} before the connection is made anew",
            duration::show(config.pause_before_connecting)
        ));
        communicator.close().await;
        wait::pause(config.pause_before_connecting, &cx.cancel).await?;
        communicator = connect(&settings, host, port, &cx.cancel, notice).await?;
    }
    cx.say(format!("Connected to {host} as {}", settings.login.user));
    facts.insert("Host".to_owned(), Value::string(host));
    facts.insert("Port".to_owned(), Value::int(i64::from(port)));
    facts.insert("User".to_owned(), Value::string(&settings.login.user));
    facts.insert("Password".to_owned(), secret(settings.login.password.expose()));
    let used = settings.login.keys.first();
    facts.insert("SSHPublicKey".to_owned(), Value::string(used.map(PrivateKey::public_openssh).unwrap_or_default()));
    facts.insert("SSHPrivateKey".to_owned(), secret(used.map(|k| k.pem.expose()).unwrap_or_default()));
    Ok(communicator)
}

/// Names the port that answers for port 22 on machines of a local cloud which an ordinary user runs: 22 itself is root's.
const LOCAL_SSH_PORT: &str = "IMAGE_ACTION_LOCAL_SSH_PORT";

/// That port, where the address is one of a local cloud's machines. Addresses below 127.16 are not: people use them by hand.
fn local_port(cx: &BuildContext, host: &str, port: u16) -> Option<u16> {
    let address: std::net::Ipv4Addr = host.parse().ok()?;
    let of_a_machine = address.is_loopback() && address.octets()[1] >= 16 && port == 22;
    cx.env().get(LOCAL_SSH_PORT)?.parse().ok().filter(|_| of_a_machine)
}

/// Takes the temporary key out of `authorized_keys`, where the template asks for it (`ssh_clear_authorized_keys`): the clouds
/// write the key's name behind it.
///
/// # Errors
/// Only [`Error::cancelled`]: a machine without such files is fine.
pub async fn clear_authorized_keys(
    cx: &BuildContext,
    config: &CommunicatorConfig,
    communicator: &dyn Communicator,
    key_name: &str,
) -> Result<()> {
    if !config.ssh_clear_authorized_keys || !config.is_ssh() || key_name.is_empty() {
        return Ok(());
    }
    cx.say("Removing the temporary key from authorized_keys");
    // The name goes into a pattern of sed; names that we make up hold nothing that means something there.
    let pattern: String = key_name
        .chars()
        .flat_map(|c| if c.is_ascii_alphanumeric() || c == '_' { vec![c] } else { vec!['\\', c] })
        .collect();
    for (sudo, file) in [("", "~/.ssh/authorized_keys"), ("sudo -n ", "/root/.ssh/authorized_keys")] {
        let command = format!("{sudo}sed -i.bak '/ {pattern}$/d' {file}; {sudo}rm -f {file}.bak");
        let mut nothing = image_action_engine::component::Discard;
        match communicator.exec(&command, &mut nothing, &cx.cancel).await {
            Err(e) if e.is_cancelled() => return Err(e),
            _ => {}
        }
    }
    Ok(())
}
