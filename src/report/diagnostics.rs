//! Diagnostics for programs: one JSON array, as `docs/diagnostics.md` and `docs/diagnostics.schema.json` describe it.

use crate::report::Masker;
use image_action_lang::{Diagnostic, Severity, SourceMap, Span};
use serde::Serialize;

/// Lines of source that a snippet has at most.
const SNIPPET_LINES: usize = 10;
/// Characters of one line of a snippet: a minified file can be one line of megabytes.
const SNIPPET_CHARS: usize = 240;

/// One diagnostic, as it is written. New fields may be added; none is renamed or taken away.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    severity: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'static str>,
    summary: String,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snippet: Option<String>,
}

/// A stretch of a file; `end` is the place behind its last character.
#[derive(Clone, Debug, Serialize)]
struct Range {
    start: Point,
    end: Point,
}

/// A place, as people count and as programs do.
#[derive(Clone, Copy, Debug, Serialize)]
struct Point {
    /// From 1.
    line: usize,
    /// From 1, in grapheme clusters.
    column: usize,
    /// From 0, in bytes of UTF-8.
    byte: usize,
}

impl Entry {
    /// A diagnostic with its place in one of `sources`.
    pub fn new(d: &Diagnostic, sources: &SourceMap) -> Entry {
        let place = d.span.as_ref();
        Entry {
            severity: match d.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            id: d.id,
            summary: d.summary.trim_end().to_owned(),
            detail: d.detail.trim_end().to_owned(),
            hint: d.hint.clone(),
            file: place.map(|s| s.file.to_string()),
            range: place.and_then(|s| range(s, sources)),
            snippet: place.and_then(|s| snippet(s, sources)),
        }
    }

    /// An error that is a sentence and nothing else.
    pub fn failure(text: &str) -> Entry {
        Entry::new(&Diagnostic::error(text.trim()), &SourceMap::default())
    }

    fn mask(&mut self, masker: &Masker) {
        let optional = [self.hint.as_mut(), self.snippet.as_mut()].into_iter().flatten();
        for text in [&mut self.summary, &mut self.detail].into_iter().chain(optional) {
            *text = masker.mask(text);
        }
        // Cut afterwards: half of a secret is not known as one.
        if let Some(snippet) = &mut self.snippet {
            let lines: Vec<String> = snippet.lines().map(|l| l.chars().take(SNIPPET_CHARS).collect()).collect();
            *snippet = lines.join("\n");
        }
    }
}

fn range(span: &Span, sources: &SourceMap) -> Option<Range> {
    let point = |byte: usize| {
        let at = sources.position(&span.file, byte)?;
        Some(Point { line: at.line, column: at.column, byte })
    };
    let length = sources.text(&span.file)?.len();
    let start = span.start.min(length);
    Some(Range { start: point(start)?, end: point(span.end.clamp(start, length))? })
}

/// The whole lines that a span touches, the first ones of many.
fn snippet(span: &Span, sources: &SourceMap) -> Option<String> {
    let text = sources.text(&span.file)?;
    let before = text.get(..span.start)?;
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    let touched = text.get(start..span.end.max(span.start))?.trim_end_matches('\n').matches('\n').count() + 1;
    let lines: Vec<&str> = text[start..].lines().take(touched.min(SNIPPET_LINES)).collect();
    Some(lines.join("\n"))
}

/// The array, on one line, with secrets masked.
pub fn array(mut entries: Vec<Entry>, masker: &Masker) -> String {
    entries.iter_mut().for_each(|e| e.mask(masker));
    // Texts and numbers: nothing of it can fail to be written.
    serde_json::to_string(&entries).unwrap_or_else(|_| "[]".to_owned())
}
