//! What has changed between two plans, on a terminal and as GitHub's Markdown.

use super::text::{CYAN, DIM, GREEN, MIN_WIDTH, Paper, RED, YELLOW, wrap};
use super::{count, stage};
use crate::plan::changes::{Became, BuildChange, Changes, FileChange, PartChange, SettingChange};
use crate::report::clean;
use crate::report::markdown::{code, html_code, inline};
use std::fmt::Write as _;

/// How many digits of a fingerprint or a commit are shown.
const DIGITS: usize = 12;

fn short(text: &str) -> String {
    text.chars().take(DIGITS).collect()
}

fn sign(became: Became) -> &'static str {
    match became {
        Became::Added => "+",
        Became::Removed => "-",
        Became::Changed => "~",
    }
}

fn color(became: Became) -> &'static str {
    match became {
        Became::Added => GREEN,
        Became::Removed => RED,
        Became::Changed => YELLOW,
    }
}

fn of_setting(change: &SettingChange) -> Became {
    match (&change.old, &change.new) {
        (None, _) => Became::Added,
        (_, None) => Became::Removed,
        _ => Became::Changed,
    }
}

/// A provisioner by its place: `provisioner 3 shell "base"`.
fn part_name(part: &PartChange) -> String {
    let name = if part.name.is_empty() { String::new() } else { format!(" {:?}", part.name) };
    let place = if part.part == "error-cleanup-provisioner" { String::new() } else { format!(" {}", part.place) };
    format!("{}{place}: {}{name}", part.part, part.kind)
}

/// `1 build changed, 1 added`; what has not changed is counted too.
fn totals(changes: &Changes) -> String {
    let words = [(Became::Changed, "changed"), (Became::Added, "added"), (Became::Removed, "removed")];
    let counted = words.map(|(became, word)| (changes.count(became), word));
    let mut parts: Vec<String> = Vec::new();
    for (n, word) in counted.into_iter().filter(|(n, _)| *n > 0) {
        let n = if parts.is_empty() { count(n, "build") } else { n.to_string() };
        parts.push(format!("{n} {word}"));
    }
    if !changes.unchanged.is_empty() {
        let n = changes.unchanged.len();
        parts.push(if parts.is_empty() {
            format!("{} unchanged", count(n, "build"))
        } else {
            format!("{n} unchanged")
        });
    }
    parts.join(", ")
}

/// On a terminal.
pub fn text(changes: &Changes, template: &str, paper: Paper) -> String {
    let paper = Paper { width: paper.width.max(MIN_WIDTH), ..paper };
    let mut out = String::new();
    let head = format!(
        "Changes of {} against {} ({})",
        clean::visible(template),
        clean::visible(&changes.against),
        short(&changes.commit)
    );
    let _ = writeln!(out, "{}\n", paper.paint("1", &head));
    if changes.none() {
        out.push_str("Nothing that is built has changed.\n\n");
    }
    for build in &changes.builds {
        build_text(&mut out, build, paper);
    }
    if !changes.permissions.is_empty() {
        let _ = writeln!(out, "{}", paper.paint("1", "permissions"));
        for p in &changes.permissions {
            let line = format!("{} {} on {}", sign(p.became), p.action, clean::visible(&p.on));
            lines(&mut out, 2, &line, color(p.became), paper);
        }
        out.push('\n');
    }
    for note in &changes.notes {
        lines(&mut out, 0, &format!("note: {}", clean::visible(note)), YELLOW, paper);
    }
    let _ = writeln!(out, "{}", totals(changes));
    out
}

/// A text on as many lines as it needs, at an indent; further lines stand two columns to the right.
fn lines(out: &mut String, indent: usize, text: &str, code: &str, paper: Paper) {
    let room = paper.width.saturating_sub(indent + 2);
    for (n, line) in wrap(text, room).iter().enumerate() {
        let indent = indent + if n > 0 { 2 } else { 0 };
        let _ = writeln!(out, "{:indent$}{}", "", paper.paint(code, line));
    }
}

