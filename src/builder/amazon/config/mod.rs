//! The options of the components, declared once.

pub mod access;
pub mod ami;
pub mod device;
pub mod run;

pub(crate) mod check;

pub use access::{Access, AssumeRole, Polling};
pub use ami::Ami;
pub use check::{check_access, check_ebs};
pub use device::BlockDevice;
pub use run::{AmiFilter, Run};

use image_action_engine::Config;
use image_action_remote::CommunicatorConfig;
use std::collections::BTreeMap;

/// Builds an AMI from an EBS-backed source image: launches an instance of it, has it provisioned, stops it and makes an image
/// of it; copies, encrypts, shares and tags that as asked.
#[derive(Clone, Debug, Config)]
pub struct Ebs {
    /// How the account is reached.
    #[config(flatten)]
    pub access: Access,
    /// What image is made.
    #[config(flatten)]
    pub ami: Ami,
    /// What instance is launched.
    #[config(flatten)]
    pub run: Run,
    /// How the instance is reached.
    #[config(flatten)]
    pub communicator: CommunicatorConfig,
}

/// Finds an image: the newest that matches, say.
#[derive(Clone, Debug, Config)]
pub struct AmiData {
    /// How the account is reached.
    #[config(flatten)]
    pub access: Access,
    /// EC2's filters by name, such as `name`, `architecture` or `virtualization-type`. A value may hold several,
    /// separated by commas; `*` stands for anything.
    pub filters: BTreeMap<String, String>,
    /// Who owns the image: account ids, `self`, `amazon`, `aws-marketplace`. One at least.
    pub owners: Vec<String>,
    /// Takes the newest image where several match. Left out, several are an error.
    pub most_recent: bool,
    /// Looks at deprecated images, too.
    pub include_deprecated: bool,
}

/// Reads a secret of Secrets Manager.
#[derive(Clone, Debug, Config)]
pub struct SecretData {
    /// How the account is reached.
    #[config(flatten)]
    pub access: Access,
    /// The name or the ARN of the secret.
    #[config(required)]
    pub name: String,
    /// Which entry of a secret that is a JSON object. It may be left out where there is one entry only.
    pub key: String,
    /// Which version, by its id. It goes before `version_stage`.
    pub version_id: String,
    /// Which version, by its label.
    #[config(default = "AWSCURRENT")]
    pub version_stage: String,
}

/// Reads a parameter of Systems Manager's Parameter Store.
#[derive(Clone, Debug, Config)]
pub struct ParameterData {
    /// How the account is reached.
    #[config(flatten)]
    pub access: Access,
    /// The name or the ARN of the parameter; `:VERSION` or `:LABEL` may follow it.
    #[config(required)]
    pub name: String,
    /// Decrypts a parameter of the kind `SecureString`. Left out, its value is what is stored.
    pub with_decryption: bool,
}
