//! Comments that silence a rule at a line: `# lint:ignore ID why`, on the line of the finding or above it.

use super::{RULES, Rule, rule};
use image_action_lang::diag::suggest;
use image_action_lang::format::comments;
use image_action_lang::{SourceMap, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What such a comment begins with.
const MARK: &str = "lint:ignore";

/// The ids that are silenced, by file and line.
pub struct Ignored(BTreeMap<Arc<str>, BTreeMap<usize, BTreeSet<String>>>);

/// The ids that a comment names, each with its place in it.
fn ids(comment: &str) -> Vec<(usize, &str)> {
    let Some(at) = comment.find(MARK) else { return Vec::new() };
    // Nothing but the comment's own signs goes before it: prose may speak of it.
    if !comment[..at].chars().all(|c| matches!(c, '#' | '/' | '*' | ' ' | '\t')) {
        return Vec::new();
    }
    let rest = &comment[at + MARK.len()..];
    let base = at + MARK.len();
    let mut found = Vec::new();
    // IDs are separated by commas; the first word that has none behind it is the last, and what follows is the reason.
    let mut offset = rest.len() - rest.trim_start().len();
    loop {
        let word = &rest[offset..];
        let end = word.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(word.len());
        if end > 0 {
            found.push((base + offset, &word[..end]));
        }
        let behind = word[end..].trim_start();
        let Some(next) = behind.strip_prefix(',') else { return found };
        let next = next.trim_start();
        offset = rest.len() - next.len();
        if next.is_empty() {
            return found;
        }
    }
}

/// The comments of every HCL file, with their places.
fn all_comments(sources: &SourceMap) -> Vec<(Arc<str>, Arc<str>, std::ops::Range<usize>)> {
    let mut all = Vec::new();
    for file in sources.files() {
        let Some(source) = sources.source(&file.to_string_lossy()) else { continue };
        // JSON has no comments, and the value of a variable is no file.
        if source.name.ends_with(".hcl") {
            all.extend(comments(&source.text).into_iter().map(|r| (source.name.clone(), source.text.clone(), r)));
        }
    }
    all
}

impl Ignored {
    /// Reads the comments of all files.
    pub fn read(sources: &SourceMap) -> Ignored {
        let mut all: BTreeMap<Arc<str>, BTreeMap<usize, BTreeSet<String>>> = BTreeMap::new();
        for (file, text, range) in all_comments(sources) {
            let named = ids(&text[range.clone()]);
            if named.is_empty() {
                continue;
            }
            let line = text[..range.start].matches('\n').count() + 1;
            let line_start = text[..range.start].rfind('\n').map_or(0, |i| i + 1);
            let alone = text[line_start..range.start].trim().is_empty();
            let line = if alone { next_code_line(&text, &range) } else { line };
            let lines = all.entry(file).or_default();
            lines.entry(line).or_default().extend(named.into_iter().map(|(_, id)| id.to_owned()));
        }
        Ignored(all)
    }

    /// Whether a rule is silenced where a finding begins.
    pub fn silences(&self, id: &str, span: Option<&Span>, sources: &SourceMap) -> bool {
        let Some(span) = span else { return false };
        let Some(position) = sources.position(&span.file, span.start) else { return false };
        let line = self.0.get(&span.file).and_then(|lines| lines.get(&position.line));
        line.is_some_and(|ids| ids.contains(id))
    }
}

/// The number of the line that a comment of its own line stands above: the next one that is neither a comment nor empty.
fn next_code_line(text: &str, range: &std::ops::Range<usize>) -> usize {
    let mut line = text[..range.end].trim_end_matches('\n').matches('\n').count() + 2;
    let rest = text[range.end..].strip_prefix('\n').unwrap_or(&text[range.end..]);
    let rest = if text[..range.end].ends_with('\n') { &text[range.end..] } else { rest };
    for next in rest.lines() {
        let next = next.trim_start();
        if next.starts_with('#') || next.starts_with("//") {
            line += 1;
        } else {
            break;
        }
    }
    line
}

/// A comment that would silence a rule that there is not.
pub static UNKNOWN: Rule = Rule {
    id: "lint-ignore-unknown-rule",
    on: "comments `lint:ignore`",
    summary: "This comment silences nothing: there is no such rule",
    reason: "What stands behind `lint:ignore` are ids of rules with commas between them, and then the reason.",
    cure: "`image-action lint -list` names all rules",
    fixes: false,
    check: |subject, found| {
        for (file, text, range) in all_comments(subject.sources) {
            for (at, id) in ids(&text[range.clone()]).into_iter().filter(|(_, id)| rule(id).is_none()) {
                let start = range.start + at;
                let finding = found.at(Some(Span::new(file.clone(), start..start + id.len())));
                finding.summary(format!("This comment silences nothing: there is no rule {id:?}"));
                if let Some(near) = suggest(id, RULES.iter().map(|r| r.id)) {
                    finding.cure(format!("did you mean {near:?}?"));
                }
            }
        }
    },
};
