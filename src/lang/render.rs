//! A diagnostic as people read it: place, source excerpt with the offending part marked, reason, cure.

use crate::diag::{Diagnostic, Severity, SourceMap, Span};
use std::borrow::Cow;
use std::fmt::Write as _;
use unicode_segmentation::UnicodeSegmentation as _;

/// How [`render`] lays out its text.
#[derive(Clone, Copy, Debug)]
pub struct RenderOptions {
    /// ANSI colours.
    pub color: bool,
    /// Columns of the terminal: detail and hint are wrapped at it.
    pub width: usize,
}

impl Default for RenderOptions {
    fn default() -> Self {
        RenderOptions { color: false, width: DEFAULT_WIDTH }
    }
}

/// Columns where nobody says otherwise.
const DEFAULT_WIDTH: usize = 100;
/// Narrower than this nothing is readable any more.
const MIN_WIDTH: usize = 40;
/// Lines of source shown of one span; the middle of a longer one is left out.
const MAX_EXCERPT_LINES: usize = 6;
/// Characters shown of one source line (a minified file can be one line of megabytes).
const MAX_LINE_CHARS: usize = 240;
/// Characters shown of a summary, a detail or a hint each: they may quote values.
const MAX_WORDS: usize = 8_000;
/// What stands where a text was cut.
const CUT: &str = "…";
/// A tab in an excerpt.
const TAB: &str = "    ";

const RED: &str = "\u{1b}[1;31m";
const YELLOW: &str = "\u{1b}[1;33m";
const BLUE: &str = "\u{1b}[1;34m";
const CYAN: &str = "\u{1b}[1;36m";
const BOLD: &str = "\u{1b}[1m";
const RESET: &str = "\u{1b}[0m";

/// The text of one diagnostic, with a line feed at its end:
///
/// ```text
/// error: Unsupported attribute
///   --> build.pkr.hcl:3:14
///    |
///  3 |   name = var.nmae
///    |          ^^^^^^^^
///    |
///    This object does not have an attribute named "nmae".
///    hint: did you mean "name"?
/// ```
///
/// A finding of a lint rule has the rule's id behind the first word: `warning[ID]: …`.
///
/// Control characters of the template's text are replaced by their Unicode pictures.
pub fn render(diagnostic: &Diagnostic, sources: &SourceMap, options: RenderOptions) -> String {
    let paint = |code: &str, text: &str| -> String {
        if options.color { format!("{code}{text}{RESET}") } else { text.to_owned() }
    };
    let (word, color) = match diagnostic.severity {
        Severity::Error => ("error", RED),
        Severity::Warning => ("warning", YELLOW),
    };
    let word = diagnostic.id.map_or_else(|| format!("{word}:"), |id| format!("{word}[{id}]:"));
    let mut out = String::new();
    let summary = words(diagnostic.summary.trim_end());
    let mut summary_lines = summary.lines();
    let first = summary_lines.next().unwrap_or_default();
    let _ = writeln!(out, "{} {}", paint(color, &word), paint(BOLD, first));
    let mut gutter = 1;
    if let Some(span) = &diagnostic.span {
        gutter = excerpt(&mut out, span, sources, color, &paint);
    }
    let indent = " ".repeat(gutter + 2);
    let width = options.width.max(MIN_WIDTH).saturating_sub(indent.len());
    for line in summary_lines.chain(words(&diagnostic.detail).trim_end().lines()) {
        for wrapped in wrap(line, width) {
            let _ = writeln!(out, "{}", format!("{indent}{wrapped}").trim_end());
        }
    }
    if let Some(hint) = &diagnostic.hint {
        let lead = paint(CYAN, "hint:");
        for (i, wrapped) in wrap(&words(hint), width.saturating_sub("hint: ".len())).into_iter().enumerate() {
            let lead = if i == 0 { lead.as_str() } else { "     " };
            let _ = writeln!(out, "{indent}{lead} {wrapped}");
        }
    }
    out
}

/// A printable text of bounded length.
fn words(text: &str) -> String {
    match text.char_indices().nth(MAX_WORDS) {
        Some((end, _)) => format!("{}{CUT}", printable(&text[..end])),
        None => printable(text),
    }
}

/// Writes the `-->` line and the marked source lines; returns the width of the line numbers.
fn excerpt(
    out: &mut String,
    span: &Span,
    sources: &SourceMap,
    color: &str,
    paint: &dyn Fn(&str, &str) -> String,
) -> usize {
    let file = printable(&span.file);
    let (Some(text), Some(position)) = (sources.text(&span.file), sources.position(&span.file, span.start)) else {
        let _ = writeln!(out, "  {} {file}", paint(BLUE, "-->"));
        return 1;
    };
    let lines = marked_lines(text, span);
    let last = lines.last().map_or(position.line, |l| l.number);
    let gutter = last.to_string().len();
    let blank = " ".repeat(gutter);
    let bar = paint(BLUE, "|");
    let _ = writeln!(out, "{blank}{} {file}:{}:{}", paint(BLUE, "-->"), position.line, position.column);
    let _ = writeln!(out, "{blank} {bar}");
    let half = MAX_EXCERPT_LINES / 2;
    // Empty where every line is shown.
    let skip = if lines.len() > MAX_EXCERPT_LINES { half..lines.len() - half } else { 0..0 };
    for (i, line) in lines.iter().enumerate() {
        if skip.contains(&i) {
            if i == skip.start {
                let _ = writeln!(out, "{blank} {}", paint(BLUE, ":"));
            }
            continue;
        }
        let number = paint(BLUE, &format!("{:>gutter$}", line.number));
        let _ = writeln!(out, "{}", format!("{number} {bar} {}", line.text).trim_end());
        let marks = "^".repeat(line.marked.max(1));
        let _ = writeln!(out, "{blank} {bar} {}{}", " ".repeat(line.before), paint(color, &marks));
    }
    let _ = writeln!(out, "{blank} {bar}");
    gutter
}

