//! Templates that are made to hurt: the real program, with little memory and little time, ends with an answer.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};

/// Address space of the program, in bytes.
const MEMORY: u64 = 1 << 30;

/// Seconds of processor time. A build without optimization needs ten times what a release needs.
const SECONDS: u32 = 40;

/// The most that one diagnostic may say, in bytes.
const WORDS: usize = 20_000;

/// What follows a template's own blocks, so that it is whole.
const TAIL: &str =
    "\nsource \"null\" \"n\" {\n  communicator = \"none\"\n}\nbuild {\n  sources = [\"source.null.n\"]\n}\n";

/// Exit code and standard output of a command on one file.
fn run(command: &str, file: &str, text: &[u8]) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(file), text).unwrap();
    let output = Command::new("prlimit")
        .args([format!("--as={MEMORY}"), format!("--cpu={SECONDS}"), "--core=0".to_owned()])
        .arg(env!("CARGO_BIN_EXE_image-action"))
        .args([command, file])
        .current_dir(dir.path())
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("HOME", dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("panicked") && !errors.contains("memory allocation"), "{errors}");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Validates a template; what it says where it is wrong, and nothing where it is right.
fn validate(name: &str, text: &str) -> Option<String> {
    let (code, said) = run("validate", "t.pkr.hcl", text.as_bytes());
    match code {
        Some(0) => None,
        Some(1) => Some(said),
        other => panic!("{name} ended with {other:?}: {}", said.chars().take(500).collect::<String>()),
    }
}

fn local(expression: &str) -> String {
    format!("locals {{\n  x = {expression}\n}}\n{TAIL}")
}

/// The text is refused in few words that have `says` in them.
fn refused(name: &str, text: &str, says: &str) {
    let said = validate(name, text).unwrap_or_default();
    let joined = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(joined.contains(says), "{name}: {}", joined.chars().take(600).collect::<String>());
    assert!(said.len() < WORDS, "{name} says {} bytes", said.len());
}

#[test]
fn nesting_without_end_is_refused_at_once() {
    let nested = |open: &str, inner: &str, close: &str| {
        local(&format!("{}{inner}{}", open.repeat(100_000), close.repeat(100_000)))
    };
    for (open, inner, close) in [
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("{a=", "1", "}"),
        ("upper(", "\"a\"", ")"),
        ("\"${", "1", "}\""),
        ("[for v in [1] : ", "v", "]"),
        ("a[", "0", "]"),
        ("true ? 1 : ", "1", ""),
        ("1 + ", "1", ""),
        ("!", "true", ""),
    ] {
        refused(open, &nested(open, inner, close), "Nested too deeply");
    }
    refused("blocks", &format!("{}{}", "a {\n".repeat(100_000), "}\n".repeat(100_000)), "Nested too deeply");
    refused("braces", &"{".repeat(1_000_000), "Nested too deeply");
    refused("brackets", &local(&"[".repeat(100_000)), "Nested too deeply");
    // Not closed, and whole lines of it: the excerpt stays short.
    refused("quotes", &"\"".repeat(1_000_001), "Unterminated");
    refused("one line", &"a".repeat(5_000_000), "required");
    for deep in ["jsondecode(\"X\")", "yamldecode(\"X\")"] {
        let text = local(&deep.replace('X', &"[".repeat(200_000)));
        refused(deep, &text, deep.split('(').next().unwrap_or_default());
    }
}

