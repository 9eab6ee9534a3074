//! `plan`: what `build` would do, without doing it.

use crate::cli::Session;
use crate::cli::args::{PlanArgs, PlanForm};
use crate::cli::exit::Exit;
use crate::lint::{self, Levels, Subject};
use crate::plan::{self, Plan};
use crate::report::diagnostics::{self, Entry};
use crate::report::plan::markdown;
use crate::report::plan::text::{self, Paper};
use crate::template::plan::plan as plan_template;
use crate::template::select::Selection;
use crate::template::{self, ReadData, Settings};
use image_action_engine::Events;
use image_action_engine::outline::Document;
use image_action_engine::run::{OnError, RunContext};
use image_action_lang::{Diagnostic, Diagnostics, SourceMap};
use serde_json::{Value, json};
use std::io::IsTerminal;

/// The columns where there is no terminal to measure.
const USUAL_WIDTH: usize = 100;

/// What a look at a template gives.
pub(super) struct Look {
    /// The plan; `None` where the template has errors.
    pub plan: Option<Plan>,
    /// Everything that was found.
    pub diags: Diagnostics,
    /// The texts of the files.
    pub sources: SourceMap,
}

/// Runs the command.
pub async fn run(session: Session, args: PlanArgs) -> Exit {
    let mut diags = Diagnostics::new();
    let common = &args.template.common;
    let selection = Selection::new(&common.only, &common.except).unwrap_or_else(|d| {
        diags.push(d);
        Selection::default()
    });
    let levels = Levels::parse(&args.warnings.warnings).unwrap_or_else(|d| {
        diags.push(d);
        Levels::default()
    });
    let settings = session.settings(true, args.force, OnError::Cleanup);
    let mut look = if diags.has_errors() {
        Look { plan: None, diags, sources: SourceMap::default() }
    } else {
        look(&session, &args, &selection, &settings).await
    };
    look.diags = levels.apply(look.diags.arranged());
    if look.diags.has_errors() {
        look.plan = None;
    }
    show(&session, &args, &look)
}

async fn look(session: &Session, args: &PlanArgs, selection: &Selection, settings: &Settings) -> Look {
    let run = if args.evaluate_datasources {
        let events = Events::start(Vec::new());
        match session.run_context(settings, &args.state, events) {
            Ok(run) => Some(run),
            Err(e) => {
                let diags = Diagnostic::from(e).into();
                return Look { plan: None, diags, sources: SourceMap::default() };
            }
        }
    } else {
        None
    };
    let options = session.options(&args.template.template, &args.template.common, args.warn_on_undeclared_var);
    let look = look_at(&options, selection, settings, run.as_ref()).await;
    if let Some(run) = &run {
        run.events.flush().await;
        run.ledger.close();
    }
    look
}

/// Reads a template and makes its plan.
pub(super) async fn look_at(
    options: &template::Options,
    selection: &Selection,
    settings: &Settings,
    run: Option<&RunContext>,
) -> Look {
    let (parsed, sources, mut diags) = template::parse(options, settings);
    let Some(parsed) = parsed.filter(|_| !diags.has_errors()) else { return Look { plan: None, diags, sources } };
    let (template, found) = parsed.initialize(run.map_or(ReadData::No, ReadData::All), settings).await;
    diags.extend(found);
    let mut planned = plan_template(&template, selection, settings);
    diags.extend(std::mem::take(&mut planned.diagnostics));
    diags.extend(plan::refusals(&template, &planned));
    diags.extend(lint::check(&Subject { template: &template, builds: &planned.parts, sources: &sources, settings }));
    if planned.builds.is_empty() && !diags.has_errors() {
        let names = template::plan::build_names(&template).join(", ");
        let d = Diagnostic::error("No builds to plan").detail("No build of the template was selected.");
        diags.push(d.hint(format!("builds are: {names}")));
    }
    let about = plan::About { path: &options.path, read: run.is_some(), root: &settings.cwd };
    let plan = plan::assemble(&template, &planned, settings, about);
    Look { plan: Some(plan), diags, sources }
}

/// How wide a plan is drawn, and whether in colours.
fn paper(session: &Session, args: &PlanArgs) -> Paper {
    let terminal = std::io::stdout().is_terminal();
    let measured = terminal_size::terminal_size().filter(|_| terminal).map(|(width, _)| usize::from(width.0));
    let color = session.color(args.color) && !session.no_color() && !session.machine_readable;
    Paper { width: measured.unwrap_or(USUAL_WIDTH), color }
}

fn show(session: &Session, args: &PlanArgs, look: &Look) -> Exit {
    let form = if args.json { PlanForm::Json } else { args.format };
    let exit = if look.plan.is_some() { Exit::Ok } else { Exit::Failed };
    if form == PlanForm::Json {
        session.put(&format!("{}\n", session.masker.mask(&document(session, args, look).to_string())));
        return exit;
    }
    let Some(plan) = &look.plan else {
        session.show(&look.diags, &look.sources);
        return exit;
    };
    let paper = paper(session, args);
    if args.permissions {
        let documents = plan::permissions(plan);
        if documents.is_empty() {
            session.fail("No build of this plan calls a cloud: nothing has to be allowed.");
            return Exit::Ok;
        }
        session.say(&match form {
            PlanForm::Markdown => markdown::documents(&documents),
            _ => text::documents(&documents, paper),
        });
        return exit;
    }
    session.say(&match form {
        PlanForm::Markdown => markdown::draw(plan),
        _ => text::draw(plan, paper),
    });
    session.show(&look.diags, &look.sources);
    exit
}

/// The JSON form: `docs/plan.md` describes it.
fn document(session: &Session, args: &PlanArgs, look: &Look) -> Value {
    let findings: Vec<Entry> = look.diags.iter().map(|d| Entry::new(d, &look.sources)).collect();
    // What was just written is read again: an array of findings always has that form.
    let findings: Value = serde_json::from_str(&diagnostics::array(findings, &session.masker)).unwrap_or_default();
    let mut all = json!({ "format": plan::FORMAT, "valid": look.plan.is_some() });
    let plan = look.plan.as_ref();
    if let (Some(plan), true) = (plan, args.permissions) {
        let one = |d: &Document| json!({ "provider": d.provider, "title": d.title, "file": d.file, "command": d.command, "document": d.text });
        all["permissions"] = plan::permissions(plan).iter().map(one).collect();
    } else if let Some(Value::Object(plan)) = plan.and_then(|p| serde_json::to_value(p).ok()) {
        for (name, value) in plan {
            all[name] = value;
        }
    }
    all["findings"] = findings;
    all
}