struct MarkedLine {
    number: usize,
    /// Printable text.
    text: String,
    /// Columns before the marked part, and columns of it.
    before: usize,
    marked: usize,
}

fn marked_lines(text: &str, span: &Span) -> Vec<MarkedLine> {
    let start = floor_boundary(text, span.start);
    let end = floor_boundary(text, span.end).max(start);
    let first_line = text[..start].rfind('\n').map_or(0, |i| i + 1);
    let mut number = text[..first_line].matches('\n').count() + 1;
    let mut at = first_line;
    let mut lines = Vec::new();
    loop {
        let line_end = text[at..].find('\n').map_or(text.len(), |i| at + i);
        let line = text[at..line_end].trim_end_matches('\r');
        // Blanks before the marked part are not marked on the lines after the first.
        let from = if at <= start { start - at } else { line.len() - line.trim_start().len() }.min(line.len());
        let to = (end.max(at) - at).clamp(from, line.len());
        let columns = |s: &str| printable_line(s).graphemes(true).count();
        let (line, from, to) = window(line, from, to);
        let before = columns(&line[..from]);
        let shown: String = printable_line(&line).chars().take(MAX_LINE_CHARS).collect();
        let room = shown.graphemes(true).count().saturating_sub(before);
        lines.push(MarkedLine { number, before, marked: columns(&line[from..to]).min(room), text: shown });
        number += 1;
        at = line_end + 1;
        if at >= end || at > text.len() {
            return lines;
        }
    }
}

/// The part of a long line that has the marked part in it: with the place of the mark in that part.
fn window(line: &str, from: usize, to: usize) -> (Cow<'_, str>, usize, usize) {
    if from < MAX_LINE_CHARS / 2 {
        // The mark is cut where the line is.
        let end = floor_boundary(line, to.min(from + 4 * MAX_LINE_CHARS));
        let more = floor_boundary(line, (from + 4 * MAX_LINE_CHARS).min(line.len()));
        return (Cow::Borrowed(&line[..more.max(end)]), from, end);
    }
    let start = floor_boundary(line, from - MAX_LINE_CHARS / 4);
    let end = floor_boundary(line, (from + 4 * MAX_LINE_CHARS).min(line.len()));
    let text = format!("{CUT}{}", &line[start..end]);
    (Cow::Owned(text), CUT.len() + from - start, CUT.len() + to.min(end) - start)
}

fn floor_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// One source line with tabs spread and control characters made visible.
fn printable_line(line: &str) -> String {
    printable(line).replace('\t', TAB)
}

/// Text that a terminal cannot be steered with: every control character but line feed and tab becomes its Unicode
/// picture, and marks that reorder text (bidirectional overrides) become U+FFFD.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
            '\u{7f}' => '\u{2421}',
            '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => {
                '\u{fffd}'
            }
            c => c,
        })
        .collect()
}

/// `text` in lines of at most `width` columns, broken at blanks; leading blanks are kept.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let lead: String = line.chars().take_while(|c| *c == ' ').collect();
        let mut current = lead.clone();
        let mut empty = true;
        for word in line.split_whitespace() {
            if !empty && current.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::replace(&mut current, lead.clone()));
                empty = true;
            }
            if !empty {
                current.push(' ');
            }
            current.push_str(word);
            empty = false;
        }
        lines.push(current);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, range: std::ops::Range<usize>) -> String {
        let mut sources = SourceMap::default();
        let name = sources.add("a.pkr.hcl", text);
        let d = Diagnostic::error("Unsupported attribute")
            .detail("No such thing.")
            .at(Span::new(name, range))
            .hint("try b");
        render(&d, &sources, RenderOptions::default())
    }

    #[test]
    fn marks_the_part() {
        assert_eq!(
            shown("x = 1\nname\t= var.nmae # é\n", 13..21),
            "error: Unsupported attribute\n --> a.pkr.hcl:2:8\n  |\n2 | name    = var.nmae # é\n  |           ^^^^^^^^\n  |\n   No such thing.\n   hint: try b\n"
        );
    }

    #[test]
    fn control_characters_are_neutralised() {
        let text = shown("x = \"\u{1b}[31m\u{202e}\"\n", 4..14);
        assert!(text.contains("\u{241b}[31m\u{fffd}"), "{text}");
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn a_long_line_shows_the_part_that_is_marked() {
        let text = format!("x = \"{}\" + wrong{}", "é".repeat(100_000), " + 1".repeat(100_000));
        let at = text.find("wrong").unwrap_or_default();
        let shown = shown(&text, at..at + 5);
        let line = |n: usize| shown.lines().nth(n).unwrap_or_default().to_owned();
        assert!(line(3).starts_with("1 | …éé") && line(3).contains("\" + wrong + 1"), "{shown}");
        let column = line(3).chars().position(|c| c == 'w').unwrap_or_default();
        assert_eq!(line(4).chars().position(|c| c == '^'), Some(column), "{shown}");
        assert!(shown.len() < 2_000, "{}", shown.len());
    }

    #[test]
    fn any_span_of_any_text_renders() {
        let text = "a\r\né\n\t\u{1f468}\u{200d}\u{1f469}\n";
        for start in 0..text.len() + 3 {
            for end in start..text.len() + 3 {
                assert!(shown(text, start..end).contains("-->"));
            }
        }
    }
}
