//! From text to syntax trees with byte spans, and syntax errors that say where, why and what to do.

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::scan::{Mode, Scanned, scan};
use crate::syntax::syntax_error;
use hcl::edit::Span as _;
use hcl::edit::expr::{Expression, Traversal, TraversalOperator};
use hcl::edit::parser;
use hcl::edit::structure::Body;
use hcl::edit::template::Template;
use hcl::edit::visit::{self, Visit};
use std::sync::Arc;

/// Syntax errors reported of one file; each costs another run of the parser.
const MAX_SYNTAX_ERRORS: usize = 10;
/// Repeated keys of objects for which another name is tried before the parser's refusal is handed on.
const MAX_REPEATED_KEYS: usize = 100;
/// Texts beyond this are refused, in bytes: offsets are counted and templates are written by people.
pub const MAX_TEXT: usize = 16 << 20;

/// Parses a file: attributes and blocks.
///
/// # Errors
/// What is not HCL: several things, where what stands between them can still be read.
pub fn parse_body(file_name: &Arc<str>, text: &str) -> Result<Body, Diagnostics> {
    check_size(file_name, text)?;
    let mut scanned = scan(file_name, text, Mode::Body)?;
    // At the end of the text the parser loses the place of an error; a line break changes nothing else.
    scanned.masked.push('\n');
    let mut diags = Diagnostics::new();
    loop {
        let error = match parse_masked(&mut scanned, parser::parse_body) {
            Ok(body) => {
                Checker { file: file_name, diags: &mut diags }.visit_body(&body);
                return if diags.is_empty() { Ok(body) } else { Err(diags) };
            }
            Err(error) => error,
        };
        diags.push(syntax_error(&error, file_name, text));
        // Without the argument or block that is wrong, the rest may show what else is.
        if diags.len() >= MAX_SYNTAX_ERRORS || !leave_out(&mut scanned, error.location().offset()) {
            return Err(diags);
        }
    }
}

/// Parses one expression, such as the value of a variable given on the command line. Line breaks mean nothing in it.
///
/// # Errors
/// As [`parse_body`].
pub fn parse_expr(file_name: &Arc<str>, text: &str) -> Result<Expression, Diagnostics> {
    check_size(file_name, text)?;
    let mut scanned = scan(file_name, text, Mode::Expression)?;
    let length = scanned.masked.trim_end().len();
    scanned.masked.truncate(length);
    // The parser takes no blanks before an expression: a parenthesis in their place lets it.
    let indented = scanned.masked.starts_with([' ', '\t']) && !scanned.masked.trim().is_empty();
    if indented {
        scanned.masked.replace_range(..1, "(");
        scanned.masked.push(')');
    }
    let expr = parse_masked(&mut scanned, parser::parse_expr).map_err(|e| syntax_error(&e, file_name, text))?;
    let expr = match expr {
        Expression::Parenthesis(inner) if indented => inner.into_inner(),
        expr => expr,
    };
    let mut diags = Diagnostics::new();
    Checker { file: file_name, diags: &mut diags }.visit_expr(&expr);
    if diags.is_empty() { Ok(expr) } else { Err(diags) }
}

/// Parses a text with `${…}` and `%{…}` in it, such as a file that `templatefile` renders.
///
/// # Errors
/// As [`parse_body`].
pub fn parse_template(file_name: &Arc<str>, text: &str) -> Result<Template, Diagnostics> {
    check_size(file_name, text)?;
    let mut scanned = scan(file_name, text, Mode::Template)?;
    let template = parse_masked(&mut scanned, parser::parse_template).map_err(|e| syntax_error(&e, file_name, text))?;
    let mut diags = Diagnostics::new();
    let mut checker = Checker { file: file_name, diags: &mut diags };
    for element in &template {
        checker.visit_element(element);
    }
    if diags.is_empty() { Ok(template) } else { Err(diags) }
}

fn check_size(file: &Arc<str>, text: &str) -> Result<(), Diagnostics> {
    if text.len() <= MAX_TEXT {
        return Ok(());
    }
    let detail = format!("This text has {} MiB; {} are the limit.", text.len() >> 20, MAX_TEXT >> 20);
    Err(Diagnostic::error("Text too large").detail(detail).at(Span::new(file.clone(), 0..0)).into())
}

