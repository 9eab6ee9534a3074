//! Locals and data sources: their declarations, and the order in which they can be evaluated.

use crate::template::syntax::{Block, Expr, is_identifier};
use crate::template::variables::duplicate;
use image_action_lang::diag::suggest;
use image_action_lang::{Diagnostic, Diagnostics, Span, Traversal, Type, Value};
use std::sync::Arc;

/// What the graph is made of.
#[derive(Clone)]
pub enum Node {
    /// One local.
    Local(Local),
    /// One data source.
    Data(Data),
}

/// One local.
#[derive(Clone)]
pub struct Local {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is named.
    pub span: Span,
    /// Its value.
    pub expr: Expr,
    /// Whether its value is masked.
    pub sensitive: bool,
}

/// One data source.
#[derive(Clone)]
pub struct Data {
    /// `amazon-ami`
    pub kind: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its body.
    pub block: Block,
}

const LOCAL_ARGUMENTS: [&str; 2] = ["expression", "sensitive"];

/// Reads the headers of `data` blocks.
pub fn declare_data(blocks: &[&Block], nodes: &mut Vec<Node>, diags: &mut Diagnostics) {
    for block in blocks {
        if !block.check_labels(&["type", "name"], diags) {
            continue;
        }
        let bad = (0..2).find(|n| !is_identifier(block.label(*n)));
        if let Some(n) = bad {
            let what = if n == 0 { "Invalid data source name" } else { "Invalid data resource name" };
            diags.push(
                Diagnostic::error(what)
                    .detail("A name begins with a letter or an underscore and goes on with letters, digits, underscores and dashes.")
                    .at(block.label_span(n)),
            );
            continue;
        }
        let data = Data { kind: block.label(0).into(), name: block.label(1).into(), block: (*block).clone() };
        let same = nodes.iter().find_map(|n| match n {
            Node::Data(d) if d.kind == data.kind && d.name == data.name => Some(&d.block.header),
            _ => None,
        });
        match same {
            Some(first) => {
                let name = format!("data.{}.{}", data.kind, data.name);
                diags.push(duplicate("data block", &name, &block.header, first));
            }
            None => nodes.push(Node::Data(data)),
        }
    }
}

/// Reads `local` and `locals` blocks.
pub fn declare_locals(blocks: &[&Block], nodes: &mut Vec<Node>, diags: &mut Diagnostics) {
    for block in blocks {
        let found = if &*block.kind == "local" { one(block, diags).into_iter().collect() } else { many(block, diags) };
        for local in found {
            if !is_identifier(&local.name) {
                diags.push(
                    Diagnostic::error("Invalid local name")
                        .detail("A name begins with a letter or an underscore and goes on with letters, digits, underscores and dashes.")
                        .at(local.span),
                );
                continue;
            }
            let same = nodes.iter().find_map(|n| match n {
                Node::Local(l) if l.name == local.name => Some(&l.span),
                _ => None,
            });
            match same {
                Some(first) => diags.push(duplicate("local definition", &local.name, &local.span, first)),
                None => nodes.push(Node::Local(local)),
            }
        }
    }
}

fn many(block: &Block, diags: &mut Diagnostics) -> Vec<Local> {
    if !block.check_labels(&[], diags) {
        return Vec::new();
    }
    let attributes = block.body.attributes(diags);
    let locals =
        attributes.into_iter().map(|a| Local { name: a.name, span: a.name_span, expr: a.expr, sensitive: false });
    locals.collect()
}

fn one(block: &Block, diags: &mut Diagnostics) -> Option<Local> {
    if !block.check_labels(&["name"], diags) {
        return None;
    }
    let content = block.body.content(&|_| None, diags);
    for attribute in content.attributes.iter().filter(|a| !LOCAL_ARGUMENTS.contains(&&*a.name)) {
        diags.push(super::unknown_argument(attribute, &LOCAL_ARGUMENTS));
    }
    content.blocks.iter().for_each(|b| diags.push(super::unknown_block(b, &[])));
    let sensitive = content.attribute("sensitive").is_some_and(|a| {
        let value = a.expr.constant(diags);
        let value = image_action_lang::convert(&value, &Type::Bool);
        if let Err(e) = &value {
            diags.push(super::unsuitable(a, &e.to_string()));
        }
        value.ok().and_then(|v| v.as_bool()) == Some(true)
    });
    let Some(expression) = content.attribute("expression") else {
        diags.push(super::missing_argument("expression", &block.header));
        return None;
    };
    Some(Local { name: block.label(0).into(), span: block.header.clone(), expr: expression.expr.clone(), sensitive })
}

impl Node {
    /// As a template refers to it.
    pub fn name(&self) -> String {
        match self {
            Node::Local(l) => format!("local.{}", l.name),
            Node::Data(d) => format!("data.{}.{}", d.kind, d.name),
        }
    }

    fn references(&self) -> Vec<Traversal> {
        match self {
            Node::Local(l) => l.expr.references(),
            Node::Data(d) => d.block.body.references(),
        }
    }
}

