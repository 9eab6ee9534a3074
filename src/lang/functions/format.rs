//! `format` and `formatlist`.

use super::args::json_quote;
use super::json::encode;
use super::{Function, FunctionError, Outcome, Takes, deep, nullable, param};
use crate::convert::convert;
use crate::number::{Decimal, Number};
use crate::scope::World;
use crate::value::{Kind, Type, Value};
use unicode_segmentation::UnicodeSegmentation as _;

/// Widths and precisions beyond this would only fill the memory.
const MAX_WIDTH: usize = 10_000;

/// Their table.
pub(super) const FUNCTIONS: &[Function] = &[
    deep("format", &[param("format", Takes::String)], Takes::String, |_: &World, a: &[Value]| {
        let (pattern, args) = split(a)?;
        format(pattern, args).map(Value::string)
    })
    .variadic(nullable("args", Takes::Any)),
    deep("formatlist", &[param("format", Takes::String)], Takes::Strings, formatlist)
        .variadic(nullable("args", Takes::Any)),
];

fn split(a: &[Value]) -> Result<(&str, &[Value]), FunctionError> {
    let (pattern, args) = a.split_first().ok_or_else(|| FunctionError::new("a format is required"))?;
    Ok((pattern.as_str().unwrap_or_default(), args))
}

fn formatlist(_: &World, a: &[Value]) -> Outcome {
    let (pattern, args) = split(a)?;
    let mut rounds: Option<(usize, usize)> = None;
    for (i, arg) in args.iter().enumerate() {
        if !matches!(arg.ty(), Type::List(_) | Type::Set(_) | Type::Tuple(_)) {
            continue;
        }
        let Some(length) = arg.elements().map(<[Value]>::len) else {
            return Err(FunctionError::at(i + 1, "a list must not be null"));
        };
        match rounds {
            Some((first, other)) if other != length => {
                let (first, second) = (first + 1, i + 1);
                return Err(FunctionError::at(
                    i + 1,
                    format!(
                        "argument {second} has length {length}, which is inconsistent with argument {first} of length {other}"
                    ),
                ));
            }
            Some(_) => {}
            None => rounds = Some((i, length)),
        }
    }
    let count = rounds.map_or(1, |(_, n)| n);
    let mut lines = Vec::with_capacity(count);
    for round in 0..count {
        let now: Vec<Value> = args
            .iter()
            .map(|arg| match (arg.ty(), arg.elements()) {
                (Type::List(_) | Type::Set(_) | Type::Tuple(_), Some(e)) => {
                    e.get(round).cloned().unwrap_or_else(Value::dynamic)
                }
                _ => arg.clone(),
            })
            .collect();
        lines.push(format(pattern, &now).map_err(|e| match e.argument {
            Some(_) => e,
            None => FunctionError::new(format!("error on format iteration {round}: {}", e.message)),
        })?);
    }
    Ok(Value::strings(lines))
}

/// One `%…` of a format.
#[derive(Default)]
struct Verb {
    sharp: bool,
    space: bool,
    plus: bool,
    minus: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
    /// Counted from 0.
    argument: usize,
    letter: char,
    /// As written, for messages.
    raw: String,
}

fn format(pattern: &str, args: &[Value]) -> Result<String, FunctionError> {
    let mut out = String::new();
    let mut next = 0;
    let mut highest = 0;
    let mut rest = pattern;
    while let Some(i) = rest.find('%') {
        out.push_str(&rest[..i]);
        let offset = pattern.len() - rest.len() + i;
        let after = &rest[i + 1..];
        if let Some(tail) = after.strip_prefix('%') {
            out.push('%');
            rest = tail;
            continue;
        }
        let (mut verb, tail) = scan(after, offset)?;
        rest = tail;
        if verb.argument == usize::MAX {
            verb.argument = next;
        }
        next = verb.argument + 1;
        highest = highest.max(next);
        let Some(arg) = args.get(verb.argument) else {
            return Err(FunctionError::new(format!(
                "not enough arguments for {:?} at {offset}: need index {} but have {} total",
                verb.raw,
                verb.argument + 1,
                args.len()
            )));
        };
        if arg.is_null() && verb.letter != 'v' {
            return Err(FunctionError::new(format!(
                "unsupported value for {:?} at {offset}: null value cannot be formatted",
                verb.raw
            )));
        }
        let formatted = one(&verb, arg)
            .map_err(|why| FunctionError::new(format!("unsupported value for {:?} at {offset}: {why}", verb.raw)))?;
        out.push_str(&formatted);
    }
    out.push_str(rest);
    if args.len() > highest {
        return Err(FunctionError::at(
            highest + 1,
            match highest {
                0 => "too many arguments; no verbs in format string".to_owned(),
                n => format!("too many arguments; only {n} used by format string"),
            },
        ));
    }
    Ok(out)
}

