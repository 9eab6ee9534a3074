//! The user namespace of an ordinary user's guests: made by one short-lived process, entered by every helper.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::{Doing, Step};

/// What the first process writes once the namespace is there and its ids can be mapped.
pub const MADE: u8 = b'+';

/// Makes a user namespace, says so on standard output, and waits until standard input ends: whoever started us maps the ids and
/// takes hold of the namespace meanwhile.
pub fn make() -> Step<ExitCode> {
    unshare(CloneFlags::CLONE_NEWUSER).doing("making a user namespace")?;
    io::stdout().write_all(&[MADE]).and_then(|()| io::stdout().flush()).doing("reporting")?;
    io::stdin().read_to_end(&mut Vec::new()).doing("waiting")?;
    Ok(ExitCode::SUCCESS)
}

/// Becomes root of the user namespace that `path` names; no group of the user comes along.
pub fn enter(path: &OsStr) -> Step<()> {
    let namespace = File::open(path).doing("opening the user namespace")?;
    setns(namespace, CloneFlags::CLONE_NEWUSER).doing("entering the user namespace")?;
    setgroups(&[]).doing("leaving the user's groups")?;
    let (root, wheel) = (Uid::from_raw(0), Gid::from_raw(0));
    setresgid(wheel, wheel, wheel).doing("becoming root of the user namespace")?;
    setresuid(root, root, root).doing("becoming root of the user namespace")
}
