//! The options of the components, declared once.

mod auth;
mod check;
mod disk;
mod image;
mod instance;
mod login;

pub use auth::{Access, Authentication};
pub use check::check;
pub use disk::{DiskAttachment, EncryptionKey};
pub use image::ImageOptions;
pub use instance::{InstanceOptions, NodeAffinity, ReservationAffinity};
pub use login::LoginOptions;

use image_action_engine::Config;
use image_action_remote::CommunicatorConfig;

/// Builds a Compute Engine image: makes an instance of a source image, has it provisioned, deletes it while its boot disk
/// stays, and makes an image of that disk.
#[derive(Clone, Debug, Config)]
pub struct Googlecompute {
    /// Who calls.
    #[config(flatten)]
    pub authentication: Authentication,
    /// Where the API is.
    #[config(flatten)]
    pub access: Access,
    /// What image is made, and of what.
    #[config(flatten)]
    pub image: ImageOptions,
    /// What instance is made.
    #[config(flatten)]
    pub instance: InstanceOptions,
    /// How the instance learns who may log in.
    #[config(flatten)]
    pub login: LoginOptions,
    /// How the instance is reached.
    #[config(flatten)]
    pub communicator: CommunicatorConfig,
}

/// Finds an image.
#[derive(Clone, Debug, Config)]
pub struct ImageData {
    /// The project that the image is in.
    #[config(required)]
    pub project_id: String,
    /// A filter of Compute Engine's lists (`family=debian-12 AND labels.public-image=true`).
    #[config(required)]
    pub filters: String,
    /// Takes the newest image where several match. Left out, several are an error.
    pub most_recent: bool,
    /// Where the API is.
    #[config(flatten)]
    pub access: Access,
}

/// Reads a secret of Secret Manager.
#[derive(Clone, Debug, Config)]
pub struct SecretData {
    /// The project that the secret is in.
    #[config(required)]
    pub project_id: String,
    /// The name of the secret.
    #[config(required)]
    pub name: String,
    /// Which version: its number, an alias, or `latest`.
    #[config(default = "latest")]
    pub version: String,
    /// Which entry of a secret that is a JSON object; `value` is then this entry. Left out, `value` is the whole text.
    pub key: String,
    /// Where the API is.
    #[config(flatten)]
    pub access: Access,
}
