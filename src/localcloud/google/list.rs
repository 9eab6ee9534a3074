//! Lists: `filter`, `maxResults`, `pageToken`, `orderBy`.

use super::error::{ApiError, ApiResult};
use super::names::link;
use crate::http::Request;
use regex::Regex;
use serde_json::{Value, json};

/// Items a page has unless asked for less; also the most that may be asked for.
const PAGE: usize = 500;

/// One comparison of a filter.
struct Condition {
    field: Vec<String>,
    test: Test,
    negated: bool,
}

enum Test {
    Is(String),
    Matches(Regex),
    /// `field:word`: contains it; `field:*`: is there.
    Has(String),
}

/// A page of `items` as the request asks for it. `kind` is `compute#instanceList`, `path` the collection's.
pub(super) fn page(request: &Request, kind: &str, path: &str, items: impl Iterator<Item = Value>) -> ApiResult {
    let conditions = request.param("filter").map(parse).transpose()?.unwrap_or_default();
    let mut items: Vec<Value> = items.filter(|i| conditions.iter().all(|c| c.holds(i))).collect();
    match request.param("orderBy") {
        None | Some("" | "name") => {}
        Some("creationTimestamp desc") => {
            items.sort_by_key(|i| std::cmp::Reverse(i["creationTimestamp"].as_str().unwrap_or_default().to_owned()));
        }
        Some(other) => {
            return Err(ApiError::field("orderBy", other, "Only 'name' and 'creationTimestamp desc' are supported."));
        }
    }
    let most = match request.param("maxResults") {
        None => PAGE,
        Some(text) => match text.parse::<usize>() {
            Ok(n) if n <= PAGE => {
                if n == 0 {
                    PAGE
                } else {
                    n
                }
            }
            _ => return Err(ApiError::field("maxResults", text, "Acceptable values are 0 to 500, inclusive.")),
        },
    };
    let start = match request.param("pageToken") {
        None | Some("") => 0,
        Some(token) => {
            token.parse().map_err(|_| ApiError::field("pageToken", token, "The page token is not valid."))?
        }
    };
    let more = start + most < items.len();
    let items: Vec<Value> = items.into_iter().skip(start).take(most).collect();
    let mut list = json!({ "kind": kind, "id": path, "selfLink": link(path) });
    if more {
        list["nextPageToken"] = json!((start + most).to_string());
    }
    // An empty list has no items property at all.
    if !items.is_empty() {
        list["items"] = Value::Array(items);
    }
    Ok(list)
}

/// Reads `a = b AND c != "d"`, `(a = b) (c eq d.*)`, `labels.x:*`; no OR.
fn parse(text: &str) -> ApiResult<Vec<Condition>> {
    let invalid = |why: &str| ApiError::field("filter", text, why);
    let words = words(text);
    let mut conditions = Vec::new();
    let mut rest = words.as_slice();
    while !rest.is_empty() {
        rest = match rest {
            [and, tail @ ..] if and == "AND" => tail,
            [or, ..] if or == "OR" => return Err(invalid("The local cloud's filters have no OR.")),
            [not, field, op, value, tail @ ..] if not == "NOT" || not == "-" => {
                conditions
                    .push(condition(field, op, value, true).ok_or_else(|| invalid("Invalid list filter expression."))?);
                tail
            }
            [field, op, value, tail @ ..] => {
                conditions.push(
                    condition(field, op, value, false).ok_or_else(|| invalid("Invalid list filter expression."))?,
                );
                tail
            }
            _ => return Err(invalid("Invalid list filter expression.")),
        };
    }
    Ok(conditions)
}

fn condition(field: &str, op: &str, value: &str, negated: bool) -> Option<Condition> {
    let whole = || Regex::new(&format!("^(?:{value})$")).ok();
    let (test, flip) = match op {
        "=" => (Test::Is(value.to_owned()), false),
        "!=" => (Test::Is(value.to_owned()), true),
        "eq" => (Test::Matches(whole()?), false),
        "ne" => (Test::Matches(whole()?), true),
        ":" => (Test::Has(value.to_owned()), false),
        _ => return None,
    };
    let field = field.split('.').map(str::to_owned).collect();
    Some(Condition { field, test, negated: negated != flip })
}

/// Cuts a filter into fields, operators and values; brackets only group, and all is conjunction.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&c) = chars.peek() {
        match c {
            ' ' | '(' | ')' | '\t' | '\n' => {
                chars.next();
            }
            '"' | '\'' => {
                chars.next();
                let mut word = String::new();
                for d in chars.by_ref() {
                    if d == c {
                        break;
                    }
                    word.push(d);
                }
                words.push(word);
            }
            '=' | ':' => {
                chars.next();
                words.push(c.to_string());
            }
            '!' => {
                chars.next();
                chars.next_if_eq(&'=');
                words.push("!=".to_owned());
            }
            _ => {
                // A value may hold brackets and colons (a link, an expression), a field may not.
                let value = words.last().is_some_and(|w| matches!(w.as_str(), "=" | "!=" | "eq" | "ne" | ":"));
                let mut word = String::new();
                while let Some(&d) = chars.peek() {
                    let ends = d.is_whitespace() || d == ')' || (!value && "=:!(".contains(d));
                    if ends {
                        break;
                    }
                    word.push(d);
                    chars.next();
                }
                words.push(word);
            }
        }
    }
    words
}

impl Condition {
    fn holds(&self, item: &Value) -> bool {
        let mut value = Some(item);
        for part in &self.field {
            value = value.and_then(|v| v.get(part));
        }
        let text = value.map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
        let holds = match (&self.test, text) {
            (Test::Is(want), text) => match want.strip_suffix('*') {
                Some(prefix) => text.is_some_and(|t| t.starts_with(prefix)),
                None => text.unwrap_or_default() == *want,
            },
            (Test::Matches(pattern), text) => pattern.is_match(&text.unwrap_or_default()),
            (Test::Has(want), Some(text)) => want == "*" || text.contains(want.trim_matches('*')),
            (Test::Has(_), None) => false,
        };
        holds != self.negated
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(filter: &str) -> Vec<String> {
        let items = [
            json!({ "name": "a-1", "family": "a", "labels": { "env": "dev" }, "link": "https://x/y:z" }),
            json!({ "name": "b-1", "family": "b", "labels": {} }),
        ];
        let conditions = parse(filter).unwrap();
        let kept = items.iter().filter(|i| conditions.iter().all(|c| c.holds(i)));
        kept.map(|i| i["name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn filters_select() {
        assert_eq!(names("family=a"), ["a-1"]);
        assert_eq!(names("family=a AND labels.env=dev"), ["a-1"]);
        assert_eq!(names("(family eq a|b) (name != \"a-1\")"), ["b-1"]);
        assert_eq!(names("labels.env:*"), ["a-1"]);
        assert_eq!(names("NOT family=a"), ["b-1"]);
        assert_eq!(names("name = b-*"), ["b-1"]);
        assert_eq!(names("link = https://x/y:z"), ["a-1"]);
        assert!(parse("a = b OR c = d").is_err());
        assert!(parse("family=").is_err());
    }
}
