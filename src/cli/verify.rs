//! `verify`: whether files are what a workflow of a repository has built.

use crate::attestation::verify::{Expected, bundle, check, root};
use crate::attestation::{BUNDLE_FILE, GITHUB_ISSUER, verify::Found};
use crate::cli::Session;
use crate::cli::args::VerifyArgs;
use crate::cli::exit::Exit;
use image_action_engine::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// Where repositories are, unless the environment says so.
const GITHUB: &str = "https://github.com";

/// Runs the command.
pub fn run(session: &Session, args: &VerifyArgs) -> Exit {
    let mut exit = Exit::Ok;
    for file in &args.files {
        match one(session, args, file) {
            Ok(found) => session.say(&session.clean(&told(file, &found))),
            Err(e) => {
                let hint = e.hint.map(|h| format!("\n  hint: {h}")).unwrap_or_default();
                session.fail(&session.clean(&format!("error: {}: {}{hint}", file.display(), e.summary)));
                exit = Exit::Failed;
            }
        }
    }
    exit
}

fn one(session: &Session, args: &VerifyArgs, file: &Path) -> Result<Found> {
    let server = session.env.get("GITHUB_SERVER_URL").unwrap_or(GITHUB).trim_end_matches('/');
    let expected = Expected {
        repository: args.repo.as_ref().map(|repo| format!("{server}/{repo}")),
        identity: args.certificate_identity.clone(),
        issuer: args.certificate_oidc_issuer.clone().unwrap_or_else(|| GITHUB_ISSUER.to_owned()),
    };
    let content = read(session, file)?;
    let beside = session.cwd.join(file).with_file_name(BUNDLE_FILE);
    let place = args.bundle.clone().unwrap_or(beside);
    let bundle = bundle(&text(session, &place).map_err(|e| match args.bundle {
        Some(_) => e,
        None => e.hint("name the bundle with --bundle; a release of the action's has it as a file of its own"),
    })?)?;
    let given = args.trusted_root.as_ref().map(|path| text(session, path)).transpose()?;
    check(&content, &bundle, &root(given.as_deref(), &bundle)?, &expected)
}

fn read(session: &Session, path: &Path) -> Result<Vec<u8>> {
    let path: PathBuf = session.cwd.join(path);
    std::fs::read(&path).map_err(|e| Error::new(ErrorKind::Invalid, format!("cannot read {}: {e}", path.display())))
}

fn text(session: &Session, path: &Path) -> Result<String> {
    String::from_utf8(read(session, path)?)
        .map_err(|_| Error::new(ErrorKind::Invalid, format!("{} is no text", path.display())))
}

fn told(file: &Path, found: &Found) -> String {
    let mut text = format!("{}: verified\n  signed by {}\n", file.display(), found.identity);
    let parts = [("repository", &found.repository), ("commit", &found.commit)];
    for (name, value) in parts.into_iter().filter(|(_, value)| !value.is_empty()) {
        text.push_str(&format!("  {name} {value}\n"));
    }
    text.push_str(if found.logged {
        "  in the public log\n"
    } else {
        "  in no public log; the time of signing is vouched for\n"
    });
    let run = found.statement["predicate"]["runDetails"]["metadata"]["invocationId"].as_str().unwrap_or_default();
    if !run.is_empty() {
        text.push_str(&format!("  run {run}\n"));
    }
    for image in found.statement["predicate"]["runDetails"]["byproducts"].as_array().into_iter().flatten() {
        let note = |name: &str| image["annotations"][name].as_str().unwrap_or_default();
        text.push_str(&format!("  image {} {} {}\n", note("provider"), note("region"), note("id")));
    }
    text
}
