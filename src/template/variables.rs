//! `variable` and `variables`, and where their values come from.

use crate::template::syntax::{Attribute, Block, Content, Expr, is_identifier};
use image_action_lang::{
    Diagnostic, Diagnostics, FunctionSet, Scope, Source, SourceMap, Span, Type, TypeConstraint, Value, World, parse,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where the winning value came from: the word that messages use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The declaration.
    Default,
    /// `PKR_VAR_NAME`
    Environment,
    /// A variable file.
    File,
    /// `-var`
    CommandLine,
}

impl Origin {
    fn word(self) -> &'static str {
        match self {
            Origin::Default => "default",
            Origin::Environment => "env",
            Origin::File => "varfile",
            Origin::CommandLine => "cmd",
        }
    }
}

/// A value that a variable was given.
#[derive(Clone)]
pub struct Given {
    /// Converted to the variable's type.
    pub value: Value,
    /// Who gave it.
    pub origin: Origin,
    /// Where, if it stands in a file.
    pub span: Option<Span>,
}

/// A declared variable.
#[derive(Clone)]
pub struct Variable {
    /// Its name.
    pub name: Arc<str>,
    /// The place of its declaration.
    pub span: Span,
    /// Its type, declared or taken from its default.
    pub constraint: TypeConstraint,
    /// What it is for.
    pub description: String,
    /// Whether its value is masked.
    pub sensitive: bool,
    /// Rules for the winning value.
    pub rules: Vec<Rule>,
    /// The winning value so far.
    pub given: Option<Given>,
}

/// One `validation` block.
#[derive(Clone)]
pub struct Rule {
    condition: Expr,
    message: String,
    span: Span,
}

/// All variables by name.
pub type Variables = BTreeMap<Arc<str>, Variable>;

const ARGUMENTS: [&str; 4] = ["type", "default", "description", "sensitive"];
const RULE_ARGUMENTS: [&str; 2] = ["condition", "error_message"];

/// Reads the declarations of all `variable` and `variables` blocks.
pub fn declare(blocks: &[&Block], world: &Arc<World>, diags: &mut Diagnostics) -> Variables {
    let mut variables = Variables::new();
    // A default may look at the environment, and at nothing else.
    let scope = Scope::new(world.clone()).with_functions(FunctionSet::EnvOnly);
    for block in blocks {
        let found = if &*block.kind == "variable" {
            one(block, &scope, diags).into_iter().collect()
        } else {
            many(block, &scope, diags)
        };
        for variable in found {
            match variables.get(&variable.name) {
                Some(first) => diags.push(duplicate("variable", &variable.name, &variable.span, &first.span)),
                None => drop(variables.insert(variable.name.clone(), variable)),
            }
        }
    }
    variables
}

/// The complaint about a name that was given twice.
pub fn duplicate(what: &str, name: &str, span: &Span, first: &Span) -> Diagnostic {
    Diagnostic::error(format!("Duplicate {what}"))
        .detail(format!("{name:?} was declared before, in {}.", first.file))
        .at(span.clone())
        .hint("remove one of them, or give it another name")
}

fn many(block: &Block, scope: &Scope, diags: &mut Diagnostics) -> Vec<Variable> {
    if !block.check_labels(&[], diags) {
        return Vec::new();
    }
    let attributes = block.body.attributes(diags);
    let variables = attributes.iter().map(|a| {
        let value = a.expr.eval(scope, diags);
        Variable {
            name: a.name.clone(),
            span: a.name_span.clone(),
            constraint: TypeConstraint { ty: value.ty().clone(), defaults: None },
            description: String::new(),
            sensitive: false,
            rules: Vec::new(),
            given: Some(Given { value, origin: Origin::Default, span: Some(a.expr.span()) }),
        }
    });
    variables.collect()
}

