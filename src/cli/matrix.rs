//! `matrix`: the builds of a template, as GitHub's `strategy.matrix` takes them.

use crate::cli::Session;
use crate::cli::args::MatrixArgs;
use crate::cli::exit::Exit;
use crate::template::plan::plan;
use crate::template::select::Selection;
use crate::template::{self, ReadData};
use image_action_engine::run::{OnError, PlannedBuild};
use image_action_lang::Diagnostics;
use serde_json::{Value, json};

/// Most jobs that a matrix may have (docs.github.com, "Using a matrix for your jobs").
pub const JOBS: usize = 256;

/// One object a build: `part` (its place, padded, so that names sort in the order of the template), `build` (what `-only` takes)
/// and `type` (of its source).
pub fn of(builds: &[PlannedBuild]) -> Value {
    let width = builds.len().to_string().len();
    let entry = |(n, b): (usize, &PlannedBuild)| json!({"part": format!("{:0width$}", n + 1), "build": b.name, "type": b.source_type});
    json!({"include": builds.iter().enumerate().map(entry).collect::<Vec<_>>()})
}

/// Runs the command.
pub async fn run(session: Session, args: MatrixArgs) -> Exit {
    let common = &args.template.common;
    let mut diags = Diagnostics::new();
    let selection = Selection::new(&common.only, &common.except).unwrap_or_else(|d| {
        diags.push(d);
        Selection::default()
    });
    let settings = session.settings(true, false, OnError::Cleanup);
    let options = session.options(&args.template.template, common, false);
    let (parsed, sources, found) = template::parse(&options, &settings);
    diags.extend(found);
    let Some(parsed) = parsed.filter(|_| !diags.has_errors()) else {
        session.show(&diags, &sources);
        return Exit::Failed;
    };
    let (template, found) = parsed.initialize(ReadData::No, &settings).await;
    diags.extend(found);
    let planned = plan(&template, &selection, &settings);
    diags.extend(planned.diagnostics);
    if session.show(&diags.arranged(), &sources) {
        return Exit::Failed;
    }
    session.say(&of(&planned.builds).to_string());
    Exit::Ok
}
