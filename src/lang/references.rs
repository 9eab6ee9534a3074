//! What an expression refers to, found without evaluating it: the edges of the graph of locals and data sources.

use crate::diag::{Source, Span};
use hcl::edit::Span as _;
use hcl::edit::expr::{Expression, ObjectKey, TraversalOperator};
use hcl::edit::structure::{Body, Structure};
use hcl::edit::template::{Directive, Element, Template};
use std::sync::Arc;

/// One step of a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `.name`, or `["name"]` with a constant key.
    Attribute(Arc<str>),
    /// `[3]` or `.3`
    Index(u64),
    /// `[expr]` with a key that is not a constant.
    Computed,
    /// `[*]` or `.*`
    Splat,
}

/// A reference: a root name and the steps after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traversal {
    /// `var`, `local`, `data`, `source`, …
    pub root: Arc<str>,
    /// In the order in which they are written.
    pub steps: Vec<Step>,
    /// All of it.
    pub span: Span,
}

impl Traversal {
    /// The name of step `i`, where that step is a name.
    pub fn attribute(&self, i: usize) -> Option<&str> {
        if let Some(Step::Attribute(name)) = self.steps.get(i) { Some(name) } else { None }
    }
}

/// Every reference in an expression, in the order in which they are written; names bound by a `for` inside of it are
/// left out.
pub fn references(expr: &Expression, source: &Source) -> Vec<Traversal> {
    let mut finder = Finder { source, bound: Vec::new(), found: Vec::new() };
    finder.expr(expr);
    finder.found
}

/// Every reference in a template.
pub fn template_references(template: &Template, source: &Source) -> Vec<Traversal> {
    let mut finder = Finder { source, bound: Vec::new(), found: Vec::new() };
    template.iter().for_each(|e| finder.element(e));
    finder.found
}

/// Every reference in the attributes and blocks of a body.
pub fn body_references(body: &Body, source: &Source) -> Vec<Traversal> {
    let mut found = Vec::new();
    for structure in body {
        match structure {
            Structure::Attribute(a) => found.extend(references(&a.value, source)),
            Structure::Block(b) => found.extend(body_references(&b.body, source)),
        }
    }
    found
}

struct Finder<'a> {
    source: &'a Source,
    bound: Vec<&'a str>,
    found: Vec<Traversal>,
}

impl<'a> Finder<'a> {
    fn add(&mut self, root: &str, steps: Vec<Step>, range: Option<std::ops::Range<usize>>) {
        if !self.bound.contains(&root) {
            self.found.push(Traversal { root: Arc::from(root), steps, span: self.source.span(range) });
        }
    }

    fn expr(&mut self, expr: &'a Expression) {
        match expr {
            Expression::Null(_) | Expression::Bool(_) | Expression::Number(_) | Expression::String(_) => {}
            Expression::Array(a) => a.iter().for_each(|e| self.expr(e)),
            Expression::Object(o) => {
                for (key, value) in o.iter() {
                    if let ObjectKey::Expression(key) = key {
                        self.expr(key);
                    }
                    self.expr(value.expr());
                }
            }
            Expression::StringTemplate(t) => t.iter().for_each(|e| self.element(e)),
            Expression::HeredocTemplate(t) => t.template.iter().for_each(|e| self.element(e)),
            Expression::Parenthesis(p) => self.expr(p.inner()),
            Expression::Variable(name) => self.add(name.as_str(), Vec::new(), name.span()),
            Expression::Conditional(c) => {
                self.expr(&c.cond_expr);
                self.expr(&c.true_expr);
                self.expr(&c.false_expr);
            }
            Expression::FuncCall(call) => {
                // The second argument of `convert` is a type, not a value.
                let types = if call.name.name.as_str() == "convert" { 1 } else { usize::MAX };
                call.args.iter().take(types).for_each(|e| self.expr(e));
            }
            Expression::Traversal(t) => self.traversal(t),
            Expression::UnaryOp(op) => self.expr(&op.expr),
            Expression::BinaryOp(op) => {
                self.expr(&op.lhs_expr);
                self.expr(&op.rhs_expr);
            }
            Expression::ForExpr(f) => {
                self.expr(&f.intro.collection_expr);
                let depth = self.bound.len();
                self.bound.extend(f.intro.key_var.as_ref().map(|k| k.as_str()));
                self.bound.push(f.intro.value_var.as_str());
                if let Some(key) = &f.key_expr {
                    self.expr(key);
                }
                self.expr(&f.value_expr);
                if let Some(cond) = &f.cond {
                    self.expr(&cond.expr);
                }
                self.bound.truncate(depth);
            }
        }
    }

    fn traversal(&mut self, t: &'a hcl::edit::expr::Traversal) {
        for operator in &t.operators {
            if let TraversalOperator::Index(key) = operator.value() {
                self.expr(key);
            }
        }
        let Expression::Variable(root) = &t.expr else {
            self.expr(&t.expr);
            return;
        };
        let steps = t
            .operators
            .iter()
            .map(|o| match o.value() {
                TraversalOperator::GetAttr(name) => Step::Attribute(Arc::from(name.as_str())),
                TraversalOperator::LegacyIndex(i) => Step::Index(*i.value()),
                TraversalOperator::Index(Expression::String(key)) => Step::Attribute(Arc::from(key.as_str())),
                TraversalOperator::Index(Expression::Number(n)) => {
                    n.value().as_u64().map_or(Step::Computed, Step::Index)
                }
                TraversalOperator::Index(_) => Step::Computed,
                TraversalOperator::FullSplat(_) | TraversalOperator::AttrSplat(_) => Step::Splat,
            })
            .collect();
        self.add(root.as_str(), steps, t.span());
    }

    fn element(&mut self, element: &'a Element) {
        match element {
            Element::Literal(_) => {}
            Element::Interpolation(i) => self.expr(&i.expr),
            Element::Directive(d) => match d.as_ref() {
                Directive::If(d) => {
                    self.expr(&d.if_expr.cond_expr);
                    d.if_expr.template.iter().for_each(|e| self.element(e));
                    if let Some(e) = &d.else_expr {
                        e.template.iter().for_each(|e| self.element(e));
                    }
                }
                Directive::For(d) => {
                    self.expr(&d.for_expr.collection_expr);
                    let depth = self.bound.len();
                    self.bound.extend(d.for_expr.key_var.as_ref().map(|k| k.as_str()));
                    self.bound.push(d.for_expr.value_var.as_str());
                    d.for_expr.template.iter().for_each(|e| self.element(e));
                    self.bound.truncate(depth);
                }
            },
        }
    }
}