/// Runs the parser, and again with another name for every key that it takes for a repeated one: in HCL the last of them
/// counts, which is seen to when the object is evaluated.
fn parse_masked<T>(scanned: &mut Scanned, parse: fn(&str) -> Result<T, parser::Error>) -> Result<T, parser::Error> {
    let mut attempt = 0;
    loop {
        let error = match parse(&scanned.masked) {
            Ok(parsed) => return Ok(parsed),
            Err(error) => error,
        };
        let repeated = error.message().contains("redefined object key");
        if !repeated || attempt >= MAX_REPEATED_KEYS {
            return Err(error);
        }
        if !rename_key(&mut scanned.masked, error.location().offset(), attempt) {
            return Err(error);
        }
        attempt += 1;
    }
}

/// Puts another word of the same length in the place of a key.
fn rename_key(masked: &mut String, at: usize, attempt: usize) -> bool {
    const LETTERS: &[u8] = b"_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let Some(rest) = masked.get(at..) else { return false };
    let (start, word) = match rest.strip_prefix('"') {
        Some(quoted) => (at + 1, quoted.split('"').next().unwrap_or_default()),
        None => {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-'))).unwrap_or(rest.len());
            (at, &rest[..end])
        }
    };
    if word.is_empty() || word.contains(['\\', '$', '%']) {
        return false;
    }
    // Counts through all words of that length, from the last letter on.
    let mut number = attempt + 1;
    let mut name = vec![LETTERS[0]; word.len()];
    for letter in name.iter_mut().rev() {
        *letter = LETTERS[number % LETTERS.len()];
        number /= LETTERS.len();
    }
    let end = start + word.len();
    // Letters of the alphabet above are UTF-8.
    let name = String::from_utf8(name).unwrap_or_default();
    masked.replace_range(start..end, &name);
    true
}

/// Blanks out the argument or block around `offset`; says whether there was something to blank out.
fn leave_out(scanned: &mut Scanned, offset: usize) -> bool {
    let Some(i) = scanned.items.iter().rposition(|(start, _)| *start <= offset) else { return false };
    let (start, depth) = scanned.items[i];
    let end = scanned.items[i + 1..].iter().find(|(_, d)| *d <= depth).map_or(scanned.masked.len(), |(next, _)| *next);
    // The brace that closes what is around the last item of a block stays.
    let mut open = 0i32;
    let mut cut = end;
    for (at, b) in scanned.masked.bytes().enumerate().take(end).skip(start) {
        match b {
            b'{' => open += 1,
            b'}' if open == 0 => {
                cut = at;
                break;
            }
            b'}' => open -= 1,
            _ => {}
        }
    }
    let blanked: String = scanned.masked[start..cut]
        .chars()
        .flat_map(|c| std::iter::repeat_n(if c == '\n' { '\n' } else { ' ' }, c.len_utf8()))
        .collect();
    if blanked.trim().len() == scanned.masked[start..cut].trim().len() || cut <= start {
        return false;
    }
    scanned.masked.replace_range(start..cut, &blanked);
    scanned.items.remove(i);
    true
}

/// What the parser lets pass though HCL does not.
struct Checker<'a> {
    file: &'a Arc<str>,
    diags: &'a mut Diagnostics,
}

