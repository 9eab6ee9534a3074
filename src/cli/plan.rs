//! `plan`: what `build` would do, without doing it.

use crate::cli::Session;
use crate::cli::args::{PlanArgs, PlanForm};
use crate::cli::exit::Exit;
use crate::lint::{self, Levels, Subject};
use crate::plan::changes::{self, Changes};
use crate::plan::revision::{self, Revision};
use crate::plan::{self, Plan};
use crate::report::diagnostics::{self, Entry};
use crate::report::plan::changes as drawn;
use crate::report::plan::markdown;
use crate::report::plan::text::{self, Paper};
use crate::template::plan::plan as plan_template;
use crate::template::select::Selection;
use crate::template::{self, ReadData, Settings};
use image_action_engine::outline::Document;
use image_action_engine::run::{OnError, RunContext};
use image_action_engine::{Error, ErrorKind, Events, Result};
use image_action_lang::{Diagnostic, Diagnostics, Severity, SourceMap};
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::path::Path;

/// The columns where there is no terminal to measure.
const USUAL_WIDTH: usize = 100;

/// What a look at a template gives.
pub(super) struct Look {
    /// The plan; `None` where the template has errors.
    pub plan: Option<Plan>,
    /// What has changed, where that was asked.
    pub changes: Option<Changes>,
    /// Everything that was found.
    pub diags: Diagnostics,
    /// The texts of the files.
    pub sources: SourceMap,
}

impl Look {
    fn nothing(diags: Diagnostics, sources: SourceMap) -> Look {
        Look { plan: None, changes: None, diags, sources }
    }
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
        Look::nothing(diags, SourceMap::default())
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
    let failed = |e: Error| Look::nothing(Diagnostic::from(e).into(), SourceMap::default());
    let run = if args.evaluate_datasources {
        match session.run_context(settings, &args.state, Events::start(Vec::new())) {
            Ok(run) => Some(run),
            Err(e) => return failed(e),
        }
    } else {
        None
    };
    let revision = match &args.against {
        None => None,
        Some(name) => match revision::take_out(&session.cwd, &session.env, name).await {
            Ok(revision) => Some((name, revision)),
            Err(e) => return failed(e),
        },
    };
    let options = session.options(&args.template.template, &args.template.common, args.warn_on_undeclared_var);
    let root = revision.as_ref().map_or(&session.cwd, |(_, r)| &r.repository);
    let mut look = look_at(&options, selection, settings, run.as_ref(), root).await;
    if let (Some(plan), Some((name, revision)), false) = (&look.plan, &revision, look.diags.has_errors()) {
        match against(plan, &options, (name, revision), selection, settings, run.as_ref()).await {
            Ok(changes) => look.changes = Some(changes),
            Err(e) => look.diags.push(e.into()),
        }
    }
    if look.changes.is_none() && look.plan.as_ref().is_some_and(|p| p.builds.is_empty()) && !look.diags.has_errors() {
        look.diags.push(
            Diagnostic::error("No builds to plan")
                .detail("No build of the template was selected.")
                .hint("`image-action inspect` names the builds that there are"),
        );
    }
    if let Some(run) = &run {
        run.events.flush().await;
        run.ledger.close();
    }
    look
}

/// Reads a template and makes its plan; files outside of `root` are not looked at.
async fn look_at(
    options: &template::Options,
    selection: &Selection,
    settings: &Settings,
    run: Option<&RunContext>,
    root: &Path,
) -> Look {
    let (parsed, sources, mut diags) = template::parse(options, settings);
    let Some(parsed) = parsed.filter(|_| !diags.has_errors()) else { return Look::nothing(diags, sources) };
    let (template, found) = parsed.initialize(run.map_or(ReadData::No, ReadData::All), settings).await;
    diags.extend(found);
    let mut planned = plan_template(&template, selection, settings);
    diags.extend(std::mem::take(&mut planned.diagnostics));
    diags.extend(plan::refusals(&template, &planned));
    diags.extend(lint::check(&Subject { template: &template, builds: &planned.parts, sources: &sources, settings }));
    let about = plan::About { path: &options.path, read: run.is_some(), root };
    let plan = plan::assemble(&template, &planned, settings, about);
    Look { plan: Some(plan), changes: None, diags, sources }
}

