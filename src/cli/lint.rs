//! `lint`: what is valid in a template, and most likely not meant; `-fix` writes the cures that leave no choice.

use crate::cli::Session;
use crate::cli::args::{LintArgs, ListForm};
use crate::cli::exit::Exit;
use crate::lint::{self, Levels, RULES, Subject, fix, table};
use crate::template::plan::plan;
use crate::template::select::Selection;
use crate::template::{self, ReadData};
use image_action_engine::run::OnError;
use image_action_lang::format::format;
use image_action_lang::parse::parse_body;
use image_action_lang::{Diagnostic, Diagnostics, SourceMap};
use std::collections::BTreeMap;
use std::path::Path;

/// How often findings are looked for and mended: a cure may uncover another finding, or overlap with one.
const ROUNDS: usize = 4;

/// What a look at a template gives.
struct Look {
    diags: Diagnostics,
    sources: SourceMap,
    edits: Vec<fix::Edit>,
}

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
    let mut fixed: BTreeMap<String, usize> = BTreeMap::new();
    let mut seen = look(&session, &args, &selection, &levels).await;
    for _ in 0..ROUNDS {
        if !args.fix || seen.edits.is_empty() {
            break;
        }
        match write(&session, &seen) {
            Ok(counts) => counts.into_iter().for_each(|(file, n)| *fixed.entry(file).or_default() += n),
            Err(d) => {
                seen.diags.push(d);
                break;
            }
        }
        seen = look(&session, &args, &selection, &levels).await;
    }
    for (file, count) in &fixed {
        session.say(&format!("{}: {count} mended", session.clean(file)));
    }
    if session.show(&seen.diags.arranged(), &seen.sources) { Exit::Failed } else { Exit::Ok }
}

async fn look(session: &Session, args: &LintArgs, selection: &Selection, levels: &Levels) -> Look {
    let settings = session.settings(true, false, OnError::Cleanup);
    let options = session.options(args.template.as_deref().unwrap_or("."), &args.common, true);
    let (parsed, sources, mut diags) = template::parse(&options, &settings);
    let Some(parsed) = parsed else { return Look { diags: levels.apply(diags), sources, edits: Vec::new() } };
    let (template, found) = parsed.initialize(ReadData::No, &settings).await;
    diags.extend(found);
    let planned = plan(&template, selection, &settings);
    diags.extend(planned.diagnostics);
    let subject = Subject { template: &template, builds: &planned.parts, sources: &sources, settings: &settings };
    let mut edits = Vec::new();
    for finding in lint::findings(&subject) {
        if levels.show(finding.rule.id) {
            edits.extend(finding.edit.clone());
        }
        diags.push(finding.diagnostic());
    }
    Look { diags: levels.apply(diags), sources, edits }
}

/// Writes the cures into the files; how many there are, by file.
fn write(session: &Session, seen: &Look) -> Result<BTreeMap<String, usize>, Diagnostic> {
    let mut counts = BTreeMap::new();
    let mut files: Vec<_> = seen.edits.iter().map(|e| e.span.file.clone()).collect();
    files.sort();
    files.dedup();
    for file in files {
        let Some(text) = seen.sources.text(&file) else { continue };
        let path = session.cwd.join(&*file);
        let failed = |why: String| Diagnostic::error(format!("Cannot mend {file}")).detail(why);
        let (mut new, count) = fix::apply(&file, text, &seen.edits);
        // A file in canonical layout stays in it; another one is not laid out by the way.
        if format(&file, text).is_ok_and(|canonical| canonical == **text) {
            new = format(&file, &new).map_err(|_| failed("The result would not be HCL.".to_owned()))?;
        } else if parse_body(&file, &new).is_err() {
            return Err(failed("The result would not be HCL.".to_owned()));
        }
        replace(&path, text, &new).map_err(|e| failed(format!("{e}.")))?;
        counts.insert(file.to_string(), count);
    }
    Ok(counts)
}

/// Puts `new` in the place of `old`; what stands before the text (a byte order mark) stays.
fn replace(path: &Path, old: &str, new: &str) -> std::io::Result<()> {
    let whole = std::fs::read_to_string(path)?;
    match whole.strip_suffix(old) {
        Some(mark) if mark.is_empty() || mark == "\u{feff}" => std::fs::write(path, format!("{mark}{new}")),
        _ => Err(std::io::Error::other("the file was changed meanwhile")),
    }
}

fn list(form: ListForm) -> String {
    match form {
        ListForm::Text => RULES.iter().map(|r| format!("{}: {}\n", r.id, r.summary)).collect(),
        ListForm::Markdown => table::markdown(),
    }
}
