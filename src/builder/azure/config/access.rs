//! How Azure is reached.

use image_action_engine::{Config, Secret};

/// How Azure is reached, and as whom.
#[derive(Config)]
pub struct Access {
    /// The cloud: `Public`, `USGovernment` or `China`.
    #[config(default = "Public")]
    pub cloud_environment_name: String,
    /// The URL of another cloud, whose metadata document names its endpoints. Left out: `ARM_METADATA_URL`, else the
    /// cloud of `cloud_environment_name`.
    pub metadata_host: String,
    /// The id of the application that builds, or of the user-assigned identity of the machine that the build runs on.
    pub client_id: String,
    /// The secret of the application `client_id`.
    #[config(sensitive)]
    pub client_secret: Secret,
    /// The path of a file with the certificate of the application (PKCS#12).
    #[config(unsupported)]
    pub client_cert_path: String,
    /// The password of that file.
    #[config(sensitive, unsupported)]
    pub client_cert_password: Secret,
    /// A token of somebody whom the application trusts. It serves as long as it lives; a workflow's own lives some
    /// minutes.
    #[config(sensitive)]
    pub client_jwt: Secret,
    /// Where a workflow asks for its own token. Left out: `ACTIONS_ID_TOKEN_REQUEST_URL`.
    pub oidc_request_url: String,
    /// What a workflow shows there. Left out: `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
    #[config(sensitive)]
    pub oidc_request_token: Secret,
    /// The object of the application in its tenant. It is accepted, and nothing needs it any more.
    pub object_id: String,
    /// The id of the tenant. Left out: it is found out from the subscription.
    pub tenant_id: String,
    /// The id of the subscription. Left out: that of the `az` command, or of the machine that the build runs on.
    pub subscription_id: String,
    /// Uses the login of the `az` command. In a workflow that has a token of its own (OIDC) and names client and tenant
    /// in its environment, that is used in its place.
    pub use_azure_cli_auth: bool,
}
