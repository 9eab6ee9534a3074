//! `inspect`: what a template consists of.

use crate::cli::Session;
use crate::cli::args::{InspectArgs, StateArgs};
use crate::cli::exit::Exit;
use crate::cli::values::{print, quote};
use crate::template::build::{Build, Step};
use crate::template::{self, ReadData, Settings, Template, variables};
use image_action_engine::run::{OnError, RunContext};
use image_action_engine::{Error, Events, Result};
use image_action_lang::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// Runs the command.
pub async fn run(session: Session, args: InspectArgs) -> Exit {
    let settings = session.settings(true, false, OnError::Cleanup);
    let options = session.options(&args.template.template, &args.template.common, false);
    let (parsed, sources, diags) = template::parse(&options, &settings);
    session.show(&diags, &sources);
    let Some(parsed) = parsed else { return Exit::Failed };
    // What is wrong beyond the files' form is not this command's matter.
    let (template, _) = match context(&session, &settings) {
        Ok((run, _folder)) => parsed.initialize(ReadData::Local(&run), &settings).await,
        Err(_) => parsed.initialize(ReadData::No, &settings).await,
    };
    session.say(&show(&template));
    Exit::Ok
}

/// What data sources that ask nobody are read with: nothing is kept of it.
fn context(session: &Session, settings: &Settings) -> Result<(RunContext, tempfile::TempDir)> {
    let folder = tempfile::tempdir().map_err(|e| Error::failed(e.to_string()))?;
    let state = StateArgs { state_dir: Some(folder.path().to_owned()) };
    Ok((session.run_context(settings, &state, Events::start(Vec::new()))?, folder))
}

fn show(template: &Template) -> String {
    let mut text = "Packer Inspect: HCL2 mode\n\n".to_owned();
    text.push_str(&names(template));
    text.push_str("> builds:\n");
    for (n, build) in template.builds.iter().enumerate() {
        show_build(n, build, &mut text);
    }
    text
}

/// Variables and locals with their values.
pub fn names(template: &Template) -> String {
    let mut text = String::new();
    list("input-variables", "var", &variables::values(&template.variables), &mut text);
    list("local-variables", "local", template.values.locals(), &mut text);
    text
}

fn list(title: &str, root: &str, values: &BTreeMap<Arc<str>, Value>, text: &mut String) {
    let _ = writeln!(text, "> {title}:\n");
    for (name, value) in values {
        let _ = writeln!(text, "{root}.{name}: {}", quote(&print(value)));
    }
    text.push('\n');
}

fn label(step: &Step) -> String {
    if step.name.is_empty() { step.kind.to_string() } else { format!("{}.{}", step.kind, step.name) }
}

fn show_build(n: usize, build: &Build, text: &mut String) {
    let name = if build.name.is_empty() { format!("<unnamed build {n}>") } else { build.name.clone() };
    let _ = writeln!(text, "\n  > {name}:");
    if !build.description.is_empty() {
        let _ = writeln!(text, "\n  > Description: {}", build.description);
    }
    text.push_str("\n    sources:\n");
    for source in &build.uses {
        let _ = writeln!(text, "\n      {}", source.reference());
    }
    if build.uses.is_empty() {
        text.push_str("\n      <no source>\n");
    }
    text.push_str("\n    provisioners:\n\n");
    for step in &build.provisioners {
        let _ = writeln!(text, "      {}", label(step));
    }
    if build.provisioners.is_empty() {
        text.push_str("      <no provisioner>\n");
    }
    text.push_str("\n    post-processors:\n");
    for (n, chain) in build.chains.iter().enumerate() {
        let _ = writeln!(text, "\n      {n}:");
        for step in chain {
            let _ = writeln!(text, "        {}", label(step));
        }
    }
    if build.chains.is_empty() {
        text.push_str("\n      <no post-processor>\n");
    }
}
