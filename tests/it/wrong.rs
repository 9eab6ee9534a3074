//! What people are told about templates with the mistakes that people make: the whole text, as `tests/data/wrong` has it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// With this variable set, the texts are written anew; whoever does it reads them.
const UPDATE: &str = "WRONG_UPDATE";

/// What the first line of a template begins with that is validated with flags.
const FLAGS: &str = "# with: ";

/// How many different messages these templates give at least.
const MESSAGES: usize = 150;

fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/wrong")
}

/// A copy of the templates, in a folder whose path is always of the same length: it stands in messages that are wrapped.
fn copy() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("wrong-").rand_bytes(6).tempdir_in("/tmp").unwrap();
    for entry in std::fs::read_dir(data()).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    dir
}

fn validate(dir: &Path, name: &str) -> String {
    let template = std::fs::read_to_string(dir.join(name)).unwrap();
    let flags = template.lines().next().and_then(|l| l.strip_prefix(FLAGS)).unwrap_or_default();
    let output = Command::new(env!("CARGO_BIN_EXE_image-action"))
        .arg("validate")
        .args(flags.split_whitespace())
        .arg(name)
        .current_dir(dir)
        .env_clear()
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{name}: {text}");
    assert!(output.stderr.is_empty(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    text.replace(&*dir.to_string_lossy(), "/tmp/wrong-folder")
}

#[test]
fn wrong_templates_get_every_error_with_its_place_and_cure() {
    let dir = copy();
    let mut names: Vec<String> = std::fs::read_dir(data())
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|n| n.ends_with(".pkr.hcl") || n.ends_with(".pkr.json"))
        .collect();
    names.sort();
    let mut messages = BTreeSet::new();
    let mut different = String::new();
    for name in names {
        let text = validate(dir.path(), &name);
        messages.extend(text.split("\nerror").map(|m| words(m.strip_prefix("error").unwrap_or(m))));
        let stem = name.split(".pkr").next().unwrap();
        let expected = data().join(format!("{stem}.txt"));
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&expected, &text).unwrap();
        }
        if text != std::fs::read_to_string(&expected).unwrap_or_default() {
            different.push_str(&format!("{name}:\n{text}\n"));
        }
    }
    assert!(different.is_empty(), "{different}");
    assert!(messages.len() >= MESSAGES, "{} messages", messages.len());
}

/// A message without its place and excerpt.
fn words(message: &str) -> String {
    let lines = message.lines().map(str::trim_start).filter(|l| !l.starts_with("-->") && !l.starts_with('|'));
    lines
        .filter(|l| !l.split_once(" | ").is_some_and(|(n, _)| n.parse::<usize>().is_ok()))
        .collect::<Vec<_>>()
        .join("\n")
}
