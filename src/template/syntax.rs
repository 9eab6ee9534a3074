//! One view of a file's bodies, whether it is written in HCL's native form or in its JSON form.

use crate::template::json;
use hcl::edit::Span as _;
use hcl::edit::expr::Expression;
use hcl::edit::structure::{self, Structure};
use image_action_lang::{
    Diagnostic, Diagnostics, Number, Scope, Source, Span, Traversal, Type, TypeConstraint, Value, body_references,
    eval, eval_template, parse, parse_type, references,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A body, not taken apart yet: of the JSON form that needs to know which names are blocks.
#[derive(Clone)]
pub enum Body {
    /// Native form.
    Native(Arc<structure::Body>, Source),
    /// JSON form.
    Json(Arc<json::Node>, Source),
}

/// The attributes and blocks of a body, in the order of the source.
#[derive(Clone, Default)]
pub struct Content {
    /// `name = value`
    pub attributes: Vec<Attribute>,
    /// `kind "label" { … }`
    pub blocks: Vec<Block>,
}

/// `name = value`
#[derive(Clone)]
pub struct Attribute {
    /// The name.
    pub name: Arc<str>,
    /// Where the name stands.
    pub name_span: Span,
    /// The value.
    pub expr: Expr,
}

/// `kind "label" { … }`
#[derive(Clone)]
pub struct Block {
    /// The type.
    pub kind: Arc<str>,
    /// Where the type stands.
    pub kind_span: Span,
    /// In order.
    pub labels: Vec<Label>,
    /// Type and labels together.
    pub header: Span,
    /// What it holds.
    pub body: Body,
    /// Iterators of the `dynamic` blocks that made it.
    pub frame: Vec<(Arc<str>, Value)>,
}

/// One label of a block.
#[derive(Clone, Debug)]
pub struct Label {
    /// Its text.
    pub text: Arc<str>,
    /// Where it stands.
    pub span: Span,
}

/// An expression with the text it came from.
#[derive(Clone)]
pub enum Expr {
    /// Native form.
    Native(Arc<Expression>, Source),
    /// JSON form: texts are templates.
    Json(Arc<json::Node>, Source),
}

impl Content {
    /// An attribute by its name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| &*a.name == name)
    }
    /// Takes an attribute out.
    pub fn take(&mut self, name: &str) -> Option<Attribute> {
        let at = self.attributes.iter().position(|a| &*a.name == name)?;
        Some(self.attributes.remove(at))
    }
}

impl Body {
    /// Takes the body apart. `labels_of` knows the names of blocks and how many labels they have; the native form knows
    /// blocks when it sees them and does not ask.
    pub fn content(&self, labels_of: &dyn Fn(&str) -> Option<usize>, diags: &mut Diagnostics) -> Content {
        match self {
            Body::Native(body, source) => native(body, source, diags),
            Body::Json(node, source) => json::content(node, source, labels_of, diags),
        }
    }
    /// The body as attributes only: what is a block is reported.
    pub fn attributes(&self, diags: &mut Diagnostics) -> Vec<Attribute> {
        let content = self.content(&|_| None, diags);
        for block in content.blocks {
            diags.push(
                Diagnostic::error(format!("Unexpected {:?} block", block.kind))
                    .detail("Blocks are not allowed here.")
                    .at(block.header)
                    .hint(format!("write {} = {{ … }}, with an equals sign, if a value was meant", block.kind)),
            );
        }
        content.attributes
    }
    /// Every reference anywhere in it.
    pub fn references(&self) -> Vec<Traversal> {
        match self {
            Body::Native(body, source) => body_references(body, source),
            Body::Json(node, source) => json_references(node, source),
        }
    }
}

fn native(body: &structure::Body, source: &Source, diags: &mut Diagnostics) -> Content {
    let mut content = Content::default();
    for item in body {
        match item {
            Structure::Attribute(a) => content.attributes.push(Attribute {
                name: Arc::from(a.key.as_str()),
                name_span: source.span(a.key.span()),
                expr: Expr::Native(Arc::new(a.value.clone()), source.clone()),
            }),
            Structure::Block(b) => content.blocks.push(native_block(b, source, diags)),
        }
    }
    content
}

