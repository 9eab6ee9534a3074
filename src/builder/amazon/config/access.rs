//! How the account is reached: credentials, region, endpoint, retries, waits.

use image_action_engine::{Config, Secret};
use std::collections::BTreeMap;

/// Access to an AWS account; the same options for builders and data sources.
#[derive(Clone, Debug, Config)]
pub struct Access {
    /// Access key id. Goes before the environment and `profile`; needs `secret_key`.
    pub access_key: String,
    /// Secret access key of `access_key`.
    #[config(sensitive)]
    pub secret_key: Secret,
    /// Session token that belongs to `access_key` and `secret_key`.
    #[config(sensitive)]
    pub token: Secret,
    /// Profile of the shared configuration files. Goes before keys in the environment.
    pub profile: String,
    /// Path of a shared configuration file that is read in place of `~/.aws/config`.
    pub shared_credentials_file: String,
    /// The region that the image is built in. Default: `AWS_REGION`, `AWS_DEFAULT_REGION`, or the profile's region.
    pub region: String,
    /// Address of EC2, for every region that this build talks to.
    pub custom_endpoint_ec2: String,
    /// Accepts any TLS certificate.
    #[config(unsupported)]
    pub insecure_skip_tls_verify: bool,
    /// How often a call is tried in all when it is throttled, answers 5xx or loses its connection.
    pub max_retries: i64,
    /// Leaves out the first call (`sts:GetCallerIdentity`) that checks the credentials.
    pub skip_credential_validation: bool,
    /// Never asks the metadata service of an instance for credentials.
    pub skip_metadata_api_check: bool,
    /// Decodes the message of a refused call (needs `sts:DecodeAuthorizationMessage`).
    pub decode_authorization_messages: bool,
    /// One-time code of a multi-factor device.
    #[config(unsupported)]
    pub mfa_code: String,
    /// A role that is taken on with the credentials found.
    #[config(block)]
    pub assume_role: Option<AssumeRole>,
    /// Credentials from a Vault server.
    #[config(block, unsupported)]
    pub vault_aws_engine: Option<VaultAwsEngine>,
    /// How long and how often is waited for a state of AWS.
    #[config(block)]
    pub aws_polling: Option<Polling>,
}

/// A role to take on.
#[derive(Clone, Debug, Config)]
pub struct AssumeRole {
    /// The role's ARN. The block has no effect without it.
    pub role_arn: String,
    /// Name of the session, as CloudTrail shows it.
    pub session_name: String,
    /// The external id that the role's trust policy asks for.
    pub external_id: String,
    /// How long a session lasts, in seconds; it is renewed before it ends.
    pub duration_seconds: i64,
    /// A policy (JSON) that narrows the role's own.
    pub policy: String,
    /// ARNs of managed policies that narrow the role's own.
    pub policy_arns: Vec<String>,
    /// Tags of the session.
    pub tags: BTreeMap<String, String>,
    /// Which of `tags` are handed on when the session takes on another role.
    pub transitive_tag_keys: Vec<String>,
}

/// Credentials from a Vault server.
#[derive(Clone, Debug, Config)]
pub struct VaultAwsEngine {
    /// Name of the role in Vault.
    pub name: String,
    /// Mount path of the engine.
    #[config(default = "aws")]
    pub engine_name: String,
    /// The AWS role, where the Vault role allows several.
    pub role_arn: String,
    /// How long the credentials last.
    pub ttl: String,
}

/// How long and how often is waited for a state of AWS.
#[derive(Clone, Debug, Config)]
pub struct Polling {
    /// How many looks, `delay_seconds` apart.
    pub max_attempts: i64,
    /// The longest pause between two looks, in seconds.
    pub delay_seconds: i64,
}
