//! `null`: provisions a machine that exists already, and makes no image.

use async_trait::async_trait;
use image_action_engine::{
    Artifact, Block, BuildContext, Builder, Config, Facts, Outline, PrepareContext, Question, Result,
    config::UNKNOWN_TEXT,
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
    if login.is_ssh() || login.is_winrm() {
        all.extend(check_login(login, body));
    }
    all.or_ok(Box::new(Null(config)) as Box<dyn Builder>).map(|(builder, _)| builder)
}

/// There is no machine to look up and no key to make: the template says where to log in, and with what one thing.
fn check_login(login: &CommunicatorConfig, body: &Block) -> Diagnostics {
    let mut all = Diagnostics::new();
    let (option, host) =
        if login.is_winrm() { ("winrm_host", &login.winrm_host) } else { ("ssh_host", &login.ssh_host) };
    if host.is_empty() {
        let what = Diagnostic::error("a host must be specified for the communicator").at(body.span_of(option));
        all.push(what.hint(format!("set {option}, or communicator = \"none\"")));
    }
    let given = [
        ("ssh_agent_auth", login.ssh_agent_auth),
        ("ssh_password", !login.ssh_password.is_empty()),
        ("ssh_private_key_file", !login.ssh_private_key_file.is_empty()),
    ];
    let given: Vec<&str> = given.into_iter().filter_map(|(name, set)| set.then_some(name)).collect();
    let ways = "ssh_password, ssh_private_key_file or ssh_agent_auth";
    match given.as_slice() {
        [] if host != UNKNOWN_TEXT && (login.is_ssh() || login.winrm_password.is_empty()) => {
            let what = format!("one authentication method must be specified: {ways}");
            all.push(Diagnostic::error(what).at(body.span_of("ssh_private_key_file")).hint("set one of the three"));
        }
        [first, second, ..] => {
            let what = format!("only one authentication method must be specified, not both {first} and {second}");
            all.push(Diagnostic::error(what).at(body.span_of(second)).hint("leave out one of them"));
        }
        _ => {}
    }
    all
}

struct Null(NullConfig);

#[async_trait]
impl Builder for Null {
    fn outline(&self, _: &Question<'_>) -> Outline {
        let login = &self.0.communicator;
        let host = if login.is_winrm() { &login.winrm_host } else { &login.ssh_host };
        let machine =
            (!login.is_none()).then(|| format!("the machine at {host}, which stays as the provisioners leave it"));
        Outline { source: machine.unwrap_or_default(), ..Outline::default() }
    }
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
