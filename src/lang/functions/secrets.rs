//! Secrets that are kept elsewhere. Their servers are reached over the network, which this room does not know: a call
//! ends with an error that says so.

use super::{Function, FunctionError, Outcome, Takes, deep, nullable, param};
use crate::scope::World;
use crate::value::Value;

/// Their table.
pub(super) const FUNCTIONS: &[Function] = &[
    deep("aws_secretsmanager", &[param("name", Takes::String), nullable("key", Takes::String)], Takes::String, refuse),
    deep("aws_secretsmanager_raw", &[param("name", Takes::String)], Takes::String, refuse),
    deep("consul_key", &[param("key", Takes::String)], Takes::String, refuse),
    deep("vault", &[param("path", Takes::String), param("key", Takes::String)], Takes::String, refuse),
];

fn refuse(_: &World, _: &[Value]) -> Outcome {
    Err(FunctionError::new(
        "reading secrets from here is not built yet; read it in a step before, and hand it on as PKR_VAR_… to a variable marked sensitive",
    ))
}
