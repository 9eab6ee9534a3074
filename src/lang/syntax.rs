//! The parser's messages in HCL's words, with a cure for what people write most.

use crate::diag::{Diagnostic, Span};
use hcl::edit::parser::Error;
use std::sync::Arc;

/// What a message of the parser becomes. The first rule whose part it contains holds.
struct Rule {
    part: &'static str,
    summary: &'static str,
    /// `{}` is what stands in the place.
    detail: &'static str,
    hint: Option<&'static str>,
}

const fn rule(part: &'static str, summary: &'static str, detail: &'static str, hint: Option<&'static str>) -> Rule {
    Rule { part, summary, detail, hint }
}

const RULES: &[Rule] = &[
    rule("nesting depth", "Nested too deeply", "Expressions and blocks may not be nested more deeply than this.", None),
    rule("chained binary operators", "Nested too deeply", "This expression has more operators than are allowed.", None),
    rule(
        "redefined attribute",
        "Attribute redefined",
        "The argument {} was set already; each may be set only once.",
        None,
    ),
    rule("redefined object key", "Duplicate object key", "The key {} stands in this object already.", None),
    rule(
        "invalid escape sequence",
        "Invalid escape sequence",
        "A backslash is followed by one of n r t \" \\ u U.",
        Some("a backslash itself is written \\\\"),
    ),
    rule(
        "hex code",
        "Invalid escape sequence",
        "After \\u four hexadecimal digits are expected, after \\U eight.",
        Some("a backslash itself is written \\\\"),
    ),
    rule("newline or eof", "Missing newline after argument", "An argument ends with its line, but {} follows.", None),
    rule(
        "invalid structure",
        "Invalid block definition",
        "After a name an equals sign, a label or an opening brace is expected, not {}.",
        Some("write name = value for an argument, or name { … } for a block"),
    ),
    rule(
        "invalid block body",
        "Invalid block definition",
        "A line break is expected after the opening brace, or one argument before the closing one, but {} follows.",
        Some("write each argument of a block in a line of its own"),
    ),
    rule(
        "invalid object value assignment",
        "Missing attribute value",
        "An equals sign and a value are expected after the key, not {}.",
        None,
    ),
    rule(
        "invalid object item",
        "Missing attribute separator",
        "A comma or a line break is expected before the next key, not {}.",
        None,
    ),
    rule(
        "traversal operator",
        "Invalid attribute name",
        "The name of an attribute is expected after the period, not {}.",
        None,
    ),
    rule("heredoc end delimiter", "Unterminated template string", "The end of this heredoc was not found.", None),
    rule("expected `]`", "Missing item separator", "A comma or a closing bracket is expected here, not {}.", None),
    rule(
        "expected `)`",
        "Missing argument separator",
        "A comma or a closing parenthesis is expected here, not {}.",
        None,
    ),
    rule(
        "expected `}`",
        "Extra characters after interpolation expression",
        "A closing brace is expected here, not {}.",
        Some("where ${ is meant as text, write $${"),
    ),
    rule(
        "expected `{`",
        "Invalid block definition",
        "A label or an opening brace is expected here, not {}.",
        Some("write name = value for an argument, or name \"label\" { … } for a block"),
    ),
    rule(
        "expected `:`",
        "Missing false expression in conditional",
        "A colon and the other value are expected here, not {}.",
        None,
    ),
    rule("expected `in`", "Invalid 'for' expression", "The word in is expected here, not {}.", Some(FOR)),
    rule("expected `=>`", "Invalid 'for' expression", "An arrow, =>, is expected after the key, not {}.", Some(FOR)),
    rule("invalid expression", "Invalid expression", "The beginning of an expression is expected here, not {}.", None),
    rule("", "Invalid expression", "Something else is expected here, not {}.", None),
];

const FOR: &str = "write [for v in list : v], or { for k, v in map : k => v }";

const FOR_COLON: Rule =
    rule("", "Invalid 'for' expression", "A colon and what each element gives are expected here, not {}.", Some(FOR));

const BARE: Rule = rule(
    "",
    "Argument or block definition required",
    "An argument or a block is expected here, not {}.",
    Some("an argument is set with an equals sign, a block begins with its name"),
);

/// The diagnostic of a parser's error.
pub(crate) fn syntax_error(error: &Error, file: &Arc<str>, text: &str) -> Diagnostic {
    let message = error.message();
    let at = place(error, text);
    let (what, end) = found(text, at);
    let before = text.get(..at).unwrap_or_default();
    let next = text.get(at..).and_then(|r| r.chars().next());
    let alone = matches!(next, None | Some('\n' | '\r'));
    let bare = (message.contains("unexpected token") && at_line_start(before))
        || (message.contains("newline or eof") && before.trim_end().ends_with('\n'))
        || (message.contains("invalid structure") && alone);
    let rule = if bare {
        &BARE
    } else if message.contains("expected `:`") && in_for(before) {
        &FOR_COLON
    } else {
        // The last rule is part of every message.
        RULES.iter().find(|r| message.contains(r.part)).unwrap_or(&BARE)
    };
    let d = Diagnostic::error(rule.summary)
        .detail(rule.detail.replace("{}", &what))
        .at(Span::new(file.clone(), at..end.max(at)));
    match next.and_then(|c| hint_for(rule, c)).or(rule.hint) {
        Some(hint) => d.hint(hint),
        None => d,
    }
}

/// A better hint, from what stands in the place.
fn hint_for(rule: &Rule, next: char) -> Option<&'static str> {
    match (rule.part, next) {
        ("newline or eof", ',') => Some("remove the comma: arguments are separated by line breaks"),
        ("newline or eof", '=') => Some("compare with ==, and write every argument in a line of its own"),
        ("newline or eof", c) if c.is_alphabetic() => {
            Some("text goes between double quotes; every argument stands in a line of its own")
        }
        ("invalid structure", ':') => Some("an argument is set with an equals sign: name = value"),
        _ => None,
    }
}

/// Where the error is: the parser sometimes points before blanks, or one character too far.
fn place(error: &Error, text: &str) -> usize {
    let mut at = error.location().offset().min(text.len());
    if error.message().contains("object value assignment") {
        at -= text.get(..at).and_then(|t| t.chars().next_back()).map_or(0, char::len_utf8);
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.len() - rest.trim_start_matches([' ', '\t']).len()
}

/// What stands at an offset, in words, and where it ends.
fn found(text: &str, at: usize) -> (String, usize) {
    let rest = text.get(at..).unwrap_or_default();
    let Some(c) = rest.chars().next() else {
        return ("the end of the text".to_owned(), at);
    };
    match c {
        '\n' | '\r' => ("the end of the line".to_owned(), at),
        c if c == '_' || c.is_alphanumeric() => {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-'))).unwrap_or(rest.len());
            (format!("{:?}", &rest[..end]), at + end)
        }
        '"' => ("a string".to_owned(), at + 1),
        c => (format!("\"{c}\""), at + c.len_utf8()),
    }
}

/// Whether what is open last before a place is a `for`, not a condition.
fn in_for(before: &str) -> bool {
    let last = |word: &str| before.rfind(word);
    [last("[for "), last("{for "), last("[ for "), last("{ for ")].into_iter().max() > Some(last("?"))
}

fn at_line_start(before: &str) -> bool {
    before.rsplit('\n').next().unwrap_or_default().trim().is_empty()
}
