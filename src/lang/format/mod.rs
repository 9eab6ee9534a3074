//! The canonical layout of a template: blanks between words, indentation, alignment. Nothing else is touched: line
//! breaks, comments and quotes stay as they are written.
//!
//! It works on tokens and lines, as HCL's own formatter does, whose results it gives: what looks like a
//! mistake below (`in(x)`, `if - x`, a closing line that hangs) is how every template in the world is formatted.

mod lex;
mod space;

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::parse::parse_body;
use lex::{Kind, Token, Tokens, lex};
use std::sync::Arc;
use unicode_segmentation::UnicodeSegmentation;

/// Blanks of one level of indentation.
const INDENT: usize = 2;
/// Blanks that a text may get altogether, in bytes: a name of megabytes would be aligned with on every line.
const MAX_BLANKS: usize = 64 << 20;

/// Formats a file of attributes and blocks.
///
/// # Errors
/// What is not HCL, all of it. Text whose alignment would take more than 64 MiB of blanks.
pub fn format(file_name: &Arc<str>, text: &str) -> Result<String, Diagnostics> {
    parse_body(file_name, text)?;
    let Tokens { list: mut tokens, trailing } = lex(text);
    let lines = lines(&tokens);
    space::separate(&mut tokens, &lines);
    indent(&mut tokens, &lines);
    align(&mut tokens, &lines);
    let blanks = tokens.iter().fold(trailing, |sum, t| sum.saturating_add(t.blanks));
    if blanks > MAX_BLANKS {
        let detail = format!("Its lines would be aligned with more than {} MiB of blanks.", MAX_BLANKS >> 20);
        let d = Diagnostic::error("Text cannot be aligned").detail(detail).at(Span::new(file_name.clone(), 0..0));
        return Err(d.hint("shorten the longest line, or put a blank line before and after it").into());
    }
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    for token in &tokens {
        out.extend(std::iter::repeat_n(' ', token.blanks));
        out.push_str(token.text);
    }
    out.extend(std::iter::repeat_n(' ', trailing));
    Ok(out)
}

/// The places of all comments of a text that is known to be HCL; one that ends with its line has the line break in it.
pub fn comments(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut at = text.len() - text.strip_prefix('\u{feff}').unwrap_or(text).len();
    let mut found = Vec::new();
    for token in lex(text).list {
        let start = at + token.blanks;
        at = start + token.text.len();
        if token.kind == Kind::Comment {
            found.push(start..at);
        }
    }
    found
}

/// A line: `lead`, then `= value` if it has all of it, then a comment. Each is a stretch of the tokens.
///
/// A heredoc is no line of its own: its text belongs to the line that it begins on.
struct Line {
    start: usize,
    /// Where `= value` begins; `comment` if there is none.
    assign: usize,
    /// Where the comment begins; `end` if there is none.
    comment: usize,
    end: usize,
}

impl Line {
    fn new(tokens: &[Token<'_>], start: usize, end: usize) -> Line {
        let commented = end - start > 1 && tokens[end - 1].kind == Kind::Comment;
        let comment = if commented { end - 1 } else { end };
        let assign = (start + 1..comment)
            .find(|i| tokens[*i].kind == Kind::Equal)
            .filter(|i| tokens[*i..comment].iter().map(|t| t.kind.opens()).sum::<i32>() == 0)
            .unwrap_or(comment);
        Line { start, assign, comment, end }
    }

    /// Where `= value` begins, if the line has that.
    fn assigns(&self) -> Option<usize> {
        (self.assign < self.comment).then_some(self.assign)
    }

    /// Where its comment is, if it has one.
    fn comments(&self) -> Option<usize> {
        (self.comment < self.end).then_some(self.comment)
    }
}

fn lines(tokens: &[Token<'_>]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut start = 0;
    for (i, token) in tokens.iter().enumerate() {
        if token.ends_line() || i + 1 == tokens.len() {
            lines.push(Line::new(tokens, start, i + 1));
            start = i + 1;
        }
    }
    lines
}

/// One level for each line that opens brackets, however many of them.
fn indent(tokens: &mut [Token<'_>], lines: &[Line]) {
    // How many brackets each level stands for.
    let mut levels: Vec<i32> = Vec::new();
    for line in lines {
        if tokens[line.start].kind == Kind::Newline {
            tokens[line.start].blanks = 0;
            continue;
        }
        let lead = &tokens[line.start..line.assign];
        let heredoc = lead.iter().position(|t| t.kind == Kind::OpenHeredoc).unwrap_or(lead.len());
        // The value of an assignment is in balance, or it would not be one.
        let opens: i32 = lead[..heredoc].iter().map(|t| t.kind.opens()).sum();
        let before = levels.len();
        if opens > 0 {
            levels.push(opens);
        }
        close(&mut levels, -opens);
        tokens[line.start].blanks = INDENT * before.min(levels.len());
    }
}

/// Takes away what `closed` brackets have opened.
fn close(levels: &mut Vec<i32>, mut closed: i32) {
    while closed > 0
        && let Some(level) = levels.last_mut()
    {
        let taken = closed.min(*level);
        *level -= taken;
        closed -= taken;
        if *level == 0 {
            levels.pop();
        }
    }
}

/// Brings the equals signs of neighbouring lines below each other, and then their comments.
fn align(tokens: &mut [Token<'_>], lines: &[Line]) {
    for cell in [Line::assigns, Line::comments] {
        for run in lines.chunk_by(|a, b| cell(a).is_some() == cell(b).is_some()) {
            let cells: Vec<(usize, usize)> =
                run.iter().filter_map(|line| Some((cell(line)?, width(&tokens[line.start..cell(line)?])))).collect();
            let widest = cells.iter().map(|(_, width)| *width).max().unwrap_or(0);
            for (at, width) in cells {
                tokens[at].blanks = widest - width + 1;
            }
        }
    }
}

/// What a reader sees as characters, and blanks.
fn width(tokens: &[Token<'_>]) -> usize {
    tokens.iter().map(|t| t.blanks + t.text.graphemes(true).count()).sum()
}