#[test]
fn numbers_and_texts_without_end_are_refused() {
    for (expression, says) in [
        ("1e1000000000", "number"),
        ("range(1, 1000000000)", "range"),
        ("format(\"%1000000000d\", 1)", "format"),
        ("format(\"%.1000000000f\", 1.5)", "format"),
        ("indent(1000000000, \"a\\nb\")", "indent"),
        ("bcrypt(\"a\", 31)", "18 is the limit"),
        ("file(\"/dev/zero\")", "64 MiB"),
        ("file(\"/proc/kmsg\")", "/proc/kmsg"),
        ("regex(\"(((a{1,1000}){1,1000}){1,1000})\", \"aaa\")", "regex"),
        ("setproduct(range(1000), range(1000), range(1000))", "setproduct"),
        ("[for a in range(1024): [for b in range(1024): [for c in range(1024): a]]]", "Too many iterations"),
        ("cidrsubnet(\"::/0\", 1000000000, 1)", "cidrsubnet"),
    ] {
        refused(expression, &local(expression), says);
    }
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    refused("pipe", &local(&format!("file(\"{}\")", pipe.display())), "nobody writes to");
    refused("parseint", &local(&format!("parseint(\"{}\", 36)", "z".repeat(2_000_000))), "parseint");
    let long = "a".repeat(10_000);
    refused("replace", &local(&format!("replace(\"{long}\", \"a\", \"{}\")", "b".repeat(100_000))), "64 MiB");
    let header = (0..30_000).map(|i| format!("a{i}")).collect::<Vec<_>>().join(",");
    let rows = format!("{}\\n", ",".repeat(29_999)).repeat(40);
    refused("csv", &local(&format!("csvdecode(\"{header}\\n{rows}\")")), "1000000 are the limit");
    let go = |text: &str| {
        format!(
            "source \"file\" \"f\" {{\n  target = \"a\"\n  content = \"{text}\"\n}}\nbuild {{\n  sources = [\"source.file.f\"]\n}}\n"
        )
    };
    for (text, says) in [
        (format!("{{{{ replace_all `a` `{}` `{}` }}}}", "b".repeat(10_000), "a".repeat(100_000)), "16 MiB"),
        (format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000)), "content"),
        ("{{ if true }}".repeat(50_000), "content"),
        ("{{ define `T` }}{{ template `T` }}{{ end }}{{ template `T` }}".to_owned(), "content"),
    ] {
        refused(&text[..20], &go(&text), says);
    }
}

#[test]
fn ten_thousand_of_a_kind_take_their_time_once() {
    let each = |one: &dyn Fn(usize) -> String| (0..10_000).map(one).collect::<String>();
    let variables = each(&|i| format!("variable \"v{i}\" {{\n  type = string\n  default = \"x\"\n}}\n"));
    assert_eq!(validate("variables", &format!("{variables}{TAIL}")), None);
    let locals = each(&|i| format!("  v{i} = \"x\"\n"));
    assert_eq!(validate("locals", &format!("locals {{\n{locals}}}\n{TAIL}")), None);
    // Each needs the one after it.
    let chain = each(&|i| format!("  v{i} = local.v{}\n", i + 1));
    assert_eq!(validate("chain", &format!("locals {{\n{chain}  v10000 = 1\n}}\n{TAIL}")), None);
    let cycle = each(&|i| format!("  v{i} = local.v{}\n", (i + 1) % 10_000));
    refused("cycle", &format!("locals {{\n{cycle}}}\n{TAIL}"), "depend on each other in a cycle");
    let keys = |n: usize| format!("{{\n{}}}", (0..n).map(|i| format!("  k{i} = {i}\n")).collect::<String>());
    assert_eq!(validate("object", &local(&keys(10_000))), None);
    refused("large object", &local(&keys(500_000)), "Too many entries");
    let json = (0..10_000).map(|i| format!("\"a{i}\": 1")).collect::<Vec<_>>().join(",");
    let whole =
        "\"source\": {\"null\": {\"n\": {\"communicator\": \"none\"}}}, \"build\": {\"sources\": [\"source.null.n\"]}";
    let (code, said) = run("validate", "t.pkr.json", format!("{{\"locals\": {{{json}}}, {whole}}}").as_bytes());
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn any_bytes_get_an_answer_from_every_command_that_reads() {
    let all: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let depth = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let texts: [(&str, Vec<u8>); 6] = [
        ("every byte", all),
        ("nothing but zero", vec![0; 1 << 20]),
        ("deep lists", depth.clone().into_bytes()),
        ("heredocs", "a = <<A\n".repeat(50_000).into_bytes()),
        ("a long list", format!("a = [\n{}]\n", "1,\n".repeat(100_000)).into_bytes()),
        ("a mark of order", "\u{feff}\u{feff}a\u{feff} = 1\n".as_bytes().to_vec()),
    ];
    for (name, text) in &texts {
        for (command, file) in [
            ("validate", "t.pkr.hcl"),
            ("validate", "t.pkr.json"),
            ("fmt", "t.pkr.hcl"),
            ("inspect", "t.pkr.hcl"),
            ("lint", "t.pkr.hcl"),
        ] {
            let (code, said) = run(command, file, text);
            assert!(
                matches!(code, Some(0..=3)),
                "{command} of {name} ended with {code:?}: {}",
                &said[..said.len().min(300)]
            );
        }
    }
    let (code, _) = run("validate", "t.pkr.json", format!("{{\"locals\": {depth}}}").as_bytes());
    assert_eq!(code, Some(1));
}