/// What has changed between a revision and `new`.
///
/// # Errors
/// The template of the revision cannot be planned.
pub(super) async fn against(
    new: &Plan,
    options: &template::Options,
    (name, revision): (&str, &Revision),
    selection: &Selection,
    settings: &Settings,
    run: Option<&RunContext>,
) -> Result<Changes> {
    let then = Settings { cwd: revision.cwd.clone(), ..settings.clone() };
    let mut notes = Vec::new();
    let mut old = if revision.cwd.join(&options.path).exists() {
        let options = options_then(options, settings, &then);
        let look = look_at(&options, selection, &then, run, revision.root.path()).await;
        let wrong = look.diags.iter().find(|d| d.severity == Severity::Error);
        match (look.plan, wrong) {
            (Some(plan), None) => plan,
            (_, wrong) => {
                let why = wrong.map(|d| d.summary.clone()).unwrap_or_default();
                let what = format!("the template at {name} cannot be planned, so nothing can be compared");
                return Err(Error::new(ErrorKind::Invalid, what)
                    .detail(why)
                    .hint("compare with a revision whose template is valid"));
            }
        }
    } else {
        notes.push(format!("There is no template {} at {name}: every build is new.", options.path));
        Plan {
            format: plan::FORMAT,
            template: options.path.clone(),
            data_sources_read: false,
            data_sources: Vec::new(),
            builds: Vec::new(),
        }
    };
    old.replace(&revision.root.path().to_string_lossy(), &revision.repository.to_string_lossy());
    if revision.left_out > 0 {
        notes.push(format!("{} files of {name} are too large to be compared.", revision.left_out));
    }
    let changes = changes::between(&old, new);
    Ok(Changes { against: name.to_owned(), commit: revision.commit.clone(), notes, ..changes })
}

/// What has changed in a template since a revision, nobody being asked.
///
/// # Errors
/// No such revision here ([`ErrorKind::NotFound`]), or a template that cannot be planned.
pub(super) async fn compare(
    session: &Session,
    options: &template::Options,
    selection: &Selection,
    settings: &Settings,
    name: &str,
) -> Result<Changes> {
    let revision = revision::take_out(&session.cwd, &session.env, name).await?;
    let look = look_at(options, selection, settings, None, &revision.repository).await;
    let Some(plan) = look.plan.filter(|_| !look.diags.has_errors()) else {
        return Err(Error::new(ErrorKind::Invalid, "the template of this commit cannot be planned"));
    };
    against(&plan, options, (name, &revision), selection, settings, None).await
}

/// What the template of the revision is read with: variables that it does not declare are left out, and a variable file that it
/// does not have is the one that is here.
fn options_then(options: &template::Options, now: &Settings, then: &Settings) -> template::Options {
    let bare = template::Options { vars: Vec::new(), var_files: Vec::new(), warn_undeclared: false, ..options.clone() };
    let declared = template::parse(&bare, then).0;
    let known = |name: &str| declared.as_ref().is_none_or(|p| p.variables.contains_key(name));
    let here = |file: &String| {
        let kept = then.cwd.join(file).exists();
        if kept { file.clone() } else { now.cwd.join(file).to_string_lossy().into_owned() }
    };
    template::Options {
        vars: options.vars.iter().filter(|(name, _)| known(name)).cloned().collect(),
        var_files: options.var_files.iter().map(here).collect(),
        ..bare
    }
}

/// The same without secrets: once escaped they would not be found.
pub(super) fn masked(session: &Session, changes: &Changes) -> Changes {
    let mut changes = changes.clone();
    changes.each_text(|text| *text = session.masker.mask(text));
    changes
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
    session.say(&match (&look.changes, form) {
        (Some(changes), PlanForm::Markdown) => drawn::markdown(&masked(session, changes)).join("\n"),
        (Some(changes), _) => drawn::text(changes, &plan.template, paper),
        (None, PlanForm::Markdown) => markdown::draw(plan),
        (None, _) => text::draw(plan, paper),
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
    if let Some(changes) = look.changes.as_ref().and_then(|c| serde_json::to_value(c).ok()) {
        all["changes"] = changes;
    }
    all["findings"] = findings;
    all
}
