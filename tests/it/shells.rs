//! What the program is in a shell: completions, asked of bash, zsh and fish; the manual, set by groff and mandoc; the console, at
//! a terminal.

#![allow(clippy::unwrap_used)]

use crate::support;
use serde_json::json;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_image-action");

fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A folder to complete in, with the program in its `bin`.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("bin")).unwrap();
    std::os::unix::fs::symlink(PROGRAM, dir.path().join("bin/image-action")).unwrap();
    std::fs::create_dir(dir.path().join("images")).unwrap();
    std::fs::write(dir.path().join("images/a b.pkr.hcl"), "").unwrap();
    for (shell, name) in [("bash", "it.bash"), ("zsh", "it.zsh"), ("fish", "it.fish")] {
        let script = output(Command::new(PROGRAM).args(["completion", shell]));
        std::fs::write(dir.path().join(name), script).unwrap();
    }
    dir
}

fn in_path(dir: &Path) -> String {
    format!("{}:{}", dir.join("bin").display(), std::env::var("PATH").unwrap())
}

/// Whether a program that only these tests need is here; in CI it has to be.
#[allow(clippy::print_stderr)]
fn has(program: &str) -> bool {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|p| p.join(program).exists());
    assert!(found || std::env::var_os("CI").is_none(), "{program} is missing");
    if !found {
        eprintln!("passed over: there is no {program}");
    }
    found
}

/// What is typed, and what it may become; an ending of blanks means that the word is whole.
const ASKED: [(&str, &[&str]); 13] = [
    ("image-action insp", &["inspect"]),
    ("image-action build -on-e", &["-on-error"]),
    ("image-action build --on-e", &["--on-error"]),
    ("image-action build -on-error=c", &["-on-error=cleanup"]),
    ("image-action build --on-error=a", &["--on-error=abort", "--on-error=ask"]),
    ("image-action build -on-error a", &["abort", "ask"]),
    ("image-action build -force=", &["-force=true", "-force=false"]),
    ("image-action build -var a=b ima", &["images/"]),
    ("image-action build -var-file ima", &["images/"]),
    ("image-action explain amazon-ebs.aws_po", &["amazon-ebs.aws_polling"]),
    ("image-action explain fn:cidrsubnet", &["fn:cidrsubnet", "fn:cidrsubnets"]),
    ("image-action completion ", &["bash", "zsh", "fish"]),
    ("image-action build -plugin", &[]),
];

/// bash takes words apart at `=` and `:` before it asks, as its `COMP_WORDBREAKS` says; readline's part is played here.
#[test]
fn bash_completes() {
    let dir = folder();
    for (line, expected) in ASKED {
        let script = r#"
            source it.bash
            complete -p image-action >/dev/null || exit 1
            line=$1 COMP_WORDS=()
            for word in $line; do
                while [[ $word =~ ^([^=:]*)([=:])(.*)$ ]]; do
                    [[ -z ${BASH_REMATCH[1]} ]] || COMP_WORDS+=("${BASH_REMATCH[1]}")
                    COMP_WORDS+=("${BASH_REMATCH[2]}")
                    word=${BASH_REMATCH[3]}
                done
                [[ -z $word ]] || COMP_WORDS+=("$word")
            done
            [[ $line != *" " ]] || COMP_WORDS+=("")
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            current=${COMP_WORDS[COMP_CWORD]}
            [[ $current != [=:] ]] || current=
            _image_action image-action "$current" ""
            printf '%s\n' "${COMPREPLY[@]}"
        "#;
        let mut bash = Command::new("bash");
        bash.args(["--norc", "--noprofile", "-c", script, "bash", line]).current_dir(&dir);
        let found = output(bash.env("PATH", in_path(dir.path())));
        let found: Vec<_> = found.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
        // Only what stands behind the last = or : is replaced.
        let behind = |word: &str| {
            let cut = line.rsplit(' ').next().and_then(|w| w.rfind(['=', ':'])).map_or(0, |at| at + 1);
            word[cut..].to_owned()
        };
        assert_eq!(found, expected.iter().map(|e| behind(e)).collect::<Vec<_>>(), "{line}");
    }
}

#[tokio::test]
async fn bash_at_a_terminal_completes() {
    let dir = folder();
    let start = dir.path().join("start");
    std::fs::write(&start, format!("PS1='$ '\ncd {}\nsource it.bash\n", dir.path().display())).unwrap();
    let plan = json!({
        "argv": ["bash", "--noprofile", "--rcfile", start],
        "steps": [
            ["", "$ "],
            ["image-action insp\t", "image-action inspect "],
            ["im\t", "images/"],
            ["\t", "a\\ b.pkr.hcl "],
            // Ctrl-U empties the line.
            ["\u{15}image-action build -on-error=r\t", "-on-error=run-cleanup-provisioner "],
            ["\u{15}exit\n", "exit"],
        ],
    });
    let env = BTreeMap::from([("PATH".to_owned(), in_path(dir.path()))]);
    support::python("at_a_terminal.py", &[&plan.to_string()], env).await;
}

#[test]
fn fish_completes() {
    if !has("fish") {
        return;
    }
    let dir = folder();
    for (line, expected) in ASKED {
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "--command", "source it.fish; complete --do-complete $argv[1]", "--", line]);
        fish.current_dir(&dir).env("PATH", in_path(dir.path())).env("HOME", dir.path());
        let found = output(&mut fish);
        let mut found: Vec<_> = found.lines().map(|l| l.split('\t').next().unwrap()).collect();
        let mut expected = expected.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{line}");
    }
}

