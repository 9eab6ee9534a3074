//! How the instance learns who may log in, and how it is reached.

use image_action_engine::Config;
use std::time::Duration;

/// How the instance learns who may log in.
#[derive(Clone, Debug, Config)]
pub struct LoginOptions {
    /// Makes the instance without the key, waits this long, and adds the key then: for images that lose keys while they
    /// start. Left out: the instance is made with the key.
    pub wait_to_add_ssh_keys: Duration,
    /// Whether the key goes to OS Login. Default: as `enable-oslogin` of the instance's or the project's metadata says.
    pub use_os_login: Option<bool>,
    /// The user that OS Login gives; `__external__` for one of another organization. Left out: as OS Login says.
    pub oslogin_ssh_username: String,
    /// How long OS Login keeps the key. Left out: until the build takes it away again.
    pub oslogin_ssh_key_expire_after: Duration,
    /// Connects through Identity-Aware Proxy, so that the instance needs no external address.
    #[config(unsupported)]
    pub use_iap: bool,
    /// The local port of the tunnel through Identity-Aware Proxy.
    #[config(unsupported)]
    pub iap_localhost_port: i64,
    /// The first line of the script that starts the tunnel. No script is needed here.
    #[config(unsupported)]
    pub iap_hashbang: String,
    /// The ending of that script's name. No script is needed here.
    #[config(unsupported)]
    pub iap_ext: String,
    /// How long the tunnel may take to start, in seconds.
    #[config(unsupported)]
    pub iap_tunnel_launch_wait: i64,
    /// How long Windows may take to make a password.
    #[config(default = "3m", only_with = "communicator = winrm")]
    pub windows_password_timeout: Duration,
}
