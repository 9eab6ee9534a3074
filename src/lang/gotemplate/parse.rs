//! From tokens to a tree.

use super::lex::{Piece, Token, error, pieces};
use super::{DEPTH_LIMIT, Functions};
use std::collections::BTreeMap;

/// A whole template.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) main: Vec<Statement>,
    pub(super) named: BTreeMap<String, Vec<Statement>>,
}

#[derive(Debug)]
pub(super) enum Statement {
    Text(String),
    Print(Pipe),
    If { condition: Pipe, then: Vec<Statement>, otherwise: Vec<Statement> },
    With { value: Pipe, then: Vec<Statement>, otherwise: Vec<Statement> },
    Range { over: Pipe, then: Vec<Statement>, otherwise: Vec<Statement> },
    Template { name: String, data: Option<Pipe>, line: usize },
    Break,
    Continue,
}

/// `$x := command | command`
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) line: usize,
    /// Variables that are set.
    pub(super) names: Vec<String>,
    /// Whether they exist already (`=`).
    pub(super) assign: bool,
    pub(super) commands: Vec<Vec<Operand>>,
}

#[derive(Debug)]
pub(super) enum Operand {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// `.` and its fields.
    Dot(Vec<String>),
    Variable(String, Vec<String>),
    Call(String),
    Group(Box<Pipe>, Vec<String>),
}

/// Reads a template; names of functions are looked up where `functions` are given.
pub(super) fn parse(text: &str, functions: Option<&Functions>) -> Result<Tree, String> {
    let mut parser = Parser {
        pieces: pieces(text)?.into_iter(),
        functions,
        scope: vec![String::new()],
        named: BTreeMap::new(),
        depth: 0,
        loops: 0,
        line: 1,
    };
    let (main, end) = parser.list()?;
    match end {
        End::File => Ok(Tree { main, named: parser.named }),
        End::Closed => Err(error(parser.line, "unexpected {{end}}")),
        End::Else(_) => Err(error(parser.line, "unexpected {{else}}")),
    }
}

/// What ended a list of statements.
enum End {
    File,
    Closed,
    /// With what follows `else`.
    Else(Vec<Token>),
}

struct Parser<'a> {
    pieces: std::vec::IntoIter<Piece>,
    functions: Option<&'a Functions>,
    /// Variables that may be used here.
    scope: Vec<String>,
    named: BTreeMap<String, Vec<Statement>>,
    depth: usize,
    loops: usize,
    line: usize,
}

