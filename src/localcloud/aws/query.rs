//! The query protocol: parameters with dots and numbers in their names, answers in XML.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Parameters of a call (`Filter.1.Name=…`), or those below one name.
#[derive(Clone, Debug, Default)]
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// From the pairs of a form.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Params {
        Params(pairs.into_iter().collect())
    }
    /// The value of a name; an empty one counts as absent, as AWS takes it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }
    /// A bool.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|v| v.eq_ignore_ascii_case("true"))
    }
    /// A whole number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }
    /// Everything below `name.`
    pub fn below(&self, name: &str) -> Params {
        let prefix = format!("{name}.");
        Params::new(self.0.iter().filter_map(|(k, v)| Some((k.strip_prefix(&prefix)?.to_owned(), v.clone()))))
    }
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// The numbers in use below `name.`, in order.
    fn numbers(&self, name: &str) -> Vec<u32> {
        let prefix = format!("{name}.");
        let numbers = self.0.keys().filter_map(|k| k.strip_prefix(&prefix)?.split('.').next()?.parse().ok());
        let mut numbers: Vec<u32> = numbers.collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
    /// `name.1`, `name.2`, …
    pub fn list(&self, name: &str) -> Vec<String> {
        self.numbers(name).iter().filter_map(|n| self.get(&format!("{name}.{n}")).map(str::to_owned)).collect()
    }
    /// `name.1.…`, `name.2.…`, … each as parameters of its own.
    pub fn items(&self, name: &str) -> Vec<Params> {
        self.numbers(name).iter().map(|n| self.below(&format!("{name}.{n}"))).collect()
    }
}

/// XML of a JSON value: an object's entries become elements, a list's entries `<item>`, null nothing.
pub fn xml(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value);
    out
}

fn write(out: &mut String, value: &Value) {
    // Writing to a String cannot fail.
    match value {
        Value::Null => {}
        Value::Bool(b) => drop(write!(out, "{b}")),
        Value::Number(n) => drop(write!(out, "{n}")),
        Value::String(s) => escape(out, s),
        Value::Array(items) => items.iter().for_each(|item| element(out, "item", item)),
        Value::Object(entries) => entries.iter().filter(|(_, v)| !v.is_null()).for_each(|(k, v)| element(out, k, v)),
    }
}

fn element(out: &mut String, name: &str, value: &Value) {
    let _ = write!(out, "<{name}>");
    write(out, value);
    let _ = write!(out, "</{name}>");
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            // XML 1.0 has no other control characters.
            c if c < ' ' && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

/// Whether a text matches a filter's value: `*` is anything, `?` one character, a backslash takes their meaning away.
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        let (literal, width) = match pattern.get(p) {
            Some('\\') if p + 1 < pattern.len() => (Some(pattern[p + 1]), 2),
            Some('*') => {
                back = Some((p, t));
                p += 1;
                continue;
            }
            Some('?') => (Some(text[t]), 1),
            Some(c) => (Some(*c), 1),
            None => (None, 0),
        };
        if literal == Some(text[t]) {
            p += width;
            t += 1;
        } else if let Some((star, from)) = back {
            back = Some((star, from + 1));
            p = star + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(matches(
            "ubuntu/images/*-amd64-server-*",
            "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20240501"
        ));
        assert!(matches("a?c", "abc") && !matches("a?c", "ac"));
        assert!(matches("a\\*", "a*") && !matches("a\\*", "ab"));
        assert!(matches("*", "") && !matches("", "x") && matches("a*b*c", "aXbYbZc"));
    }

    #[test]
    fn numbers_in_names_count() {
        let pairs = [("A.2", "y"), ("A.10", "z"), ("A.1", "x"), ("F.1.Name", "n"), ("F.1.Value.1", "v")];
        let params = Params::new(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(params.list("A"), ["x", "y", "z"]);
        assert_eq!(params.items("F")[0].list("Value"), ["v"]);
    }

    #[test]
    fn xml_of_hostile_text() {
        let value = serde_json::json!({ "set": ["<a>&\u{1}"], "none": null });
        assert_eq!(xml(&value), "<set><item>&lt;a&gt;&amp;\u{fffd}</item></set>");
    }
}