fn native_block(b: &structure::Block, source: &Source, diags: &mut Diagnostics) -> Block {
    let kind_span = source.span(b.ident.span());
    let labels: Vec<Label> =
        b.labels.iter().map(|l| Label { text: Arc::from(l.as_str()), span: source.span(l.span()) }).collect();
    for label in &labels {
        let written = source.slice(label.span.start..label.span.end);
        if written.contains("${") && !written.contains("$${") || written.contains("%{") && !written.contains("%%{") {
            diags.push(
                Diagnostic::error("Invalid string literal")
                    .detail("A label is a plain text: nothing is interpolated in it.")
                    .at(label.span.clone()),
            );
        }
    }
    Block {
        kind: Arc::from(b.ident.as_str()),
        header: labels.iter().fold(kind_span.clone(), |all, l| all.join(&l.span)),
        kind_span,
        labels,
        body: Body::Native(Arc::new(b.body.clone()), source.clone()),
        frame: Vec::new(),
    }
}

impl Block {
    /// The text of a label, empty where it is missing.
    pub fn label(&self, n: usize) -> &str {
        self.labels.get(n).map_or("", |l| &l.text)
    }
    /// The place of a label, or of the header.
    pub fn label_span(&self, n: usize) -> Span {
        self.labels.get(n).map_or_else(|| self.header.clone(), |l| l.span.clone())
    }
    /// Whether it has the labels that its type has; reported where not.
    pub fn check_labels(&self, names: &[&str], diags: &mut Diagnostics) -> bool {
        if let Some(missing) = names.get(self.labels.len()) {
            let all = names.join(", ");
            diags.push(
                Diagnostic::error(format!("Missing {missing} for {}", self.kind))
                    .detail(format!("A {} block has {} ({all}).", self.kind, counted(names.len())))
                    .at(self.header.clone())
                    .hint(format!(
                        "write {}{} {{ … }}",
                        self.kind,
                        names.iter().map(|n| format!(" \"{n}\"")).collect::<String>()
                    )),
            );
            return false;
        }
        if let Some(extra) = self.labels.get(names.len()) {
            let allowed = match names {
                [] => "no labels".to_owned(),
                many => format!("{} ({})", counted(many.len()), many.join(", ")),
            };
            diags.push(
                Diagnostic::error(format!("Extraneous label for {}", self.kind))
                    .detail(format!("A {} block has {allowed}.", self.kind))
                    .at(extra.span.clone()),
            );
            return false;
        }
        true
    }
}

impl Expr {
    /// Its place.
    pub fn span(&self) -> Span {
        match self {
            Expr::Native(e, source) => source.span(e.span()),
            Expr::Json(node, _) => node.span.clone(),
        }
    }
    /// Its value as `scope` sees it.
    pub fn eval(&self, scope: &Scope, diags: &mut Diagnostics) -> Value {
        match self {
            Expr::Native(e, source) => eval(e, scope, source, diags),
            Expr::Json(node, source) => json_value(node, source, Some(scope), diags),
        }
    }
    /// Its value where nothing is known: no variables, no functions; of the JSON form texts are taken as they are.
    pub fn constant(&self, diags: &mut Diagnostics) -> Value {
        match self {
            Expr::Native(e, source) => eval(e, &Scope::constant(), source, diags),
            Expr::Json(node, source) => json_value(node, source, None, diags),
        }
    }
    /// What it refers to.
    pub fn references(&self) -> Vec<Traversal> {
        match self {
            Expr::Native(e, source) => references(e, source),
            Expr::Json(node, source) => json_references(node, source),
        }
    }
    /// It, read as a type.
    ///
    /// # Errors
    /// What is no type there.
    pub fn type_constraint(&self) -> Result<TypeConstraint, Diagnostic> {
        match self {
            Expr::Native(e, source) => parse_type(e, source),
            Expr::Json(node, source) => {
                let at_node = |mut d: Diagnostic| {
                    d.span = Some(node.span.clone());
                    d
                };
                let json::Kind::String(text) = &node.kind else {
                    return Err(at_node(
                        Diagnostic::error("Invalid type specification")
                            .detail("In JSON a type is a text, such as \"list(string)\"."),
                    ));
                };
                let inner = Source::new(source.name.clone(), text.clone());
                let first = |d: Diagnostics| d.into_iter().next().unwrap_or_else(|| Diagnostic::error("Invalid type"));
                let expr = parse::parse_expr(&inner.name, &inner.text).map_err(|d| at_node(first(d)))?;
                parse_type(&expr, &inner).map_err(at_node)
            }
        }
    }
    /// A name that is written bare (`iterator = each`), or as a text.
    pub fn keyword(&self) -> Option<Arc<str>> {
        match self {
            Expr::Native(e, _) => match e.as_ref() {
                Expression::Variable(name) => Some(Arc::from(name.as_str())),
                _ => None,
            },
            Expr::Json(node, _) => match &node.kind {
                json::Kind::String(text) => Some(text.clone()),
                _ => None,
            },
        }
    }
    /// The elements of a list that is written out, each with its own place.
    pub fn elements(&self) -> Option<Vec<Expr>> {
        match self {
            Expr::Native(e, source) => match e.as_ref() {
                Expression::Array(array) => {
                    Some(array.iter().map(|e| Expr::Native(Arc::new(e.clone()), source.clone())).collect())
                }
                _ => None,
            },
            Expr::Json(node, source) => match &node.kind {
                json::Kind::Array(items) => {
                    Some(items.iter().map(|n| Expr::Json(Arc::new(n.clone()), source.clone())).collect())
                }
                _ => None,
            },
        }
    }
}

