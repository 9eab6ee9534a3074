//! Who calls, and where the API is.

use image_action_engine::{Config, Secret};
use std::collections::BTreeMap;

/// Who calls. At most one of these; without any, the environment says (`GOOGLE_APPLICATION_CREDENTIALS`,
/// `GOOGLE_CREDENTIALS`, `GOOGLE_OAUTH_ACCESS_TOKEN`, gcloud's application-default credentials, the metadata server).
#[derive(Clone, Debug, Config)]
pub struct Authentication {
    /// An OAuth 2.0 access token. It is never renewed: a build that outlives it fails.
    #[config(sensitive)]
    pub access_token: Secret,
    /// The path of a credential file, or its content.
    #[config(sensitive, deprecated = "credentials_file or credentials_json")]
    pub account_file: Secret,
    /// The path of a credential file: service account, authorized user, external account (workload identity federation)
    /// or impersonated service account. Left out, with the others of this group: the credentials of the environment.
    pub credentials_file: String,
    /// The content of a credential file, in place of `credentials_file`.
    #[config(sensitive)]
    pub credentials_json: Secret,
    /// The email address of a service account that is impersonated with the credentials of the environment. Its tokens
    /// carry the scopes of `scopes`.
    pub impersonate_service_account: String,
    /// A path in Vault that gives an access token.
    #[config(unsupported)]
    pub vault_gcp_oauth_engine: String,
}

/// Where the API is.
#[derive(Clone, Debug, Config)]
pub struct Access {
    /// The domain of the APIs.
    #[config(default = "googleapis.com")]
    pub universe_domain: String,
    /// Other addresses of the APIs, by name: `compute` (with `/compute/v1/` at its end), `oslogin`, `oauth2`,
    /// `secretmanager`, `storage`.
    pub custom_endpoints: BTreeMap<String, String>,
}
