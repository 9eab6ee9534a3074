//! `lint`: what is valid in a template, and most likely not meant.

use crate::cli::Session;
use crate::cli::args::{LintArgs, ListForm};
use crate::cli::exit::Exit;
use crate::lint::{self, Levels, RULES, Subject, table};
use crate::template::plan::plan;
use crate::template::select::Selection;
use crate::template::{self, ReadData};
use image_action_engine::run::OnError;
use image_action_lang::{Diagnostics, SourceMap};

/// Runs the command.
pub async fn run(session: Session, args: LintArgs) -> Exit {
    if let Some(form) = args.list {
        session.say(&list(form));
        return Exit::Ok;
    }
    let mut diags = Diagnostics::new();
    let selection = Selection::new(&args.common.only, &args.common.except).unwrap_or_else(|d| {
        diags.push(d);
        Selection::default()
    });
    let levels = Levels::parse(&args.warnings.warnings).unwrap_or_else(|d| {
        diags.push(d);
        Levels::default()
    });
    if diags.has_errors() {
        session.show(&diags, &SourceMap::default());
        return Exit::Failed;
    }
    let settings = session.settings(true, false, OnError::Cleanup);
    let options = session.options(args.template.as_deref().unwrap_or("."), &args.common, true);
    let (parsed, sources, found) = template::parse(&options, &settings);
    diags.extend(found);
    let Some(parsed) = parsed.filter(|_| !diags.has_errors()) else {
        session.show(&levels.apply(diags), &sources);
        return Exit::Failed;
    };
    let (template, found) = parsed.initialize(ReadData::No, &settings).await;
    diags.extend(found);
    let planned = plan(&template, &selection, &settings);
    diags.extend(planned.diagnostics);
    let subject = Subject { template: &template, builds: &planned.parts, sources: &sources, settings: &settings };
    diags.extend(lint::check(&subject));
    if session.show(&levels.apply(diags.arranged()), &sources) { Exit::Failed } else { Exit::Ok }
}

fn list(form: ListForm) -> String {
    match form {
        ListForm::Text => RULES.iter().map(|r| format!("{}: {}\n", r.id, r.summary)).collect(),
        ListForm::Markdown => table::markdown(),
    }
}
