//! How Azure is reached.

use image_action_engine::{Config, Secret};

/// How Azure is reached, and as whom.
#[derive(Config)]
pub struct Access {
    /// The cloud: `Public`, `USGovernment` or `China`.
    #[config(default = "Public")]
    pub cloud_environment_name: String,
    /// The URL of another cloud, whose metadata document names its endpoints (`ARM_METADATA_URL` where it is not set).
    pub metadata_host: String,
    /// The application that builds, or the user-assigned identity of the machine that we run on.
    pub client_id: String,
    /// Its secret.
    #[config(sensitive)]
    pub client_secret: Secret,
    /// Its certificate (PKCS#12).
    #[config(unsupported)]
    pub client_cert_path: String,
    /// The password of that file.
    #[config(sensitive, unsupported)]
    pub client_cert_password: Secret,
    /// A token of somebody whom the application trusts. It serves as long as it lives; a workflow's own lives some minutes.
    #[config(sensitive)]
    pub client_jwt: Secret,
    /// Where a workflow asks for its own token (`ACTIONS_ID_TOKEN_REQUEST_URL`).
    pub oidc_request_url: String,
    /// What it shows there (`ACTIONS_ID_TOKEN_REQUEST_TOKEN`).
    #[config(sensitive)]
    pub oidc_request_token: Secret,
    /// The object of the application in its tenant. Nothing needs it any more.
    pub object_id: String,
    /// The tenant; found out where it is not set.
    pub tenant_id: String,
    /// The subscription; that of the az command, or of the machine that we run on, where it is not set.
    pub subscription_id: String,
    /// Whether the login of the az command is used. In a workflow that has a token of its own (OIDC) and names client and tenant
    /// in its environment, that is used in its place.
    pub use_azure_cli_auth: bool,
}
