//! HCL's JSON form: a reader that keeps places and repeated keys, which mean several blocks there.

use crate::template::syntax::{Attribute, Block, Content, Expr, Label};
use image_action_lang::{Diagnostic, Diagnostics, Source, Span};
use std::collections::HashSet;
use std::sync::Arc;

/// One JSON value with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub kind: Kind,
    /// Where it stands.
    pub span: Span,
}

/// What a JSON value is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number, as it is written.
    Number(Arc<str>),
    /// A text, with escapes taken off.
    String(Arc<str>),
    /// `[…]`
    Array(Arc<[Node]>),
    /// `{…}`: every property in order, repeated ones too.
    Object(Arc<[Property]>),
}

/// One property of an object.
#[derive(Clone, Debug)]
pub struct Property {
    /// Its name.
    pub name: Arc<str>,
    /// Where the name stands.
    pub span: Span,
    /// Its value.
    pub value: Node,
}

/// How deep values may nest: as deep as the native parser goes.
const MAX_DEPTH: usize = 64;

/// Reads a text whose root is an object, or an array of objects.
///
/// # Errors
/// The first thing that is not JSON, with its place.
pub fn parse(source: &Source) -> Result<Node, Diagnostic> {
    let mut reader = Reader { source, at: 0 };
    reader.blanks();
    let root = reader.value(MAX_DEPTH)?;
    reader.blanks();
    if reader.at < source.text.len() {
        return Err(reader.fail("Extraneous data after value", "Nothing may follow the value of the whole file."));
    }
    match &root.kind {
        Kind::Object(_) => Ok(root),
        Kind::Array(items) if items.iter().all(|n| matches!(n.kind, Kind::Object(_))) => Ok(root),
        _ => Err(Diagnostic::error("Root value must be object")
            .detail("The root of a JSON template is an object, or an array of objects.")
            .at(root.span)),
    }
}

struct Reader<'a> {
    source: &'a Source,
    at: usize,
}

