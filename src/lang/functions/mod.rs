//! The functions that a template may call: all of Packer's, one file a subject.

mod args;
mod call;
mod collection;
mod control;
mod crypto;
mod datetime;
mod encoding;
mod file;
mod format;
mod ip;
mod json;
mod numeric;
mod regex;
mod secrets;
mod set;
mod string;
mod yaml;
mod yaml_emit;

pub use call::call;

use crate::convert::ConvertError;
use crate::diag::{Diagnostics, Source};
use crate::scope::{Scope, World};
use crate::value::{Type, Value};
use hcl::edit::expr::{Expression, FuncCall};
use std::collections::HashMap;
use std::sync::LazyLock;

/// What a parameter takes; arguments are converted to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Anything, as it is.
    Any,
    /// `bool`
    Bool,
    /// `number`
    Number,
    /// `string`
    String,
    /// `list(bool)`
    Bools,
    /// `list(string)`
    Strings,
    /// `list(any)`
    List,
    /// `set(any)`
    Set,
}

impl Takes {
    /// As a type constraint.
    pub fn ty(self) -> Type {
        match self {
            Takes::Any => Type::Dynamic,
            Takes::Bool => Type::Bool,
            Takes::Number => Type::Number,
            Takes::String => Type::String,
            Takes::Bools => Type::list(Type::Bool),
            Takes::Strings => Type::list(Type::String),
            Takes::List => Type::list(Type::Dynamic),
            Takes::Set => Type::set(Type::Dynamic),
        }
    }
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// As messages call it.
    pub name: &'static str,
    /// What it is converted to.
    pub takes: Takes,
    /// Whether null is handed on rather than refused.
    pub null_ok: bool,
}

/// A parameter that refuses null.
const fn param(name: &'static str, takes: Takes) -> Param {
    Param { name, takes, null_ok: false }
}

/// A parameter that null may be given for.
const fn nullable(name: &'static str, takes: Takes) -> Param {
    Param { name, takes, null_ok: true }
}

/// How far a function looks into its arguments: what is sensitive or unknown deep inside matters only where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// It reads everything: one sensitive part makes the whole result sensitive, one unknown part makes it unknown.
    Deep,
    /// It moves elements about as they are: each keeps its own mark, and may be unknown.
    Shallow,
    /// As [`Depth::Shallow`], and unknown arguments are handed to it too.
    Through,
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionError {
    /// The argument at fault, counted from 0.
    pub argument: Option<usize>,
    /// A sentence without its capital and period.
    pub message: String,
    /// What to do; it does not quote the arguments.
    pub hint: Option<String>,
}

impl FunctionError {
    /// No single argument is at fault.
    pub fn new(message: impl Into<String>) -> Self {
        FunctionError { argument: None, message: message.into(), hint: None }
    }

    /// Argument `index` is at fault.
    pub fn at(index: usize, message: impl Into<String>) -> Self {
        FunctionError { argument: Some(index), message: message.into(), hint: None }
    }

    /// With what to do about it, which must not quote the arguments.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<ConvertError> for FunctionError {
    fn from(e: ConvertError) -> Self {
        FunctionError::new(e.to_string())
    }
}

/// What a function gives.
pub type Outcome = Result<Value, FunctionError>;

/// A call of a function that evaluates its arguments itself.
pub struct LazyCall<'a> {
    /// The call as written.
    pub call: &'a FuncCall,
    /// The arguments as written.
    pub arguments: Vec<&'a Expression>,
    /// What they may see.
    pub scope: &'a Scope,
    /// Where they are written.
    pub source: &'a Source,
}

/// How a function does its work.
#[derive(Clone, Copy)]
pub enum Run {
    /// On converted, known values.
    Eager(fn(&World, &[Value]) -> Outcome),
    /// On the expressions themselves.
    Lazy(fn(&LazyCall<'_>, &mut Diagnostics) -> Value),
}

/// A function of the language.
#[derive(Clone, Copy)]
pub struct Function {
    /// As it is called.
    pub name: &'static str,
    /// The parameters that must be given.
    pub params: &'static [Param],
    /// One that may follow any number of times.
    pub variadic: Option<Param>,
    /// The type of the result while an argument is unknown.
    pub returns: Takes,
    /// How far it looks.
    pub depth: Depth,
    /// What it does.
    pub run: Run,
}

/// A function that looks at everything in its arguments.
const fn deep(
    name: &'static str,
    params: &'static [Param],
    returns: Takes,
    run: fn(&World, &[Value]) -> Outcome,
) -> Function {
    Function { name, params, variadic: None, returns, depth: Depth::Deep, run: Run::Eager(run) }
}

/// A function that moves elements about.
const fn shallow(
    name: &'static str,
    params: &'static [Param],
    returns: Takes,
    run: fn(&World, &[Value]) -> Outcome,
) -> Function {
    Function { name, params, variadic: None, returns, depth: Depth::Shallow, run: Run::Eager(run) }
}

/// A function that moves elements about, and sees unknown arguments too.
const fn through(
    name: &'static str,
    params: &'static [Param],
    returns: Takes,
    run: fn(&World, &[Value]) -> Outcome,
) -> Function {
    Function { name, params, variadic: None, returns, depth: Depth::Through, run: Run::Eager(run) }
}

impl Function {
    /// With one more parameter, any number of times.
    const fn variadic(mut self, param: Param) -> Function {
        self.variadic = Some(param);
        self
    }
}

/// One table a subject.
const TABLES: &[&[Function]] = &[
    collection::FUNCTIONS,
    control::FUNCTIONS,
    crypto::FUNCTIONS,
    datetime::FUNCTIONS,
    encoding::FUNCTIONS,
    file::FUNCTIONS,
    format::FUNCTIONS,
    ip::FUNCTIONS,
    json::FUNCTIONS,
    numeric::FUNCTIONS,
    regex::FUNCTIONS,
    secrets::FUNCTIONS,
    set::FUNCTIONS,
    string::FUNCTIONS,
    yaml::FUNCTIONS,
];

static TABLE: LazyLock<Vec<Function>> = LazyLock::new(|| {
    let mut table: Vec<Function> = TABLES.iter().copied().flatten().copied().collect();
    table.sort_by_key(|f| f.name);
    table
});

static BY_NAME: LazyLock<HashMap<&'static str, usize>> =
    LazyLock::new(|| TABLE.iter().enumerate().map(|(i, f)| (f.name, i)).collect());

/// Every function, by name.
pub fn all() -> &'static [Function] {
    &TABLE
}

/// The function of that name.
pub fn lookup(name: &str) -> Option<&'static Function> {
    BY_NAME.get(name).and_then(|i| TABLE.get(*i))
}