impl Parser<'_> {
    fn fail<T>(&self, what: impl std::fmt::Display) -> Result<T, String> {
        Err(error(self.line, what))
    }

    fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT { self.fail(format!("nested deeper than {DEPTH_LIMIT} levels")) } else { Ok(()) }
    }

    fn list(&mut self) -> Result<(Vec<Statement>, End), String> {
        self.deeper()?;
        let mut statements = Vec::new();
        let end = loop {
            match self.pieces.next() {
                None => break End::File,
                Some(Piece::Text(text)) => statements.push(Statement::Text(text)),
                Some(Piece::Action(tokens, line)) => {
                    self.line = line;
                    if let Some(end) = self.action(tokens, &mut statements)? {
                        break end;
                    }
                }
            }
        };
        self.depth -= 1;
        Ok((statements, end))
    }

    fn action(&mut self, mut tokens: Vec<Token>, into: &mut Vec<Statement>) -> Result<Option<End>, String> {
        let trimmed = trim(&tokens).to_vec();
        let keyword = match trimmed.first() {
            Some(Token::Name(name)) => name.clone(),
            _ => String::new(),
        };
        if !keyword.is_empty() {
            tokens = trim(&trimmed[1..]).to_vec();
        }
        match keyword.as_str() {
            "end" if tokens.is_empty() => return Ok(Some(End::Closed)),
            "else" => return Ok(Some(End::Else(tokens))),
            "if" | "with" | "range" => into.push(self.block(&keyword, &tokens)?),
            "break" | "continue" if tokens.is_empty() && !self.functions.is_some_and(|f| f.has(&keyword)) => {
                if self.loops == 0 {
                    return self.fail(format!("{{{{{keyword}}}}} outside {{{{range}}}}"));
                }
                into.push(if keyword == "break" { Statement::Break } else { Statement::Continue });
            }
            "define" => self.define(&tokens)?,
            "template" | "block" => {
                let (name, data) = self.named_call(&tokens)?;
                into.push(Statement::Template { name: name.clone(), data, line: self.line });
                if keyword == "block" {
                    self.body(name)?;
                }
            }
            _ => into.push(Statement::Print(self.pipe(&trimmed, "command", false)?)),
        }
        Ok(None)
    }

    fn block(&mut self, keyword: &str, tokens: &[Token]) -> Result<Statement, String> {
        let scope = self.scope.len();
        let head = self.pipe(tokens, keyword, keyword == "range")?;
        let ranges = usize::from(keyword == "range");
        self.loops += ranges;
        let inner = self.scope.len();
        let (then, end) = self.list()?;
        self.scope.truncate(inner);
        self.loops -= ranges;
        let otherwise = match end {
            End::File => return self.fail("unexpected EOF: an {{end}} is missing"),
            End::Closed => Vec::new(),
            End::Else(rest) if rest.is_empty() => match self.list()? {
                (list, End::Closed) => list,
                (_, End::Else(_)) => return self.fail("expected {{end}}; found {{else}}"),
                (_, End::File) => return self.fail("unexpected EOF: an {{end}} is missing"),
            },
            // `else if` and `else with` share the {{end}} of the block they continue.
            End::Else(rest) => match rest.first() {
                Some(Token::Name(next)) if next == keyword && ranges == 0 => {
                    let tokens = trim(&rest[1..]).to_vec();
                    self.deeper()?;
                    let nested = self.block(keyword, &tokens)?;
                    self.depth -= 1;
                    vec![nested]
                }
                _ => return self.fail("unexpected word after {{else"),
            },
        };
        self.scope.truncate(scope);
        Ok(match keyword {
            "if" => Statement::If { condition: head, then, otherwise },
            "with" => Statement::With { value: head, then, otherwise },
            _ => Statement::Range { over: head, then, otherwise },
        })
    }

    fn define(&mut self, tokens: &[Token]) -> Result<(), String> {
        let [Token::Text(name)] = tokens else { return self.fail("{{define}} needs one quoted name") };
        if self.depth > 1 {
            return self.fail("unexpected {{define}}");
        }
        self.body(name.clone())
    }

    /// The statements of a named template; it sees none of the variables outside.
    fn body(&mut self, name: String) -> Result<(), String> {
        let outer = std::mem::replace(&mut self.scope, vec![String::new()]);
        let loops = std::mem::take(&mut self.loops);
        let (list, end) = self.list()?;
        (self.scope, self.loops) = (outer, loops);
        if !matches!(end, End::Closed) {
            return self.fail("expected {{end}} of a named template");
        }
        self.named.insert(name, list);
        Ok(())
    }

    fn named_call(&mut self, tokens: &[Token]) -> Result<(String, Option<Pipe>), String> {
        let Some(Token::Text(name)) = tokens.first() else {
            return self.fail("a quoted name of a template is missing");
        };
        let rest = trim(&tokens[1..]);
        let data = if rest.is_empty() { None } else { Some(self.pipe(rest, "template", false)?) };
        Ok((name.clone(), data))
    }

    fn pipe(&mut self, tokens: &[Token], context: &str, two: bool) -> Result<Pipe, String> {
        let tokens = trim(tokens);
        let mut pipe = Pipe { line: self.line, names: Vec::new(), assign: false, commands: Vec::new() };
        let body = self.declarations(tokens, &mut pipe, two)?;
        if body.is_empty() {
            return self.fail(format!("missing value for {context}"));
        }
        for (n, command) in split(body).into_iter().enumerate() {
            let operands = self.command(command)?;
            let Some(first) = operands.first() else { return self.fail(format!("missing value for {context}")) };
            if n > 0
                && !matches!(first, Operand::Call(_) | Operand::Dot(_) | Operand::Variable(..) | Operand::Group(..))
            {
                return self.fail(format!("non executable command in pipeline stage {}", n + 1));
            }
            pipe.commands.push(operands);
        }
        if !pipe.assign {
            self.scope.extend(pipe.names.iter().cloned());
        }
        Ok(pipe)
    }

    /// Reads `$x :=`, `$x =` or `$i, $x :=`; what follows it.
    fn declarations<'t>(&self, tokens: &'t [Token], pipe: &mut Pipe, two: bool) -> Result<&'t [Token], String> {
        let mut names = Vec::new();
        let mut rest = tokens;
        while let Some(Token::Variable(name)) = rest.first() {
            names.push(name.clone());
            rest = trim(&rest[1..]);
            match rest.first() {
                Some(Token::Comma) if two && names.len() == 1 => rest = trim(&rest[1..]),
                Some(Token::Declare | Token::Assign) => {
                    pipe.assign = rest.first() == Some(&Token::Assign);
                    if pipe.assign
                        && let Some(unknown) = names.iter().find(|n| !self.scope.contains(n))
                    {
                        return self.fail(format!("undefined variable \"${unknown}\""));
                    }
                    pipe.names = names;
                    return Ok(trim(&rest[1..]));
                }
                _ => break,
            }
        }
        Ok(tokens)
    }

    fn command(&mut self, tokens: &[Token]) -> Result<Vec<Operand>, String> {
        let mut operands: Vec<Operand> = Vec::new();
        let mut rest = trim(tokens);
        while !rest.is_empty() {
            let (operand, after) = self.operand(rest)?;
            operands.push(operand);
            rest = match after.first() {
                None => after,
                Some(Token::Space) => trim(after),
                Some(other) => return self.fail(format!("unexpected {other:?} after an operand")),
            };
        }
        Ok(operands)
    }

    fn operand<'t>(&mut self, tokens: &'t [Token]) -> Result<(Operand, &'t [Token]), String> {
        let Some(first) = tokens.first() else { return self.fail("missing operand") };
        let rest = &tokens[1..];
        let operand = match first {
            Token::Dot => Operand::Dot(Vec::new()),
            Token::Field(name) => {
                let (mut fields, rest) = chain(rest);
                fields.insert(0, name.clone());
                return Ok((Operand::Dot(fields), rest));
            }
            Token::Variable(name) => {
                if !self.scope.contains(name) {
                    return self.fail(format!("undefined variable \"${name}\""));
                }
                let (fields, rest) = chain(rest);
                return Ok((Operand::Variable(name.clone(), fields), rest));
            }
            Token::Open => {
                let close = closing(tokens).ok_or_else(|| error(self.line, "unclosed left paren"))?;
                self.deeper()?;
                let pipe = self.pipe(&tokens[1..close], "parenthesized pipeline", false)?;
                self.depth -= 1;
                let (fields, rest) = chain(&tokens[close + 1..]);
                return Ok((Operand::Group(Box::new(pipe), fields), rest));
            }
            Token::Name(name) => match name.as_str() {
                "nil" => Operand::Nil,
                "true" | "false" => Operand::Bool(name == "true"),
                _ => self.call(name)?,
            },
            Token::Int(n) => Operand::Int(*n),
            Token::Float(n) => Operand::Float(*n),
            Token::Text(text) => Operand::Text(text.clone()),
            other => return self.fail(format!("unexpected {other:?} in operand")),
        };
        Ok((operand, rest))
    }

    fn call(&self, name: &str) -> Result<Operand, String> {
        if self.functions.is_some_and(|f| !f.has(name)) {
            let hint = if name == "clean_resource_name" {
                ": it exists in JSON templates only; use the HCL function regex_replace"
            } else {
                ""
            };
            return self.fail(format!("function \"{name}\" not defined{hint}"));
        }
        Ok(Operand::Call(name.to_owned()))
    }
}

