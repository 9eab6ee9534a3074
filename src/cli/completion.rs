//! Completions: for each shell a small script that asks this program, so that what is offered is what is accepted.

use crate::cli::Session;
use crate::cli::args::{Cli, CompleteArgs, ShellArg};
use crate::cli::dashes::normalise;
use crate::cli::exit::Exit;
use crate::reference;
use clap::CommandFactory;
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate, complete};
use std::ffi::{OsStr, OsString};

const BASH: &str = include_str!("completion/bash.sh");
const ZSH: &str = include_str!("completion/zsh.zsh");
const FISH: &str = include_str!("completion/fish.fish");

/// `completion`: the script of a shell.
pub fn run(session: &Session, shell: ShellArg) -> Exit {
    session.put(match shell {
        ShellArg::Bash => BASH,
        ShellArg::Zsh => ZSH,
        ShellArg::Fish => FISH,
    });
    Exit::Ok
}

/// `__complete`, for the scripts: a line for each way to go on with the last word, its explanation behind a tab.
pub fn answer(session: &Session, args: &CompleteArgs) -> Exit {
    for candidate in candidates(session, &args.words) {
        // A name with a line break in it cannot be told in a line.
        let value = candidate.get_value().to_string_lossy();
        if !value.contains(['\n', '\t']) {
            let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
            session.put(&format!("{value}\t{}\n", help.lines().next().unwrap_or_default()));
        }
    }
    Exit::Ok
}

fn candidates(session: &Session, words: &[String]) -> Vec<CompletionCandidate> {
    let Some((last, before)) = words.split_last() else { return Vec::new() };
    let mut known = normalise(before.iter().cloned()).arguments;
    // A flag that waits for its value is followed by it.
    let one_dash = last.starts_with('-') && !last.starts_with("--");
    let mut ask = |word: String| {
        known.push(word);
        let words: Vec<OsString> = known.iter().map(OsString::from).collect();
        let found = complete(&mut declared(), words, known.len() - 1, Some(&session.cwd));
        known.pop();
        // Where nothing fits, nothing is offered.
        found.unwrap_or_default()
    };
    if !one_dash {
        let flags = |c: &CompletionCandidate| c.get_value().to_string_lossy().starts_with('-');
        let mut found = ask(last.clone());
        // Flags are for those who have begun one.
        found.retain(|c| !last.is_empty() || !flags(c));
        return found;
    }
    // Packer's spelling: the same names with one dash less.
    let halved = ask(format!("-{last}")).into_iter().map(|c| {
        let value = c.get_value().to_string_lossy();
        CompletionCandidate::new(value.strip_prefix('-').unwrap_or(&value)).help(c.get_help().cloned())
    });
    let mut found: Vec<_> = halved.filter(|c| c.get_value().to_string_lossy().starts_with(last.as_str())).collect();
    // `-W` and `-h` have one dash and one letter.
    if last.len() <= 2 {
        let short = |c: &CompletionCandidate| {
            let value = c.get_value().to_string_lossy();
            value.len() == 2 && value != "--" && value.starts_with(last.as_str())
        };
        let letters = ask("-".to_owned()).into_iter().filter(short);
        found.extend(letters);
    }
    found
}

/// The command line with what its declaration alone does not say: the values of switches, and the names that `explain` knows.
fn declared() -> clap::Command {
    Cli::command().mut_subcommands(|command| {
        let explain = command.get_name() == "explain";
        command.mut_args(|argument| {
            let switch = argument.get_value_names().is_some_and(|names| names.iter().any(|n| n.as_str() == "BOOL"));
            match (switch, explain && argument.get_id() == "name") {
                (true, _) => {
                    argument.add(ArgValueCandidates::new(|| Vec::from(["true", "false"].map(CompletionCandidate::new))))
                }
                (_, true) => argument.add(ArgValueCompleter::new(|begun: &OsStr| {
                    let known = reference::text::questions(&begun.to_string_lossy());
                    known.into_iter().map(CompletionCandidate::new).collect::<Vec<_>>()
                })),
                _ => argument,
            }
        })
    })
}
