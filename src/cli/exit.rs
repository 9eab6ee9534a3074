//! Exit codes, all of them.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything worked.
    Ok = 0,
    /// Something did not; also after a signal, as Packer.
    Failed = 1,
    /// `fmt -check` found a difference.
    Differences = 3,
    /// It worked, but something temporary could not be removed.
    Leftovers = 5,
    /// There is no such command.
    UnknownCommand = 127,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
