//! The lint rules, as the program shows them: `tests/data/lint/ID/bad*.pkr.hcl` has findings of the rule (and of no other),
//! `good*.pkr.hcl` has none.

#![allow(clippy::unwrap_used)]

use image_action::lint::RULES;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/lint")
}

/// The exit code and the output of the program.
fn run(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_image-action"))
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// The ids of the findings in an output.
fn ids(output: &str) -> Vec<String> {
    let findings = output.lines().filter_map(|l| l.strip_prefix("warning[")?.split_once(']'));
    findings.map(|(id, _)| id.to_owned()).collect()
}

#[test]
fn every_rule_finds_what_it_is_for_and_nothing_else() {
    let mut wrong = String::new();
    for rule in RULES {
        let dir = data().join(rule.id);
        let mut seen = [0, 0];
        for entry in std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            let bad = name.starts_with("bad");
            if !name.ends_with(".pkr.hcl") || !(bad || name.starts_with("good")) {
                continue;
            }
            let (exit, output) = run(&dir, &["validate", &name]);
            let found = ids(&output);
            seen[usize::from(bad)] += 1;
            if exit != 0 || found.iter().any(|id| id != rule.id) || found.is_empty() == bad {
                wrong.push_str(&format!("{}/{name}: exit {exit}\n{output}\n", rule.id));
            }
        }
        assert!(seen.iter().all(|n| *n > 0), "{} has no good or no bad example", rule.id);
    }
    assert!(wrong.is_empty(), "{wrong}");
}
