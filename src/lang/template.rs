//! Quoted templates, heredocs, and files that `templatefile` renders.
//!
//! The parser hands heredocs over already (and wrongly) dedented and without their carriage returns, and leaves escapes
//! inside of directives as they are. Literals are therefore read again from the source by their spans; then `~` and the
//! indentation of `<<-` are taken off a flat row of tokens, as HCL does it.

use crate::diag::{Diagnostic, Diagnostics, Source};
use crate::eval::{Loop, condition, eval, template_text};
use crate::scope::Scope;
use crate::value::{Type, Value};
use hcl::edit::Span as _;
use hcl::edit::expr::Expression;
use hcl::edit::template::{
    Directive, Element, ForDirective, HeredocTemplate, IfDirective, StringTemplate, Strip, Template,
};
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation as _;

/// How literals are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoting {
    /// Between double quotes: backslash escapes; one token up to the next `${` or `%{`.
    Quoted,
    /// In a heredoc: one token a line, line by line.
    Lines,
    /// In a file: one token, nothing but `$${` and `%%{` is special.
    Plain,
}

enum Token<'a> {
    Literal(String),
    Interpolation(&'a Expression, Range<usize>),
    If(&'a Expression),
    Else,
    EndIf,
    For(&'a ForDirective),
    EndFor,
}

/// A token and whether it takes the blanks before and after it.
struct Marked<'a> {
    token: Token<'a>,
    strip: (bool, bool),
}

/// Evaluates a quoted template.
pub(crate) fn quoted(t: &StringTemplate, scope: &Scope, source: &Source, diags: &mut Diagnostics) -> Value {
    let mut flat = Flattener { source, quoting: Quoting::Quoted, tokens: Vec::new(), diags };
    flat.elements(&mut t.iter());
    let tokens = strip(flat.tokens);
    render(&tokens, t.span(), scope, source, diags)
}

/// Evaluates a heredoc.
pub(crate) fn heredoc(t: &HeredocTemplate, scope: &Scope, source: &Source, diags: &mut Diagnostics) -> Value {
    let range = t.span();
    let mut flat = Flattener { source, quoting: Quoting::Lines, tokens: Vec::new(), diags };
    flat.elements(&mut t.template.iter());
    let mut tokens = strip(flat.tokens);
    if range.clone().is_some_and(|r| source.slice(r).starts_with("<<-")) {
        dedent(&mut tokens);
    }
    render(&tokens, range, scope, source, diags)
}

/// Evaluates a whole text as a template; one that is nothing but an interpolation keeps its type.
pub fn eval_template(t: &Template, scope: &Scope, source: &Source, diags: &mut Diagnostics) -> Value {
    let mut flat = Flattener { source, quoting: Quoting::Plain, tokens: Vec::new(), diags };
    flat.elements(&mut t.iter());
    let tokens = strip(flat.tokens);
    render(&tokens, Some(0..source.text.len()), scope, source, diags)
}

struct Flattener<'a, 's> {
    source: &'s Source,
    quoting: Quoting,
    tokens: Vec<Marked<'a>>,
    diags: &'s mut Diagnostics,
}

fn sides(strip: Strip) -> (bool, bool) {
    (strip.strip_start(), strip.strip_end())
}

impl<'a> Flattener<'a, '_> {
    fn push(&mut self, token: Token<'a>, strip: (bool, bool)) {
        self.tokens.push(Marked { token, strip });
    }

    fn elements(&mut self, elements: &mut dyn Iterator<Item = &'a Element>) {
        for element in elements {
            match element {
                Element::Literal(text) => self.literal(text.as_str(), text.span()),
                Element::Interpolation(i) => {
                    let range = i.span().or_else(|| i.expr.span()).unwrap_or(0..0);
                    self.push(Token::Interpolation(&i.expr, range), sides(i.strip));
                }
                Element::Directive(d) => match d.as_ref() {
                    Directive::If(d) => self.if_directive(d),
                    Directive::For(d) => {
                        self.push(Token::For(d), sides(d.for_expr.strip));
                        self.elements(&mut d.for_expr.template.iter());
                        self.push(Token::EndFor, sides(d.endfor_expr.strip));
                    }
                },
            }
        }
    }

    fn if_directive(&mut self, d: &'a IfDirective) {
        self.push(Token::If(&d.if_expr.cond_expr), sides(d.if_expr.strip));
        self.elements(&mut d.if_expr.template.iter());
        if let Some(e) = &d.else_expr {
            self.push(Token::Else, sides(e.strip));
            self.elements(&mut e.template.iter());
        }
        self.push(Token::EndIf, sides(d.endif_expr.strip));
    }

    fn literal(&mut self, parsed: &str, range: Option<Range<usize>>) {
        let Some(range) = range.filter(|r| r.end <= self.source.text.len() && !r.is_empty()) else {
            self.push(Token::Literal(parsed.to_owned()), (false, false));
            return;
        };
        let raw = self.source.slice(range.clone());
        match self.quoting {
            Quoting::Quoted => {
                let text = unescape(raw).unwrap_or_else(|at| {
                    let at = range.start + at;
                    self.diags.push(
                        Diagnostic::error("Invalid escape sequence")
                            .detail("A backslash is followed by one of n r t \" \\ u U.")
                            .at(self.source.span(Some(at..at + 1)))
                            .hint("a backslash itself is written \\\\"),
                    );
                    parsed.to_owned()
                });
                self.push(Token::Literal(text), (false, false));
            }
            Quoting::Lines => {
                for line in raw.split_inclusive('\n') {
                    self.push(Token::Literal(unescape_markers(line)), (false, false));
                }
            }
            Quoting::Plain => self.push(Token::Literal(unescape_markers(raw)), (false, false)),
        }
    }
}