fn one(block: &Block, scope: &Scope, diags: &mut Diagnostics) -> Option<Variable> {
    if !block.check_labels(&["name"], diags) {
        return None;
    }
    let name: Arc<str> = Arc::from(block.label(0));
    if !is_identifier(&name) {
        diags.push(
            Diagnostic::error("Invalid variable name")
                .detail("A name begins with a letter or an underscore and goes on with letters, digits, underscores and dashes.")
                .at(block.label_span(0)),
        );
        return None;
    }
    let content = block.body.content(&|n| (n == "validation").then_some(0), diags);
    for attribute in content.attributes.iter().filter(|a| !ARGUMENTS.contains(&&*a.name)) {
        diags.push(super::unknown_argument(attribute, &ARGUMENTS));
    }
    let sensitive = content.attribute("sensitive").and_then(|a| constant(a, &Type::Bool, diags));
    let description = content.attribute("description").and_then(|a| constant(a, &Type::String, diags));
    let declared = content.attribute("type").map(|a| a.expr.type_constraint());
    let mut variable = Variable {
        span: block.header.clone(),
        constraint: TypeConstraint::any(),
        description: description.and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default(),
        sensitive: sensitive.and_then(|v| v.as_bool()).unwrap_or_default(),
        rules: rules(&name, &content, diags),
        given: None,
        name,
    };
    let typed = declared.is_some();
    match declared {
        Some(Ok(constraint)) => variable.constraint = constraint,
        Some(Err(d)) => {
            diags.push(d);
            return Some(Variable { given: Some(unknown()), ..variable });
        }
        None => {}
    }
    if let Some(default) = content.attribute("default") {
        let before = diags.len();
        let value = default.expr.eval(scope, diags);
        let failed = diags.len() > before;
        if !typed && value.len() != Some(0) && !value.is_null() && !failed {
            variable.constraint.ty = value.ty().clone();
        }
        let given = match variable.constraint.convert(&value) {
            Ok(value) => Given { value, origin: Origin::Default, span: Some(default.expr.span()) },
            Err(_) if failed => unknown(),
            Err(e) => {
                diags.push(
                    Diagnostic::error("Invalid default value for variable")
                        .detail(format!("This default value does not fit the variable's type: {e}."))
                        .at(default.expr.span()),
                );
                unknown()
            }
        };
        variable.given = Some(given);
    }
    Some(variable)
}

/// What stands in for a value that is wrong, so that its uses are not complained about too.
fn unknown() -> Given {
    Given { value: Value::dynamic(), origin: Origin::Default, span: None }
}

/// The value of an argument that must be a constant of a type.
fn constant(attribute: &Attribute, ty: &Type, diags: &mut Diagnostics) -> Option<Value> {
    let before = diags.len();
    let value = attribute.expr.constant(diags);
    if diags.len() > before {
        return None;
    }
    match image_action_lang::convert(&value, ty) {
        Ok(value) => Some(value),
        Err(e) => {
            diags.push(super::unsuitable(attribute, &e.to_string()));
            None
        }
    }
}

fn rules(name: &Arc<str>, content: &Content, diags: &mut Diagnostics) -> Vec<Rule> {
    let mut rules = Vec::new();
    for block in &content.blocks {
        if &*block.kind != "validation" {
            diags.push(super::unknown_block(block, &["validation"]));
            continue;
        }
        if !block.check_labels(&[], diags) {
            continue;
        }
        let inner = block.body.content(&|_| None, diags);
        for attribute in inner.attributes.iter().filter(|a| !RULE_ARGUMENTS.contains(&&*a.name)) {
            diags.push(super::unknown_argument(attribute, &RULE_ARGUMENTS));
        }
        inner.blocks.iter().for_each(|b| diags.push(super::unknown_block(b, &[])));
        for missing in RULE_ARGUMENTS.iter().filter(|n| inner.attribute(n).is_none()) {
            diags.push(super::missing_argument(missing, &block.header));
        }
        let condition = inner.attribute("condition").filter(|c| condition_refers_to_itself(name, c, diags));
        let message = inner.attribute("error_message").and_then(|m| error_message(m, diags));
        if let (Some(condition), Some(message)) = (condition, message) {
            rules.push(Rule { condition: condition.expr.clone(), message, span: condition.expr.span() });
        }
    }
    rules
}

