//! Go's `printf` and `print`.

use super::Node;

/// The widest field and the longest fraction, as in Go's fmt.
const WIDTH_LIMIT: usize = 1_000_000;

/// `print`: a blank between two neighbours neither of which is a text; `println`: always one.
pub(super) fn print(arguments: &[Node], always: bool) -> String {
    let mut out = String::new();
    for (n, value) in arguments.iter().enumerate() {
        let texts = n > 0 && (matches!(value, Node::String(_)) || matches!(arguments[n - 1], Node::String(_)));
        if n > 0 && (always || !texts) {
            out.push(' ');
        }
        value.write(&mut out);
    }
    out
}

/// The flags of one verb.
#[derive(Default)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `printf`. What does not fit is written into the text, as Go does (`%!d(string=x)`).
pub(super) fn printf(format: &str, arguments: &[Node]) -> Result<String, String> {
    let mut out = String::new();
    let mut next = 0;
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if out.len() > super::TEXT_LIMIT {
            return Err("the result is too long".to_owned());
        }
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.peek() {
            match flag {
                '-' => spec.minus = true,
                '+' => spec.plus = true,
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                '0' => spec.zero = true,
                _ => break,
            }
            chars.next();
        }
        spec.width = number(&mut chars, arguments, &mut next);
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(number(&mut chars, arguments, &mut next).unwrap_or(0));
        }
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match arguments.get(next) {
                None => out.push_str(&format!("%!{verb}(MISSING)")),
                Some(value) => {
                    next += 1;
                    out.push_str(&one(verb, &spec, value));
                }
            },
        }
    }
    if next < arguments.len() {
        let extra: Vec<String> = arguments[next..].iter().map(typed).collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    Ok(out)
}

fn number(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, arguments: &[Node], next: &mut usize) -> Option<usize> {
    if chars.next_if_eq(&'*').is_some() {
        let value = arguments.get(*next);
        *next += 1;
        return match value {
            Some(Node::Int(n)) => usize::try_from(*n).ok().map(|n| n.min(WIDTH_LIMIT)),
            _ => None,
        };
    }
    let mut found = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        found = Some((found.unwrap_or(0) * 10 + digit as usize).min(WIDTH_LIMIT));
        chars.next();
    }
    found
}

fn typed(value: &Node) -> String {
    let mut text = String::new();
    value.write(&mut text);
    if *value == Node::Nil { text } else { format!("{}={text}", value.type_name()) }
}

fn one(verb: char, spec: &Spec, value: &Node) -> String {
    let text = match (verb, value) {
        ('T', value) => value.type_name().to_owned(),
        ('t', Node::Bool(b)) => b.to_string(),
        ('v' | 'd', Node::Int(n)) => sign(spec, *n < 0, n.unsigned_abs().to_string()),
        ('x', Node::Int(n)) => sign(spec, *n < 0, prefixed(spec, "0x", format!("{:x}", n.unsigned_abs()))),
        ('X', Node::Int(n)) => sign(spec, *n < 0, prefixed(spec, "0X", format!("{:X}", n.unsigned_abs()))),
        ('o', Node::Int(n)) => sign(spec, *n < 0, prefixed(spec, "0", format!("{:o}", n.unsigned_abs()))),
        ('b', Node::Int(n)) => sign(spec, *n < 0, prefixed(spec, "0b", format!("{:b}", n.unsigned_abs()))),
        ('c', Node::Int(n)) => character(*n).to_string(),
        ('q', Node::Int(n)) => format!("{:?}", character(*n)),
        ('U', Node::Int(n)) => format!("U+{n:04X}"),
        ('e', Node::Float(f)) => sign(spec, f.is_sign_negative(), exponent(f.abs(), spec.precision.unwrap_or(6))),
        ('f' | 'F', Node::Float(f)) => {
            sign(spec, f.is_sign_negative(), format!("{:.*}", spec.precision.unwrap_or(6), f.abs()))
        }
        ('v' | 'g', Node::Float(_)) => {
            let mut text = String::new();
            value.write(&mut text);
            let negative = text.starts_with('-');
            sign(spec, negative, text.trim_start_matches(['-', '+']).to_owned())
        }
        ('s' | 'v', Node::String(s)) => cut(spec, s).to_owned(),
        ('q', Node::String(s)) => quote(cut(spec, s)),
        ('x', Node::String(s)) => s.bytes().map(|b| format!("{b:02x}")).collect(),
        ('X', Node::String(s)) => s.bytes().map(|b| format!("{b:02X}")).collect(),
        ('v', other) => {
            let mut text = String::new();
            other.write(&mut text);
            text
        }
        ('s' | 'd' | 'q', Node::List(list)) => {
            let inner = Spec::default();
            format!("[{}]", list.iter().map(|v| one(verb, &inner, v)).collect::<Vec<_>>().join(" "))
        }
        (verb, other) => return format!("%!{verb}({})", typed(other)),
    };
    pad(spec, verb, &text)
}

fn character(n: i64) -> char {
    u32::try_from(n).ok().and_then(char::from_u32).unwrap_or('\u{fffd}')
}

fn cut<'a>(spec: &Spec, text: &'a str) -> &'a str {
    let end = spec.precision.and_then(|p| text.char_indices().nth(p)).map_or(text.len(), |(n, _)| n);
    &text[..end]
}

fn prefixed(spec: &Spec, prefix: &str, digits: String) -> String {
    if spec.sharp { format!("{prefix}{digits}") } else { digits }
}

fn sign(spec: &Spec, negative: bool, digits: String) -> String {
    let sign = match (negative, spec.plus, spec.space) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        _ => "",
    };
    format!("{sign}{digits}")
}

fn exponent(f: f64, precision: usize) -> String {
    let text = format!("{f:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |d| ('-', d));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// A text as a Go string literal.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

fn pad(spec: &Spec, verb: char, text: &str) -> String {
    let length = text.chars().count();
    let Some(missing) = spec.width.and_then(|w| w.checked_sub(length)).filter(|m| *m > 0) else {
        return text.to_owned();
    };
    if spec.minus {
        return format!("{text}{}", " ".repeat(missing));
    }
    if spec.zero && verb != 'T' {
        let (sign, digits) = match text.as_bytes().first() {
            Some(b'-' | b'+') if "dxXobefFgv".contains(verb) => text.split_at(1),
            _ => ("", text),
        };
        return format!("{sign}{}{digits}", "0".repeat(missing));
    }
    format!("{}{text}", " ".repeat(missing))
}
