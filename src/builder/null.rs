//! `null`: provisions a machine that exists already, and makes no image.

use async_trait::async_trait;
use image_action_engine::{
    Artifact, Block, BuildContext, Builder, Config, Facts, PrepareContext, Result, config::UNKNOWN_TEXT,
};
use image_action_lang::{Diagnostic, Diagnostics, Value};
use image_action_remote::{CommunicatorConfig, Machine, Username, reach};

/// Who made the artifact, as Packer names it.
const BUILDER_ID: &str = "fnoeding.null";

/// Provisions a machine that exists already.
#[derive(Clone, Debug, Config)]
pub struct NullConfig {
    /// How the machine is reached.
    #[config(flatten)]
    communicator: CommunicatorConfig,
}

/// Makes it.
///
/// # Errors
/// No host, nothing to log in with, and what is wrong with the communicator's options.
pub fn make(cx: &PrepareContext, body: &Block) -> std::result::Result<Box<dyn Builder>, Diagnostics> {
    let config = NullConfig::decode(body);
    let login = &config.communicator;
    let mut all = login.check(body, Username::Required, &cx.cwd, &cx.env);
    if login.is_ssh() {
        if login.ssh_host.is_empty() {
            let host = Diagnostic::error("a host must be specified for the communicator").at(body.span_of("ssh_host"));
            all.push(host.hint("set ssh_host, or communicator = \"none\""));
        }
        if login.needs_temporary_key() && login.ssh_host != UNKNOWN_TEXT {
            let what =
                "one authentication method must be specified: ssh_password, ssh_private_key_file or ssh_agent_auth";
            all.push(Diagnostic::error(what).at(body.span_of("ssh_private_key_file")).hint("set one of the three"));
        }
    }
    all.or_ok(Box::new(Null(config)) as Box<dyn Builder>).map(|(builder, _)| builder)
}

struct Null(NullConfig);

#[async_trait]
impl Builder for Null {
    async fn run(&self, cx: &BuildContext) -> Result<Option<Artifact>> {
        let mut facts = Facts::from([("ID".to_owned(), Value::string("Null"))]);
        let machine = reach(cx, &self.0.communicator, &Machine::default(), &mut facts).await?;
        let result = cx.steps.provision(cx, machine.clone(), &facts).await;
        machine.close().await;
        result?;
        Ok(Some(Artifact {
            builder_id: BUILDER_ID.to_owned(),
            id: "Null".to_owned(),
            description: "Did not export anything. This is the null builder".to_owned(),
            facts,
            ..Artifact::default()
        }))
    }
}
