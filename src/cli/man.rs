//! The manual: a page for the program and one for each command, made from the declaration of the command line.

use crate::cli::Session;
use crate::cli::args::{Cli, ManArgs};
use crate::cli::exit::Exit;
use clap::CommandFactory;
use clap_mangen::Man;
use std::path::Path;

/// What the declaration of flags does not say.
const MORE: &str = "Flags are taken with two dashes, and with one as Packer's: -var 'name=value', --var=name=value. \
    They may stand before or behind the template.\n\n\
    Exit status: 0 where everything worked; 1 where something did not; 3 where fmt --check found a difference; 5 where a \
    build worked and something temporary could not be removed; 127 where there is no such command.\n\n\
    image-action explain tells of every component, option and function of a template.";

/// Runs the command.
pub fn run(session: &Session, args: &ManArgs) -> Exit {
    match (&args.dir, pages(args.about.as_deref())) {
        (_, Err(why)) => {
            session.fail(&format!("error: {why}"));
            Exit::Failed
        }
        (None, Ok(pages)) => {
            // The page that was asked for comes first.
            pages.first().into_iter().for_each(|(_, text)| session.put(text));
            Exit::Ok
        }
        (Some(dir), Ok(pages)) => match write(&session.cwd.join(dir), &pages) {
            Ok(()) => Exit::Ok,
            Err(e) => {
                session.fail(&format!("error: cannot write the manual into {}: {e}", dir.display()));
                Exit::Failed
            }
        },
    }
}

fn write(dir: &Path, pages: &[(String, String)]) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    pages.iter().try_for_each(|(name, text)| std::fs::write(dir.join(name), text))
}

/// File names and texts: of one command, or of the program and all commands.
fn pages(about: Option<&str>) -> Result<Vec<(String, String)>, String> {
    let mut program = Cli::command().after_help(MORE).disable_help_subcommand(true);
    program.build();
    let shown: Vec<_> = program.get_subcommands().filter(|c| !c.is_hide_set()).collect();
    let commands = match about {
        None => std::iter::once(&program).chain(shown).map(page).collect(),
        Some(name) => match shown.iter().find(|c| c.get_name() == name) {
            Some(command) => vec![page(command)],
            None => {
                let names: Vec<_> = shown.iter().map(|c| c.get_name()).collect();
                return Err(format!("there is no command {name:?}; there are {}", names.join(", ")));
            }
        },
    };
    Ok(commands)
}

fn page(command: &clap::Command) -> (String, String) {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    // clap_mangen writes an empty date in a way that shifts all that follows it; the version says more than a date.
    let version = env!("CARGO_PKG_VERSION");
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .date(version)
        .source("image-action")
        .manual("image-action");
    let mut text = Vec::new();
    // Writing into memory does not fail.
    let _ = man.render(&mut text);
    (format!("{name}.1"), String::from_utf8_lossy(&text).into_owned())
}
