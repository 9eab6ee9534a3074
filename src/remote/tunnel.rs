//! Local ports that lead to where the machine can go.

use crate::config::Tunnel;
use crate::ssh::SshCommunicator;
use image_action_engine::{Error, Result};
use std::sync::Weak;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// Listens on the tunnel's port until the task is aborted.
pub(crate) async fn listen(tunnel: Tunnel, communicator: Weak<SshCommunicator>) -> Result<AbortHandle> {
    let listener = TcpListener::bind(("127.0.0.1", tunnel.listen)).await.map_err(|e| {
        Error::failed(format!("port {} of this machine cannot be listened on for a tunnel: {e}", tunnel.listen))
            .hint("choose another port in ssh_local_tunnels")
    })?;
    let task = tokio::spawn(async move {
        while let Ok((local, _)) = listener.accept().await {
            tokio::spawn(pipe(local, tunnel.clone(), communicator.clone()));
        }
    });
    Ok(task.abort_handle())
}

async fn pipe(mut local: TcpStream, tunnel: Tunnel, communicator: Weak<SshCommunicator>) {
    let Some(communicator) = communicator.upgrade() else { return };
    let Ok(live) = communicator.live().await else { return };
    drop(communicator);
    let opened = live.handle.channel_open_direct_tcpip(tunnel.host, tunnel.port.into(), "127.0.0.1", 0).await;
    if let Ok(channel) = opened {
        let _ = tokio::io::copy_bidirectional(&mut local, &mut channel.into_stream()).await;
    }
}