fn trim(mut tokens: &[Token]) -> &[Token] {
    while let Some((Token::Space, rest)) = tokens.split_first() {
        tokens = rest;
    }
    while let Some((Token::Space, rest)) = tokens.split_last() {
        tokens = rest;
    }
    tokens
}

/// Fields that follow an operand at once: `.A.B`.
fn chain(mut tokens: &[Token]) -> (Vec<String>, &[Token]) {
    let mut fields = Vec::new();
    while let Some((Token::Field(name), rest)) = tokens.split_first() {
        fields.push(name.clone());
        tokens = rest;
    }
    (fields, tokens)
}

/// The index of the parenthesis that closes the first token.
fn closing(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0_usize;
    for (n, token) in tokens.iter().enumerate() {
        match token {
            Token::Open => depth += 1,
            Token::Close => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(n);
                }
            }
            _ => {}
        }
    }
    None
}

/// The commands of a pipeline, cut at the bars outside of parentheses.
fn split(tokens: &[Token]) -> Vec<&[Token]> {
    let mut commands = Vec::new();
    let (mut begin, mut depth) = (0, 0_usize);
    for (n, token) in tokens.iter().enumerate() {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth = depth.saturating_sub(1),
            Token::Pipe if depth == 0 => {
                commands.push(&tokens[begin..n]);
                begin = n + 1;
            }
            _ => {}
        }
    }
    commands.push(&tokens[begin..]);
    commands
}