/// Whether a text can be the name of something: a letter or `_`, then letters, digits, `_` and `-`.
pub fn is_identifier(text: &str) -> bool {
    hcl::edit::Ident::try_new(text).is_ok()
}

/// The value of a JSON node; without a scope texts are taken as they are.
fn json_value(node: &json::Node, source: &Source, scope: Option<&Scope>, diags: &mut Diagnostics) -> Value {
    match &node.kind {
        json::Kind::Null => Value::null(Type::Dynamic),
        json::Kind::Bool(b) => Value::bool(*b),
        json::Kind::Number(text) => Number::parse(text).map_or_else(Value::dynamic, Value::number),
        json::Kind::String(text) => json_text(text, &node.span, source, scope, diags),
        json::Kind::Array(items) => Value::tuple(items.iter().map(|n| json_value(n, source, scope, diags)).collect()),
        json::Kind::Object(properties) => {
            let mut entries = BTreeMap::new();
            let mut known = true;
            for property in properties.iter() {
                let key = json_text(&property.name, &property.span, source, scope, diags);
                let key = image_action_lang::convert(&key, &Type::String).unwrap_or_else(|_| Value::dynamic());
                let value = json_value(&property.value, source, scope, diags);
                match key.as_str() {
                    Some(key) => drop(entries.insert(Arc::from(key), value)),
                    None => known = false,
                }
            }
            if known { Value::object(entries) } else { Value::dynamic() }
        }
    }
}

fn json_text(text: &Arc<str>, span: &Span, source: &Source, scope: Option<&Scope>, diags: &mut Diagnostics) -> Value {
    let Some(scope) = scope.filter(|_| text.contains("${") || text.contains("%{")) else {
        return Value::string(text);
    };
    // Places inside of the text are shown as the place of the whole text: escapes make them differ.
    let inner = Source::new(source.name.clone(), text.clone());
    let mut found = Diagnostics::new();
    let value = match parse::parse_template(&inner.name, &inner.text) {
        Ok(template) => eval_template(&template, scope, &inner, &mut found),
        Err(e) => {
            found.extend(e);
            Value::dynamic()
        }
    };
    diags.extend(
        found
            .into_iter()
            .map(|mut d| {
                d.span = Some(span.clone());
                d
            })
            .collect(),
    );
    value
}

fn json_references(node: &json::Node, source: &Source) -> Vec<Traversal> {
    let of_text = |text: &Arc<str>, span: &Span| -> Vec<Traversal> {
        let inner = Source::new(source.name.clone(), text.clone());
        let Ok(template) = parse::parse_template(&inner.name, &inner.text) else { return Vec::new() };
        let expr = Expression::StringTemplate(template.into());
        references(&expr, &inner).into_iter().map(|r| Traversal { span: span.clone(), ..r }).collect()
    };
    match &node.kind {
        json::Kind::String(text) => of_text(text, &node.span),
        json::Kind::Array(items) => items.iter().flat_map(|n| json_references(n, source)).collect(),
        json::Kind::Object(properties) => properties
            .iter()
            .flat_map(|p| {
                let mut all = of_text(&p.name, &p.span);
                all.extend(json_references(&p.value, source));
                all
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// A number of labels, in words.
fn counted(labels: usize) -> String {
    if labels == 1 { "one label".to_owned() } else { format!("{labels} labels") }
}
