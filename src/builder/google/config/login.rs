//! How the instance learns who may log in, and how it is reached.

use image_action_engine::Config;
use std::time::Duration;

/// How the instance learns who may log in.
#[derive(Clone, Debug, Config)]
pub struct LoginOptions {
    /// Makes the instance without the key, waits this long, and adds the key then.
    pub wait_to_add_ssh_keys: Duration,
    /// Whether the key goes to OS Login. Default: as `enable-oslogin` of the instance's or the project's metadata says.
    pub use_os_login: Option<bool>,
    /// The user that OS Login gives; `__external__` for one of another organization.
    pub oslogin_ssh_username: String,
    /// When OS Login forgets the key.
    pub oslogin_ssh_key_expire_after: Duration,
    /// Connects through Identity-Aware Proxy.
    #[config(unsupported)]
    pub use_iap: bool,
    /// The local port of the tunnel.
    #[config(unsupported)]
    pub iap_localhost_port: i64,
    /// The first line of the script that starts the tunnel: no script is needed here.
    #[config(unsupported)]
    pub iap_hashbang: String,
    /// The ending of that script's name.
    #[config(unsupported)]
    pub iap_ext: String,
    /// How long the tunnel may take to start, in seconds.
    #[config(unsupported)]
    pub iap_tunnel_launch_wait: i64,
    /// How long Windows may take to make a password.
    #[config(default = "3m", unsupported)]
    pub windows_password_timeout: Duration,
}
