//! The commands: one file each.

mod action;
pub mod args;
mod build;
mod cleanup;
mod completion;
mod console;
mod dashes;
pub mod exit;
mod explain;
mod fmt;
mod identity;
mod init;
mod inspect;
mod lint;
pub mod local;
mod localcloud;
mod man;
mod matrix;
mod person;
mod plan;
mod session;
mod signals;
mod typing;
mod validate;
mod values;
mod verify;

pub use session::Session;

use crate::cli::args::{Cli, Command};
use crate::cli::dashes::normalise;
use crate::cli::exit::Exit;
use crate::cli::session::Json;
use crate::report::Masker;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use image_action_engine::Env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the program was started with.
pub struct Start {
    /// The command line, the program's own name first.
    pub arguments: Vec<String>,
    /// The environment, read once.
    pub env: Env,
    /// The working directory.
    pub cwd: PathBuf,
}

/// Thousandths of the ordinary pauses between polls; a local cloud's environment sets it, because its states are short.
const POLL_SCALE: &str = "IMAGE_ACTION_POLL_SCALE";

/// The name under which a container starts the program after the job. A runner gives the post step the arguments of the main
/// step, and its state only where that step lived long enough to write it: the name alone tells the two apart.
const POST_NAME: &str = "image-action-post";

/// Runs one command to its end.
pub async fn run(start: Start) -> Exit {
    let name = start.arguments.first().map(Path::new).and_then(Path::file_name);
    let arguments = if name.is_some_and(|name| name == POST_NAME) {
        [POST_NAME, "action", "--post"].map(str::to_owned).to_vec()
    } else {
        start.arguments
    };
    let argv = normalise(arguments);
    let scale = start.env.get(POLL_SCALE).and_then(|text| text.parse().ok());
    scale.into_iter().for_each(image_action_engine::wait::set_poll_scale);
    let mut session = Session::new(start.env, start.cwd, argv.machine_readable, Masker::new());
    session.env = identity::vouched(&session);
    match argv.arguments.get(1).map(String::as_str) {
        None => {
            session.say(&Cli::command().render_help().to_string());
            return Exit::UnknownCommand;
        }
        Some("-v" | "--version") => return version(&session),
        Some(_) => {}
    }
    match Cli::try_parse_from(&argv.arguments) {
        Ok(cli) => command(cli.command, session).await,
        Err(e) => {
            let text = e.render().to_string();
            match e.kind() {
                ErrorKind::DisplayHelp => session.say(&text),
                _ => session.fail(&text),
            }
            match e.kind() {
                ErrorKind::DisplayHelp => Exit::Ok,
                ErrorKind::InvalidSubcommand => Exit::UnknownCommand,
                _ => Exit::Failed,
            }
        }
    }
}

async fn command(command: Command, mut session: Session) -> Exit {
    session.json = command.json().map(|alone| Arc::new(Json::new(alone)));
    let (json, masker) = (session.json.clone(), session.masker.clone());
    let exit = dispatch(command, session).await;
    if let Some(json) = json {
        json.write(&masker);
    }
    exit
}

async fn dispatch(command: Command, session: Session) -> Exit {
    match command {
        Command::Build(args) => build::run(session, args).await,
        Command::Plan(args) => plan::run(session, args).await,
        Command::Validate(args) => validate::run(session, args).await,
        Command::Inspect(args) => inspect::run(session, args).await,
        Command::Matrix(args) => matrix::run(session, args).await,
        Command::Merge(args) => action::merge(session, &args).await,
        Command::Console(args) => console::run(session, args).await,
        Command::Fmt(args) => fmt::run(&session, &args),
        Command::Lint(args) => lint::run(session, args).await,
        Command::Explain(args) => explain::run(&session, &args),
        Command::Schema => explain::schema(&session),
        Command::Init(args) => init::run(&session, &args),
        Command::Cleanup(args) => cleanup::run(session, args).await,
        Command::Localcloud(args) => localcloud::run(&session, &args).await,
        Command::Action(args) => action::run(session, &args).await,
        Command::Verify(args) => verify::run(&session, &args),
        Command::Completion(args) => completion::run(&session, args.shell),
        Command::Complete(args) => completion::answer(&session, &args),
        Command::Man(args) => man::run(&session, &args),
        Command::Version => version(&session),
        Command::Fix(_) | Command::Hcl2Upgrade(_) => {
            session.fail(
                "JSON templates of before Packer 1.7 are not supported; `packer hcl2_upgrade` makes HCL2 of them",
            );
            Exit::Failed
        }
        Command::Plugins(_) => {
            session.fail("plugins are built in: there is nothing to install or to remove");
            Exit::Failed
        }
    }
}

fn version(session: &Session) -> Exit {
    let own = env!("CARGO_PKG_VERSION");
    let packer = image_action_engine::prepare::PACKER_VERSION;
    session.say(&format!("image-action v{own}, reads templates as Packer v{packer}"));
    Exit::Ok
}