/// Flags, width, precision, `[index]` and letter, in this order.
fn scan(text: &str, offset: usize) -> Result<(Verb, &str), FunctionError> {
    let mut verb = Verb { argument: usize::MAX, ..Verb::default() };
    let mut at = 0;
    let bytes = text.as_bytes();
    let unexpected = |at: usize| match text[at..].chars().next() {
        None => FunctionError::new("unrecognized format character sequence: the format string ends inside of a verb"),
        Some(c) => FunctionError::new(format!("unrecognized format character {c:?} at offset {}", offset + 1 + at)),
    };
    while let Some(b) = bytes.get(at) {
        match b {
            b' ' => verb.space = true,
            b'+' => verb.plus = true,
            b'-' => verb.minus = true,
            b'0' => verb.zero = true,
            b'#' => verb.sharp = true,
            _ => break,
        }
        at += 1;
    }
    let digits = |at: &mut usize| -> Result<Option<usize>, FunctionError> {
        let start = *at;
        while bytes.get(*at).is_some_and(u8::is_ascii_digit) {
            *at += 1;
        }
        if start == *at {
            return Ok(None);
        }
        let n = text[start..*at].parse::<usize>().ok().filter(|n| *n <= MAX_WIDTH);
        n.map(Some)
            .ok_or_else(|| FunctionError::new(format!("a width or precision above {MAX_WIDTH} is not supported")))
    };
    verb.width = digits(&mut at)?;
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        verb.precision = Some(digits(&mut at)?.ok_or_else(|| unexpected(at))?);
    }
    if bytes.get(at) == Some(&b'[') {
        at += 1;
        let index = digits(&mut at)?.filter(|n| *n > 0).ok_or_else(|| unexpected(at))?;
        if bytes.get(at) != Some(&b']') {
            return Err(unexpected(at));
        }
        at += 1;
        verb.argument = index - 1;
    }
    match text[at..].chars().next() {
        Some(c) if c.is_ascii_alphabetic() => verb.letter = c,
        _ => return Err(unexpected(at)),
    }
    at += 1;
    verb.raw = format!("%{}", &text[..at]);
    Ok((verb, &text[at..]))
}

fn one(verb: &Verb, arg: &Value) -> Result<String, String> {
    match verb.letter {
        'v' if verb.sharp => Ok(pad_text(verb, &json(arg)?)),
        'v' => match arg.kind() {
            Kind::String(s) => Ok(pad_text(verb, &cut(verb, s))),
            Kind::Number(n) => Ok(number(verb, n, 'g')),
            Kind::Bool(b) => Ok(pad_text(verb, &b.to_string())),
            _ => Ok(pad_text(verb, &json(arg)?)),
        },
        't' => convert_to(arg, &Type::Bool).map(|v| v.as_bool().unwrap_or_default().to_string()),
        's' | 'q' => {
            let value = convert_to(arg, &Type::String)?;
            let text = cut(verb, value.as_str().unwrap_or_default());
            if verb.letter == 's' {
                return Ok(pad_text(verb, &text));
            }
            let mut quoted = String::new();
            json_quote(&text, &mut quoted);
            Ok(pad_text(verb, &quoted))
        }
        'd' | 'b' | 'o' | 'x' | 'X' => {
            let value = convert_to(arg, &Type::Number)?;
            let n = value.as_number().ok_or("a number is required")?;
            let (negative, magnitude) = n.to_integer().ok_or("an integer is required")?;
            let (radix, prefix) = match verb.letter {
                'b' => (2, "0b"),
                'o' => (8, "0"),
                'x' => (16, "0x"),
                'X' => (16, "0X"),
                _ => (10, ""),
            };
            let mut digits = magnitude.to_str_radix(radix);
            if verb.letter == 'X' {
                digits = digits.to_uppercase();
            }
            if let Some(least) = verb.precision {
                digits = format!("{digits:0>least$}");
            }
            let sign = format!("{}{}", sign(verb, negative), if verb.sharp { prefix } else { "" });
            Ok(pad_number(verb, &sign, &digits, verb.precision.is_none()))
        }
        'e' | 'E' | 'f' | 'g' | 'G' => {
            let value = convert_to(arg, &Type::Number)?;
            Ok(number(verb, value.as_number().ok_or("a number is required")?, verb.letter))
        }
        c => Err(format!("unsupported format verb {c:?}")),
    }
}

