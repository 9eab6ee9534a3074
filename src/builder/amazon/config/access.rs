//! How the account is reached: credentials, region, endpoint, retries, waits.

use image_action_engine::{Config, Secret};
use std::collections::BTreeMap;

/// Access to an AWS account; the same options for builders and data sources.
#[derive(Clone, Debug, Config)]
pub struct Access {
    /// The access key id. It goes before the environment and `profile`; needs `secret_key`. Left out: the credentials
    /// of the environment, of `profile`, or of the machine that the build runs on.
    pub access_key: String,
    /// The secret access key that belongs to `access_key`.
    #[config(sensitive)]
    pub secret_key: Secret,
    /// The session token that belongs to `access_key` and `secret_key`, where these are temporary.
    #[config(sensitive)]
    pub token: Secret,
    /// A profile of the shared configuration files. It goes before keys in the environment.
    pub profile: String,
    /// The path of a shared configuration file that is read in place of `~/.aws/config`.
    pub shared_credentials_file: String,
    /// The region that is used: where an image is built, or looked for. Left out: `AWS_REGION`, `AWS_DEFAULT_REGION`,
    /// or the profile's region.
    pub region: String,
    /// The URL of EC2, for every region that this build talks to. Left out: that of AWS.
    pub custom_endpoint_ec2: String,
    /// Accepts any TLS certificate.
    #[config(unsupported)]
    pub insecure_skip_tls_verify: bool,
    /// How often a call is tried in all when it is throttled, answers with a 5xx status or loses its connection. Left
    /// out, or 0: 10 times.
    pub max_retries: i64,
    /// Leaves out the first call (`sts:GetCallerIdentity`), which checks the credentials.
    pub skip_credential_validation: bool,
    /// Never asks the metadata service for the credentials of the instance that the build runs on.
    pub skip_metadata_api_check: bool,
    /// Decodes the message of a call that AWS refuses, so that it says which permission is missing. Needs
    /// `sts:DecodeAuthorizationMessage`.
    pub decode_authorization_messages: bool,
    /// A one-time code of a multi-factor device.
    #[config(unsupported)]
    pub mfa_code: String,
    /// A role that is taken on with the credentials that were found.
    #[config(block)]
    pub assume_role: Option<AssumeRole>,
    /// Credentials that a Vault server makes for this build.
    #[config(block, unsupported)]
    pub vault_aws_engine: Option<VaultAwsEngine>,
    /// How often and how long a state of AWS (an instance runs, an image is available) is waited for.
    #[config(block)]
    pub aws_polling: Option<Polling>,
}

/// A role to take on.
#[derive(Clone, Debug, Config)]
pub struct AssumeRole {
    /// The role's ARN. Without it the block has no effect.
    pub role_arn: String,
    /// The name of the session, as CloudTrail shows it. Left out: one is made up.
    pub session_name: String,
    /// The external id that the role's trust policy asks for.
    pub external_id: String,
    /// How long a session lasts, in seconds; it is renewed before it ends. Left out, or 0: 15 minutes.
    pub duration_seconds: i64,
    /// A policy (JSON) that narrows the role's own.
    pub policy: String,
    /// ARNs of managed policies that narrow the role's own.
    pub policy_arns: Vec<String>,
    /// Tags of the session.
    pub tags: BTreeMap<String, String>,
    /// Which keys of `tags` are handed on when the session takes on another role.
    pub transitive_tag_keys: Vec<String>,
}

/// Credentials from a Vault server.
#[derive(Clone, Debug, Config)]
pub struct VaultAwsEngine {
    /// The name of the role in Vault.
    pub name: String,
    /// The path that the AWS engine is mounted at in Vault.
    #[config(default = "aws")]
    pub engine_name: String,
    /// The ARN of the AWS role, where the role in Vault allows several.
    pub role_arn: String,
    /// How long the credentials last, such as `1h`. Left out: as Vault says.
    pub ttl: String,
}

/// How long and how often is waited for a state of AWS.
#[derive(Clone, Debug, Config)]
pub struct Polling {
    /// How many times `delay_seconds` is waited at most. Left out, or 0: `AWS_MAX_ATTEMPTS`, else 30 minutes for an
    /// image and 10 for an instance.
    pub max_attempts: i64,
    /// The longest pause between two questions, in seconds. Left out, or 0: `AWS_POLL_DELAY_SECONDS`, else 5.
    pub delay_seconds: i64,
}
