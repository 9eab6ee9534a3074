//! `yamlencode`: the block style that Packer writes, down to where long lines are folded.

use crate::value::{Kind, Value};
use std::fmt::Write as _;

/// Blanks a level.
const INDENT: usize = 2;
/// Column after which a quoted string goes on in the next line.
const BEST_WIDTH: usize = 80;
/// Keys of more bytes are written with a question mark.
const MAX_SIMPLE_KEY: usize = 128;

/// Writes a known value as one YAML document.
///
/// # Errors
/// An unknown value.
pub(super) fn encode(value: &Value) -> Result<String, String> {
    let mut e = Emitter { out: String::new(), column: 0, whitespace: true, indention: true, open_ended: false };
    e.node(value, None, Context::Root)?;
    e.indent(0);
    if e.open_ended {
        e.indicator("...", true, false, false);
        e.indent(0);
    }
    Ok(e.out)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Root,
    Sequence,
    Mapping,
    SimpleKey,
}

/// The state of the text that is being written, in the terms of libyaml.
struct Emitter {
    out: String,
    column: usize,
    /// The last character was a blank.
    whitespace: bool,
    /// So far the line has only indentation and `-` or `?` in it.
    indention: bool,
    /// What was written last could go on in the next line: a document that ends with it needs `...`.
    open_ended: bool,
}

impl Emitter {
    fn put(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn line_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }

    fn indent(&mut self, indent: usize) {
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.line_break();
        }
        while self.column < indent {
            self.put(' ');
        }
        self.whitespace = true;
        self.indention = true;
    }

    fn indicator(&mut self, text: &str, need_whitespace: bool, is_whitespace: bool, is_indention: bool) {
        if need_whitespace && !self.whitespace {
            self.put(' ');
        }
        text.chars().for_each(|c| self.put(c));
        self.whitespace = is_whitespace;
        self.indention &= is_indention;
        self.open_ended = false;
    }

    /// `indent` is that of the collection around; there is none around the root.
    fn node(&mut self, value: &Value, indent: Option<usize>, context: Context) -> Result<(), String> {
        match value.kind() {
            Kind::Unknown => return Err("cannot serialize unknown value as YAML".to_owned()),
            Kind::Null => self.plain("null", context),
            Kind::Bool(b) => self.plain(if *b { "true" } else { "false" }, context),
            Kind::Number(n) => self.plain(&n.to_string(), context),
            Kind::String(s) => self.string(s, indent, context),
            Kind::Elements(e) if e.is_empty() => self.empty("[", "]"),
            Kind::Entries(e) if e.is_empty() => self.empty("{", "}"),
            Kind::Elements(elements) => {
                // The dashes of a list in a mapping stand below the key.
                let indentless = context == Context::Mapping && !self.indention;
                let own = indent.map_or(0, |i| if indentless { i } else { i + INDENT });
                for element in elements.iter() {
                    self.indent(own);
                    self.indicator("-", true, false, true);
                    self.node(element, Some(own), Context::Sequence)?;
                }
            }
            Kind::Entries(entries) => {
                let own = indent.map_or(0, |i| i + INDENT);
                for (key, entry) in entries.iter() {
                    self.indent(own);
                    if key.len() <= MAX_SIMPLE_KEY && !key.contains('\n') {
                        self.string(key, Some(own), Context::SimpleKey);
                        self.indicator(":", false, false, false);
                    } else {
                        self.indicator("?", true, false, true);
                        self.string(key, Some(own), Context::Mapping);
                        self.indent(own);
                        self.indicator(":", true, false, true);
                    }
                    self.node(entry, Some(own), Context::Mapping)?;
                }
            }
        }
        Ok(())
    }

    fn empty(&mut self, open: &str, close: &str) {
        self.indicator(open, true, true, false);
        self.indicator(close, false, false, false);
    }

    fn plain(&mut self, text: &str, context: Context) {
        if !self.whitespace {
            self.put(' ');
        }
        text.chars().for_each(|c| self.put(c));
        self.whitespace = false;
        self.indention = false;
        self.open_ended |= context == Context::Root;
    }

    fn string(&mut self, text: &str, indent: Option<usize>, context: Context) {
        let own = indent.map_or(INDENT, |i| i + INDENT);
        if text.contains('\n') && context != Context::SimpleKey && block_allowed(text) {
            self.literal(text, own);
        } else {
            self.quoted(text, own, context != Context::SimpleKey);
        }
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.indicator("|", true, false, false);
        if text.starts_with([' ', '\n']) {
            self.indicator(&INDENT.to_string(), false, false, false);
        }
        let endless = text == "\n" || text.ends_with("\n\n");
        if endless {
            self.indicator("+", false, false, false);
        } else if !text.ends_with('\n') {
            self.indicator("-", false, false, false);
        }
        self.open_ended = endless;
        self.line_break();
        self.indention = true;
        self.whitespace = true;
        let mut breaks = true;
        for c in text.chars() {
            if c == '\n' {
                self.line_break();
                self.indention = true;
                breaks = true;
            } else {
                if breaks {
                    self.indent(indent);
                }
                self.put(c);
                self.indention = false;
                breaks = false;
            }
        }
    }

    fn quoted(&mut self, text: &str, indent: usize, may_fold: bool) {
        self.indicator("\"", true, false, false);
        let mut spaces = false;
        let mut letters = text.char_indices().peekable();
        while let Some((i, c)) = letters.next() {
            let next = letters.peek().map(|(_, c)| *c);
            if !is_printable(c) || matches!(c, '\n' | '\u{2028}' | '\u{2029}' | '"' | '\\') {
                let start = self.out.len();
                escape(c, &mut self.out);
                self.column += self.out.len() - start;
                spaces = false;
            } else if c == ' ' {
                if may_fold && !spaces && self.column > BEST_WIDTH && i > 0 && next.is_some() {
                    self.indent(indent);
                    if next == Some(' ') {
                        self.put('\\');
                    }
                } else {
                    self.put(c);
                }
                spaces = true;
            } else {
                self.put(c);
                spaces = false;
            }
        }
        self.indicator("\"", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }
}

/// What libyaml's Go port takes for printable: no tab, nothing beyond the basic plane.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && c != '\u{feff}'
}

/// Whether text can stand in a literal block: no blank before a line's end or at the very end, nothing to escape.
fn block_allowed(text: &str) -> bool {
    !text.contains(" \n")
        && !text.ends_with(' ')
        && text.chars().all(|c| is_printable(c) && !matches!(c, '\u{2028}' | '\u{2029}'))
}

fn escape(c: char, out: &mut String) {
    let short = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => {
            let code = u32::from(c);
            // Writing to a string does not fail.
            let _ = match code {
                0..=0xff => write!(out, "\\x{code:02X}"),
                0x100..=0xffff => write!(out, "\\u{code:04X}"),
                _ => write!(out, "\\U{code:08X}"),
            };
            return;
        }
    };
    out.push('\\');
    out.push(short);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    #[test]
    fn nested_collections() {
        let map = |k: &str, v: Value| Value::object(BTreeMap::from([(Arc::from(k), v)]));
        let list = Value::tuple(vec![Value::tuple(vec![Value::int(1)]), map("k", Value::tuple(vec![Value::int(2)]))]);
        assert_eq!(encode(&map("a", list)).unwrap(), "\"a\":\n- - 1\n- \"k\":\n  - 2\n");
        assert_eq!(encode(&Value::string("a\n\n")).unwrap(), "|+\n  a\n\n...\n");
    }
}