fn condition_refers_to_itself(name: &str, condition: &Attribute, diags: &mut Diagnostics) -> bool {
    let references = condition.expr.references();
    let is_itself = |r: &image_action_lang::Traversal| &*r.root == "var" && r.attribute(0) == Some(name);
    let mut good = true;
    for other in references.iter().filter(|r| !is_itself(r)) {
        good = false;
        diags.push(
            Diagnostic::error("Invalid reference in variable validation")
                .detail(format!(
                    "The condition of the variable {name:?} can only refer to the variable itself, as var.{name}."
                ))
                .at(other.span.clone()),
        );
    }
    if references.is_empty() {
        good = false;
        diags.push(
            Diagnostic::error("Invalid variable validation condition")
                .detail(format!(
                    "The condition of the variable {name:?} must refer to var.{name}, or it checks nothing."
                ))
                .at(condition.expr.span()),
        );
    }
    good
}

fn error_message(attribute: &Attribute, diags: &mut Diagnostics) -> Option<String> {
    let value = constant(attribute, &Type::String, diags)?;
    let text = value.as_str().unwrap_or_default();
    let first_is_fine = text.chars().next().is_some_and(|c| !c.is_alphabetic() || c.is_uppercase());
    if first_is_fine && text.ends_with(['.', '?', '!']) {
        return Some(text.to_owned());
    }
    diags.push(
        Diagnostic::error("Invalid validation error message")
            .detail("The message must be a whole sentence: it begins with an upper-case letter and ends with a period, a question mark or an exclamation mark.")
            .at(attribute.expr.span()),
    );
    None
}

/// What may give values besides defaults, in the order of precedence: the last one wins.
pub struct Inputs<'a> {
    /// The environment (`PKR_VAR_NAME`).
    pub environment: &'a BTreeMap<String, String>,
    /// The content of variable files, in order: automatic ones first.
    pub files: Vec<Vec<Attribute>>,
    /// `-var NAME=VALUE`, in order.
    pub arguments: &'a [(String, String)],
    /// Whether a name in a file that no variable has is worth a warning.
    pub warn_undeclared: bool,
}

/// Gives the variables their values.
pub fn collect(variables: &mut Variables, inputs: &Inputs, sources: &mut SourceMap, diags: &mut Diagnostics) {
    for variable in variables.values_mut() {
        let Some(text) = inputs.environment.get(&format!("PKR_VAR_{}", variable.name)) else { continue };
        let file = format!("<value for var.{} from env>", variable.name);
        give_text(variable, text, &file, Origin::Environment, sources, diags);
    }
    for attribute in inputs.files.iter().flatten() {
        match variables.get_mut(&attribute.name) {
            Some(variable) => give_from_file(variable, attribute, diags),
            None if inputs.warn_undeclared => {
                diags.push(
                    Diagnostic::warning("Undefined variable")
                        .detail(format!(
                            "A variable file sets {:?}, but no variable of this name is declared.",
                            attribute.name
                        ))
                        .at(attribute.name_span.clone())
                        .hint(format!("declare it: variable {:?} {{}}", attribute.name)),
                );
            }
            None => {}
        }
    }
    for (name, text) in inputs.arguments {
        match variables.get_mut(name.as_str()) {
            Some(variable) => {
                let file = format!("<value for var.{name} from arguments>");
                give_text(variable, text, &file, Origin::CommandLine, sources, diags);
            }
            None => {
                let d = Diagnostic::error("Undefined -var variable")
                    .detail(format!("A -var argument sets {name:?}, but no variable of this name is declared."));
                let near = image_action_lang::diag::suggest(name, variables.keys().map(AsRef::as_ref));
                diags.push(match near {
                    Some(near) => d.hint(format!("did you mean {near:?}?")),
                    None => d.hint(format!("declare it: variable {name:?} {{}}")),
                });
            }
        }
    }
}

fn give_from_file(variable: &mut Variable, attribute: &Attribute, diags: &mut Diagnostics) {
    let before = diags.len();
    let value = attribute.expr.constant(diags);
    let span = Some(attribute.expr.span());
    let failed = diags.len() > before;
    let given = match variable.constraint.convert(&value) {
        Ok(value) => Given { value, origin: Origin::File, span },
        Err(_) if failed => unknown(),
        Err(e) => {
            diags.push(invalid(&variable.name, "in a variable file", &e.to_string()).at(span));
            unknown()
        }
    };
    variable.given = Some(given);
}