/// The text of a plain string as it is written, where the parser may have seen another.
pub(crate) fn string_text(parsed: &str, range: Option<Range<usize>>, source: &Source) -> String {
    let written = range.map(|r| source.slice(r)).and_then(|s| s.strip_prefix('"')?.strip_suffix('"'));
    written.and_then(|s| unescape(s).ok()).unwrap_or_else(|| parsed.to_owned())
}

/// `$${` is `${`, and `%%{` is `%{`.
fn unescape_markers(raw: &str) -> String {
    raw.replace("$${", "${").replace("%%{", "%{")
}

/// Escapes of a quoted literal; `Err` says where one is wrong.
fn unescape(raw: &str) -> Result<String, usize> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(i) = rest.find(['\\', '$', '%']) {
        out.push_str(&rest[..i]);
        rest = &rest[i..];
        let at = raw.len() - rest.len();
        if let Some(after) = rest.strip_prefix("$${").or_else(|| rest.strip_prefix("%%{")) {
            out.push_str(&rest[1..3]);
            rest = after;
            continue;
        }
        if !rest.starts_with('\\') {
            out.push_str(&rest[..1]);
            rest = &rest[1..];
            continue;
        }
        let code = |digits: usize| -> Result<char, usize> {
            let hex = rest.get(2..2 + digits).filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit())).ok_or(at)?;
            u32::from_str_radix(hex, 16).ok().and_then(char::from_u32).ok_or(at)
        };
        let (c, length) = match rest.as_bytes().get(1) {
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(b'"') => ('"', 2),
            Some(b'\\') => ('\\', 2),
            Some(b'u') => (code(4)?, 6),
            Some(b'U') => (code(8)?, 10),
            _ => return Err(at),
        };
        out.push(c);
        rest = &rest[length..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Takes the blanks beside each `~` off the one literal token that is next to it.
fn strip(mut tokens: Vec<Marked<'_>>) -> Vec<Marked<'_>> {
    for i in 0..tokens.len() {
        let (before, after) = tokens[i].strip;
        if before
            && i > 0
            && let Token::Literal(text) = &mut tokens[i - 1].token
        {
            text.truncate(text.trim_end().len());
        }
        if after && let Some(Marked { token: Token::Literal(text), .. }) = tokens.get_mut(i + 1) {
            *text = text.trim_start().to_owned();
        }
    }
    tokens
}

/// The `<<-` of a heredoc: takes the smallest indentation of all lines off each line.
fn dedent(tokens: &mut [Marked<'_>]) {
    let mut lines: Vec<usize> = Vec::new();
    let mut least = usize::MAX;
    let mut line_start = true;
    for (i, marked) in tokens.iter().enumerate() {
        let Token::Literal(text) = &marked.token else {
            if line_start {
                least = 0;
            }
            line_start = false;
            continue;
        };
        let blank = text.trim().is_empty();
        if line_start && !(blank && text.ends_with('\n')) {
            let indent = text.len() - text.trim_start().len();
            least = least.min(text[..indent].graphemes(true).count());
            lines.push(i);
        }
        line_start = text.ends_with('\n');
    }
    for i in lines {
        if let Token::Literal(text) = &mut tokens[i].token {
            *text = text.graphemes(true).skip(least).collect();
        }
    }
}

fn render(
    tokens: &[Marked<'_>],
    range: Option<Range<usize>>,
    scope: &Scope,
    source: &Source,
    diags: &mut Diagnostics,
) -> Value {
    // `"${x}"` is x itself, whatever its type.
    if let [Marked { token: Token::Interpolation(expr, _), .. }] = tokens {
        return eval(expr, scope, source, diags);
    }
    let mut out = Output { text: String::new(), known: true, sensitive: false, overflow: false };
    out.tokens(tokens, scope, source, diags);
    if out.overflow {
        let detail = "The text of this template has become longer than a template has use for.";
        diags.push(Diagnostic::error("Value too large").detail(detail).at(source.span(range)));
        return Value::unknown(Type::String);
    }
    let value = if out.known { Value::string(&out.text) } else { Value::unknown(Type::String) };
    value.with_sensitive(out.sensitive)
}

struct Output {
    text: String,
    known: bool,
    sensitive: bool,
    /// It has become longer than [`MAX_TEXT`].
    overflow: bool,
}

/// Bytes of text that one template may make.
const MAX_TEXT: usize = 64 << 20;

impl Output {
    fn push(&mut self, text: &str) {
        self.overflow |= self.text.len() + text.len() > MAX_TEXT;
        if !self.overflow {
            self.text.push_str(text);
        }
    }

    fn tokens(&mut self, tokens: &[Marked<'_>], scope: &Scope, source: &Source, diags: &mut Diagnostics) {
        let mut i = 0;
        while let Some(marked) = tokens.get(i) {
            match &marked.token {
                Token::Literal(text) => self.push(text),
                Token::Interpolation(expr, range) => {
                    let value = eval(expr, scope, source, diags);
                    self.sensitive |= value.contains_sensitive();
                    match template_text(&value, Some(range.clone()), source, diags) {
                        Some(text) => match text.as_str() {
                            Some(text) => self.push(text),
                            None => self.known = false,
                        },
                        None => self.known = false,
                    }
                }
                Token::If(expr) => {
                    let end = closing(tokens, i);
                    let middle = own_else(tokens, i, end);
                    self.branch(expr, (&tokens[i + 1..middle], tokens.get(middle + 1..end)), scope, source, diags);
                    i = end;
                }
                Token::For(d) => {
                    let end = closing(tokens, i);
                    self.looping(d, &tokens[i + 1..end], scope, source, diags);
                    i = end;
                }
                Token::Else | Token::EndIf | Token::EndFor => {}
            }
            i += 1;
        }
    }

    fn branch(
        &mut self,
        expr: &Expression,
        (yes, no): (&[Marked<'_>], Option<&[Marked<'_>]>),
        scope: &Scope,
        source: &Source,
        diags: &mut Diagnostics,
    ) {
        let value = eval(expr, scope, source, diags);
        self.sensitive |= value.is_sensitive();
        match condition(&value, expr.span(), source, diags) {
            Some(true) => self.tokens(yes, scope, source, diags),
            Some(false) => self.tokens(no.unwrap_or_default(), scope, source, diags),
            None => self.known = false,
        }
    }

    fn looping(
        &mut self,
        d: &ForDirective,
        body: &[Marked<'_>],
        scope: &Scope,
        source: &Source,
        diags: &mut Diagnostics,
    ) {
        let looping = Loop {
            key: d.for_expr.key_var.as_ref().map(|k| k.as_str()),
            value: d.for_expr.value_var.as_str(),
            collection: &d.for_expr.collection_expr,
        };
        match looping.pairs(scope, source, diags) {
            Ok((pairs, sensitive)) => {
                self.sensitive |= sensitive;
                for (key, value) in pairs {
                    let before = diags.len();
                    looping.count(scope, source, diags);
                    self.tokens(body, &looping.scope(scope, key, value), source, diags);
                    if diags.len() > before || self.overflow {
                        // The next rounds would say the same again.
                        self.known = false;
                        return;
                    }
                }
            }
            Err(unknown) => {
                self.sensitive |= unknown.is_sensitive();
                self.known = false;
            }
        }
    }
}

/// Where the directive that token `start` opens is closed.
fn closing(tokens: &[Marked<'_>], start: usize) -> usize {
    let mut depth = 0usize;
    for (i, marked) in tokens.iter().enumerate().skip(start) {
        match marked.token {
            Token::If(_) | Token::For(_) => depth += 1,
            Token::EndIf | Token::EndFor => {
                depth -= 1;
                if depth == 0 {
                    return i;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// Where the `else` of the `if` at `start` stands, or its end.
fn own_else(tokens: &[Marked<'_>], start: usize, end: usize) -> usize {
    let mut i = start + 1;
    while i < end {
        match tokens[i].token {
            Token::If(_) | Token::For(_) => i = closing(tokens, i),
            Token::Else => return i,
            _ => {}
        }
        i += 1;
    }
    end
}