fn build_text(out: &mut String, build: &BuildChange, paper: Paper) {
    let name = clean::visible(&build.name);
    let word = match build.became {
        Became::Added => "  (new)",
        Became::Removed => "  (gone)",
        Became::Changed => "",
    };
    let _ = writeln!(out, "{}{word}", paper.paint(color(build.became), &format!("{} {name}", sign(build.became))));
    settings_text(out, 4, &build.settings, paper);
    files_text(out, 4, &build.files, paper);
    for part in &build.parts {
        let line = format!("{} {}", sign(part.became), clean::visible(&part_name(part)));
        lines(out, 4, &line, color(part.became), paper);
        settings_text(out, 8, &part.settings, paper);
        files_text(out, 8, &part.files, paper);
    }
    for step in &build.steps {
        let s = &step.step;
        let when = s.when.as_deref().map(|w| format!(", if {w}")).unwrap_or_default();
        let line = format!("{} {} {} [{}]{when}", sign(step.became), s.call, clean::visible(&s.about), s.place);
        lines(out, 4, &line, if s.destroys { RED } else { color(step.became) }, paper);
    }
    out.push('\n');
}

fn settings_text(out: &mut String, indent: usize, all: &[SettingChange], paper: Paper) {
    let width = all.iter().map(|s| s.option.chars().count()).filter(|n| *n <= 40).max().unwrap_or(0);
    for s in all {
        let became = of_setting(s);
        let (old, new) = (s.old.as_deref().map(clean::visible), s.new.as_deref().map(clean::visible));
        let mut value = match (old, new) {
            (Some(old), Some(new)) => vec![old, format!("→ {new}")],
            (old, new) => vec![old.or(new).unwrap_or_default()],
        };
        if s.sensitive && became == Became::Changed {
            value = vec!["<sensitive>, another one than before".to_owned()];
        }
        let name = clean::visible(&s.option);
        let pad = width.saturating_sub(name.chars().count());
        let sign = paper.paint(color(became), sign(became));
        let _ = write!(out, "{:indent$}{sign} {}{:pad$} = ", "", paper.paint(CYAN, &name), "");
        let beside = indent + 2 + width.max(name.chars().count()) + 3;
        let room = paper.width.saturating_sub(beside);
        let one_line = value.join(" ");
        if one_line.chars().count() <= room {
            let _ = writeln!(out, "{one_line}");
            continue;
        }
        let wrapped = value.iter().flat_map(|v| wrap(v, room.max(24))).collect::<Vec<_>>();
        for (n, line) in wrapped.iter().enumerate() {
            let pad = if n == 0 { 0 } else { beside };
            let _ = writeln!(out, "{:pad$}{line}", "");
        }
    }
}

fn files_text(out: &mut String, indent: usize, all: &[FileChange], paper: Paper) {
    for f in all {
        let of = |sum: &Option<String>| sum.as_deref().map(short);
        let sums = match (of(&f.old), of(&f.new)) {
            (Some(old), Some(new)) => format!("sha256 {old} → {new}"),
            (old, new) => format!("sha256 {}", old.or(new).unwrap_or_default()),
        };
        let line = format!("{} {}", sign(f.became), clean::visible(&f.path));
        let _ = writeln!(out, "{:indent$}{}  {}", "", paper.paint(color(f.became), &line), paper.paint(DIM, &sums));
    }
}

/// A value in a cell: long ones are cut, the plan has the whole.
fn cell(value: Option<&str>) -> String {
    /// Characters of a value that are shown.
    const MOST: usize = 160;
    match value {
        None => "–".to_owned(),
        Some(text) if text.chars().count() > MOST => format!("{}…", code(&text.chars().take(MOST).collect::<String>())),
        Some(text) => code(text),
    }
}

