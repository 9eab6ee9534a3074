//! Machines: a guest behind a loopback address of its own, whose port 22 answers, as a cloud's public address does. Where an
//! ordinary user may not listen there, another port answers, which the cloud's environment names.

use crate::guest::{BootSpec, Guest, GuestError, GuestHost};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The port of SSH, on every machine's address.
const SSH_PORT: u16 = 22;

/// The same where port 22 is closed to ordinary users (`net.ipv4.ip_unprivileged_port_start`).
const UNPRIVILEGED_SSH_PORT: u16 = 2222;

/// Pause after a connection that could not be taken.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// How many addresses are tried before giving up; another local cloud may hold some.
const ADDRESS_TRIES: u32 = 50;

/// All machines of one local cloud.
pub struct Machines {
    host: Option<GuestHost>,
    ssh_port: u16,
    alive: Mutex<Vec<Machine>>,
}

/// One machine. Clones are the same machine.
#[derive(Clone)]
pub struct Machine {
    /// Its public address.
    pub address: Ipv4Addr,
    /// The guest; `None` where this cloud has no guests.
    pub guest: Option<Guest>,
    door: Option<Arc<Door>>,
}

/// Hands connections of the address on to the guest's SSH server; ends with its last holder.
struct Door(JoinHandle<()>);

impl Drop for Door {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Machines {
    /// Machines with guests behind them, or none.
    pub fn new(host: Option<GuestHost>) -> Machines {
        Machines { host, ssh_port: ssh_port(), alive: Mutex::new(Vec::new()) }
    }
    /// The port of SSH on every machine's address, where it is not 22.
    pub fn other_ssh_port(&self) -> Option<u16> {
        Some(self.ssh_port).filter(|port| *port != SSH_PORT)
    }
    /// Whether anybody can log in.
    pub fn have_guests(&self) -> bool {
        self.host.is_some()
    }
    /// Boots a machine; returns when SSH answers at its address.
    ///
    /// # Errors
    /// As the guest host says, or where no address is free.
    pub async fn boot(&self, spec: BootSpec) -> Result<Machine, GuestError> {
        let machine = match &self.host {
            None => Machine { address: random_address(), guest: None, door: None },
            Some(host) => {
                let name = spec.name.clone();
                let (address, listener) = open_address(&name, self.ssh_port).await?;
                let guest = host.boot(spec).await?;
                let door = Arc::new(Door(tokio::spawn(forward(listener, guest.ssh_addr()))));
                Machine { address, guest: Some(guest), door: Some(door) }
            }
        };
        self.alive.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(machine.clone());
        Ok(machine)
    }
    /// Ends and removes a machine.
    pub async fn destroy(&self, machine: &Machine) {
        self.alive.lock().unwrap_or_else(std::sync::PoisonError::into_inner).retain(|m| m.address != machine.address);
        if let Some(guest) = &machine.guest {
            // The host removes what is left at its own end.
            let _ = guest.destroy().await;
        }
    }
    /// Ends and removes every machine.
    pub async fn shutdown(&self) {
        self.alive.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
        if let Some(host) = &self.host {
            host.shutdown().await;
        }
    }
}

impl Machine {
    /// Whether a client can log in.
    pub fn can_log_in(&self) -> bool {
        self.door.is_some()
    }
}

/// 127.16.0.1 to 127.255.255.254: below that are addresses that people use by hand.
fn random_address() -> Ipv4Addr {
    let r: [u8; 3] = rand::random();
    Ipv4Addr::new(127, r[0].max(16), r[1], r[2].clamp(1, 254))
}

/// 22, unless this process may not listen there.
fn ssh_port() -> u16 {
    let probe = std::net::TcpListener::bind(SocketAddr::from((random_address(), SSH_PORT)));
    let forbidden = probe.is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied);
    if forbidden { UNPRIVILEGED_SSH_PORT } else { SSH_PORT }
}

async fn open_address(name: &str, port: u16) -> Result<(Ipv4Addr, TcpListener), GuestError> {
    let mut last = None;
    for _ in 0..ADDRESS_TRIES {
        let address = random_address();
        match TcpListener::bind(SocketAddr::from((address, port))).await {
            Ok(listener) => return Ok((address, listener)),
            Err(e) => last = Some(e),
        }
    }
    let reason = last.map_or_else(String::new, |e| format!(": {e}"));
    Err(GuestError::Guest {
        name: name.to_owned(),
        reason: format!("no loopback address with a free port {port}{reason}"),
    })
}

async fn forward(listener: TcpListener, to: SocketAddr) {
    loop {
        let Ok((mut client, _)) = listener.accept().await else {
            // Out of descriptors, or a client that went away: the machine must answer the next one all the same.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        tokio::spawn(async move {
            if let Ok(mut guest) = TcpStream::connect(to).await {
                // Either side may hang up at any time.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut guest).await;
            }
        });
    }
}
