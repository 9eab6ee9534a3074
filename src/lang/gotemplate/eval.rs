//! From a tree and data to text.

use super::builtin;
use super::parse::{Operand, Pipe, Statement, Tree};
use super::{DEPTH_LIMIT, Data, Functions, Node, STEP_LIMIT, TEXT_LIMIT};

/// Renders a tree.
pub(super) fn run(tree: &Tree, data: &Data, functions: &Functions) -> Result<String, String> {
    let root = Node::Map(data.clone());
    let mut machine = Machine {
        tree,
        data,
        functions,
        out: String::new(),
        variables: vec![(String::new(), root.clone())],
        steps: 0,
        text: 0,
        depth: 0,
    };
    machine.list(&tree.main, &root)?;
    Ok(machine.out)
}

/// How a list of statements ended.
#[derive(PartialEq)]
enum Flow {
    Next,
    Break,
    Continue,
}

struct Machine<'a> {
    tree: &'a Tree,
    data: &'a Data,
    functions: &'a Functions,
    out: String,
    /// The innermost one of a name counts.
    variables: Vec<(String, Node)>,
    steps: usize,
    text: usize,
    depth: usize,
}

impl Machine<'_> {
    fn step(&mut self, text: usize) -> Result<(), String> {
        self.steps += 1;
        self.text = self.text.saturating_add(text);
        if self.steps > STEP_LIMIT {
            return Err(format!("template: root: it takes more than {STEP_LIMIT} steps"));
        }
        if self.text > TEXT_LIMIT {
            return Err(format!("template: root: it makes more than {TEXT_LIMIT} bytes of text"));
        }
        Ok(())
    }

    fn list(&mut self, statements: &[Statement], dot: &Node) -> Result<Flow, String> {
        let variables = self.variables.len();
        for statement in statements {
            let flow = self.statement(statement, dot)?;
            if flow != Flow::Next {
                self.variables.truncate(variables);
                return Ok(flow);
            }
        }
        self.variables.truncate(variables);
        Ok(Flow::Next)
    }

    fn statement(&mut self, statement: &Statement, dot: &Node) -> Result<Flow, String> {
        self.step(0)?;
        match statement {
            Statement::Text(text) => {
                self.step(text.len())?;
                self.out.push_str(text);
            }
            Statement::Print(pipe) => {
                let value = self.pipe(pipe, dot)?;
                self.set(pipe, &value);
                if pipe.names.is_empty() {
                    let text = value.show();
                    self.step(text.len())?;
                    self.out.push_str(&text);
                }
            }
            Statement::If { condition, then, otherwise } | Statement::With { value: condition, then, otherwise } => {
                let variables = self.variables.len();
                let value = self.pipe(condition, dot)?;
                self.set(condition, &value);
                let inner = if matches!(statement, Statement::With { .. }) { &value } else { dot };
                let flow = if value.truth() { self.list(then, inner) } else { self.list(otherwise, dot) };
                self.variables.truncate(variables);
                return flow;
            }
            Statement::Range { over, then, otherwise } => return self.range(over, then, otherwise, dot),
            Statement::Template { name, data, line } => self.template(name, data.as_ref(), *line, dot)?,
            Statement::Break => return Ok(Flow::Break),
            Statement::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    /// Sets the variables that a pipeline declares or assigns.
    fn set(&mut self, pipe: &Pipe, value: &Node) {
        for name in &pipe.names {
            if pipe.assign {
                if let Some(slot) = self.variables.iter_mut().rev().find(|(n, _)| n == name) {
                    slot.1 = value.clone();
                }
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
    }

    fn range(&mut self, over: &Pipe, then: &[Statement], otherwise: &[Statement], dot: &Node) -> Result<Flow, String> {
        let rounds: Vec<(Node, Node)> = match self.pipe(over, dot)? {
            Node::List(list) => list.into_iter().enumerate().map(|(n, v)| (Node::Int(n as i64), v)).collect(),
            Node::Map(map) => map.into_iter().map(|(k, v)| (Node::String(k), v)).collect(),
            Node::Int(n) if n <= STEP_LIMIT as i64 => (0..n).map(|i| (Node::Int(i), Node::Int(i))).collect(),
            Node::Nil => Vec::new(),
            other => return Err(fail(over, format!("range can't iterate over {}", other.show()))),
        };
        if rounds.is_empty() {
            let flow = self.list(otherwise, dot)?;
            return Ok(flow);
        }
        for (key, value) in rounds {
            self.step(0)?;
            let variables = self.variables.len();
            let values: &[&Node] = if over.names.len() == 2 { &[&key, &value] } else { &[&value] };
            for (name, value) in over.names.iter().zip(values) {
                match self.variables.iter_mut().rev().find(|(n, _)| over.assign && n == name) {
                    Some(slot) => slot.1 = (*value).clone(),
                    None => self.variables.push((name.clone(), (*value).clone())),
                }
            }
            let flow = self.list(then, &value)?;
            self.variables.truncate(variables);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn template(&mut self, name: &str, data: Option<&Pipe>, line: usize, dot: &Node) -> Result<(), String> {
        let Some(body) = self.tree.named.get(name) else {
            return Err(super::lex::error(line, format!("template {name:?} not defined")));
        };
        let inner = match data {
            Some(pipe) => self.pipe(pipe, dot)?,
            None => Node::Nil,
        };
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(super::lex::error(line, format!("templates call each other deeper than {DEPTH_LIMIT} levels")));
        }
        let outer = std::mem::replace(&mut self.variables, vec![(String::new(), inner.clone())]);
        self.list(body, &inner)?;
        self.variables = outer;
        self.depth -= 1;
        Ok(())
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Node) -> Result<Node, String> {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(pipe, command, last, dot)?);
        }
        Ok(last.unwrap_or(Node::Nil))
    }

    fn command(&mut self, pipe: &Pipe, operands: &[Operand], last: Option<Node>, dot: &Node) -> Result<Node, String> {
        self.step(0)?;
        let Some((first, rest)) = operands.split_first() else { return Ok(Node::Nil) };
        let Operand::Call(name) = first else {
            if !rest.is_empty() || last.is_some() {
                return Err(fail(pipe, "can't give argument to non-function"));
            }
            return self.operand(pipe, first, dot);
        };
        if (name == "and" || name == "or") && !self.functions.0.contains_key(name) {
            return self.short_circuit(pipe, name == "or", rest, last, dot);
        }
        let mut arguments = Vec::with_capacity(rest.len() + 1);
        for operand in rest {
            arguments.push(self.operand(pipe, operand, dot)?);
        }
        arguments.extend(last);
        self.call(pipe, name, &arguments)
    }

    fn call(&mut self, pipe: &Pipe, name: &str, arguments: &[Node]) -> Result<Node, String> {
        let result = match self.functions.get(name) {
            Some(function) => function(arguments, self.data),
            None => builtin::call(name, arguments),
        };
        let value = result.map_err(|e| fail(pipe, format!("error calling {name}: {e}")))?;
        self.step(if let Node::String(s) = &value { s.len() } else { 0 })?;
        Ok(value)
    }

    /// `and` and `or` stop at the first argument that decides.
    fn short_circuit(
        &mut self,
        pipe: &Pipe,
        or: bool,
        operands: &[Operand],
        last: Option<Node>,
        dot: &Node,
    ) -> Result<Node, String> {
        let mut value = None;
        for operand in operands {
            let next = self.operand(pipe, operand, dot)?;
            if next.truth() == or {
                return Ok(next);
            }
            value = Some(next);
        }
        last.or(value).ok_or_else(|| fail(pipe, "wrong number of args for and/or: want at least 1 got 0"))
    }

    fn operand(&mut self, pipe: &Pipe, operand: &Operand, dot: &Node) -> Result<Node, String> {
        Ok(match operand {
            Operand::Nil => Node::Nil,
            Operand::Bool(b) => Node::Bool(*b),
            Operand::Int(i) => Node::Int(*i),
            Operand::Float(f) => Node::Float(*f),
            Operand::Text(text) => Node::String(text.clone()),
            Operand::Dot(fields) => field(pipe, dot, fields)?,
            Operand::Variable(name, fields) => {
                let found = self.variables.iter().rev().find(|(n, _)| n == name);
                field(pipe, found.map_or(&Node::Nil, |(_, v)| v), fields)?
            }
            Operand::Call(name) => self.call(pipe, name, &[])?,
            Operand::Group(inner, fields) => {
                let value = self.pipe(inner, dot)?;
                field(pipe, &value, fields)?
            }
        })
    }
}

fn fail(pipe: &Pipe, what: impl std::fmt::Display) -> String {
    super::lex::error(pipe.line, what)
}

/// Follows field names; what is not there has nothing below it either.
fn field(pipe: &Pipe, value: &Node, fields: &[String]) -> Result<Node, String> {
    let mut current = value;
    for name in fields {
        match current {
            Node::Nil => return Ok(Node::Nil),
            Node::Map(map) => current = map.get(name).unwrap_or(&Node::Nil),
            other => return Err(fail(pipe, format!("can't evaluate field {name} in type {}", other.type_name()))),
        }
    }
    Ok(current.clone())
}
