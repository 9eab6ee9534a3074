//! What was found in the template: told in the log, shown in the report, marked on its lines.

use crate::cli::Session;
use crate::github::checks::Mark;
use crate::github::runner::{self, Place};
use crate::report::markdown::{Finding, Level};
use image_action_lang::{Diagnostics, RenderOptions, Severity, SourceMap, Span, render};

/// How many marks of each level the runner takes from one step (`runner:ExecutionContext.cs`).
pub const RUNNER_MARKS: usize = 10;

/// Diagnostics as findings; `prefix` leads from the root of the repository to the working directory.
pub fn of(diags: &Diagnostics, sources: &SourceMap, prefix: &str) -> Vec<Finding> {
    diags
        .iter()
        .map(|d| Finding {
            level: if d.severity == Severity::Error { Level::Error } else { Level::Warning },
            title: d.summary.clone(),
            detail: d.detail.clone(),
            hint: d.hint.clone(),
            place: d.span.as_ref().and_then(|s| place(s, sources, prefix)).map(|p| (p.file, p.line, p.column)),
            excerpt: render(d, sources, RenderOptions::default()),
        })
        .collect()
}

/// The place of a span in the repository; `None` for what is in no file.
pub fn place(span: &Span, sources: &SourceMap, prefix: &str) -> Option<Place> {
    // `<value for var.x from arguments>`
    if span.file.starts_with('<') || span.file.starts_with('/') {
        return None;
    }
    let at = sources.position(&span.file, span.start)?;
    let file = format!("{prefix}{}", span.file.trim_start_matches("./"));
    Some(Place { file, line: at.line, column: at.column })
}

/// Findings as marks of a check run; what has no place has none.
pub fn marks(findings: &[Finding]) -> Vec<Mark> {
    let mark = |f: &Finding| {
        let (file, line, column) = f.place.clone()?;
        let hint = f.hint.as_deref().map(|h| format!("\nWhat to do: {h}")).unwrap_or_default();
        Some(Mark {
            place: Place { file, line, column },
            level: match f.level {
                Level::Error => "failure",
                Level::Warning => "warning",
                Level::Note => "notice",
            },
            title: f.title.clone(),
            message: format!("{}{hint}", f.detail).trim().to_owned(),
        })
    };
    findings.iter().filter_map(mark).collect()
}

/// Tells all findings in the log, as a terminal shows them.
pub fn tell(session: &Session, findings: &[Finding]) {
    for finding in findings {
        session.say(&session.clean(&finding.excerpt));
    }
}

/// Tells the runner of all findings: it marks lines too, ten of each level.
pub fn annotate(session: &Session, findings: &[Finding]) {
    for finding in findings {
        let place = finding.place.clone().map(|(file, line, column)| Place { file, line, column });
        let level = match finding.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Note => "notice",
        };
        let hint = finding.hint.as_deref().map(|h| format!("\nhint: {h}")).unwrap_or_default();
        let message = format!("{}{hint}", finding.detail);
        session.say(&runner::annotation(level, &finding.title, place.as_ref(), &message));
    }
}
