//! `localcloud`: the local clouds by themselves, in the foreground, until a signal.

use crate::cli::Session;
use crate::cli::args::LocalcloudArgs;
use crate::cli::exit::Exit;
use crate::cli::local::{Local, check, env_file};
use crate::cli::signals::stopped;
use std::io::Write as _;
use std::sync::Arc;

/// Runs the command.
pub async fn run(session: &Session, args: &LocalcloudArgs) -> Exit {
    let mut options = args.guests.options(args.port);
    options.without_guests = args.without_guests;
    if args.check {
        let (lines, good) = check(&options, &session.env);
        session.say(&lines.join("\n"));
        return if good { Exit::Ok } else { Exit::Failed };
    }
    let (masker, machine_readable) = (session.masker.clone(), session.machine_readable);
    let progress = Arc::new(move |line: &str| Session::tell(machine_readable, &masker, "say", line));
    let local = match Local::start(&options, &session.env, progress).await {
        Ok(local) => local,
        Err(e) => {
            session.show_error(e, &Default::default());
            return Exit::Failed;
        }
    };
    let env = local.running().env();
    let text = env_file(&env);
    match &args.env_file {
        None => session.say(&text),
        Some(path) => {
            if let Err(e) = write_private(&session.cwd.join(path), &text) {
                session.fail(&format!("cannot write {}: {e}", path.display()));
                local.stop().await;
                return Exit::Failed;
            }
            session.say(&format!("The local clouds are up; in another shell: set -a; . {}", path.display()));
        }
    }
    let result = stopped().await;
    local.stop().await;
    match result {
        Ok(()) => Exit::Ok,
        Err(e) => {
            session.fail(&format!("cannot watch for signals: {e}"));
            Exit::Failed
        }
    }
}

/// The file holds keys, if only of a cloud that does not exist.
fn write_private(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create(true).truncate(true), 0o600);
    options.open(path)?.write_all(text.as_bytes())
}
