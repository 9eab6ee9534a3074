//! What Packer says about several hundred small templates, and whether this program says the same: exit code, places of
//! errors, number of warnings, output, files. `tests/data/verdicts/README.md` explains the rows.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Deserialize)]
struct Case {
    name: String,
    cmd: Vec<String>,
    env: BTreeMap<String, String>,
    exit: i32,
    errors: Vec<Row>,
    warnings: usize,
    #[serde(default)]
    stdout_has: Vec<String>,
    #[serde(default)]
    stdout_hasnt: Vec<String>,
    #[serde(default)]
    files_after: BTreeMap<String, String>,
    #[serde(default)]
    files_contain: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    files_present: Vec<String>,
    #[serde(default)]
    files_absent: Vec<String>,
}

#[derive(Deserialize, Debug)]
struct Row {
    file: Option<String>,
    line: Option<usize>,
    to: Option<usize>,
    says: String,
}

/// An error of ours: its first line and its place.
#[derive(Debug)]
#[allow(dead_code, reason = "the summary is shown by Debug")]
struct Shown {
    summary: String,
    place: Option<(String, usize)>,
}

fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/verdicts")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, r)| r);
    }
    plain + rest
}

fn one_blank(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The errors in an output, and the number of warnings.
fn read(output: &str) -> (Vec<Shown>, usize) {
    let lines: Vec<&str> = output.lines().collect();
    let mut errors = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        let Some(summary) = line.strip_prefix("error: ") else { continue };
        let place = lines.get(n + 1).and_then(|l| l.trim_start().strip_prefix("--> ")).and_then(|p| {
            let mut parts = p.rsplitn(3, ':');
            let _column = parts.next()?;
            let line = parts.next()?.parse().ok()?;
            Some((parts.next()?.to_owned(), line))
        });
        errors.push(Shown { summary: (*summary).to_owned(), place });
    }
    (errors, lines.iter().filter(|l| l.starts_with("warning: ")).count())
}

fn covers(row: &Row, shown: &Shown) -> bool {
    match (&row.file, row.line, &shown.place) {
        (None, _, _) => true,
        (Some(file), Some(line), Some((f, l))) => file == f && (line..=row.to.unwrap_or(line)).contains(l),
        _ => false,
    }
}

/// A case that has been run.
struct Ran {
    /// Where its files are.
    dir: tempfile::TempDir,
    code: Option<i32>,
    /// Without colours.
    stdout: String,
}

impl Ran {
    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }
}

fn run(case: &Case) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let work = dir.path().join("work");
    copy(&data().join("cases").join(&case.name), &work);
    // Whether ansible is installed here must not matter.
    let ansible = dir.path().join("bin/ansible-playbook");
    std::fs::create_dir_all(dir.path().join("bin")).unwrap();
    std::fs::write(&ansible, "#!/bin/sh\necho 'ansible-playbook [core 2.18.0]'\n").unwrap();
    std::fs::set_permissions(&ansible, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", dir.path().join("bin").display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new(env!("CARGO_BIN_EXE_image-action"))
        .args(&case.cmd)
        .current_dir(&work)
        .env_clear()
        .env("PATH", path)
        .env("HOME", dir.path())
        .envs(&case.env)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stdout = without_colours(&String::from_utf8_lossy(&output.stdout));
    Ran { dir, code: output.status.code(), stdout }
}

