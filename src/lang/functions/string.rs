//! Text.

use super::args::{check_length, text, whole};
use super::{Function, FunctionError, Outcome, Takes, deep, param};
use crate::scope::World;
use crate::value::Value;
use unicode_segmentation::UnicodeSegmentation as _;

const STR: super::Param = param("str", Takes::String);

/// `indent` by more than this is a mistake, and would fill the memory.
const MAX_INDENT: i64 = 10_000;

/// Their table.
pub(super) const FUNCTIONS: &[Function] = &[
    deep("chomp", &[STR], Takes::String, |_, a| Ok(Value::string(text(&a[0]).trim_end_matches(['\r', '\n'])))),
    deep("startswith", &[STR, param("prefix", Takes::String)], Takes::Bool, |_, a| {
        Ok(Value::bool(text(&a[0]).starts_with(text(&a[1]))))
    }),
    deep("endswith", &[STR, param("suffix", Takes::String)], Takes::Bool, |_, a| {
        Ok(Value::bool(text(&a[0]).ends_with(text(&a[1]))))
    }),
    deep("strcontains", &[STR, param("substr", Takes::String)], Takes::Bool, |_, a| {
        Ok(Value::bool(text(&a[0]).contains(text(&a[1]))))
    }),
    deep("indent", &[param("spaces", Takes::Number), STR], Takes::String, indent),
    deep("join", &[param("separator", Takes::String)], Takes::String, join).variadic(param("lists", Takes::Strings)),
    deep("lower", &[STR], Takes::String, |_, a| Ok(Value::string(text(&a[0]).chars().map(lower).collect::<String>()))),
    deep("upper", &[STR], Takes::String, |_, a| Ok(Value::string(text(&a[0]).chars().map(upper).collect::<String>()))),
    deep("title", &[STR], Takes::String, title),
    deep("trim", &[STR, param("cutset", Takes::String)], Takes::String, |_, a| {
        let cutset: Vec<char> = text(&a[1]).chars().collect();
        Ok(Value::string(text(&a[0]).trim_matches(cutset.as_slice())))
    }),
    deep("trimprefix", &[STR, param("prefix", Takes::String)], Takes::String, |_, a| {
        Ok(Value::string(text(&a[0]).strip_prefix(text(&a[1])).unwrap_or(text(&a[0]))))
    }),
    deep("trimsuffix", &[STR, param("suffix", Takes::String)], Takes::String, |_, a| {
        Ok(Value::string(text(&a[0]).strip_suffix(text(&a[1])).unwrap_or(text(&a[0]))))
    }),
    deep("trimspace", &[STR], Takes::String, |_, a| Ok(Value::string(text(&a[0]).trim()))),
    deep("replace", &[STR, param("substr", Takes::String), param("replace", Takes::String)], Takes::String, replace),
    deep("split", &[param("separator", Takes::String), STR], Takes::Strings, split),
    deep("strrev", &[STR], Takes::String, |_, a| {
        Ok(Value::string(text(&a[0]).graphemes(true).rev().collect::<String>()))
    }),
    deep("substr", &[STR, param("offset", Takes::Number), param("length", Takes::Number)], Takes::String, substr),
];

fn replace(_: &World, a: &[Value]) -> Outcome {
    let (given, old, new) = (text(&a[0]), text(&a[1]), text(&a[2]));
    check_length(given.matches(old).count().checked_mul(new.len()).and_then(|n| n.checked_add(given.len())))?;
    Ok(Value::string(given.replace(old, new)))
}

fn indent(_: &World, a: &[Value]) -> Outcome {
    let spaces = whole(&a[0])?;
    let count = usize::try_from(spaces).ok().filter(|_| spaces <= MAX_INDENT);
    let count = count.ok_or_else(|| FunctionError::new(format!("spaces must be between 0 and {MAX_INDENT}")))?;
    let lines = text(&a[1]).matches('\n').count();
    check_length(lines.checked_mul(count).and_then(|n| n.checked_add(text(&a[1]).len())))?;
    Ok(Value::string(text(&a[1]).replace('\n', &format!("\n{}", " ".repeat(count)))))
}

