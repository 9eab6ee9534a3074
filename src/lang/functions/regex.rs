//! Regular expressions in the syntax of RE2 (as Go has it), run by Rust's engine of the same family.

use super::args::{check_length, text};
use super::{Function, FunctionError, Outcome, Takes, deep, param};
use crate::scope::World;
use crate::value::{Type, Value};
use regex::{Captures, Regex};
use std::sync::Arc;

/// Their table.
pub(super) const FUNCTIONS: &[Function] = &[
    deep("regex", &[param("pattern", Takes::String), param("string", Takes::String)], Takes::Any, first),
    deep("regexall", &[param("pattern", Takes::String), param("string", Takes::String)], Takes::List, all),
    deep(
        "regex_replace",
        &[param("str", Takes::String), param("pattern", Takes::String), param("replace", Takes::String)],
        Takes::String,
        replace,
    ),
];

/// A compiled pattern. Its groups have no names for the engine, which refuses that two of them have the same.
struct Pattern {
    regex: Regex,
    /// Of each group, from the first.
    names: Names,
}

/// Of each group, from the first, its name.
type Names = Vec<Option<Arc<str>>>;

impl Pattern {
    fn compile(pattern: &str) -> Result<Pattern, String> {
        let (translated, names) = translate(pattern)?;
        let regex = Regex::new(&translated).map_err(|e| match e {
            regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
            // The engine's own message draws the pattern over several lines; its last line says what is wrong.
            e => {
                let text = e.to_string();
                text.lines().last().unwrap_or_default().trim_start_matches("error: ").trim().to_owned()
            }
        })?;
        Ok(Pattern { regex, names })
    }

    /// For `regex` and `regexall`, whose first argument it is.
    fn of_argument(a: &[Value]) -> Result<Pattern, FunctionError> {
        let pattern = Pattern::compile(text(&a[0]));
        let pattern = pattern.map_err(|e| FunctionError::at(0, format!("invalid regexp pattern: {e}")))?;
        let named = pattern.names.iter().flatten().count();
        if named > 0 && named < pattern.names.len() {
            let why = "invalid regexp pattern: cannot mix both named and unnamed capture groups";
            return Err(FunctionError::at(0, why));
        }
        Ok(pattern)
    }

    /// Named groups make an object, others a tuple; without any it is the match.
    fn ty(&self) -> Type {
        if self.names.is_empty() {
            return Type::String;
        }
        if self.names[0].is_some() {
            return Type::object(self.names.iter().flatten().map(|n| (n.clone(), Type::String)));
        }
        Type::tuple(self.names.iter().map(|_| Type::String))
    }

    fn value(&self, captures: &Captures<'_>) -> Value {
        let group = |i: usize| captures.get(i).map_or_else(|| Value::null(Type::String), |m| Value::string(m.as_str()));
        if self.names.is_empty() {
            return group(0);
        }
        let groups = (1..=self.names.len()).map(group);
        if self.names[0].is_none() {
            return Value::tuple(groups.collect());
        }
        // Of two groups with one name the last counts.
        Value::object(self.names.iter().flatten().cloned().zip(groups).collect())
    }

    /// The text of a group by its number or name.
    fn group<'t>(&self, name: &str, captures: &Captures<'t>) -> &'t str {
        let found = match name.parse::<usize>() {
            Ok(n) => captures.get(n),
            Err(_) => {
                let mut named = (1..).zip(&self.names).filter(|(_, n)| n.as_deref() == Some(name));
                named.find_map(|(i, _)| captures.get(i))
            }
        };
        found.map_or("", |m| m.as_str())
    }
}

fn first(_: &World, a: &[Value]) -> Outcome {
    let pattern = Pattern::of_argument(a)?;
    match pattern.regex.captures(text(&a[1])) {
        Some(captures) => Ok(pattern.value(&captures)),
        None => Err(FunctionError::new("pattern did not match any part of the given string")),
    }
}

