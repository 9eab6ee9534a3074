//! One dash or two: Packer's spelling of flags, made into the one that the parser takes.

use crate::cli::args::Cli;
use clap::CommandFactory;
use std::collections::BTreeSet;

/// What the command line is before clap sees it.
pub struct Argv {
    /// In clap's form.
    pub arguments: Vec<String>,
    /// Whether `-machine-readable` was among them.
    pub machine_readable: bool,
}

/// Brings Go's form of flags into clap's: two dashes, and the value of a flag behind an equals sign.
pub fn normalise(arguments: impl IntoIterator<Item = String>) -> Argv {
    let mut given: Vec<String> = arguments.into_iter().collect();
    let before = given.len();
    given.retain(|a| !matches!(a.as_str(), "-machine-readable" | "--machine-readable"));
    let machine_readable = given.len() < before;
    let (flags, valued) = flags();
    let mut arguments = Vec::with_capacity(given.len());
    let mut given = given.into_iter();
    while let Some(argument) = given.next() {
        if argument == "--" {
            arguments.push(argument);
            arguments.extend(given.by_ref());
            break;
        }
        let name = argument.trim_start_matches('-');
        let dashes = argument.len() - name.len();
        let word = name.split('=').next().unwrap_or(name);
        if !(1..=2).contains(&dashes) || !flags.contains(word) {
            // Nobody means a row of one-letter flags: the complaint is about the whole word.
            let is_word = dashes == 1 && word.len() > 1 && word.starts_with(|c: char| c.is_ascii_alphabetic());
            arguments.push(if is_word { format!("-{argument}") } else { argument });
            continue;
        }
        match (valued.contains(word) && !name.contains('=')).then(|| given.next()).flatten() {
            Some(value) => arguments.push(format!("--{name}={value}")),
            None => arguments.push(format!("--{name}")),
        }
    }
    Argv { arguments, machine_readable }
}

/// The names of all flags of all commands, and of those that have a value of their own.
fn flags() -> (BTreeSet<String>, BTreeSet<String>) {
    let mut all = BTreeSet::from(["help".to_owned(), "version".to_owned()]);
    let mut valued = BTreeSet::new();
    for command in Cli::command().get_subcommands() {
        for argument in command.get_arguments() {
            let Some(name) = argument.get_long() else { continue };
            all.insert(name.to_owned());
            if argument.get_action().takes_values() && !argument.is_require_equals_set() {
                valued.insert(name.to_owned());
            }
        }
    }
    (all, valued)
}
