//! `yamldecode`: YAML 1.1 as Packer resolves it (`yes` is true, `0o17` is text, dates are text in RFC 3339); and the
//! table that `yamlencode` stands in too.

use super::args::text;
use super::encoding::from_base64;
use super::yaml_emit::encode;
use super::{Function, FunctionError, Outcome, Takes, deep, nullable, param};
use crate::convert::convert;
use crate::number::Number;
use crate::timefmt::{parse_rfc3339, rfc3339};
use crate::value::{Type, Value};
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Sequences and mappings inside of each other.
const MAX_DEPTH: usize = 200;
/// Values that a document stands for once its aliases are resolved: a few lines of aliases to aliases can stand for
/// billions.
const MAX_VALUES: usize = 1_000_000;

/// Their table.
pub(super) const FUNCTIONS: &[Function] = &[
    deep("yamldecode", &[param("src", Takes::String)], Takes::Any, |_, a| {
        decode(text(&a[0])).map_err(FunctionError::new)
    }),
    deep("yamlencode", &[nullable("value", Takes::Any)], Takes::String, |_, a| encode_outcome(&a[0])),
];

fn encode_outcome(value: &Value) -> Outcome {
    encode(value).map(Value::string).map_err(FunctionError::new)
}

fn decode(source: &str) -> Result<Value, String> {
    let mut reader = Reader { parser: Parser::new_from_str(source), anchors: HashMap::new() };
    loop {
        match reader.next()? {
            Event::DocumentStart(_) => break,
            Event::StreamEnd => return Err("the document is empty".to_owned()),
            _ => {}
        }
    }
    let first = reader.next()?;
    let (value, _) = reader.node(first, MAX_DEPTH)?;
    loop {
        match reader.next()? {
            Event::StreamEnd => return Ok(value),
            Event::DocumentStart(_) => return Err("only one document is allowed".to_owned()),
            _ => {}
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    /// By id; a value that is not complete yet is `None`.
    anchors: HashMap<usize, Option<(Value, usize)>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Event<'a>, String> {
        match self.parser.next() {
            None => Ok(Event::StreamEnd),
            Some(Ok((event, _))) => Ok(event),
            Some(Err(e)) => {
                Err(format!("on line {}, column {}: {}", e.marker().line(), e.marker().col() + 1, e.info()))
            }
        }
    }

    /// A value and how many values it consists of.
    fn node(&mut self, event: Event<'a>, depth: usize) -> Result<(Value, usize), String> {
        if depth == 0 {
            return Err("nested too deeply".to_owned());
        }
        let (anchor, value) = match event {
            Event::Alias(id) => {
                return match self.anchors.get(&id) {
                    Some(Some(found)) => Ok(found.clone()),
                    Some(None) => Err("cannot refer to an anchor from inside its own definition".to_owned()),
                    None => Err("reference to undefined anchor".to_owned()),
                };
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = match scalar(&text, style, tag.as_deref())? {
                    Scalar::Value(value) => value,
                    Scalar::Merge => return Err("the merge key << stands in a mapping only".to_owned()),
                };
                (anchor, (value, 1))
            }
            Event::SequenceStart(anchor, tag) => {
                expect_tag(tag.as_deref(), "seq", "sequence")?;
                self.anchors.insert(anchor, None);
                (anchor, self.sequence(depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                expect_tag(tag.as_deref(), "map", "mapping")?;
                self.anchors.insert(anchor, None);
                (anchor, self.mapping(depth)?)
            }
            _ => return Err("a value was expected".to_owned()),
        };
        // The id of what has no anchor is 0.
        if anchor > 0 {
            self.anchors.insert(anchor, Some(value.clone()));
        }
        Ok(value)
    }

    fn sequence(&mut self, depth: usize) -> Result<(Value, usize), String> {
        let mut values = Vec::new();
        let mut total = 1;
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok((Value::tuple(values), total)),
                event => {
                    let (value, size) = self.node(event, depth - 1)?;
                    total = add(total, size)?;
                    values.push(value);
                }
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<(Value, usize), String> {
        let mut entries: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        let mut total = 1;
        loop {
            let key = match self.next()? {
                Event::MappingEnd => return Ok((Value::object(entries), total)),
                Event::Scalar(text, style, anchor, tag) => {
                    let key = scalar(&text, style, tag.as_deref())?;
                    if let (Scalar::Value(key), true) = (&key, anchor > 0) {
                        self.anchors.insert(anchor, Some((key.clone(), 1)));
                    }
                    key
                }
                _ => return Err("only strings are allowed as mapping keys".to_owned()),
            };
            let event = self.next()?;
            let (value, size) = self.node(event, depth - 1)?;
            total = add(total, size)?;
            match key {
                Scalar::Merge => {
                    let merged = value.entries().ok_or("only a mapping can be merged into a mapping")?;
                    entries.extend(merged.iter().map(|(k, v)| (k.clone(), v.clone())));
                }
                Scalar::Value(key) => {
                    let key = convert(&key, &Type::String).map_err(|e| e.to_string())?;
                    let key = key.as_str().ok_or("mapping key cannot be null")?;
                    entries.insert(Arc::from(key), value);
                }
            }
        }
    }
}

fn add(total: usize, size: usize) -> Result<usize, String> {
    let sum = total + size;
    if sum > MAX_VALUES { Err(format!("the document stands for more than {MAX_VALUES} values")) } else { Ok(sum) }
}

/// The short name of a tag of YAML itself.
fn core_name(tag: &Tag) -> Result<&str, String> {
    if tag.is_yaml_core_schema() { Ok(&tag.suffix) } else { Err(format!("unsupported tag {:?}", tag.to_string())) }
}

fn expect_tag(tag: Option<&Tag>, wanted: &str, what: &str) -> Result<(), String> {
    match tag.map(core_name).transpose()? {
        Some(name) if name != wanted => Err(format!("cannot interpret a {what} as !!{name}")),
        _ => Ok(()),
    }
}

enum Scalar {
    Value(Value),
    /// `<<`
    Merge,
}

fn scalar(source: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Scalar, String> {
    let tag = tag.map(core_name).transpose()?;
    if !matches!(tag, None | Some("str" | "bool" | "int" | "float" | "null" | "timestamp" | "binary")) {
        return Err(format!("unsupported tag \"!!{}\"", tag.unwrap_or_default()));
    }
    let value = |v: Value| Ok(Scalar::Value(v));
    let cannot = |tag: &str| Err(format!("cannot parse {source:?} as !!{tag}"));
    if !matches!(tag, Some("str" | "binary"))
        && let Some(first) = hint(source)
    {
        if matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted) {
            return value(Value::string(source));
        }
        if let Some(word) = word(source) {
            return value(word);
        }
        if tag.is_none() && matches!(source, ".nan" | ".NaN" | ".NAN") {
            return Err("floating point NaN is not supported".to_owned());
        }
        match first {
            Hint::Word => {}
            Hint::Point => {
                if let Some(n) = Number::parse(source) {
                    return value(Value::number(n));
                }
            }
            Hint::Number => {
                if matches!(tag, None | Some("timestamp"))
                    && let Some(time) = timestamp(source)
                {
                    return value(Value::string(time));
                }
                if let Some(n) = Number::parse(&source.replace('_', "")) {
                    return value(Value::number(n));
                }
                if let Some(n) = binary_integer(&source.replace('_', "")) {
                    return value(Value::number(n));
                }
            }
        }
    }
    match tag {
        None if source == "<<" => Ok(Scalar::Merge),
        None | Some("str") => value(Value::string(source)),
        Some("binary") => match from_base64(source) {
            Ok(_) => value(Value::string(source)),
            Err(_) => cannot("binary"),
        },
        Some("int" | "float") => match integer(&source.replace('_', "")) {
            Some(n) => value(Value::number(n)),
            None => cannot(tag.unwrap_or_default()),
        },
        Some("timestamp") => timestamp(source).map_or_else(|| cannot("timestamp"), |t| value(Value::string(t))),
        Some("null") => value(Value::null(Type::Dynamic)),
        Some(other) => cannot(other),
    }
}

/// What the first character lets one expect.
enum Hint {
    /// Perhaps one of the words.
    Word,
    /// Perhaps a fraction, or infinity.
    Point,
    /// Perhaps a number or a date.
    Number,
}

fn hint(source: &str) -> Option<Hint> {
    match source.as_bytes().first() {
        None => Some(Hint::Word),
        Some(b'+' | b'-' | b'0'..=b'9') => Some(Hint::Number),
        Some(b'.') => Some(Hint::Point),
        Some(b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~') => Some(Hint::Word),
        Some(_) => None,
    }
}

fn word(source: &str) -> Option<Value> {
    Some(match source {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Value::bool(false),
        "" | "~" | "null" | "Null" | "NULL" => Value::null(Type::Dynamic),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::number(Number::infinity(false)),
        "-.inf" | "-.Inf" | "-.INF" => Value::number(Number::infinity(true)),
        _ => return None,
    })
}

fn binary_integer(plain: &str) -> Option<Number> {
    let (negative, digits) = match plain.strip_prefix("-0b") {
        Some(digits) => (true, digits),
        None => (false, plain.strip_prefix("0b")?),
    };
    let n = u64::from_str_radix(digits, 2).ok().filter(|_| !digits.starts_with('+'))?;
    Some(Number::from_integer(negative, n.into()))
}

/// An integer with a prefix, as `!!int` lets it pass.
fn integer(plain: &str) -> Option<Number> {
    if let Some(n) = Number::parse(plain).or_else(|| binary_integer(plain)) {
        return Some(n);
    }
    let (negative, digits) = plain.strip_prefix('-').map_or((false, plain), |d| (true, d));
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', ..] => (8, &digits[1..]),
        _ => return None,
    };
    let n = u64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'))?;
    Some(Number::from_integer(negative, n.into()))
}

/// A date or a date with a time, in RFC 3339.
fn timestamp(source: &str) -> Option<String> {
    let (year, rest) = source.split_once('-')?;
    let (month, rest) = rest.split_once('-')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (day, time) = rest.split_at(digits);
    let two = |part: &str| {
        let fits = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| format!("{part:0>2}"))
    };
    if year.len() != 4 {
        return None;
    }
    let date = format!("{year}-{}-{}", two(month)?, two(day)?);
    let padded = match time.as_bytes().first() {
        None => format!("{date}T00:00:00Z"),
        Some(separator @ (b'T' | b't' | b' ')) => {
            let mut parts = time[1..].splitn(3, ':');
            let (hours, minutes, rest) = (parts.next()?, parts.next()?, parts.next()?);
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (seconds, rest) = rest.split_at(digits);
            // With a blank there is no zone.
            let zone = if *separator == b' ' { "Z" } else { "" };
            if *separator == b' ' && rest.contains(|c: char| !(c.is_ascii_digit() || c == '.')) {
                return None;
            }
            format!("{date}T{}:{}:{}{rest}{zone}", two(hours)?, two(minutes)?, two(seconds)?)
        }
        Some(_) => return None,
    };
    parse_rfc3339(&padded, false).ok().map(|t| rfc3339(&t))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn aliases_do_not_fill_the_memory() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..30 {
            bomb += &format!("a{i}: &a{i} [*a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}]\n", i - 1);
        }
        assert!(decode(&bomb).unwrap_err().contains("more than"));
        assert!(decode(&"[".repeat(5000)).is_err());
    }

    #[test]
    fn dates_become_text() {
        for (given, want) in [
            ("2020-1-2", "2020-01-02T00:00:00Z"),
            ("2020-1-2T3:4:5Z", "2020-01-02T03:04:05Z"),
            ("2020-01-02 3:4:5.5", "2020-01-02T03:04:05Z"),
            ("2020-01-02t03:04:05+02:00", "2020-01-02T03:04:05+02:00"),
        ] {
            assert_eq!(timestamp(given).as_deref(), Some(want), "{given}");
        }
        for given in ["2020-13-01", "20-1-1", "2020-1-2x", "2020-1-2 3:4", "2020-1-2 3:4:5 Z", "é-é-é"] {
            assert_eq!(timestamp(given), None, "{given}");
        }
    }
}
