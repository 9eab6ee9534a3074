//! Diagnostics as JSON: judged by a JSON schema validator, and compared with the files that they point into.

#![allow(clippy::unwrap_used)]

use crate::support::python;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn run(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_image-action"))
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The number of diagnostics in an array, which a validator has looked at.
async fn judged(array: &[u8], dir: &Path) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("array.json");
    std::fs::write(&file, array).unwrap();
    let schema = root().join("docs/diagnostics.schema.json");
    let arguments = [&schema, &file, dir].map(|p| p.to_str().unwrap().to_owned());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = python("diagnostics_schema.py", &arguments, BTreeMap::new()).await;
    said.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn errors_and_findings_are_one_array_of_the_documented_form() {
    let wrong = root().join("tests/data/wrong");
    for template in ["options.pkr.hcl", "references.pkr.hcl", "syntax.pkr.hcl", "unset.pkr.hcl"] {
        let text = run(&wrong, &["validate", template]);
        let json = run(&wrong, &["validate", "-json", template]);
        assert_eq!((json.status.code(), json.stderr.len()), (Some(1), 0));
        let shown = String::from_utf8(text.stdout).unwrap();
        let errors = shown.lines().filter(|l| l.starts_with("error") || l.starts_with("warning")).count();
        assert_eq!(judged(&json.stdout, &wrong).await, errors, "{template}");
    }
    let lint = root().join("tests/data/lint/amazon-volume-left-behind");
    for command in ["validate", "lint"] {
        let json = run(&lint, &[command, "-json", "bad.pkr.hcl"]);
        assert_eq!(json.status.code(), Some(0));
        assert_eq!(judged(&json.stdout, &lint).await, 2);
        let array: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!(array[0]["id"], "amazon-volume-left-behind");
        assert_eq!(array[0]["severity"], "warning");
    }
    let json = run(&lint, &["validate", "-json", "-W", "error", "bad.pkr.hcl"]);
    let array: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((json.status.code(), &array[0]["severity"]), (Some(1), &"error".into()));
    let json = run(&lint, &["validate", "-json", "nothing-here"]);
    assert_eq!(judged(&json.stdout, &lint).await, 1);
    let json = run(&lint, &["validate", "-json", "-W", "off", "bad.pkr.hcl"]);
    assert_eq!((json.status.code(), json.stdout.as_slice()), (Some(0), &b"[]\n"[..]));
}

#[tokio::test]
async fn other_commands_keep_standard_output_for_themselves() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("a.pkr.hcl"),
        "source \"null\" \"a\" {\n  comunicator = \"none\"\n}\nbuild {\n  sources = [\"null.a\"]\n}\n",
    )
    .unwrap();
    std::fs::write(dir.path().join("b.pkr.hcl"), "a = \n").unwrap();
    let fmt = run(dir.path(), &["fmt", "-json", "a.pkr.hcl", "b.pkr.hcl"]);
    assert_eq!((fmt.status.code(), fmt.stdout.len()), (Some(1), 0));
    assert_eq!(judged(&fmt.stderr, dir.path()).await, 1);
    std::fs::remove_file(dir.path().join("b.pkr.hcl")).unwrap();
    let state = format!("-state-dir={}", dir.path().join("state").display());
    let build = run(dir.path(), &["build", "-json", &state, "."]);
    assert_eq!(build.status.code(), Some(1));
    assert_eq!(judged(&build.stderr, dir.path()).await, 1);
    let inspect = run(dir.path(), &["inspect", "-json", "."]);
    assert_eq!((inspect.status.code(), inspect.stderr.as_slice()), (Some(0), &b"[]\n"[..]));
    assert!(!inspect.stdout.is_empty());
}

#[test]
fn sensitive_values_are_in_no_diagnostic() {
    let dir = tempfile::tempdir().unwrap();
    let template = "variable \"password\" {\n  sensitive = true\n  default   = \"hunter-two\"\n  validation {\n    condition     = length(var.password) > 20\n    error_message = \"Too short.\"\n  }\n}\nlocals {\n  n = tonumber(var.password)\n}\nbuild {}\n";
    std::fs::write(dir.path().join("a.pkr.hcl"), template).unwrap();
    let output = run(dir.path(), &["validate", "-json", "."]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("Too short.") && !text.contains("hunter-two"), "{text}");
}