fn join(_: &World, a: &[Value]) -> Outcome {
    let (separator, lists) = a.split_first().ok_or_else(|| FunctionError::new("a separator is required"))?;
    if lists.is_empty() {
        return Err(FunctionError::new("at least one list is required"));
    }
    let mut items = Vec::new();
    for (i, list) in lists.iter().enumerate() {
        for (j, item) in list.elements().unwrap_or_default().iter().enumerate() {
            let item = item.as_str();
            items.push(item.ok_or_else(|| {
                FunctionError::at(i + 1, format!("element {j} is null; cannot concatenate null values"))
            })?);
        }
    }
    let separators = items.len().checked_mul(text(separator).len());
    check_length(items.iter().try_fold(separators.unwrap_or(usize::MAX), |sum, item| sum.checked_add(item.len())))?;
    Ok(Value::string(items.join(text(separator))))
}

/// Simple case mapping, one character to one: Rust's own maps `ß` to `SS`.
fn lower(c: char) -> char {
    let mut mapped = c.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(l), None) => l,
        // İ: its full mapping is an i with a dot above.
        (Some(l), Some(_)) => l,
        _ => c,
    }
}

fn upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(u), None) => u,
        _ => greek_with_iota(c).unwrap_or(c),
    }
}

/// Greek letters with an iota below have one capital each, but a full mapping of two.
fn greek_with_iota(c: char) -> Option<char> {
    let code = u32::from(c);
    match code {
        0x1f80..=0x1f87 | 0x1f90..=0x1f97 | 0x1fa0..=0x1fa7 => char::from_u32(code + 8),
        0x1fb3 => Some('\u{1fbc}'),
        0x1fc3 => Some('\u{1fcc}'),
        0x1ff3 => Some('\u{1ffc}'),
        _ => None,
    }
}

/// Title case differs from upper case for the four double letters ǆ ǉ ǌ ǳ, and for Georgian, which has none.
fn title_char(c: char) -> char {
    match c {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        '\u{10d0}'..='\u{10fa}' | '\u{10fd}'..='\u{10ff}' => c,
        c => upper(c),
    }
}

fn title(_: &World, a: &[Value]) -> Outcome {
    let mut after_separator = true;
    let titled: String = text(&a[0])
        .chars()
        .map(|c| {
            let first = std::mem::replace(&mut after_separator, is_separator(c));
            if first { title_char(c) } else { c }
        })
        .collect();
    Ok(Value::string(titled))
}

fn is_separator(c: char) -> bool {
    if c.is_ascii() {
        return !(c.is_ascii_alphanumeric() || c == '_');
    }
    !c.is_alphanumeric() && c.is_whitespace()
}

fn split(_: &World, a: &[Value]) -> Outcome {
    let (separator, given) = (text(&a[0]), text(&a[1]));
    if separator.is_empty() {
        return Ok(Value::strings(given.chars().map(String::from)));
    }
    Ok(Value::strings(given.split(separator)))
}

fn substr(_: &World, a: &[Value]) -> Outcome {
    let (mut offset, mut length) = (whole(&a[1])?, whole(&a[2])?);
    let clusters: Vec<&str> = text(&a[0]).graphemes(true).collect();
    let total = i64::try_from(clusters.len()).unwrap_or(i64::MAX);
    if offset < 0 {
        offset = offset.saturating_add(total).max(0);
        // A quirk that templates may rely on: with a negative offset, no length is every length.
        if length == 0 {
            length = -1;
        }
    }
    let start = offset.min(total);
    let end = if length < 0 { total } else { start.saturating_add(length).min(total) };
    let range = usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0);
    Ok(Value::string(clusters.get(range).unwrap_or_default().concat()))
}