impl Visit for Checker<'_> {
    fn visit_traversal(&mut self, node: &Traversal) {
        let mut splat = false;
        for operator in &node.operators {
            let range = operator.span().or_else(|| operator.value().span());
            match operator.value() {
                TraversalOperator::AttrSplat(_) if splat => {
                    self.diags.push(
                        Diagnostic::error("Nested splat expression not allowed")
                            .detail("A second .* may not follow: it would be taken of each element's own elements.")
                            .at(Span::new(self.file.clone(), range.unwrap_or(0..0)))
                            .hint("write [*] instead"),
                    );
                }
                TraversalOperator::AttrSplat(_) => splat = true,
                TraversalOperator::GetAttr(_) | TraversalOperator::LegacyIndex(_) => {}
                TraversalOperator::Index(_) | TraversalOperator::FullSplat(_) => splat = false,
            }
        }
        visit::visit_traversal(self, node);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::diag::{RenderOptions, SourceMap, render};

    fn errors(text: &str) -> Vec<String> {
        let mut sources = SourceMap::default();
        let name = sources.add("a", text);
        match parse_body(&name, text) {
            Ok(_) => Vec::new(),
            Err(diags) => diags
                .iter()
                .map(|d| {
                    let p = sources.position("a", d.span.as_ref().unwrap().start).unwrap();
                    assert!(render(d, &sources, RenderOptions::default()).contains("a:"));
                    format!("{}:{} {}", p.line, p.column, d.summary)
                })
                .collect(),
        }
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (text, want) in [
            ("a = 'x'\n", "1:5 Invalid character"),
            ("a = \"x\nb = 1\n", "1:5 Invalid multi-line string"),
            ("a {\n  b = 1\n", "1:3 Unclosed configuration block"),
            ("a = [1, 2\nb = 3\n", "1:5 Unclosed bracket"),
            ("a = (1]\n", "1:7 Mismatched bracket"),
            ("}\n", "1:1 Argument or block definition required"),
            ("a = 1,\n", "1:6 Missing newline after argument"),
            ("a = foo bar\n", "1:9 Missing newline after argument"),
            ("a = \n", "1:5 Invalid expression"),
            ("a: 1\n", "1:2 Invalid block definition"),
            ("a = 1\na = 2\n", "2:1 Attribute redefined"),
            ("a = \"${b\"\n", "1:6 Unclosed template interpolation sequence"),
            ("a = <<EOT\nx\n", "1:5 Unterminated template string"),
            ("a = { b 1 }\n", "1:9 Missing attribute value"),
            ("a = [1 2]\n", "1:8 Missing item separator"),
            ("a = b.\n", "1:6 Invalid attribute name"),
            ("a = \"%{ if true }x\"\n", "1:9 Unexpected end of template"),
            ("a = [for> 1]\n", "1:6 Invalid 'for' expression"),
            ("a = [{for=1}]\n", "1:7 Invalid 'for' expression"),
            ("a = -9.e5z\n", "1:6 Invalid number literal"),
            ("a = 1.2.3\n", "1:5 Invalid number literal"),
            ("a = b. 0.1\n", "1:6 Invalid legacy index syntax"),
            ("a = b.0.e5\n", "1:6 Invalid legacy index syntax"),
            ("a = x ? 1\n", "1:10 Missing false expression in conditional"),
        ] {
            assert_eq!(errors(text), [want], "{text}");
        }
    }

    #[test]
    fn a_comment_ends_behind_its_beginning() {
        assert_eq!(errors("a = 1 /*/ \u{18} */\n/*/**/\n"), Vec::<String>::new());
        assert_eq!(errors("/*/\n"), ["1:1 Unterminated comment"]);
    }

    #[test]
    fn for_is_a_name_where_it_begins_nothing() {
        for text in [
            "a {for=1}\n",
            "for = 1\n",
            "a = [form, fort.a]\n",
            "a = { \"for\" = 1 }\n",
            "a = [for v in [1]: v]\n",
            "a = x[for]\n",
            "a = b.e5.5\n",
            "a = b. 0 .c.1\n",
        ] {
            assert_eq!(errors(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn says_all_that_is_wrong() {
        let text = "a = \nb {\n  c = 1 2\n  d = 3\n}\ne = [1 2]\n";
        assert_eq!(
            errors(text),
            ["1:5 Invalid expression", "3:9 Missing newline after argument", "6:8 Missing item separator"]
        );
    }

    #[test]
    fn the_indentation_tells_which_brace_is_missing() {
        let text = "a {\n  b {\n    c = 1\n\n  d = 2\n}\n";
        let diags = parse_body(&Arc::from("a"), text).unwrap_err();
        let hint = diags.iter().next().unwrap().hint.clone().unwrap();
        assert!(hint.contains("the { on line 2"), "{hint}");
    }

    #[test]
    fn expressions_may_have_blanks_around_them() {
        let name: Arc<str> = Arc::from("a");
        for text in
            ["1", " 1", "\n[\n1,\n2\n]\n", " {\n a = 1\n b = 2 }\n", "1 +\n2 # x\n", "\t\"a\"", " <<EOT\nx\nEOT\n"]
        {
            assert!(parse_expr(&name, text).is_ok(), "{text:?}: {:?}", parse_expr(&name, text));
        }
        for text in ["", " ", "1 2", "a = 1", "\n"] {
            assert!(parse_expr(&name, text).is_err(), "{text:?}");
        }
    }
}