#[tokio::test]
async fn zsh_completes() {
    if !has("zsh") {
        return;
    }
    let dir = folder();
    let steps = [
        // Typed in two parts: what is typed comes back and is not waited for.
        ["PROMPT='rea''dy> '\n", "ready> "],
        ["autoload -Uz compinit; compinit -u -d dump; source it.zsh; print loa''ded\n", "loaded"],
        // What only one word begins with is filled in; of several, all are shown.
        ["image-action insp\t", "inspect "],
        ["-var-file im\t", "images/"],
        ["\t", "a\\ b.pkr.hcl"],
        ["\u{15}image-action build -on-error=r\t", "-on-error=run-cleanup-provisioner"],
        ["\u{15}image-action build --on-error a\t", "Stop and leave everything as it is"],
        ["\u{15}image-action explain fn:cidrn\t", "cidrnetmask"],
        ["\u{15}exit\n", "exit"],
    ];
    let plan = json!({"argv": ["zsh", "-f", "-i"], "steps": steps}).to_string();
    let env = BTreeMap::from([
        ("PATH".to_owned(), in_path(dir.path())),
        ("HOME".to_owned(), dir.path().display().to_string()),
        ("START".to_owned(), dir.path().display().to_string()),
    ]);
    support::python("at_a_terminal.py", &[&plan], env).await;
}

#[test]
fn the_manual_is_set_without_a_complaint() {
    let dir = tempfile::tempdir().unwrap();
    output(Command::new(PROGRAM).args(["man", "-dir", "pages"]).current_dir(&dir));
    let pages: Vec<_> = std::fs::read_dir(dir.path().join("pages")).unwrap().map(|e| e.unwrap().path()).collect();
    let help = output(Command::new(PROGRAM).arg("--help"));
    let commands: Vec<_> =
        help.lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| l.starts_with("  ")).collect();
    // The one that is not there is `help`; the one more is the program's.
    assert_eq!(pages.len(), commands.len(), "{pages:?}");
    let mut set = Vec::new();
    for page in &pages {
        if has("groff") {
            set.push(output(Command::new("groff").args(["-man", "-ww", "-Tutf8", "-P-cbou"]).arg(page)));
        }
        if has("mandoc") {
            output(Command::new("mandoc").args(["-T", "lint", "-W", "error"]).arg(page));
        }
    }
    if let Some(text) = set.iter().find(|t| t.contains("IMAGE-ACTION-BUILD")) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("--on-error <ON_ERROR> [default: cleanup] What happens when a step fails"), "{text}");
        assert!(text.contains("run-cleanup-provisioner: Run the error"), "{text}");
    }
    let one = output(Command::new(PROGRAM).args(["man", "fmt"]));
    assert_eq!(one, std::fs::read_to_string(dir.path().join("pages/image-action-fmt.1")).unwrap());
    let wrong = Command::new(PROGRAM).args(["man", "nothing"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stdout).contains("there is no command \"nothing\"; there are build,"));
}

fn console(dir: &Path, steps: &[[&str; 2]]) -> (String, BTreeMap<String, String>) {
    let plan = json!({"argv": [PROGRAM, "console", "-var", "password=hunter22", "."], "steps": steps}).to_string();
    std::fs::write(dir.join("x.pkr.hcl"), "variable \"password\" {\n  sensitive = true\n}\n").unwrap();
    let env = [("XDG_STATE_HOME", dir.join("state")), ("HOME", dir.to_owned()), ("START", dir.to_owned())];
    (plan, env.map(|(k, v)| (k.to_owned(), v.display().to_string())).into())
}

#[tokio::test]
async fn the_console_at_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let (plan, env) = console(
        dir.path(),
        &[
            ["", "> "],
            ["upper(\"a\")\n", "\nA\n> "],
            // What is wrong is told, and it goes on.
            ["uper(\"a\")\n", "did you mean \"upper\"?\n> "],
            ["1 +\n", "error: Invalid expression"],
            ["", "\n> "],
            // An open bracket goes on in the next line.
            ["[1,\n2 + \n3]\n", "[\n  1,\n  5,\n]\n> "],
            // Ctrl-C throws the line away.
            ["[\"not this", "not this"],
            ["\u{3}", "\n> "],
            ["1 + 1\n", "\n2\n> "],
            // The last line again, with an end of its own.
            ["\u{1b}[A0\n", "\n11\n> "],
            // Left twice, and in between.
            ["\"ad\"\u{1b}[D\u{1b}[Dbc\n", "\nabcd\n> "],
            ["var.password\n", "\n<sensitive>\n> "],
            ["\"hunter22\"\n", "\n> "],
            [" \"of nobody's business\"\n", "\nof nobody's business\n> "],
            ["\u{4}", ""],
        ],
    );
    let text = support::python("at_a_terminal.py", &[&plan], env).await;
    assert!(text.trim_end().ends_with("exit 0"), "{text}");
    let history = dir.path().join("state/image-action/console-history");
    let kept = std::fs::read_to_string(&history).unwrap();
    assert!(kept.contains("upper(\"a\")") && kept.contains("1 +"), "{kept}");
    assert!(!kept.contains("hunter22") && !kept.contains("nobody") && !kept.contains("not this"), "{kept}");
    assert_eq!(std::fs::metadata(&history).unwrap().permissions().mode() & 0o777, 0o600);

    // The next console has it.
    let (plan, env) =
        console(dir.path(), &[["", "> "], ["\u{1b}[A", "var.password"], ["\u{3}", "> "], ["exit\n", "exit"]]);
    let text = support::python("at_a_terminal.py", &[&plan], env).await;
    assert!(text.trim_end().ends_with("exit 0"), "{text}");
}
