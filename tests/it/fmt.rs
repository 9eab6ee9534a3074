//! `fmt` on files, directories and standard input: what it prints, writes and returns, as recorded from Packer 1.16.0. What it
//! makes of texts is tested with the language.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const ROWS: &str = include_str!("../../src/lang/tests/data/fmt.jsonl");

fn fmt(dir: &Path, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_image-action"))
        .arg("fmt")
        .args(args)
        .current_dir(dir)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn arguments_act_as_packers() {
    let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for row in ROWS.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()) {
        if let Some(group) = row["group"].as_str() {
            groups.entry(group.to_owned()).or_default().push(row);
        }
    }
    assert!(groups.len() >= 7, "{:?}", groups.keys());
    for (group, rows) in groups {
        let dir = tempfile::tempdir().unwrap();
        let mut input = "";
        for row in &rows {
            let (file, text) = (row["file"].as_str().unwrap(), row["input"].as_str().unwrap());
            if file == "-" {
                input = text;
                continue;
            }
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let args: Vec<&str> = rows[0]["args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
        let output = fmt(dir.path(), &args, input);
        assert_eq!(stdout(&output), rows[0]["stdout"].as_str().unwrap(), "{group}");
        assert_eq!(output.status.code().map(i64::from), rows[0]["exit"].as_i64(), "{group}");
        for row in rows.iter().filter(|r| r["file"] != "-") {
            let file = row["file"].as_str().unwrap();
            let text = std::fs::read_to_string(dir.path().join(file)).unwrap();
            assert_eq!(text, row["output"].as_str().unwrap(), "{group}: {file}");
        }
    }
}

#[test]
fn what_cannot_be_formatted_is_left_alone_and_the_rest_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    std::fs::write(file("a.pkr.hcl"), "a=\n").unwrap();
    std::fs::write(file("b.pkr.hcl"), b"# \xff\n").unwrap();
    std::fs::write(file("c.pkr.hcl"), "c=1\n").unwrap();
    for name in [".d.pkr.hcl", "#e.pkr.hcl#", "f.pkr.hcl~", "G.PKR.HCL", "h.hcl"] {
        std::fs::write(file(name), "x=1\n").unwrap();
    }
    let output = fmt(dir.path(), &["./", "h.hcl", "none.pkr.hcl"], "");
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.starts_with("c.pkr.hcl\nerror: "), "{said}");
    for part in
        ["a.pkr.hcl:1:3", "Cannot format b.pkr.hcl", "UTF-8", "Cannot format h.hcl", "Cannot format none.pkr.hcl"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(std::fs::read_to_string(file("a.pkr.hcl")).unwrap(), "a=\n");
    assert_eq!(std::fs::read_to_string(file("c.pkr.hcl")).unwrap(), "c = 1\n");
    assert_eq!(std::fs::read_to_string(file("h.hcl")).unwrap(), "x=1\n");
    assert_eq!(fmt(dir.path(), &[], "").status.code(), Some(1));
}

#[test]
fn standard_input_is_written_back_unless_it_is_only_checked() {
    let dir = tempfile::tempdir().unwrap();
    for (args, input, code, want) in [
        (&["-"][..], "a=1\n", 0, "a = 1\n"),
        (&["-", "-diff"], "a=1", 0, "a = 1"),
        (&["-check", "-"], "a=1\n", 3, ""),
        (&["-write=false", "-"], "a=1\n", 0, ""),
        (&["-check", "-"], "a = 1\n", 0, "a = 1\n"),
    ] {
        let output = fmt(dir.path(), args, input);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(code), want), "{args:?}");
    }
}

/// The difference is one that `patch` takes: line ends and a missing last one included.
#[test]
fn patch_applies_what_diff_shows() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.pkr.hcl");
    let mut text: String = (0..40).map(|i| format!("k{i} = {{\r\nv{i}=1\n}}\n\n")).collect();
    text.push_str("last=2");
    std::fs::write(&file, &text).unwrap();
    let output = fmt(dir.path(), &["-check", "-diff", "a.pkr.hcl"], "");
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    let diff = stdout(&output).strip_prefix("a.pkr.hcl\n").unwrap().to_owned();
    std::fs::write(dir.path().join("a.diff"), diff).unwrap();
    let patch = ["--binary", "--silent", "a.pkr.hcl", "a.diff"];
    assert!(Command::new("patch").args(patch).current_dir(dir.path()).status().unwrap().success());
    let patched = std::fs::read_to_string(&file).unwrap();
    assert_eq!(fmt(dir.path(), &["a.pkr.hcl"], "").status.code(), Some(0));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), patched, "nothing is left to be formatted");
}
