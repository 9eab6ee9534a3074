//! JSON with numbers of any precision and objects in the order of their keys; `jsonencode` and `jsondecode`.

use super::args::{json_quote, text};
use super::{Function, FunctionError, Outcome, Takes, deep, nullable, param};
use crate::number::Number;
use crate::value::{Kind, Type, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Arrays and objects inside of each other.
const MAX_DEPTH: usize = 200;

/// Their table.
pub(super) const FUNCTIONS: &[Function] = &[
    deep("jsonencode", &[nullable("val", Takes::Any)], Takes::String, |_, a| {
        let mut out = String::new();
        encode(&a[0], &mut out).map_err(FunctionError::new)?;
        Ok(Value::string(out))
    }),
    deep("jsondecode", &[param("str", Takes::String)], Takes::Any, |_, a| decode(text(&a[0]))),
];

/// Writes a known value as JSON, without any blanks.
///
/// # Errors
/// An infinite number, an unknown value.
pub(super) fn encode(value: &Value, out: &mut String) -> Result<(), String> {
    match value.kind() {
        Kind::Unknown => return Err("value is not known".to_owned()),
        Kind::Null => out.push_str("null"),
        Kind::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Kind::Number(n) if n.is_infinite() => return Err("cannot encode infinity as JSON".to_owned()),
        Kind::Number(n) => out.push_str(&n.to_string()),
        Kind::String(s) => json_quote(s, out),
        Kind::Elements(elements) => {
            out.push('[');
            for (i, element) in elements.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                encode(element, out)?;
            }
            out.push(']');
        }
        Kind::Entries(entries) => {
            out.push('{');
            for (i, (key, entry)) in entries.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                json_quote(key, out);
                out.push(':');
                encode(entry, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// Reads JSON: objects, tuples, strings, numbers as they are written.
pub(super) fn decode(text: &str) -> Outcome {
    let mut parser = Parser { text, at: 0 };
    let value = parser.document().map_err(|why| {
        let line = text[..parser.at.min(text.len())].matches('\n').count() + 1;
        FunctionError::new(format!("invalid JSON in line {line}, byte {}: {why}", parser.at))
    })?;
    Ok(value)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

type Parsed<T> = Result<T, &'static str>;

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.text[self.at..].starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn document(&mut self) -> Parsed<Value> {
        self.blanks();
        let value = self.value(MAX_DEPTH)?;
        self.blanks();
        if self.at < self.text.len() { Err("something follows after the value") } else { Ok(value) }
    }

    fn value(&mut self, depth: usize) -> Parsed<Value> {
        if depth == 0 {
            return Err("nested too deeply");
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Value::string),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') if self.take("true") => Ok(Value::bool(true)),
            Some(b'f') if self.take("false") => Ok(Value::bool(false)),
            Some(b'n') if self.take("null") => Ok(Value::null(Type::Dynamic)),
            None => Err("unexpected end"),
            Some(_) => Err("a value was expected here"),
        }
    }

    fn object(&mut self, depth: usize) -> Parsed<Value> {
        self.at += 1;
        let mut entries: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        self.blanks();
        if self.take("}") {
            return Ok(Value::object(entries));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err("a key in double quotes was expected here");
            }
            let key = Value::string(self.string()?);
            self.blanks();
            if !self.take(":") {
                return Err("a colon was expected here");
            }
            self.blanks();
            let value = self.value(depth - 1)?;
            // Of a repeated key the last value counts.
            entries.insert(Arc::from(text(&key)), value);
            self.blanks();
            if self.take("}") {
                return Ok(Value::object(entries));
            }
            if !self.take(",") {
                return Err("a comma or } was expected here");
            }
        }
    }

    fn array(&mut self, depth: usize) -> Parsed<Value> {
        self.at += 1;
        let mut elements = Vec::new();
        self.blanks();
        if self.take("]") {
            return Ok(Value::tuple(elements));
        }
        loop {
            self.blanks();
            elements.push(self.value(depth - 1)?);
            self.blanks();
            if self.take("]") {
                return Ok(Value::tuple(elements));
            }
            if !self.take(",") {
                return Err("a comma or ] was expected here");
            }
        }
    }

    fn number(&mut self) -> Parsed<Value> {
        let start = self.at;
        self.take("-");
        let whole = self.digits();
        if whole == 0 || (whole > 1 && self.text.as_bytes()[self.at - whole] == b'0') {
            return Err("a number was expected here");
        }
        if self.take(".") && self.digits() == 0 {
            return Err("a digit was expected after the point");
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err("a digit was expected in the exponent");
            }
        }
        Number::parse(&self.text[start..self.at]).map(Value::number).ok_or("this number is out of range")
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn string(&mut self) -> Parsed<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(i) = rest.find(|c: char| c == '"' || c == '\\' || c < ' ') else {
                return Err("a string without its closing quote");
            };
            out.push_str(&rest[..i]);
            self.at += i + 1;
            match rest.as_bytes()[i] {
                b'"' => return Ok(out),
                b'\\' => out.push(self.escape()?),
                _ => return Err("a control character in a string must be escaped"),
            }
        }
    }

    fn escape(&mut self) -> Parsed<char> {
        let c = self.peek().ok_or("unexpected end")?;
        if !c.is_ascii() {
            return Err("an unknown escape");
        }
        self.at += 1;
        Ok(match c {
            b'"' | b'\\' | b'/' => char::from(c),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex()?;
                if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with("\\u") {
                    let back = self.at;
                    self.at += 2;
                    let second = self.hex()?;
                    if (0xdc00..0xe000).contains(&second) {
                        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                        return Ok(char::from_u32(code).unwrap_or('\u{fffd}'));
                    }
                    self.at = back;
                }
                // A lone surrogate.
                char::from_u32(first).unwrap_or('\u{fffd}')
            }
            _ => return Err("an unknown escape"),
        })
    }

    fn hex(&mut self) -> Parsed<u32> {
        let digits = self.text.get(self.at..self.at + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let code =
            digits.and_then(|d| u32::from_str_radix(d, 16).ok()).ok_or("four hexadecimal digits were expected")?;
        self.at += 4;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn deep_nesting_is_refused() {
        assert!(decode(&"[".repeat(100_000)).unwrap_err().message.contains("nested too deeply"));
    }

    #[test]
    fn no_text_makes_it_panic() {
        for bad in ["\"\\u12", "\"\\ud800\\u", "\"\\é\"", "{\"a\":", "-", "1.", "1e", "\"\u{1}\"", "[1,]", "{,}", "é"]
        {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }
}