/// Everything that differs from the row, in words.
fn differences(case: &Case, ran: &Ran) -> Vec<String> {
    let (work, stdout) = (ran.work(), &ran.stdout);
    let (errors, warnings) = read(stdout);
    let mut wrong = Vec::new();
    if ran.code != Some(case.exit) {
        wrong.push(format!("exit {:?}, not {}", ran.code, case.exit));
    }
    for row in case.errors.iter().filter(|r| !errors.iter().any(|e| covers(r, e))) {
        wrong.push(format!("no error at {:?}:{:?}..{:?} ({})", row.file, row.line, row.to, row.says));
    }
    for shown in errors.iter().filter(|e| !case.errors.is_empty() && !case.errors.iter().any(|r| covers(r, e))) {
        wrong.push(format!("an error of ours only: {shown:?}"));
    }
    if case.exit == 0 && !errors.is_empty() {
        wrong.push(format!("errors where there are none: {errors:?}"));
    }
    if warnings != case.warnings {
        wrong.push(format!("{warnings} warnings, not {}", case.warnings));
    }
    let text = one_blank(stdout);
    for wanted in case.stdout_has.iter().filter(|w| !text.contains(&one_blank(w))) {
        wrong.push(format!("not on stdout: {wanted}"));
    }
    for unwanted in case.stdout_hasnt.iter().filter(|w| text.contains(&one_blank(w))) {
        wrong.push(format!("on stdout: {unwanted}"));
    }
    let file = |name: &str| std::fs::read_to_string(work.join(name)).ok();
    for (name, content) in case.files_after.iter().filter(|(n, c)| file(n).as_ref() != Some(*c)) {
        wrong.push(format!("{name} is {:?}, not {content:?}", file(name)));
    }
    for (name, parts) in &case.files_contain {
        let content = file(name).unwrap_or_default();
        for part in parts.iter().filter(|p| !one_blank(&content).contains(&one_blank(p))) {
            wrong.push(format!("{name} lacks {part}"));
        }
    }
    wrong.extend(case.files_present.iter().filter(|n| !work.join(n).exists()).map(|n| format!("{n} is missing")));
    wrong.extend(case.files_absent.iter().filter(|n| work.join(n).exists()).map(|n| format!("{n} is there")));
    wrong
}

/// With this variable set, `known.txt` is written anew; reasons are kept, new ones are to be written by hand.
const UPDATE: &str = "VERDICTS_UPDATE";

/// How many cases run at a time.
const THREADS: usize = 4;

/// Every case, run, and what is made of it, by its name.
fn all<T: Send>(look: impl Fn(&Case, &Ran) -> Option<T> + Sync) -> (usize, BTreeMap<String, T>) {
    let rows = std::fs::read_to_string(data().join("cases.jsonl")).unwrap();
    let cases: Vec<Case> = rows.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(seen) = look(case, &run(case)) {
                        found.lock().unwrap().insert(case.name.clone(), seen);
                    }
                }
            });
        }
    });
    (cases.len(), found.into_inner().unwrap())
}

/// The texts that people read: `tests/data/verdicts/messages.txt` has the whole output of every case that fails before anything is run. With
/// `VERDICTS_UPDATE` set it is written anew; whoever does it reads what has changed, as somebody who has just made that mistake.
#[test]
fn what_people_are_told_is_what_somebody_has_read() {
    let (_, told) = all(|case, ran| {
        // Paths of the test itself are not the same twice.
        let text = ran.stdout.replace(&ran.work().display().to_string(), "DIR");
        (case.exit == 1 && case.cmd[0] != "build")
            .then(|| format!("## {} {}\n\n{}\n\n", case.name, case.cmd.join(" "), text.trim_end()))
    });
    let text: String = told.into_values().collect();
    let summaries: BTreeSet<&str> = text.lines().filter_map(|l| l.strip_prefix("error: ")).collect();
    assert!(summaries.len() >= 80, "{} distinct messages", summaries.len());
    let path = data().join("messages.txt");
    if std::env::var_os(UPDATE).is_some() {
        return std::fs::write(path, text).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert!(text == expected, "{}", similar::TextDiff::from_lines(&expected, &text).unified_diff().context_radius(3));
}

#[test]
fn templates_get_the_verdicts_of_packer() {
    let (count, failed) = all(|case, ran| Some(differences(case, ran)).filter(|wrong| !wrong.is_empty()));
    println!("{} of {count} verdicts are the same", count - failed.len());
    let known = std::fs::read_to_string(data().join("known.txt")).unwrap();
    let known: BTreeMap<&str, &str> = known.lines().filter_map(|l| l.split_once(": ")).collect();
    if std::env::var_os(UPDATE).is_some() {
        let reason = |name: &String| {
            known.get(name.as_str()).map_or_else(|| format!("TODO {:?}", failed[name]), |r| (*r).to_owned())
        };
        let text: String = failed.keys().map(|n| format!("{n}: {}\n", reason(n))).collect();
        return std::fs::write(data().join("known.txt"), text).unwrap();
    }
    let mut report = String::new();
    for (name, wrong) in failed.iter().filter(|(n, _)| !known.contains_key(n.as_str())) {
        report.push_str(&format!("{name}:\n    {}\n", wrong.join("\n    ")));
    }
    for (name, _) in known.iter().filter(|(n, _)| !failed.contains_key(**n)) {
        report.push_str(&format!("{name} is right now: take it off known.txt\n"));
    }
    assert!(report.is_empty(), "{report}");
}