fn invalid(name: &str, whence: &str, why: &str) -> Diagnostic {
    Diagnostic::error("Invalid value for variable")
        .detail(format!("The value of {name:?} {whence} does not fit the variable's type: {why}."))
}

/// A text from outside: taken as it is for strings, numbers and untyped variables, else read as an expression.
fn give_text(
    variable: &mut Variable,
    text: &str,
    file: &str,
    origin: Origin,
    sources: &mut SourceMap,
    diags: &mut Diagnostics,
) {
    let whence = if origin == Origin::Environment {
        format!("from the environment (PKR_VAR_{})", variable.name)
    } else {
        "given by -var".to_owned()
    };
    let literal = matches!(variable.constraint.ty, Type::String | Type::Number | Type::Dynamic);
    let value = if literal {
        Value::string(text)
    } else {
        let source = Source::new(file, text);
        sources.add_source(&source);
        let mut inner = Diagnostics::new();
        let value = match parse::parse_expr(&source.name, text) {
            Ok(expr) => Expr::Native(Arc::new(expr), source).constant(&mut inner),
            Err(e) => {
                inner.extend(e);
                Value::dynamic()
            }
        };
        if inner.has_errors() {
            diags.extend(inner);
            variable.given = Some(unknown());
            return;
        }
        value
    };
    let given = match variable.constraint.convert(&value) {
        Ok(value) => Given { value, origin, span: None },
        Err(e) => {
            diags.push(invalid(&variable.name, &whence, &e.to_string()));
            unknown()
        }
    };
    variable.given = Some(given);
}

/// The value of every variable, for `var`; what has none is unknown.
pub fn values(variables: &Variables) -> BTreeMap<Arc<str>, Value> {
    let value = |v: &Variable| {
        let value =
            v.given.as_ref().map_or_else(|| Value::unknown(v.constraint.ty.without_optional()), |g| g.value.clone());
        value.tainted(v.sensitive)
    };
    variables.iter().map(|(name, v)| (name.clone(), value(v))).collect()
}

/// Checks that every variable has a value that its rules allow.
pub fn check(variables: &Variables, world: &World, sources: &SourceMap, diags: &mut Diagnostics) {
    // Files that a rule looks at are relative to the working directory.
    let world = Arc::new(world.clone().with_base_dir(""));
    for variable in variables.values() {
        let name = &variable.name;
        let Some(given) = &variable.given else {
            diags.push(
                Diagnostic::error(format!("Unset variable {name:?}"))
                    .detail("It has no default, so a value must be given.")
                    .at(variable.span.clone())
                    .hint(format!(
                        "give one with -var {name}=VALUE, PKR_VAR_{name}, a variable file, or a default in its declaration"
                    )),
            );
            continue;
        };
        let own = Value::object(BTreeMap::from([(name.clone(), given.value.clone().tainted(variable.sensitive))]));
        let scope = Scope::new(world.clone()).with("var", own);
        for rule in &variable.rules {
            check_rule(rule, given, &scope, sources, diags);
        }
    }
}

fn check_rule(rule: &Rule, given: &Given, scope: &Scope, sources: &SourceMap, diags: &mut Diagnostics) {
    let before = diags.len();
    let result = rule.condition.eval(scope, diags);
    if diags.len() > before || result.is_unknown() {
        return;
    }
    let result = image_action_lang::convert(&result, &Type::Bool).ok().filter(|v| !v.is_null());
    let Some(holds) = result.as_ref().and_then(Value::as_bool) else {
        if result.is_none() {
            diags.push(
                Diagnostic::error("Invalid variable validation result")
                    .detail("A condition must be true or false.")
                    .at(rule.span.clone()),
            );
        }
        return;
    };
    if !holds {
        let line = sources.position(&rule.span.file, rule.span.start).map_or(0, |p| p.line);
        diags.push(
            Diagnostic::error(format!("Invalid value for {} variable", given.origin.word()))
                .detail(format!("{}\nThe rule stands in {}, line {line}.", rule.message, rule.span.file))
                .at(given.span.clone()),
        );
    }
}
