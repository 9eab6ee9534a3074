//! Secrets that are kept elsewhere. Who asks for them is part of the world ([`crate::scope::Keeper`]): this room knows no
//! network. What comes back is sensitive.

use super::args::text;
use super::{Function, Outcome, Takes, deep, nullable, param};
use crate::scope::{Kept, World};
use crate::value::Value;

/// Their table.
pub(super) const FUNCTIONS: &[Function] = &[
    deep(
        "aws_secretsmanager",
        &[param("name", Takes::String), nullable("key", Takes::String)],
        Takes::String,
        aws_value,
    ),
    deep("aws_secretsmanager_raw", &[param("name", Takes::String)], Takes::String, aws_text),
    deep("consul_key", &[param("key", Takes::String)], Takes::String, consul),
    deep("vault", &[param("path", Takes::String), param("key", Takes::String)], Takes::String, vault),
];

fn ask(world: &World, kept: &Kept) -> Outcome {
    world.keeper().read(kept).map(|secret| Value::string(secret).with_sensitive(true))
}

/// An argument of a call; conversion has made sure that it is there, and null is an empty text.
fn argument(args: &[Value], index: usize) -> String {
    args.get(index).map(text).unwrap_or_default().to_owned()
}

fn aws_value(world: &World, args: &[Value]) -> Outcome {
    ask(world, &Kept::AwsValue { name: argument(args, 0), key: argument(args, 1) })
}

fn aws_text(world: &World, args: &[Value]) -> Outcome {
    ask(world, &Kept::AwsText { name: argument(args, 0) })
}

fn consul(world: &World, args: &[Value]) -> Outcome {
    ask(world, &Kept::Consul { key: argument(args, 0) })
}

fn vault(world: &World, args: &[Value]) -> Outcome {
    ask(world, &Kept::Vault { path: argument(args, 0), key: argument(args, 1) })
}
