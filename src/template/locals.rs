//! Locals and data sources: their declarations, and the order in which they can be evaluated.

use crate::template::syntax::{Block, Expr, is_identifier};
use crate::template::variables::duplicate;
use image_action_lang::diag::suggest;
use image_action_lang::{Diagnostic, Diagnostics, Span, Traversal, Type, Value};
use std::collections::{HashMap, HashSet};
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
    let mut known = HashSet::new();
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
        if known.insert((data.kind.clone(), data.name.clone())) {
            nodes.push(Node::Data(data));
            continue;
        }
        let same = nodes.iter().find_map(|n| match n {
            Node::Data(d) if d.kind == data.kind && d.name == data.name => Some(&d.block.header),
            _ => None,
        });
        if let Some(first) = same {
            let name = format!("data.{}.{}", data.kind, data.name);
            diags.push(duplicate("data block", &name, &block.header, first));
        }
    }
}

/// Reads `local` and `locals` blocks.
pub fn declare_locals(blocks: &[&Block], nodes: &mut Vec<Node>, diags: &mut Diagnostics) {
    let mut known = HashSet::new();
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
            if known.insert(local.name.clone()) {
                nodes.push(Node::Local(local));
                continue;
            }
            let same = nodes.iter().find_map(|n| match n {
                Node::Local(l) if l.name == local.name => Some(&l.span),
                _ => None,
            });
            if let Some(first) = same {
                diags.push(duplicate("local definition", &local.name, &local.span, first));
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

    /// What it refers to.
    pub fn references(&self) -> Vec<Traversal> {
        match self {
            Node::Local(l) => l.expr.references(),
            Node::Data(d) => d.block.body.references(),
        }
    }
}

/// Names of a cycle that its message shows.
const MAX_CYCLE_NAMES: usize = 12;

/// The order in which the nodes can be evaluated: indexes of `nodes`. What refers to nothing that exists, or to itself, is
/// reported and left out.
///
/// `sequential`: data sources come first and see no local.
pub fn order(nodes: &[Node], sequential: bool, diags: &mut Diagnostics) -> Vec<usize> {
    let state = vec![State::New; nodes.len()];
    let names: Vec<String> = nodes.iter().map(Node::name).collect();
    let by_name = names.iter().enumerate().map(|(i, n)| (n.as_str(), i)).collect();
    let mut walk =
        Walk { nodes, names: &names, by_name, sequential, state, path: Vec::new(), order: Vec::new(), diags };
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
    names: &'a [String],
    by_name: HashMap<&'a str, usize>,
    sequential: bool,
    state: Vec<State>,
    /// Those that are open, the first one asked for first: a chain of locals may be longer than the stack.
    path: Vec<Step>,
    order: Vec<usize>,
    diags: &'a mut Diagnostics,
}

/// A node whose references are being followed.
struct Step {
    node: usize,
    references: std::vec::IntoIter<Traversal>,
    good: bool,
}

impl Walk<'_> {
    /// Finds out whether a node can be evaluated, and all that it refers to.
    fn visit(&mut self, n: usize) {
        self.open(n);
        while let Some(step) = self.path.last_mut() {
            let node = step.node;
            let Some(reference) = step.references.next() else {
                let good = step.good;
                self.path.pop();
                self.close(node, good);
                continue;
            };
            let blind = self.sequential && matches!(self.nodes[node], Node::Data(_));
            if blind && &*reference.root == "local" {
                continue;
            }
            let mut good = true;
            if let Some(target) = self.target(&reference, &mut good) {
                match self.state[target] {
                    State::New => self.open(target),
                    State::Good => {}
                    State::Bad => good = false,
                    State::Open => {
                        self.cycle(target, &reference.span);
                        good = false;
                    }
                }
            }
            if !good {
                self.spoil(node);
            }
        }
    }

    fn open(&mut self, n: usize) {
        if self.state[n] == State::New {
            self.state[n] = State::Open;
            self.path.push(Step { node: n, references: self.nodes[n].references().into_iter(), good: true });
        }
    }

    /// Whatever refers to a node that cannot be evaluated cannot be either.
    fn close(&mut self, n: usize, good: bool) {
        self.state[n] = if good { State::Good } else { State::Bad };
        if good {
            self.order.push(n);
        } else if let Some(step) = self.path.last_mut() {
            step.good = false;
        }
    }

    fn spoil(&mut self, n: usize) {
        if let Some(step) = self.path.iter_mut().rev().find(|s| s.node == n) {
            step.good = false;
        }
    }

    fn cycle(&mut self, target: usize, span: &Span) {
        let start = self.path.iter().position(|s| s.node == target).unwrap_or_default();
        let mut names: Vec<&str> = self.path[start..].iter().map(|s| self.names[s.node].as_str()).collect();
        names.push(&self.names[target]);
        let (summary, detail) = if let [name, _] = names.as_slice() {
            (format!("{name} refers to itself"), "Its value would have to be known before it is computed.".to_owned())
        } else {
            if names.len() > MAX_CYCLE_NAMES {
                names.splice(MAX_CYCLE_NAMES / 2..names.len() - MAX_CYCLE_NAMES / 2, ["…"]);
            }
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
        let found = self.by_name.get(wanted.as_str()).copied();
        if found.is_none() {
            *good = false;
            let what = if &*reference.root == "local" { "local" } else { "data source" };
            let d = Diagnostic::error(format!("Reference to a {what} that is not declared"))
                .detail(format!("There is no {wanted} in the template."))
                .at(reference.span.clone());
            self.diags.push(match suggest(&wanted, self.names.iter().map(String::as_str)) {
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
    /// `local` and `data` for one node: no more of them than it refers to, so that the time does not grow with the square of
    /// their number. Whatever names neither attribute sees them whole.
    pub fn seen_by(&self, node: &Node) -> (Value, Value) {
        let references = node.references();
        let named = |root: &str| {
            let of = references.iter().filter(|r| &*r.root == root);
            of.map(|r| Some((r.attribute(0)?, r.attribute(1)))).collect::<Option<Vec<_>>>()
        };
        let local = match named("local") {
            Some(names) => {
                let entry = |name: &str| self.locals.get_key_value(name).map(|(k, v)| (k.clone(), v.clone()));
                Value::object(names.iter().filter_map(|(name, _)| entry(name)).collect())
            }
            None => self.local(),
        };
        let data = match named("data") {
            Some(names) if names.is_empty() => Value::object(Default::default()),
            _ => self.data(),
        };
        (local, data)
    }
    /// `data`
    pub fn data(&self) -> Value {
        Value::object(self.data.iter().map(|(k, v)| (k.clone(), Value::object(v.clone()))).collect())
    }
}
