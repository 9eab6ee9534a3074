//! Go's own functions.

use super::Node;
use super::printf::{print, printf};
use std::cmp::Ordering;

/// Their names. `and` and `or` are the evaluator's, because they stop early.
pub(super) const NAMES: &[&str] = &[
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print", "printf",
    "println", "slice", "urlquery",
];

/// Calls one of them.
pub(super) fn call(name: &str, arguments: &[Node]) -> Result<Node, String> {
    match name {
        "eq" => eq(arguments).map(Node::Bool),
        "ne" | "lt" | "le" | "gt" | "ge" => {
            let [a, b] = take(arguments)?;
            compare(name, a, b).map(Node::Bool)
        }
        "not" => take(arguments).map(|[a]| Node::Bool(!a.truth())),
        "len" => take(arguments).and_then(|[a]| length(a)),
        "index" => index(arguments),
        "slice" => slice(arguments),
        "print" => Ok(Node::String(print(arguments, false))),
        "println" => Ok(Node::String(print(arguments, true) + "\n")),
        "printf" => match arguments.split_first() {
            Some((Node::String(format), rest)) => printf(format, rest).map(Node::String),
            Some((other, _)) => Err(format!("expected string; found {}", other.type_name())),
            None => Err("wrong number of args: want at least 1 got 0".to_owned()),
        },
        "html" => Ok(Node::String(html(&print(arguments, false)))),
        "js" => Ok(Node::String(js(&print(arguments, false)))),
        "urlquery" => Ok(Node::String(urlquery(&print(arguments, false)))),
        "call" => Err("there is nothing to be called in this data".to_owned()),
        _ => Err(format!("function \"{name}\" not defined")),
    }
}

/// Exactly N arguments.
fn take<const N: usize>(arguments: &[Node]) -> Result<[&Node; N], String> {
    let all: Vec<&Node> = arguments.iter().collect();
    all.try_into().map_err(|_| format!("wrong number of args: want {N} got {}", arguments.len()))
}

fn order(a: &Node, b: &Node) -> Option<Ordering> {
    match (a, b) {
        (Node::Int(a), Node::Int(b)) => Some(a.cmp(b)),
        (Node::Float(a), Node::Float(b)) => a.partial_cmp(b),
        (Node::String(a), Node::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn equal(a: &Node, b: &Node) -> Result<bool, String> {
    match (a, b) {
        (Node::List(_) | Node::Map(_), _) | (_, Node::List(_) | Node::Map(_)) => {
            Err(format!("non-comparable types {} and {}", a.type_name(), b.type_name()))
        }
        (Node::Nil, other) | (other, Node::Nil) => Ok(*other == Node::Nil),
        _ if std::mem::discriminant(a) == std::mem::discriminant(b) => Ok(a == b),
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

/// `eq A B…`: whether A equals one of the others.
fn eq(arguments: &[Node]) -> Result<bool, String> {
    let Some((first, rest)) = arguments.split_first().filter(|(_, rest)| !rest.is_empty()) else {
        return Err("missing argument for comparison".to_owned());
    };
    for other in rest {
        if equal(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn compare(name: &str, a: &Node, b: &Node) -> Result<bool, String> {
    if name == "ne" {
        return equal(a, b).map(|same| !same);
    }
    let nan = matches!((a, b), (Node::Float(_), Node::Float(_)));
    let Some(ordering) = order(a, b) else {
        return if nan { Ok(false) } else { Err("incompatible types for comparison".to_owned()) };
    };
    Ok(match name {
        "lt" => ordering.is_lt(),
        "le" => ordering.is_le(),
        "gt" => ordering.is_gt(),
        _ => ordering.is_ge(),
    })
}

fn length(value: &Node) -> Result<Node, String> {
    let length = match value {
        Node::String(s) => s.len(),
        Node::List(l) => l.len(),
        Node::Map(m) => m.len(),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Node::Int(length as i64))
}

/// `index X 1 "a"`: X[1]["a"]. A key that a map lacks gives the empty text, as for Go's maps of texts.
fn index(arguments: &[Node]) -> Result<Node, String> {
    let Some((first, rest)) = arguments.split_first() else {
        return Err("wrong number of args: want at least 1 got 0".into());
    };
    let empty = Node::String(String::new());
    let mut current = first;
    let mut byte;
    for key in rest {
        current = match (current, key) {
            (Node::Map(map), Node::String(name)) => map.get(name).unwrap_or(&empty),
            (Node::List(list), Node::Int(n)) => {
                usize::try_from(*n).ok().and_then(|n| list.get(n)).ok_or_else(|| format!("index out of range: {n}"))?
            }
            (Node::String(text), Node::Int(n)) => {
                let found = usize::try_from(*n).ok().and_then(|n| text.as_bytes().get(n));
                byte = Node::Int(i64::from(*found.ok_or_else(|| format!("index out of range: {n}"))?));
                &byte
            }
            (Node::Nil, _) => return Err("index of untyped nil".to_owned()),
            (Node::Map(_) | Node::List(_) | Node::String(_), key) => {
                return Err(format!("cannot index with type {}", key.type_name()));
            }
            (other, _) => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(current.clone())
}

/// `slice X 1 3`: X[1:3].
fn slice(arguments: &[Node]) -> Result<Node, String> {
    let Some((value, bounds)) = arguments.split_first() else {
        return Err("wrong number of args: want at least 1 got 0".into());
    };
    let Node::Int(length) = length(value)? else { return Err("slice of untyped nil".to_owned()) };
    let mut range = [0, length];
    if bounds.len() > 2 {
        return Err(format!("too many slice indexes: {}", bounds.len()));
    }
    for (slot, bound) in range.iter_mut().zip(bounds) {
        match bound {
            Node::Int(n) if (0..=length).contains(n) => *slot = *n,
            Node::Int(n) => return Err(format!("index out of range: {n}")),
            other => return Err(format!("cannot index slice/array with type {}", other.type_name())),
        }
    }
    let [from, to] = range.map(|n| usize::try_from(n).unwrap_or(0));
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    match value {
        Node::String(text) => Ok(Node::String(String::from_utf8_lossy(&text.as_bytes()[from..to]).into_owned())),
        Node::List(list) => Ok(Node::List(list[from..to].to_vec())),
        other => Err(format!("can't slice item of type {}", other.type_name())),
    }
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '\0' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

fn js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", c as u32)),
            c if c < ' ' => out.push_str(&format!("\\u{:04X}", c as u32)),
            other => out.push(other),
        }
    }
    out
}

fn urlquery(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => out.push(char::from(b)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
