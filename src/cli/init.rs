//! `init`: nothing is downloaded; says whether what a template asks for is built in.

use crate::cli::Session;
use crate::cli::args::InitArgs;
use crate::cli::exit::Exit;
use crate::template::{self, packer_block};
use image_action_engine::run::OnError;

/// Runs the command.
pub fn run(session: &Session, args: &InitArgs) -> Exit {
    let settings = session.settings(true, false, OnError::Cleanup);
    let options = session.options(&args.template.template, &args.template.common, false);
    let (parsed, sources, diags) = template::parse(&options, &settings);
    session.show(&diags, &sources);
    let Some(parsed) = parsed else { return Exit::Failed };
    if session.show(&packer_block::check(&parsed.plugins), &sources) {
        return Exit::Failed;
    }
    if parsed.plugins.is_empty() {
        session.say("No plugins requirement found: everything that this template may use is built in.");
    }
    for plugin in &parsed.plugins {
        if let Some(known) = plugin.built_in() {
            session.say(&format!("{} is built in, and behaves as version {}", plugin.source, known.version));
        }
    }
    Exit::Ok
}
