//! A first look at a text, before the parser: what is not closed, what may not stand in a string, which directives do
//! not match. It also makes a copy of the same length that the parser understands where HCL and the parser differ;
//! whatever is changed there is read from the source again when it is evaluated.

mod text;

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::number::literal_length;
use std::collections::HashMap;
use std::sync::Arc;
use unicode_normalization::char::is_combining_mark;

/// What the text is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Attributes and blocks.
    Body,
    /// One expression, in which line breaks mean nothing.
    Expression,
    /// Text with interpolations.
    Template,
}

/// What a scan found.
pub(crate) struct Scanned {
    /// The copy for the parser.
    pub masked: String,
    /// Where arguments and blocks begin, with the depth of braces around them.
    pub items: Vec<(usize, usize)>,
}

/// Brackets, strings and interpolations that may be open at once. The parser takes 64 levels of expressions; what is deeper by
/// far would cost it time and stack.
const MAX_OPEN: usize = 256;

/// Equals signs and colons of one object. The parser compares each key with all before it.
const MAX_ENTRIES: usize = 20_000;

/// What is open at some place.
enum Frame {
    /// A bracket and its place.
    Bracket(char, usize),
    /// A template of its own: a quoted string, a heredoc, or the whole text.
    Template(Template),
    /// `${` or `%{`
    Sequence(usize),
}

struct Template {
    start: usize,
    /// The end mark of a heredoc.
    mark: Option<String>,
    quoted: bool,
    directives: Vec<Open>,
}

/// An `if` or `for` that is not closed yet.
struct Open {
    word: &'static str,
    start: usize,
    has_else: bool,
}

/// Scans a text.
///
/// # Errors
/// Everything that is found to be wrong.
pub(crate) fn scan(file: &Arc<str>, text: &str, mode: Mode) -> Result<Scanned, Diagnostics> {
    let mut scanner = Scanner {
        file,
        text,
        mode,
        masked: text.as_bytes().to_vec(),
        at: 0,
        stack: Vec::new(),
        items: Vec::new(),
        item_start: true,
        entries: HashMap::new(),
        crooked: None,
        diags: Diagnostics::new(),
    };
    if mode == Mode::Template {
        scanner.stack.push(Frame::Template(Template { start: 0, mark: None, quoted: false, directives: Vec::new() }));
    } else if text.starts_with('\u{feff}') {
        scanner.blank(0, '\u{feff}'.len_utf8());
        scanner.at = '\u{feff}'.len_utf8();
    }
    scanner.run();
    if scanner.diags.has_errors() {
        return Err(scanner.diags);
    }
    // Only ASCII was written over whole characters.
    let masked = String::from_utf8(scanner.masked).unwrap_or_else(|_| text.to_owned());
    Ok(Scanned { masked, items: scanner.items })
}

struct Scanner<'a> {
    file: &'a Arc<str>,
    text: &'a str,
    mode: Mode,
    masked: Vec<u8>,
    at: usize,
    stack: Vec<Frame>,
    items: Vec<(usize, usize)>,
    /// Whether the next word begins an argument or a block.
    item_start: bool,
    /// How many equals signs and colons stand right behind each open brace, by its place.
    entries: HashMap<usize, usize>,
    /// The first bracket whose end is indented otherwise than its beginning: the one to look at when one is missing.
    crooked: Option<usize>,
    diags: Diagnostics,
}

