//! The program that becomes a guest in tests: a test harness has a `main` of its own, so it names this one as
//! [`HostOptions::helper`](image_action_localcloud::guest::HostOptions). Nothing is installed of it.

use std::process::ExitCode;

fn main() -> ExitCode {
    image_action_localcloud::guest::reexec_main().unwrap_or(ExitCode::FAILURE)
}