fn convert_to(arg: &Value, ty: &Type) -> Result<Value, String> {
    convert(arg, ty).map_err(|e| e.to_string())
}

fn json(arg: &Value) -> Result<String, String> {
    let mut out = String::new();
    encode(arg, &mut out)?;
    Ok(out)
}

/// The precision of text: so many clusters of it. A precision of nothing is none.
fn cut(verb: &Verb, text: &str) -> String {
    match verb.precision {
        None | Some(0) => text.to_owned(),
        Some(n) => text.graphemes(true).take(n).collect(),
    }
}

fn pad_text(verb: &Verb, text: &str) -> String {
    let length = text.graphemes(true).count();
    let fill = verb.width.unwrap_or(0).saturating_sub(length);
    let fill = if verb.zero { "0" } else { " " }.repeat(fill);
    if verb.minus { format!("{text}{fill}") } else { format!("{fill}{text}") }
}

fn sign(verb: &Verb, negative: bool) -> &'static str {
    match (negative, verb.plus, verb.space) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        _ => "",
    }
}

fn pad_number(verb: &Verb, sign: &str, digits: &str, zeros: bool) -> String {
    let fill = verb.width.unwrap_or(0).saturating_sub(sign.len() + digits.len());
    if verb.minus {
        format!("{sign}{digits}{}", " ".repeat(fill))
    } else if verb.zero && zeros {
        format!("{sign}{}{digits}", "0".repeat(fill))
    } else {
        format!("{}{sign}{digits}", " ".repeat(fill))
    }
}

/// A number in the manner of Go's `big.Float`.
fn number(verb: &Verb, n: &Number, letter: char) -> String {
    let sign = sign(verb, n.is_negative());
    let shortest = matches!(letter, 'g' | 'G') && verb.precision.is_none();
    let decimal = if shortest { n.shortest() } else { n.exact() };
    let Some(mut decimal) = decimal else {
        let sign = if sign.is_empty() { "+" } else { sign };
        return pad_number(verb, sign, "Inf", false);
    };
    let e = if letter.is_ascii_uppercase() { 'E' } else { 'e' };
    let digits = match letter {
        'f' => fixed(&mut decimal, verb.precision.unwrap_or(6)),
        'e' | 'E' => exponential(&mut decimal, verb.precision.unwrap_or(6), e),
        _ => {
            // Of a number that is shown as short as it can be, six digits decide between the two forms.
            let precision = verb.precision.map(|p| p.max(1));
            if let Some(p) = precision {
                decimal.round(p);
            }
            let count = decimal.digits.len();
            let whole = i64::try_from(count).unwrap_or(i64::MAX) >= decimal.exponent;
            let limit = match precision {
                None => 6,
                Some(p) if p > count && whole => count,
                Some(p) => p,
            };
            let exponent = if count == 0 { 0 } else { decimal.exponent - 1 };
            if exponent < -4 || exponent >= i64::try_from(limit).unwrap_or(i64::MAX) && count > 0 {
                let places = precision.unwrap_or(count).min(count).saturating_sub(1);
                exponential(&mut decimal, places, e)
            } else {
                let places = decimal.places();
                decimal.plain(places)
            }
        }
    };
    pad_number(verb, sign, &digits, true)
}

fn fixed(decimal: &mut Decimal, places: usize) -> String {
    let keep = decimal.exponent + i64::try_from(places).unwrap_or(i64::MAX);
    match usize::try_from(keep) {
        Ok(n) => decimal.round(n),
        Err(_) => decimal.digits.clear(),
    }
    decimal.plain(places)
}

fn exponential(decimal: &mut Decimal, places: usize, e: char) -> String {
    decimal.round(places + 1);
    let exponent = if decimal.digits.is_empty() { 0 } else { decimal.exponent - 1 };
    let digit = |i: usize| char::from(b'0' + decimal.digits.get(i).copied().unwrap_or(0));
    let mut out = String::from(digit(0));
    if places > 0 {
        out.push('.');
        out.extend((1..=places).map(digit));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    out.push_str(&format!("{e}{sign}{:02}", exponent.abs()));
    out
}
