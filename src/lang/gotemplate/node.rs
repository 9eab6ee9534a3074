//! What a Go template works on.

use crate::{Kind, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The data of a rendering: what `.Name` finds.
pub type Data = BTreeMap<String, Node>;

/// One value of a Go template.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// `nil`, or what is not there.
    Nil,
    /// `true`, `false`
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A text.
    String(String),
    /// A slice.
    List(Vec<Node>),
    /// A map with texts as keys.
    Map(BTreeMap<String, Node>),
}

impl Node {
    /// Go's name of the type, for messages.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Node::Nil => "<nil>",
            Node::Bool(_) => "bool",
            Node::Int(_) => "int",
            Node::Float(_) => "float64",
            Node::String(_) => "string",
            Node::List(_) => "[]interface {}",
            Node::Map(_) => "map[string]interface {}",
        }
    }

    /// Whether `if` takes it as true: anything but the zero value of its type.
    pub(super) fn truth(&self) -> bool {
        match self {
            Node::Nil => false,
            Node::Bool(b) => *b,
            Node::Int(i) => *i != 0,
            Node::Float(f) => *f != 0.0,
            Node::String(s) => !s.is_empty(),
            Node::List(l) => !l.is_empty(),
            Node::Map(m) => !m.is_empty(),
        }
    }

    /// As `%v` writes it.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Node::Nil => out.push_str("<nil>"),
            // Writing to a String cannot fail.
            Node::Bool(b) => drop(write!(out, "{b}")),
            Node::Int(i) => drop(write!(out, "{i}")),
            Node::Float(f) => out.push_str(&float(*f)),
            Node::String(s) => out.push_str(s),
            Node::List(list) => {
                out.push('[');
                for (n, item) in list.iter().enumerate() {
                    if n > 0 {
                        out.push(' ');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Node::Map(map) => {
                out.push_str("map[");
                for (n, (key, item)) in map.iter().enumerate() {
                    if n > 0 {
                        out.push(' ');
                    }
                    out.push_str(key);
                    out.push(':');
                    item.write(out);
                }
                out.push(']');
            }
        }
    }

    /// As an action prints it: what is not there reads `<no value>`.
    pub(super) fn show(&self) -> String {
        if *self == Node::Nil {
            return "<no value>".to_owned();
        }
        let mut text = String::new();
        self.write(&mut text);
        text
    }
}

/// Go's `%v` of a float64: the shortest text that reads back, with an exponent below 1e-4 and from 1e21 on.
fn float(f: f64) -> String {
    if f.is_nan() {
        return "NaN".to_owned();
    }
    if f.is_infinite() {
        return if f > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = f.abs();
    if size != 0.0 && !(1e-4..1e21).contains(&size) {
        let text = format!("{f:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |d| ('-', d));
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    format!("{f}")
}

impl From<&str> for Node {
    fn from(s: &str) -> Node {
        Node::String(s.to_owned())
    }
}

impl From<String> for Node {
    fn from(s: String) -> Node {
        Node::String(s)
    }
}

impl From<&Value> for Node {
    /// Unknown and null are not there; a sensitive value is what it is.
    fn from(value: &Value) -> Node {
        match value.kind() {
            Kind::Unknown | Kind::Null => Node::Nil,
            Kind::Bool(b) => Node::Bool(*b),
            Kind::Number(n) => n.as_i64().map_or_else(|| Node::Float(n.as_f64()), Node::Int),
            Kind::String(s) => Node::String(s.to_string()),
            Kind::Elements(e) => Node::List(e.iter().map(Node::from).collect()),
            Kind::Entries(e) => Node::Map(e.iter().map(|(k, v)| (k.to_string(), Node::from(v))).collect()),
        }
    }
}
