//! What is wrong with a template, and where: every fallible step of the road from text to plan reports all of its
//! diagnostics rather than the first.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use crate::render::{RenderOptions, printable, render};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The template still works.
    Warning,
    /// Nothing is built.
    Error,
}

/// A stretch of one source file, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// Path as the user reached it (`templates/build.pkr.hcl`), or a pseudo file such as
    /// `<value for var.x from arguments>`.
    pub file: Arc<str>,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// A span of `file` from byte `range.start` to `range.end`.
    pub fn new(file: impl Into<Arc<str>>, range: std::ops::Range<usize>) -> Self {
        Span { file: file.into(), start: range.start, end: range.end }
    }

    /// The smallest span that covers both; `self` where the files differ.
    #[must_use]
    pub fn join(&self, other: &Span) -> Span {
        if self.file != other.file {
            return self.clone();
        }
        Span { file: self.file.clone(), start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// One complaint: what, where, why, and what to do about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The lint rule that found it; by this id it is switched off or made an error. `None` for what Packer says too.
    pub id: Option<&'static str>,
    /// One line in the field's usual words, without a period at its end.
    pub summary: String,
    /// The reason, in whole sentences. May be empty.
    pub detail: String,
    /// What is marked in the source.
    pub span: Option<Span>,
    /// The cure, printed on a line of its own after `hint: `.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error without a place yet.
    pub fn error(summary: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Error,
            id: None,
            summary: summary.into(),
            detail: String::new(),
            span: None,
            hint: None,
        }
    }

    /// A warning without a place yet.
    pub fn warning(summary: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(summary) }
    }

    /// As the finding of a lint rule.
    #[must_use]
    pub fn rule(mut self, id: &'static str) -> Self {
        self.id = Some(id);
        self
    }

    /// With the reason.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// With the place.
    #[must_use]
    pub fn at(mut self, span: impl Into<Option<Span>>) -> Self {
        self.span = span.into();
        self
    }

    /// File and offset; nothing where it has no place.
    fn place(&self) -> (&str, usize) {
        self.span.as_ref().map_or(("", 0), |s| (&*s.file, s.start))
    }

    /// With the cure.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