type Read<T> = Result<T, Diagnostic>;

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.source.slice(self.at..self.source.text.len())
    }
    fn peek(&self) -> Option<u8> {
        self.source.text.as_bytes().get(self.at).copied()
    }
    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }
    fn span(&self, start: usize) -> Span {
        self.source.span(Some(start..self.at))
    }
    fn fail(&self, summary: &str, detail: impl Into<String>) -> Diagnostic {
        let length = self.rest().chars().next().map_or(0, char::len_utf8);
        Diagnostic::error(summary).detail(detail).at(self.source.span(Some(self.at..self.at + length)))
    }

    fn value(&mut self, depth: usize) -> Read<Node> {
        if depth == 0 {
            return Err(self.fail("Too deeply nested", format!("Values may nest {MAX_DEPTH} deep.")));
        }
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Kind::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b'a'..=b'z' | b'A'..=b'Z') => self.keyword()?,
            None => return Err(self.fail("Missing JSON value", "The text ends where a value is expected.")),
            Some(b'\'') => {
                return Err(
                    self.fail("Invalid JSON value", "Texts stand between double quotes, not between single ones.")
                );
            }
            Some(_) => return Err(self.fail("Invalid JSON value", "This is no JSON value.")),
        };
        Ok(Node { kind, span: self.span(start) })
    }

    fn keyword(&mut self) -> Read<Kind> {
        let word: String = self.rest().chars().take_while(char::is_ascii_alphanumeric).collect();
        let kind = match word.as_str() {
            "null" => Kind::Null,
            "true" => Kind::Bool(true),
            "false" => Kind::Bool(false),
            _ => {
                return Err(self
                    .fail("Invalid JSON keyword", format!("{word:?} is no JSON keyword: null, true and false are."))
                    .hint("a text stands between double quotes"));
            }
        };
        self.at += word.len();
        Ok(kind)
    }

    fn number(&mut self) -> Read<Kind> {
        let is_part = |c: &char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
        let text: String = self.rest().chars().take_while(is_part).collect();
        if serde_json::from_str::<serde_json::Number>(&text).is_err()
            && image_action_lang::Number::parse(&text).is_none()
        {
            return Err(self.fail("Invalid JSON number", format!("{text:?} is not a number as JSON writes them.")));
        }
        self.at += text.len();
        Ok(Kind::Number(text.into()))
    }

    fn string(&mut self) -> Read<Arc<str>> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(b'\n') | None => {
                    let span = self.source.span(Some(start..start + 1));
                    return Err(Diagnostic::error("Unclosed JSON string")
                        .detail("This text has no closing quote on its line.")
                        .at(span));
                }
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        serde_json::from_str::<String>(self.source.slice(start..self.at)).map(Arc::from).map_err(|e| {
            let mut why = e.to_string();
            why.truncate(why.find(" at line").unwrap_or(why.len()));
            Diagnostic::error("Invalid JSON string").detail(format!("{why}.")).at(self.span(start))
        })
    }

    fn array(&mut self, depth: usize) -> Read<Kind> {
        let open = self.at;
        let mut items = Vec::new();
        self.at += 1;
        loop {
            self.blanks();
            if self.peek() == Some(b']') {
                self.at += 1;
                return Ok(Kind::Array(items.into()));
            }
            items.push(self.value(depth - 1)?);
            self.separator(open, b']', "array")?;
        }
    }

    fn object(&mut self, depth: usize) -> Read<Kind> {
        let open = self.at;
        let mut properties = Vec::new();
        self.at += 1;
        loop {
            self.blanks();
            match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Kind::Object(properties.into()));
                }
                Some(b'"') => {}
                None => return Err(self.unclosed(open, "object")),
                Some(_) => {
                    return Err(self
                        .fail("Invalid object property name", "The name of a property stands between double quotes."));
                }
            }
            let start = self.at;
            let name = self.string()?;
            let span = self.span(start);
            self.blanks();
            if self.peek() != Some(b':') {
                return Err(self.fail("Missing property value colon", "A colon stands between a name and its value."));
            }
            self.at += 1;
            self.blanks();
            let value = self.value(depth - 1)?;
            properties.push(Property { name, span, value });
            self.separator(open, b'}', "object")?;
        }
    }

    /// A comma that something follows, or the end (which is left to be read).
    fn separator(&mut self, open: usize, close: u8, what: &str) -> Read<()> {
        self.blanks();
        match self.peek() {
            Some(b',') => {
                let comma = self.at;
                self.at += 1;
                self.blanks();
                if self.peek() == Some(close) {
                    self.at = comma;
                    return Err(
                        self.fail(&format!("Trailing comma in {what}"), "JSON has no comma after the last element.")
                    );
                }
                Ok(())
            }
            Some(c) if c == close => Ok(()),
            None => Err(self.unclosed(open, what)),
            Some(_) => Err(self.fail(
                &format!("Missing {what} separator"),
                format!("A comma stands between the elements of an {what}."),
            )),
        }
    }

    fn unclosed(&self, open: usize, what: &str) -> Diagnostic {
        Diagnostic::error(format!("Unclosed {what}"))
            .detail(format!("There is no closing bracket for this {what}."))
            .at(self.source.span(Some(open..open + 1)))
    }
}

/// Takes a body apart: names that `labels_of` knows are blocks, with so many labels; the rest are attributes.
pub fn content(
    body: &Node,
    source: &Source,
    labels_of: &dyn Fn(&str) -> Option<usize>,
    diags: &mut Diagnostics,
) -> Content {
    let mut content = Content::default();
    let mut known = HashSet::new();
    for property in properties(body, diags) {
        if &*property.name == "//" {
            continue;
        }
        let Some(labels) = labels_of(&property.name) else {
            if !known.insert(property.name.clone()) {
                diags.push(
                    Diagnostic::error("Duplicate argument")
                        .detail(format!("The argument {:?} was set before, with another value.", property.name))
                        .at(property.span.clone()),
                );
                continue;
            }
            content.attributes.push(Attribute {
                name: property.name.clone(),
                name_span: property.span.clone(),
                expr: Expr::Json(Arc::new(property.value.clone()), source.clone()),
            });
            continue;
        };
        blocks(&property, &property.value, labels, &mut Vec::new(), source, &mut content.blocks, diags);
    }
    content
}

