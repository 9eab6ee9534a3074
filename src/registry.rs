//! Every component by the name that templates use. Adding one is one file of its own and one line here.

use crate::builder;
use crate::datasource::{self, http::HttpData, null::NullData};
use crate::postprocessor::{self as after, artifice, checksum, compress, manifest};
use crate::provisioner::{ansible, breakpoint, file, shell, shell_local, sleep};
use image_action_amazon as amazon;
use image_action_engine::config::{Block, Schema};
use image_action_engine::ledger::Sweeper;
use image_action_engine::outline::{Document, Grant};
use image_action_engine::{Builder, Config, DataSource, PostProcessor, PrepareContext, Provisioner};
use image_action_google::config::{Googlecompute, ImageData, SecretData};
use image_action_lang::Diagnostics;

/// A component.
pub struct Component<T: ?Sized + 'static> {
    /// The type of its block's label.
    pub name: &'static str,
    /// Its options.
    pub schema: fn() -> &'static Schema,
    /// Makes it from its checked body.
    pub make: fn(&PrepareContext, &Block) -> Result<Box<T>, Diagnostics>,
}

/// A plugin of Packer's that is built in.
#[derive(Debug)]
pub struct Plugin {
    /// What its components' names begin with.
    pub name: &'static str,
    /// As `required_plugins` names it.
    pub source: &'static str,
    /// The release whose behaviour is followed.
    pub version: &'static str,
}

/// What `required_plugins` may ask for.
pub const PLUGINS: &[Plugin] = &[
    Plugin { name: "amazon", source: "github.com/hashicorp/amazon", version: "1.8.3" },
    Plugin { name: "ansible", source: "github.com/hashicorp/ansible", version: "1.1.7" },
    Plugin { name: "azure", source: "github.com/hashicorp/azure", version: "2.6.4" },
    Plugin { name: "googlecompute", source: "github.com/hashicorp/googlecompute", version: "1.2.8" },
];

/// `source "NAME"`
pub const BUILDERS: &[Component<dyn Builder>] = &[
    Component { name: "amazon-ebs", schema: amazon::config::Ebs::schema, make: amazon::make_ebs },
    Component { name: "azure-arm", schema: image_action_azure::Arm::schema, make: image_action_azure::make },
    Component { name: "file", schema: builder::file::schema, make: builder::file::make },
    Component { name: "googlecompute", schema: Googlecompute::schema, make: image_action_google::make },
    Component { name: "null", schema: builder::null::NullConfig::schema, make: builder::null::make },
];

/// `provisioner "NAME"`
pub const PROVISIONERS: &[Component<dyn Provisioner>] = &[
    Component { name: "ansible", schema: ansible::AnsibleConfig::schema, make: ansible::make },
    Component { name: "breakpoint", schema: breakpoint::BreakpointConfig::schema, make: breakpoint::make },
    Component { name: "file", schema: file::FileConfig::schema, make: file::make },
    Component { name: "shell", schema: shell::ShellConfig::schema, make: shell::make },
    Component { name: "shell-local", schema: shell_local::ShellLocalConfig::schema, make: shell_local::make },
    Component { name: "sleep", schema: sleep::SleepConfig::schema, make: sleep::make },
];

/// `post-processor "NAME"`
pub const POST_PROCESSORS: &[Component<dyn PostProcessor>] = &[
    Component { name: "artifice", schema: artifice::ArtificeConfig::schema, make: artifice::make },
    Component { name: "checksum", schema: checksum::ChecksumConfig::schema, make: checksum::make },
    Component { name: "compress", schema: compress::CompressConfig::schema, make: compress::make },
    Component { name: "manifest", schema: manifest::ManifestConfig::schema, make: manifest::make },
    Component { name: "shell-local", schema: shell_local::ShellLocalConfig::schema, make: after::shell_local::make },
];

/// `data "NAME"`
pub const DATA_SOURCES: &[Component<dyn DataSource>] = &[
    Component { name: "amazon-ami", schema: amazon::config::AmiData::schema, make: amazon::make_ami_data },
    Component {
        name: "amazon-parameterstore",
        schema: amazon::config::ParameterData::schema,
        make: amazon::make_parameter_data,
    },
    Component {
        name: "amazon-secretsmanager",
        schema: amazon::config::SecretData::schema,
        make: amazon::make_secret_data,
    },
    Component { name: "googlecompute-image", schema: ImageData::schema, make: image_action_google::make_image_data },
    Component {
        name: "googlecompute-secretsmanager",
        schema: SecretData::schema,
        make: image_action_google::make_secret_data,
    },
    Component { name: "http", schema: HttpData::schema, make: datasource::http::make },
    Component { name: "null", schema: NullData::schema, make: datasource::null::make },
];

/// The data sources that ask nobody: `inspect` reads them.
pub const LOCAL_DATA_SOURCES: &[&str] = &["null"];

/// Makes documents of what builds need to be allowed.
pub type Permissions = fn(&[Grant]) -> Vec<Document>;

/// How each cloud writes down what it allows, by the `provider` of outlines.
pub const PERMISSIONS: &[(&str, Permissions)] = &[
    ("aws", |grants| vec![amazon::policy(grants)]),
    ("azure", image_action_azure::roles),
    ("gcp", image_action_google::roles),
];

/// What removes the resources of each cloud.
pub fn sweepers() -> Vec<Box<dyn Sweeper>> {
    vec![
        Box::new(amazon::AwsSweeper),
        Box::new(image_action_azure::AzureSweeper::default()),
        Box::new(image_action_google::GoogleSweeper),
    ]
}

/// The names of all components of a kind.
pub fn names<T: ?Sized>(components: &[Component<T>]) -> Vec<&'static str> {
    components.iter().map(|c| c.name).collect()
}