/// Every complaint of a step, in the order in which they were met.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// None so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// All of another step's.
    pub fn extend(&mut self, other: Diagnostics) {
        self.0.extend(other.0);
    }

    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity == Severity::Error)
    }

    /// How many of them are errors.
    pub fn errors(&self) -> usize {
        self.0.iter().filter(|d| d.severity == Severity::Error).count()
    }

    /// Without repeats, in the order of the files and of the places in them; what has no place comes first.
    #[must_use]
    pub fn arranged(self) -> Diagnostics {
        let mut sorted = self.0;
        sorted.sort_by(|a, b| a.place().cmp(&b.place()));
        let mut all: Vec<Diagnostic> = Vec::with_capacity(sorted.len());
        for d in sorted {
            // Repeats have the same place, so that they stand next to each other, but for others of that place.
            let same_place = all.iter().rev().take_while(|known| known.place() == d.place());
            if !same_place.into_iter().any(|known| *known == d) {
                all.push(d);
            }
        }
        Diagnostics(all)
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// In the order in which they were met.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// `Err(self)` when one is an error, else the value and the warnings.
    pub fn or_ok<T>(self, value: T) -> Result<(T, Diagnostics), Diagnostics> {
        if self.has_errors() { Err(self) } else { Ok((value, self)) }
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(d: Diagnostic) -> Self {
        Diagnostics(vec![d])
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(iter: I) -> Self {
        Diagnostics(iter.into_iter().collect())
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// Of `candidates`, the one that `name` was probably meant to be: at most two edits away, the nearest first.
///
/// ```
/// assert_eq!(image_action_lang::diag::suggest("regoin", ["region", "source"]), Some("region"));
/// ```
pub fn suggest<'a, I>(name: &str, candidates: I) -> Option<&'a str>
where
    I: IntoIterator<Item = &'a str>,
{
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(name, c), c))
        // A word of three letters is not "meant to be" another one that shares a single letter with it.
        .filter(|(distance, c)| *distance <= MAX_SUGGESTION_DISTANCE && *distance < c.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

/// The cure for a name that does not exist: the one that was probably meant, or else the ones that there are.
///
/// ```
/// # use image_action_lang::diag::name_hint;
/// assert_eq!(name_hint("regoin", &["region", "source"]), Some("did you mean \"region\"?".into()));
/// assert_eq!(name_hint("x", &["region", "source"]), Some("there are: region, source".into()));
/// assert_eq!(name_hint("x", &[]), None);
/// ```
pub fn name_hint(name: &str, known: &[&str]) -> Option<String> {
    if let Some(near) = suggest(name, known.iter().copied()) {
        return Some(format!("did you mean {near:?}?"));
    }
    (1..=MAX_NAMES_SHOWN).contains(&known.len()).then(|| format!("there are: {}", known.join(", ")))
}

/// More names than this are a list to look up, not a hint to read.
const MAX_NAMES_SHOWN: usize = 12;

/// Edits between a name and its suggestion: as many as HCL itself allows.
const MAX_SUGGESTION_DISTANCE: usize = 2;

/// One source text with its name. What is parsed from it carries byte offsets only, so that evaluation is given the
/// source beside the expression. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// As spans carry it.
    pub name: Arc<str>,
    /// The whole text, exactly as read.
    pub text: Arc<str>,
}

impl Source {
    /// A text under a name.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Source { name: name.into(), text: text.into() }
    }

    /// A span of this source; of its first byte where an expression was made by hand and has none.
    pub fn span(&self, range: Option<std::ops::Range<usize>>) -> Span {
        Span::new(self.name.clone(), range.unwrap_or(0..0))
    }

    /// The text of a range, empty where the range does not fit the text.
    pub fn slice(&self, range: std::ops::Range<usize>) -> &str {
        self.text.get(range).unwrap_or_default()
    }
}

/// The text of every file that was read, by the name that spans carry.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: std::collections::BTreeMap<Arc<str>, Arc<str>>,
}

/// A place as people count: from 1, columns in grapheme clusters (as HCL counts them).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in grapheme clusters.
    pub column: usize,
}

impl SourceMap {
    /// Keeps `text` under `name` and hands back the shared name for spans.
    pub fn add(&mut self, name: &str, text: &str) -> Arc<str> {
        let name: Arc<str> = Arc::from(name);
        self.files.insert(name.clone(), Arc::from(text));
        name
    }

    /// Keeps a source that was made elsewhere.
    pub fn add_source(&mut self, source: &Source) {
        self.files.insert(source.name.clone(), source.text.clone());
    }

    /// A file with its text, if it was read.
    pub fn source(&self, file: &str) -> Option<Source> {
        let (name, text) = self.files.get_key_value(file)?;
        Some(Source { name: name.clone(), text: text.clone() })
    }

    /// The text of a file, if it was read.
    pub fn text(&self, file: &str) -> Option<&Arc<str>> {
        self.files.get(file)
    }

    /// The text that a span covers.
    pub fn slice(&self, span: &Span) -> Option<&str> {
        self.files.get(&span.file)?.get(span.start..span.end)
    }

    /// Line and column of a byte offset.
    pub fn position(&self, file: &str, offset: usize) -> Option<Position> {
        let text = self.files.get(file)?;
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let column = unicode_segmentation::UnicodeSegmentation::graphemes(&before[line_start..], true).count() + 1;
        Some(Position { line: before.matches('\n').count() + 1, column })
    }

    /// Reads a file and keeps it.
    ///
    /// # Errors
    /// What the operating system said; a file that is not UTF-8 is `InvalidData`.
    pub fn read(&mut self, path: &Path) -> std::io::Result<(Arc<str>, Arc<str>)> {
        let text = std::fs::read_to_string(path)?;
        let name = self.add(&path.to_string_lossy(), &text);
        Ok((name.clone(), self.files[&name].clone()))
    }

    /// The files, by name.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.files.keys().map(|k| PathBuf::from(k.as_ref()))
    }
}