/// The properties of an object, or of all objects of an array.
fn properties(body: &Node, diags: &mut Diagnostics) -> Vec<Property> {
    match &body.kind {
        Kind::Object(properties) => properties.to_vec(),
        Kind::Array(items) => items.iter().flat_map(|n| properties(n, diags)).collect(),
        Kind::Null => Vec::new(),
        _ => {
            diags.push(
                Diagnostic::error("Incorrect JSON value type")
                    .detail("An object, or an array of objects, is required here.")
                    .at(body.span.clone()),
            );
            Vec::new()
        }
    }
}

fn blocks(
    property: &Property,
    value: &Node,
    labels_left: usize,
    labels: &mut Vec<Label>,
    source: &Source,
    found: &mut Vec<Block>,
    diags: &mut Diagnostics,
) {
    if labels_left > 0 {
        let named = properties(value, diags);
        if named.is_empty() && !matches!(value.kind, Kind::Null) {
            diags.push(
                Diagnostic::error("Missing block label")
                    .detail(format!("A property name is expected here: a label of the block {:?}.", property.name))
                    .at(value.span.clone()),
            );
        }
        for inner in named {
            labels.push(Label { text: inner.name.clone(), span: inner.span.clone() });
            blocks(property, &inner.value, labels_left - 1, labels, source, found, diags);
            labels.pop();
        }
        return;
    }
    match &value.kind {
        Kind::Null => {}
        Kind::Array(items) => {
            for item in items.iter() {
                blocks(property, item, 0, labels, source, found, diags);
            }
        }
        Kind::Object(_) => found.push(Block {
            kind: property.name.clone(),
            kind_span: property.span.clone(),
            labels: labels.clone(),
            header: labels.iter().fold(property.span.clone(), |all, l| all.join(&l.span)),
            body: crate::template::syntax::Body::Json(Arc::new(value.clone()), source.clone()),
            frame: Vec::new(),
        }),
        _ => diags.push(
            Diagnostic::error("Incorrect JSON value type")
                .detail(format!("Of the block {:?} an object, or an array of objects, is required.", property.name))
                .at(value.span.clone()),
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn error(text: &str) -> String {
        let d = parse(&Source::new("a.pkr.json", text)).unwrap_err();
        format!("{} {}", d.summary, d.span.unwrap().start)
    }

    #[test]
    fn says_what_is_not_json() {
        for (text, expected) in [
            ("", "Missing JSON value 0"),
            ("{", "Unclosed object 0"),
            ("{\"a\": 1,}", "Trailing comma in object 7"),
            ("{\"a\" 1}", "Missing property value colon 5"),
            ("{\"a\": 'x'}", "Invalid JSON value 6"),
            ("{\"a\": \"x\n\"}", "Unclosed JSON string 6"),
            ("{\"a\": \"\\q\"}", "Invalid JSON string 6"),
            ("{\"a\": 1 2}", "Missing object separator 8"),
            ("[1]", "Root value must be object 0"),
            ("{} x", "Extraneous data after value 3"),
        ] {
            assert_eq!(error(text), expected, "{text}");
        }
    }

    #[test]
    fn any_cut_of_a_template_is_refused_and_not_a_panic() {
        let text = r#"{"a":{"b":[1,-2.5e3,"x\u00e9\n"],"b":null,"é":true}}"#;
        for (cut, _) in text.char_indices() {
            assert!(parse(&Source::new("a", &text[..cut])).is_err(), "{cut}");
        }
        assert!(parse(&Source::new("a", text)).is_ok());
    }

    #[test]
    fn repeated_names_are_several_blocks() {
        let source = Source::new("a", r#"{"file": {"x": {}, "x": [{}, {}]}, "n": 1}"#);
        let root = parse(&source).unwrap();
        let mut diags = Diagnostics::new();
        let content = content(&root, &source, &|n| (n == "file").then_some(1), &mut diags);
        assert!(diags.is_empty());
        assert_eq!((content.blocks.len(), content.attributes.len()), (3, 1));
    }
}