fn all(_: &World, a: &[Value]) -> Outcome {
    let pattern = Pattern::of_argument(a)?;
    let found = pattern.regex.captures_iter(text(&a[1])).map(|c| pattern.value(&c)).collect();
    Ok(Value::list(pattern.ty(), found))
}

fn replace(_: &World, a: &[Value]) -> Outcome {
    let pattern = Pattern::compile(text(&a[1])).map_err(FunctionError::new)?;
    let given = text(&a[0]);
    let mut out = String::new();
    let mut end = 0;
    for captures in pattern.regex.captures_iter(given) {
        let Some(whole) = captures.get(0) else { continue };
        out.push_str(&given[end..whole.start()]);
        out.push_str(&expand(text(&a[2]), &pattern, &captures));
        check_length(Some(out.len()))?;
        end = whole.end();
    }
    out.push_str(&given[end..]);
    Ok(Value::string(out))
}

/// `$1`, `${name}` and `$$` of a replacement. The name after `$` is as long as it can be; an unknown group is empty.
fn expand(template: &str, pattern: &Pattern, captures: &Captures<'_>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(i) = rest.find('$') {
        out.push_str(&rest[..i]);
        rest = &rest[i + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let braced = rest.starts_with('{');
        let start = usize::from(braced);
        let length = rest[start..].find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len() - start);
        let name = &rest[start..start + length];
        if name.is_empty() || (braced && !rest[start + length..].starts_with('}')) {
            out.push('$');
            continue;
        }
        out.push_str(pattern.group(name, captures));
        rest = &rest[start + length + usize::from(braced)..];
    }
    out.push_str(rest);
    out
}

/// From RE2's syntax to that of Rust's engine, where they differ: classes such as `\d` are ASCII, `[` stands for itself
/// inside of a class, `\Q…\E` quotes, and any punctuation may be escaped.
/// Names of groups are taken out and handed back.
fn translate(pattern: &str) -> Result<(String, Names), String> {
    let mut out = String::with_capacity(pattern.len());
    let mut names = Vec::new();
    let mut rest = pattern;
    let mut class = false;
    // Just behind the `[` or `[^` that opens a class, `]` stands for itself.
    let mut class_start = false;
    let mut after_repeat = false;
    while let Some(c) = rest.chars().next() {
        let at_start = std::mem::take(&mut class_start);
        let stacked = std::mem::take(&mut after_repeat);
        let tail = &rest[c.len_utf8()..];
        if c == '\\' {
            rest = escape(tail, class, &mut out)?;
            continue;
        }
        if class {
            if c == '[' {
                if let Some(end) = tail.starts_with(':').then(|| tail.find(":]")).flatten() {
                    out.push('[');
                    out.push_str(&tail[..end + 2]);
                    rest = &tail[end + 2..];
                    continue;
                }
                out.push_str("\\[");
            } else if c == ']' && !at_start {
                out.push(']');
                class = false;
            } else if matches!(c, '&' | '~' | ']') {
                out.push('\\');
                out.push(c);
            } else if c == '-' && tail.starts_with('-') {
                // Two hyphens would be a difference of sets.
                out.push_str("\\-");
            } else {
                out.push(c);
            }
            rest = tail;
            continue;
        }
        match c {
            '*' | '+' | '?' if stacked => {
                return Err(format!("invalid nested repetition operator {c:?}"));
            }
            '*' | '+' | '?' => {
                after_repeat = true;
                if let Some(after) = tail.strip_prefix('?') {
                    out.push(c);
                    out.push('?');
                    rest = after;
                    continue;
                }
            }
            '[' => {
                class = true;
                class_start = true;
                out.push('[');
                if let Some(after) = tail.strip_prefix('^') {
                    out.push('^');
                    rest = after;
                    continue;
                }
            }
            '(' if tail.starts_with("?P<") || tail.starts_with("?<") => {
                let after = &tail[tail.find('<').unwrap_or(0) + 1..];
                let name = after.split('>').next().unwrap_or_default();
                let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                if name.is_empty() || name.len() == after.len() || !name.chars().all(word) {
                    return Err("invalid named capture".to_owned());
                }
                names.push(Some(Arc::from(name)));
                out.push('(');
                rest = &after[name.len() + 1..];
                continue;
            }
            '(' if tail.starts_with('?') => check_flags(&tail[1..])?,
            '(' => names.push(None),
            _ => {}
        }
        if c != '[' {
            out.push(c);
        }
        rest = tail;
    }
    Ok((out, names))
}