/// The order in which the nodes can be evaluated: indexes of `nodes`. What refers to nothing that exists, or to itself, is
/// reported and left out.
///
/// `sequential`: data sources come first and see no local.
pub fn order(nodes: &[Node], sequential: bool, diags: &mut Diagnostics) -> Vec<usize> {
    let state = vec![State::New; nodes.len()];
    let mut walk = Walk { nodes, sequential, state, path: Vec::new(), order: Vec::new(), diags };
    let (data, locals): (Vec<_>, Vec<_>) = (0..nodes.len()).partition(|n| matches!(nodes[*n], Node::Data(_)));
    for n in data.into_iter().chain(locals) {
        walk.visit(n);
    }
    walk.order
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Open,
    Good,
    Bad,
}

struct Walk<'a> {
    nodes: &'a [Node],
    sequential: bool,
    state: Vec<State>,
    path: Vec<usize>,
    order: Vec<usize>,
    diags: &'a mut Diagnostics,
}

impl Walk<'_> {
    /// Whether the node can be evaluated.
    fn visit(&mut self, n: usize) -> bool {
        match self.state[n] {
            State::Good => return true,
            State::Bad => return false,
            State::Open => return true,
            State::New => {}
        }
        self.state[n] = State::Open;
        self.path.push(n);
        let mut good = true;
        let blind = self.sequential && matches!(self.nodes[n], Node::Data(_));
        for reference in self.nodes[n].references() {
            if blind && &*reference.root == "local" {
                continue;
            }
            let Some(target) = self.target(&reference, &mut good) else { continue };
            if self.state[target] == State::Open {
                self.cycle(target, &reference.span);
                good = false;
            } else if !self.visit(target) {
                good = false;
            }
        }
        self.path.pop();
        self.state[n] = if good { State::Good } else { State::Bad };
        if good {
            self.order.push(n);
        }
        good
    }

    fn cycle(&mut self, target: usize, span: &Span) {
        let start = self.path.iter().position(|p| *p == target).unwrap_or_default();
        let mut names: Vec<String> = self.path[start..].iter().map(|p| self.nodes[*p].name()).collect();
        names.push(self.nodes[target].name());
        let (summary, detail) = if names.len() == 2 {
            (
                format!("{} refers to itself", names[0]),
                "Its value would have to be known before it is computed.".to_owned(),
            )
        } else {
            ("Locals or data sources depend on each other in a cycle".to_owned(), format!("{}.", names.join(" → ")))
        };
        self.diags.push(Diagnostic::error(summary).detail(detail).at(span.clone()));
    }

    /// The node that a reference is to.
    fn target(&mut self, reference: &Traversal, good: &mut bool) -> Option<usize> {
        let wanted = match &*reference.root {
            "local" => reference.attribute(0).map(|name| format!("local.{name}"))?,
            "data" => match (reference.attribute(0), reference.attribute(1)) {
                (Some(kind), Some(name)) => format!("data.{kind}.{name}"),
                _ => {
                    *good = false;
                    self.diags.push(
                        Diagnostic::error("Incomplete reference to a data source")
                            .detail("A data source is referred to by its type and its name.")
                            .at(reference.span.clone())
                            .hint("write data.TYPE.NAME.ATTRIBUTE"),
                    );
                    return None;
                }
            },
            _ => return None,
        };
        let names: Vec<String> = self.nodes.iter().map(Node::name).collect();
        let found = names.iter().position(|n| *n == wanted);
        if found.is_none() {
            *good = false;
            let what = if &*reference.root == "local" { "local" } else { "data source" };
            let d = Diagnostic::error(format!("Reference to a {what} that is not declared"))
                .detail(format!("There is no {wanted} in the template."))
                .at(reference.span.clone());
            self.diags.push(match suggest(&wanted, names.iter().map(String::as_str)) {
                Some(near) => d.hint(format!("did you mean {near}?")),
                None => d,
            });
        }
        found
    }
}

/// The values of nodes as a template sees them: the objects `local` and `data`.
#[derive(Clone, Default)]
pub struct Values {
    locals: std::collections::BTreeMap<Arc<str>, Value>,
    data: std::collections::BTreeMap<Arc<str>, std::collections::BTreeMap<Arc<str>, Value>>,
}

impl Values {
    /// Every node, not known yet.
    pub fn unknown(nodes: &[Node]) -> Values {
        let mut values = Values::default();
        nodes.iter().for_each(|n| values.set(n, Value::dynamic()));
        values
    }
    /// The value of one node.
    pub fn set(&mut self, node: &Node, value: Value) {
        match node {
            Node::Local(l) => drop(self.locals.insert(l.name.clone(), value)),
            Node::Data(d) => drop(self.data.entry(d.kind.clone()).or_default().insert(d.name.clone(), value)),
        }
    }
    /// Locals by name.
    pub fn locals(&self) -> &std::collections::BTreeMap<Arc<str>, Value> {
        &self.locals
    }
    /// `local`
    pub fn local(&self) -> Value {
        Value::object(self.locals.clone())
    }
    /// `data`
    pub fn data(&self) -> Value {
        Value::object(self.data.iter().map(|(k, v)| (k.clone(), Value::object(v.clone()))).collect())
    }
}
