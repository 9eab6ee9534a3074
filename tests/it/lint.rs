//! The lint rules, as the program shows them: `tests/data/lint/ID/bad*` has findings of the rule (and of no other), `good*`
//! has none. `fixed.txt` is what `lint -fix` makes of `bad.pkr.hcl`.

#![allow(clippy::unwrap_used)]

use image_action::lint::RULES;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// With this variable set, what `-fix` makes is written anew; whoever does it reads it.
const UPDATE: &str = "LINT_UPDATE";

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
        // For the rule that looks at the environment.
        .env("PKR_VAR_regoin", "x")
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
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            let bad = name.starts_with("bad");
            let template = name.ends_with(".pkr.hcl") || entry.path().is_dir();
            if !template || !(bad || name.starts_with("good")) {
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
    let known = std::fs::read_dir(data()).unwrap().filter(|e| {
        let name = e.as_ref().unwrap().file_name();
        !RULES.iter().any(|r| name == r.id)
    });
    assert_eq!(known.count(), 0, "a folder of tests/data/lint belongs to no rule");
    assert!(wrong.is_empty(), "{wrong}");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target)
        } else {
            std::fs::copy(entry.path(), target).map(|_| ()).unwrap();
        }
    }
}

#[test]
fn fixes_mend_what_they_say_once_and_keep_the_layout() {
    for rule in RULES.iter().filter(|r| r.fixes) {
        let dir = tempfile::tempdir().unwrap();
        copy(&data().join(rule.id), dir.path());
        let file = dir.path().join("bad.pkr.hcl");
        run(dir.path(), &["fmt", "bad.pkr.hcl"]);
        let before = run(dir.path(), &["lint", "bad.pkr.hcl"]).1;
        let (exit, output) = run(dir.path(), &["lint", "-fix", "bad.pkr.hcl"]);
        assert_eq!(exit, 0, "{}: {output}", rule.id);
        assert!(output.contains("bad.pkr.hcl: "), "{} mends nothing: {output}", rule.id);
        assert!(ids(&output).len() < ids(&before).len(), "{}: {output}", rule.id);
        assert_eq!(run(dir.path(), &["fmt", "-check", "bad.pkr.hcl"]).0, 0, "{}", rule.id);
        let fixed = std::fs::read_to_string(&file).unwrap();
        assert!(!run(dir.path(), &["lint", "-fix", "bad.pkr.hcl"]).1.contains("bad.pkr.hcl: "), "{}", rule.id);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), fixed, "{} is mended twice", rule.id);
        let expected = data().join(rule.id).join("fixed.txt");
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&expected, &fixed).unwrap();
        }
        assert_eq!(fixed, std::fs::read_to_string(&expected).unwrap_or_default(), "{}", rule.id);
    }
}

#[test]
fn a_fix_changes_nothing_else_of_a_file_with_a_layout_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.pkr.hcl");
    let odd = "\u{feff}source \"null\" \"box\" { communicator=\"none\" }\r\n\r\nbuild {\r\n sources=[ \"null.box\" ] // odd\r\n\tprovisioner \"shell\"   {\r\n      inline=[ \"reboot\" ]   # é\r\n  }\r\n}\r\n\r\n\r\n";
    std::fs::write(&file, odd).unwrap();
    let (exit, output) = run(dir.path(), &["lint", "-fix", "."]);
    assert_eq!((exit, ids(&output).len()), (0, 0), "{output}");
    let wanted = odd.replace("\"shell\"   {\r\n", "\"shell\"   {\r\n\t  expect_disconnect = true\r\n");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), wanted);
}

#[test]
fn comments_and_flags_say_what_becomes_of_findings() {
    let dir = tempfile::tempdir().unwrap();
    let template = |above: &str, behind: &str| {
        format!(
            "source \"null\" \"box\" {{\n  communicator = \"none\"\n}}\n\nbuild {{\n  sources = [\"null.box\"]\n\n  post-processor \"checksum\" {{\n{above}    checksum_types = []{behind}\n  }}\n}}\n"
        )
    };
    let with = |above: &str, behind: &str, flags: &[&str]| {
        std::fs::write(dir.path().join("a.pkr.hcl"), template(above, behind)).unwrap();
        let mut arguments = vec!["validate"];
        arguments.extend(flags);
        arguments.push(".");
        run(dir.path(), &arguments)
    };
    const ID: &str = "checksum-without-types";
    assert_eq!(ids(&with("", "", &[]).1), [ID]);
    for (above, behind) in [
        ("    # lint:ignore checksum-without-types\n", ""),
        ("    // lint:ignore file-copies-nothing, checksum-without-types for now\n    # more\n", ""),
        ("", " # lint:ignore checksum-without-types on purpose"),
        ("    /* lint:ignore checksum-without-types */\n", ""),
    ] {
        let (exit, output) = with(above, behind, &["-W", "error"]);
        assert_eq!((exit, ids(&output).len()), (0, 0), "{above}{behind}: {output}");
    }
    for (above, behind) in [
        // Of another rule, in prose, in a text, and too far away.
        ("", " # lint:ignore file-copies-nothing"),
        ("    # write lint:ignore checksum-without-types\n", ""),
        ("    # lint:ignore checksum-without-types\n\n", ""),
        ("    output = \"# lint:ignore checksum-without-types\"\n", ""),
    ] {
        assert_eq!(ids(&with(above, behind, &[]).1), [ID], "{above}{behind}");
    }
    let (exit, output) = with("", " # lint:ignore checksum-without-type", &[]);
    assert_eq!((exit, ids(&output)), (0, vec![ID.to_owned(), "lint-ignore-unknown-rule".to_owned()]), "{output}");
    assert!(output.contains("did you mean \"checksum-without-types\"?"), "{output}");

    let (exit, output) = with("", "", &["-W", "error"]);
    assert!(exit == 1 && output.starts_with("error[checksum-without-types]: "), "{output}");
    assert_eq!(with("", "", &["-Werror=checksum-without-types"]).0, 1);
    assert_eq!(
        with("", "", &["-W=error", "-W", "off=checksum-without-types"]),
        (0, "The configuration is valid.\n".to_owned())
    );
    let (exit, output) = with("", "", &["-W", "error=nothing-like-it"]);
    assert!(exit == 1 && output.contains("There is no lint rule \"nothing-like-it\""), "{output}");
}

#[test]
fn a_build_stops_at_a_warning_that_was_asked_to_be_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let template = "source \"file\" \"a\" {\n  target  = \"a.txt\"\n  content = \"x\"\n}\nbuild {\n  sources = [\"file.a\"]\n  post-processor \"checksum\" {\n    checksum_types = []\n  }\n}\n";
    std::fs::write(dir.path().join("a.pkr.hcl"), template).unwrap();
    let state = format!("-state-dir={}", dir.path().join("state").display());
    let (exit, output) = run(dir.path(), &["build", &state, "-W", "error", "."]);
    assert!(exit == 1 && !dir.path().join("a.txt").exists(), "{output}");
    let (exit, output) = run(dir.path(), &["build", &state, "."]);
    assert!(exit == 0 && dir.path().join("a.txt").exists() && ids(&output).len() == 1, "{output}");
}