/// As Markdown: a line that says it all, and for each build what has changed.
///
/// Each part stands alone, so that a page with little room can take the first ones.
pub fn markdown(changes: &Changes) -> Vec<String> {
    let mut parts = Vec::new();
    let commit = short(&changes.commit);
    let against = if changes.against.starts_with(&commit) {
        code(&commit)
    } else {
        format!("{} ({})", code(&changes.against), code(&commit))
    };
    let verdict = if changes.none() { "nothing that is built has changed".to_owned() } else { totals(changes) };
    parts.push(format!("**Against {against}:** {verdict}\n"));
    parts.extend(changes.builds.iter().map(build_markdown));
    if !changes.permissions.is_empty() {
        let mut out =
            format!("<details><summary>Permissions: {}</summary>\n\n", count(changes.permissions.len(), "change"));
        out.push_str("| | Permission | On |\n| :-- | :-- | :-- |\n");
        for p in &changes.permissions {
            let _ = writeln!(out, "| {} | {} | {} |", sign_cell(p.became), code(&p.action), code(&p.on));
        }
        out.push_str("\n</details>\n");
        parts.push(out);
    }
    parts.extend(changes.notes.iter().map(|n| format!("> {}\n", inline(n))));
    parts
}

/// A sign that is no list of Markdown.
fn sign_cell(became: Became) -> &'static str {
    match became {
        Became::Added => "➕",
        Became::Removed => "➖",
        Became::Changed => "✏️",
    }
}

fn build_markdown(build: &BuildChange) -> String {
    let name = code(&build.name);
    match build.became {
        Became::Added => return format!("➕ {name} is new\n"),
        Became::Removed => return format!("➖ {name} is gone\n"),
        Became::Changed => {}
    }
    let files = build.files.len() + build.parts.iter().map(|p| p.files.len()).sum::<usize>();
    let counts =
        [(build.settings.len(), "option"), (build.parts.len(), "step"), (files, "file"), (build.steps.len(), "call")];
    let counts: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(*n, what)).collect();
    let mut out = format!("<details><summary>✏️ {}: {}</summary>\n\n", html_code(&build.name), counts.join(", "));
    if !build.settings.is_empty() || !build.files.is_empty() || !build.parts.is_empty() {
        out.push_str("| | What | Before | Now |\n| :-- | :-- | :-- | :-- |\n");
        rows(&mut out, "", &build.settings, &build.files);
        for part in &build.parts {
            let _ = writeln!(out, "| {} | **{}** | | |", sign_cell(part.became), inline(&part_name(part)));
            rows(&mut out, "↳ ", &part.settings, &part.files);
        }
        out.push('\n');
    }
    if !build.steps.is_empty() {
        out.push_str("| | Part | Call | What | Where |\n| :-- | :-- | :-- | :-- | :-- |\n");
        for change in &build.steps {
            let s = &change.step;
            let sign = if s.destroys { "⚠️" } else { sign_cell(change.became) };
            let when = s.when.as_deref().map(|w| format!(", if {}", inline(w))).unwrap_or_default();
            let (what, place) = (inline(&s.about), inline(&s.place));
            let _ = writeln!(out, "| {sign} | {} | {} | {what}{when} | {place} |", stage(s.stage), code(&s.call));
        }
        out.push('\n');
    }
    out.push_str("</details>\n");
    out
}

fn rows(out: &mut String, before: &str, settings: &[SettingChange], files: &[FileChange]) {
    for s in settings {
        let (old, new) = (cell(s.old.as_deref()), cell(s.new.as_deref()));
        let new = if s.sensitive && old == new { format!("{new}, another one") } else { new };
        let _ = writeln!(out, "| {} | {before}{} | {old} | {new} |", sign_cell(of_setting(s)), code(&s.option));
    }
    for f in files {
        let sum = |sum: &Option<String>| sum.as_deref().map_or("–".to_owned(), |s| code(&short(s)));
        let _ = writeln!(
            out,
            "| {} | {before}file {} | {} | {} |",
            sign_cell(f.became),
            code(&f.path),
            sum(&f.old),
            sum(&f.new)
        );
    }
}