/// Flags that RE2 does not know, though this engine does.
fn check_flags(group: &str) -> Result<(), String> {
    let flags = group.find([')', ':', 'P', '<', '=', '!', '#']).map_or(group, |i| &group[..i]);
    match flags.chars().find(|c| !matches!(c, 'i' | 'm' | 's' | 'U' | '-')) {
        Some(c) => Err(format!("invalid or unsupported Perl syntax: flag {c:?}")),
        None => Ok(()),
    }
}

/// What follows a backslash; returns what is left after it.
fn escape<'a>(tail: &'a str, class: bool, out: &mut String) -> Result<&'a str, String> {
    let Some(c) = tail.chars().next() else {
        return Err("trailing backslash at end of expression".to_owned());
    };
    let rest = &tail[c.len_utf8()..];
    let ascii = match c {
        'd' if class => "0-9",
        'd' => "[0-9]",
        'D' => "[^0-9]",
        'w' if class => "0-9A-Za-z_",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        's' if class => "\\t\\n\\x0C\\r ",
        's' => "[\\t\\n\\x0C\\r ]",
        'S' => "[^\\t\\n\\x0C\\r ]",
        'b' if !class => "(?-u:\\b)",
        'B' if !class => "(?-u:\\B)",
        'Q' if !class => {
            let (quoted, after) = rest.split_once("\\E").unwrap_or((rest, ""));
            out.push_str(&regex::escape(quoted));
            return Ok(after);
        }
        'a' | 'f' | 't' | 'n' | 'r' | 'v' | 'x' | 'p' | 'P' => {
            out.push('\\');
            out.push(c);
            return Ok(rest);
        }
        'A' | 'z' if !class => {
            out.push('\\');
            out.push(c);
            return Ok(rest);
        }
        // Octal: \0 to \0377, and \1 to \7 with another octal digit behind it.
        '0'..='7' => {
            let digits = tail.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
            if c != '0' && digits < 2 {
                return Err(format!("invalid escape sequence \\{c}"));
            }
            let code = u32::from_str_radix(&tail[..digits], 8).unwrap_or(0);
            out.push_str(&format!("\\x{{{code:x}}}"));
            return Ok(&tail[digits..]);
        }
        c if c.is_ascii_punctuation() => {
            let mut buffer = [0u8; 4];
            if class && matches!(c, '[' | ']' | '^' | '-' | '\\' | '&' | '~') {
                out.push('\\');
                out.push(c);
            } else {
                out.push_str(&regex::escape(c.encode_utf8(&mut buffer)));
            }
            return Ok(rest);
        }
        c => return Err(format!("invalid escape sequence \\{c}")),
    };
    out.push_str(ascii);
    Ok(rest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn means_what_re2_means() {
        for (pattern, given, want) in [
            (r"\d+", "٣4", "4"),
            (r"[[]x", "[x", "[x"),
            (r"[a&&b]+", "a&b", "a&b"),
            (r"[]a]+", "]a", "]a"),
            (r"[^]]+", "ab]", "ab"),
            (r"\Qa.b\E+", "a.bb", "a.bb"),
            (r"[[:alpha:]]+", "ab1", "ab"),
            (r"\<\_\>", "<_>", "<_>"),
            (r"[\d\-x]+", "1-x", "1-x"),
            (r"\101", "A", "A"),
        ] {
            assert_eq!(Pattern::compile(pattern).unwrap().regex.find(given).unwrap().as_str(), want, "{pattern}");
        }
        for bad in [r"\1", r"(?x)a", r"\q", "a\\", "(", "a**", "(?=a)"] {
            assert!(Pattern::compile(bad).is_err(), "{bad}");
        }
    }
}
