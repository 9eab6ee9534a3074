//! What `lint -fix` writes: a change of a stretch of the source text, and nothing else.

use crate::template::syntax::Attribute;
use image_action_lang::{SourceMap, Span};
use std::sync::Arc;

/// Another text for a stretch of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced; empty where something is put in between.
    pub span: Span,
    /// By what.
    pub text: String,
}

impl Edit {
    /// A text in place of what stands at `span`.
    pub fn replace(span: &Span, text: impl Into<String>) -> Edit {
        Edit { span: span.clone(), text: text.into() }
    }
    /// A text before byte `at` of the file that `near` is in.
    pub fn insert(near: &Span, at: usize, text: impl Into<String>) -> Edit {
        Edit { span: Span::new(near.file.clone(), at..at), text: text.into() }
    }
}

/// The text of a file in HCL's native form; nothing else is changed.
fn native<'a>(sources: &'a SourceMap, span: &Span) -> Option<&'a str> {
    span.file.ends_with(".pkr.hcl").then(|| sources.text(&span.file)).flatten().map(|t| &**t)
}

/// A new first line in the body of the block with this header; `None` where the block stands in one line, or comes out of a
/// `dynamic` block.
pub fn insert_argument(sources: &SourceMap, header: &Span, line: &str) -> Option<Edit> {
    let text = native(sources, header)?;
    if text.get(header.start..header.end)?.starts_with("dynamic") {
        return None;
    }
    let behind = text.get(header.end..)?;
    let brace = header.end + behind.len() - behind.trim_start_matches([' ', '\t']).len();
    let rest = text.get(brace..)?.strip_prefix('{')?;
    let line_end = rest.find('\n')?;
    let tail = rest[..line_end].trim();
    if !(tail.is_empty() || tail.starts_with('#') || tail.starts_with("//")) {
        return None;
    }
    let line_start = text[..header.start].rfind('\n').map_or(0, |i| i + 1);
    let indent: String = text[line_start..].chars().take_while(|c| matches!(c, ' ' | '\t')).collect();
    let carriage = if rest[..line_end].ends_with('\r') { "\r" } else { "" };
    let at = brace + 1 + line_end + 1;
    Some(Edit::insert(header, at, format!("{indent}  {line}{carriage}\n")))
}

/// An argument and its line removed; `None` where something else stands in the line.
pub fn remove_argument(sources: &SourceMap, attribute: &Attribute) -> Option<Edit> {
    let span = attribute.name_span.join(&attribute.expr.span());
    let text = native(sources, &span)?;
    if text.get(attribute.expr.span().start..)?.starts_with("<<") {
        return None;
    }
    let start = text.get(..span.start)?.rfind('\n').map_or(0, |i| i + 1);
    let end = text.get(span.end..)?.find('\n').map_or(text.len(), |i| span.end + i + 1);
    let alone = text.get(start..span.start)?.trim().is_empty() && text.get(span.end..end)?.trim().is_empty();
    alone.then(|| Edit::replace(&Span::new(span.file.clone(), start..end), ""))
}

/// The text of `file` with all edits of it that do not overlap; and how many those are.
pub fn apply(file: &Arc<str>, text: &str, edits: &[Edit]) -> (String, usize) {
    let mut own: Vec<&Edit> = edits.iter().filter(|e| e.span.file == *file).collect();
    own.sort_by_key(|e| (e.span.start, e.span.end));
    own.dedup();
    let (mut out, mut at, mut count) = (String::with_capacity(text.len()), 0, 0);
    for edit in own {
        // Two new lines at one place are two edits; what overlaps otherwise waits for the next round.
        let Some(between) = text.get(at..edit.span.start) else { continue };
        out.push_str(between);
        out.push_str(&edit.text);
        at = edit.span.end;
        count += 1;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    (out, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_keep_everything_else() {
        let file: Arc<str> = Arc::from("a.pkr.hcl");
        let edit = |start, end, text: &str| Edit::replace(&Span::new(file.clone(), start..end), text);
        let all = [edit(4, 5, "X"), edit(0, 0, "<"), edit(4, 5, "X"), edit(3, 6, "overlaps"), edit(2, 2, "|")];
        // "overlaps" begins first of the two that overlap.
        assert_eq!(apply(&file, "0123456789", &all), ("<01|2overlaps6789".to_owned(), 3));
        assert_eq!(apply(&Arc::from("other"), "01", &all), ("01".to_owned(), 0));
    }
}