impl Scanner<'_> {
    fn run(&mut self) {
        while self.at < self.text.len() {
            let going = match self.stack.last() {
                Some(Frame::Template(t)) if t.mark.is_some() => self.heredoc_line(),
                Some(Frame::Template(_)) => self.template(),
                _ => self.code(),
            };
            if !going {
                return;
            }
            if self.stack.len() > MAX_OPEN {
                let detail = format!("More than {MAX_OPEN} brackets, strings and interpolations are open here.");
                let hint = "give the inner parts names of their own, in locals".to_owned();
                self.error_with_hint("Nested too deeply", detail, hint, self.at.saturating_sub(1), self.at);
                return;
            }
        }
        self.finish();
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn blank(&mut self, from: usize, to: usize) {
        self.masked[from..to].fill(b' ');
    }

    fn error(&mut self, summary: &str, detail: String, from: usize, to: usize) -> &mut Self {
        let to = to.min(self.text.len());
        let span = Span::new(self.file.clone(), from.min(to)..to);
        self.diags.push(Diagnostic::error(summary).detail(detail).at(span));
        self
    }

    fn error_with_hint(&mut self, summary: &str, detail: String, hint: String, from: usize, to: usize) {
        let to = to.min(self.text.len());
        let span = Span::new(self.file.clone(), from.min(to)..to);
        self.diags.push(Diagnostic::error(summary).detail(detail).at(span).hint(hint));
    }

    fn line_of(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count() + 1
    }

    fn braces(&self) -> usize {
        self.stack.iter().filter(|f| matches!(f, Frame::Bracket('{', _))).count()
    }

    /// Whether a line break ends something here.
    fn breaks_count(&self) -> bool {
        match self.stack.last() {
            Some(Frame::Bracket(c, _)) => *c == '{',
            Some(Frame::Sequence(_)) => false,
            _ => self.mode == Mode::Body,
        }
    }

    /// One token outside of strings. Returns whether to go on.
    fn code(&mut self) -> bool {
        let Some(c) = self.rest().chars().next() else { return false };
        let start = self.at;
        match c {
            '\n' => {
                if !self.breaks_count() && self.mode == Mode::Expression {
                    self.blank(start, start + 1);
                }
                self.item_start = self.breaks_count();
                self.at += 1;
            }
            '\r' if self.rest().starts_with("\r\n") => {
                self.blank(start, start + 1);
                self.at += 1;
            }
            ' ' | '\t' => self.at += 1,
            '#' => self.line_comment(),
            '/' if self.rest().starts_with("//") => self.line_comment(),
            '/' if self.rest().starts_with("/*") => match self.rest()[2..].find("*/") {
                Some(end) => self.at += end + 4,
                None => {
                    self.error(
                        "Unterminated comment",
                        "No */ follows this beginning of a comment.".into(),
                        start,
                        start + 2,
                    );
                    return false;
                }
            },
            '"' => {
                self.begin_item(start);
                self.at += 1;
                self.push_template(start, None, true);
            }
            '<' if self.rest().starts_with("<<") => return self.heredoc_start(),
            '{' | '[' | '(' => {
                self.begin_item(start);
                self.at += 1;
                self.stack.push(Frame::Bracket(c, start));
                self.item_start = c == '{';
            }
            '}' | ']' | ')' => return self.close(c),
            '=' | ':' if !self.entry_fits() => return false,
            '0'..='9' => return self.number(),
            '.' => return self.period(),
            c if c == '_' || c.is_alphabetic() => {
                self.begin_item(start);
                let word = self.rest();
                let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-') || is_combining_mark(c);
                let end = word.find(|c| !part(c)).unwrap_or(word.len());
                if &word[..end] == "for" && !self.for_goes_on(start, end) {
                    return false;
                }
                // A letter that belongs to no word for this check still has to be passed by.
                self.at += end.max(c.len_utf8());
            }
            _ => return self.other(c),
        }
        true
    }

    /// Whether the object around this place may have one more entry.
    fn entry_fits(&mut self) -> bool {
        let next = self.text.as_bytes().get(self.at + 1);
        let before = self.at.checked_sub(1).and_then(|at| self.text.as_bytes().get(at));
        let compares = matches!(next, Some(b'=' | b'>')) || matches!(before, Some(b'=' | b'!' | b'<' | b'>'));
        let Some(&Frame::Bracket('{', start)) = self.stack.last() else { return true };
        if compares || !begins_value(&self.text[..start]) {
            return true;
        }
        let count = self.entries.entry(start).or_default();
        *count += 1;
        if *count <= MAX_ENTRIES {
            return true;
        }
        let detail = format!("More than {MAX_ENTRIES} entries stand in this object.");
        let hint = "keep them in a file beside the template: jsondecode(file(\"data.json\"))".to_owned();
        self.error_with_hint("Too many entries", detail, hint, start, start + 1);
        false
    }

    /// `for` at the beginning of a list or an object is never a name, which the parser would take `[for + 1]` for.
    fn for_goes_on(&mut self, start: usize, length: usize) -> bool {
        let before = self.text[..start].trim_end();
        let opens = before.strip_suffix(['[', '{']).is_some_and(begins_value);
        let after = self.text[start + length..].chars().next();
        if !opens || after.is_none_or(|c| c.is_whitespace() || matches!(c, '/' | '#')) {
            return true;
        }
        let detail = "The name of a variable is expected after `for`.".to_owned();
        let hint = "write [for v in LIST : v]; a key that is called for stands in quotes".to_owned();
        self.error_with_hint("Invalid 'for' expression", detail, hint, start, start + length);
        false
    }

    fn begin_item(&mut self, at: usize) {
        if std::mem::take(&mut self.item_start) {
            self.items.push((at, self.braces()));
        }
    }

    fn line_comment(&mut self) {
        let end = self.rest().find('\n').map_or(self.text.len(), |i| self.at + i);
        if self.mode == Mode::Expression && !self.breaks_count() {
            self.blank(self.at, end);
        }
        // A lone carriage return ends a comment for the parser only.
        for b in &mut self.masked[self.at..end] {
            if *b == b'\r' {
                *b = b' ';
            }
        }
        self.at = end;
    }

    /// Numbers beyond f64 are zero for the parser, which would take `1.e5` for an attribute.
    fn number(&mut self) -> bool {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let digits = |mut at: usize| {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        let mut end = digits(start);
        if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
            end = digits(end + 1);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            if bytes.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) {
                end = digits(end + 1 + sign);
            }
        }
        let whole = start + literal_length(&bytes[start..]);
        if whole > end {
            let detail = format!("{:?} is no number.", &self.text[start..whole]);
            let hint = "digits stand on both sides of a period: 1.0, 1.0e5".to_owned();
            self.error_with_hint("Invalid number literal", detail, hint, start, whole);
            return false;
        }
        if self.text[start..end].parse::<f64>().is_ok_and(f64::is_infinite) {
            self.masked[start..end].fill(b'0');
        }
        self.at = end;
        true
    }

    /// `.0.1` reads as a number after a period.
    fn period(&mut self) -> bool {
        let start = self.at;
        if self.rest().starts_with("...") {
            self.at += 3;
            return true;
        }
        let rest = self.text[start + 1..].trim_start_matches(|c: char| {
            matches!(c, ' ' | '\t') || (matches!(c, '\r' | '\n') && !self.breaks_count())
        });
        let digit = rest.starts_with(|c: char| c.is_ascii_digit());
        let literal = if digit { &rest[..literal_length(rest.as_bytes())] } else { "" };
        let after = self.text.len() - rest.len() + literal.len();
        if literal.contains('.') {
            self.error_with_hint(
                "Invalid legacy index syntax",
                "Two indexes of this old form may not follow each other.".into(),
                "write them in brackets: [0][1]".into(),
                start,
                after,
            );
            return false;
        }
        let goes_on = |c: char| c == '_' || c == '*' || c == '.' || c.is_alphanumeric();
        if !rest.starts_with(goes_on) {
            let detail = "The name of an attribute is expected after the period.".to_owned();
            self.error("Invalid attribute name", detail, start, start + 1);
            return false;
        }
        self.at = after;
        true
    }

    /// A character that is part of an operator, or of nothing.
    fn other(&mut self, c: char) -> bool {
        let start = self.at;
        let end = start + c.len_utf8();
        let next = self.text[end..].chars().next();
        let (summary, detail, hint) = match c {
            '\'' => (
                "Invalid character",
                "Text is not written between single quotes.".to_owned(),
                "use double quotes: \"…\"",
            ),
            '`' => (
                "Invalid character",
                "A backtick has no meaning here.".to_owned(),
                "text is written in double quotes, or as a heredoc: <<EOT",
            ),
            ';' => (
                "Invalid character",
                "A semicolon has no meaning here.".to_owned(),
                "every argument stands in a line of its own",
            ),
            '“' | '”' | '„' | '‘' | '’' => {
                ("Invalid character", "This quote was made for print.".to_owned(), "use the straight double quote \"")
            }
            '&' | '|' if next == Some(c) => {
                self.at = end + 1;
                return true;
            }
            '&' | '|' => (
                "Unsupported operator",
                format!("There is no operator {c}."),
                if c == '&' { "logical and is &&" } else { "logical or is ||" },
            ),
            '=' | '!' | '<' | '>' | '+' | '-' | '*' | '/' | '%' | '?' | ':' | ',' | '~' => {
                // The copy for the parser takes `===` for `==` and something wrong after it, which is right.
                self.at = end;
                return true;
            }
            '$' if next == Some('{') => (
                "Invalid character",
                "An interpolation stands inside of a string.".to_owned(),
                "write the expression without ${ and }, or put all of it into double quotes",
            ),
            _ => ("Invalid character", format!("The character {c:?} has no meaning here."), ""),
        };
        if hint.is_empty() {
            self.error(summary, detail, start, end);
        } else {
            self.error_with_hint(summary, detail, hint.to_owned(), start, end);
        }
        false
    }

    fn close(&mut self, c: char) -> bool {
        let start = self.at;
        match self.stack.last() {
            Some(Frame::Sequence(_)) if c == '}' => {
                self.stack.pop();
                self.at += 1;
                return true;
            }
            Some(Frame::Bracket(open, from)) if closing(*open) == c => {
                let from = *from;
                self.note_indentation(from, start);
                self.stack.pop();
                self.at += 1;
                self.item_start = false;
                return true;
            }
            _ => {}
        }
        let (summary, detail, hint) = match self.stack.last() {
            Some(Frame::Bracket(open, from)) => (
                "Mismatched bracket",
                format!("This {c} does not close the {open} on line {}.", self.line_of(*from)),
                format!("close it with {} first", closing(*open)),
            ),
            Some(Frame::Sequence(from)) => (
                "Unclosed template interpolation sequence",
                format!("This {c} stands inside of the sequence that begins on line {}.", self.line_of(*from)),
                "close it with } first".to_owned(),
            ),
            _ => (
                "Argument or block definition required",
                format!("There is nothing that this {c} closes."),
                format!("remove the {c}, or look for a {c} too many before it"),
            ),
        };
        self.error_with_hint(summary, detail, hint, start, start + 1);
        false
    }

    fn indentation(&self, at: usize) -> (usize, bool) {
        let line = self.text[..at].rfind('\n').map_or(0, |i| i + 1);
        let blanks = self.text[line..at].bytes().take_while(|b| matches!(b, b' ' | b'\t')).count();
        (blanks, line + blanks == at)
    }

    fn note_indentation(&mut self, from: usize, to: usize) {
        let (closing, first) = self.indentation(to);
        if self.crooked.is_none() && first && self.indentation(from).0 != closing {
            self.crooked = Some(from);
        }
    }

    /// At the end of the text everything must be closed.
    fn finish(&mut self) {
        let crooked = self.crooked;
        match self.stack.pop() {
            None => {}
            Some(Frame::Bracket(c, at)) => {
                let summary = if c == '{' { "Unclosed configuration block" } else { "Unclosed bracket" };
                let mut d = Diagnostic::error(summary)
                    .detail(format!("There is no {} for this {c} before the end of the file.", closing(c)))
                    .at(Span::new(self.file.clone(), at..at + 1));
                if let Some(from) = crooked.filter(|f| *f > at) {
                    let (line, open) = (self.line_of(from), &self.text[from..=from]);
                    d = d.hint(format!("by its indentation, the {open} on line {line} is the one that is not closed"));
                }
                self.diags.push(d);
            }
            Some(Frame::Sequence(at)) => {
                let detail = "There is no } for this sequence before the end of the file.".to_owned();
                let hint = "where it is meant as text, write $${ or %%{".to_owned();
                self.error_with_hint("Unclosed template interpolation sequence", detail, hint, at, at + 2);
            }
            Some(Frame::Template(t)) => {
                if let Some(mark) = &t.mark {
                    let detail = format!("There is no line {mark} that ends this heredoc.");
                    let hint = format!("the end mark {mark} stands alone in its line, and a line break follows it");
                    let end = self.text[t.start..].find('\n').map_or(self.text.len(), |i| t.start + i);
                    self.error_with_hint("Unterminated template string", detail, hint, t.start, end);
                } else if t.quoted {
                    let detail = "There is no double quote that ends this string.".to_owned();
                    self.error("Unterminated template string", detail, t.start, t.start + 1);
                } else {
                    self.unclosed_directives(&t);
                }
            }
        }
    }
}

fn closing(open: char) -> char {
    match open {
        '{' => '}',
        '[' => ']',
        _ => ')',
    }
}

/// Whether a bracket behind this text begins a value: that of a block or an index stands behind a name, a label or a value.
fn begins_value(before: &str) -> bool {
    let last = before.trim_end().chars().next_back();
    last.is_none_or(|c| !(matches!(c, '"' | '_' | '-' | ')' | ']' | '}') || c.is_alphanumeric()))
}
