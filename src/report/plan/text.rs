//! A plan on a terminal: names in columns, long values wrapped below themselves, colours where they are wanted.

use super::{Group, count, groups, home, label, stage};
use crate::plan::{BuildPlan, Plan, Setting, StepPlan};
use crate::report::clean;
use image_action_engine::outline::{Document, Stage, Step};
use std::fmt::Write as _;

/// The least columns that are drawn for: below, values would have no room beside their names.
pub const MIN_WIDTH: usize = 60;

/// The most columns that are used: longer lines are hard to read.
pub const MAX_WIDTH: usize = 160;

/// The most columns that a name takes before its value goes to the next line.
const NAME: usize = 34;

/// What is drawn on.
#[derive(Clone, Copy, Debug)]
pub struct Paper {
    /// Columns.
    pub width: usize,
    /// Whether colours may be used.
    pub color: bool,
}

pub(super) const BOLD: &str = "1";
pub(super) const DIM: &str = "2";
pub(super) const RED: &str = "31";
pub(super) const GREEN: &str = "32";
pub(super) const YELLOW: &str = "33";
pub(super) const CYAN: &str = "36";

impl Paper {
    /// A text in a colour.
    pub(super) fn paint(self, code: &str, text: &str) -> String {
        if self.color && !text.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Columns that a text takes. Names of templates are ASCII for the most part: a character counts as one.
fn columns(text: &str) -> usize {
    text.chars().count()
}

/// Breaks a text into lines of at most `width` columns: at blanks, where a word fits, else anywhere.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let mut word: &str = word;
        if !line.is_empty() && columns(&line) + 1 + columns(word) > width {
            lines.push(std::mem::take(&mut line));
        }
        while columns(word) > width {
            let at = word.char_indices().nth(width).map_or(word.len(), |(at, _)| at);
            lines.push(word[..at].to_owned());
            word = &word[at..];
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// A name and what is said of it: beside it, and below for what has no room.
fn entry(out: &mut String, indent: usize, name: &str, name_width: usize, value: &[String], painted: &str) {
    let pad = name_width.saturating_sub(columns(name));
    let mut lines = value.iter();
    let _ = write!(out, "{:indent$}{painted}{:pad$}", "", "");
    match lines.next() {
        Some(first) => {
            let _ = writeln!(out, "  {first}");
        }
        None => out.push('\n'),
    }
    for line in lines {
        let _ = writeln!(out, "{:1$}{line}", "", indent + name_width + 2);
    }
}

/// Draws a plan.
pub fn draw(plan: &Plan, paper: Paper) -> String {
    let paper = Paper { width: paper.width.clamp(MIN_WIDTH, MAX_WIDTH), ..paper };
    let mut out = String::new();
    let what = format!("Plan of {}: {}", clean::visible(&plan.template), count(plan.builds.len(), "build"));
    let _ = writeln!(out, "{}", paper.paint(BOLD, &what));
    let asked = if plan.data_sources_read { "Data sources were read." } else { "No cloud was asked." };
    let _ = writeln!(out, "{}\n", paper.paint(DIM, &format!("{asked} Nothing was changed.")));
    for build in &plan.builds {
        draw_build(&mut out, build, paper);
    }
    out.push_str(&totals(plan, paper));
    out
}

fn totals(plan: &Plan, paper: Paper) -> String {
    let calls: usize = plan.builds.iter().map(|b| b.steps.len()).sum();
    let destroys: usize = plan.builds.iter().map(|b| b.destroys().count()).sum();
    let nothing = if plan.builds.iter().all(|b| b.makes.is_empty()) { ", after which nothing stays" } else { "" };
    let mut text = format!("{}, {}{nothing}. ", count(plan.builds.len(), "build"), count(calls, "changing call"));
    text.push_str(&match destroys {
        0 => "Nothing that exists is replaced.".to_owned(),
        n => paper.paint(RED, &format!("{} may take away what exists: marked with a minus.", count(n, "call"))),
    });
    format!("{text}\n")
}

/// The head of a build: its name, and at the right where it runs.
fn head(out: &mut String, name: &str, right: &str, paper: Paper) {
    let room = paper.width.saturating_sub(columns(name) + 3);
    let right: String = if columns(right) > room { String::new() } else { right.to_owned() };
    let line = paper.width.saturating_sub(columns(name) + columns(&right) + 4);
    let rule = "─".repeat(line.max(2));
    let right = if right.is_empty() { String::new() } else { format!(" {}", paper.paint(DIM, &right)) };
    let _ = writeln!(out, "{} {}{right}", paper.paint(BOLD, name), paper.paint(DIM, &format!("─{rule}")));
}

fn draw_build(out: &mut String, build: &BuildPlan, paper: Paper) {
    head(out, &clean::visible(&build.name), &clean::visible(&build.place), paper);
    let room = paper.width - 12;
    let mut fact = |name: &str, code: &str, text: &str| {
        let lines = wrap(&clean::visible(text), room);
        entry(out, 2, name, 8, &lines, &paper.paint(code, name));
    };
    if !build.source.is_empty() {
        fact("source", DIM, &build.source);
    }
    if let Some(by) = &build.source_found_by {
        fact("", DIM, &format!("({by})"));
    }
    for (n, made) in build.makes.iter().enumerate() {
        fact(if n == 0 { "makes" } else { "" }, GREEN, made);
    }
    if build.makes.is_empty() && !build.provider.is_empty() {
        fact("makes", DIM, "no image");
    }
    for step in build.destroys() {
        let when = step.when.as_deref().map(|w| format!(", if {w}")).unwrap_or_default();
        fact("replaces", RED, &format!("{} ({}{when})", step.about, step.place));
    }
    out.push('\n');
    settings(out, 2, &build.settings, paper);
    if !build.steps.is_empty() || !build.provisioners.is_empty() {
        out.push('\n');
        steps(out, build, paper);
    }
    chains(out, build, paper);
    for note in &build.notes {
        out.push('\n');
        let lines = wrap(&clean::visible(note), room);
        entry(out, 2, "note", 8, &lines, &paper.paint(YELLOW, "note"));
    }
    out.push('\n');
}

/// A name without the block or the map around it, and that.
fn split(option: &str) -> (&str, &str) {
    option.split_once('.').map_or(("", option), |(around, name)| (around, name))
}

fn settings(out: &mut String, indent: usize, all: &[Setting], paper: Paper) {
    let wide = |s: &Setting| {
        let (around, name) = split(&s.option);
        columns(name) + if around.is_empty() { 0 } else { 2 }
    };
    let longest = all.iter().map(wide).filter(|n| *n <= NAME).max().unwrap_or(0);
    let mut around = "";
    for setting in all {
        let (block, name) = split(&setting.option);
        if block != around {
            around = block;
            if !block.is_empty() {
                let _ = writeln!(out, "{:indent$}{}", "", paper.paint(CYAN, &clean::visible(block)));
            }
        }
        let inner = if block.is_empty() { 0 } else { 2 };
        line(out, (indent + inner, longest - inner.min(longest)), name, setting, paper);
    }
}

/// One option, at this indent and with a name of this width.
fn line(out: &mut String, (indent, longest): (usize, usize), name: &str, setting: &Setting, paper: Paper) {
    let name = clean::visible(name);
    let room = paper.width.saturating_sub(indent + longest.max(8) + 5);
    let mut value = clean::visible(&setting.value);
    if setting.default {
        value.push_str("  (default)");
    }
    let mut lines = wrap(&value, room);
    if setting.sensitive || setting.default {
        lines = lines.iter().map(|l| paper.paint(DIM, l)).collect();
    }
    let lines: Vec<String> =
        lines.iter().enumerate().map(|(n, l)| format!("{} {l}", if n == 0 { "=" } else { " " })).collect();
    let painted = paper.paint(CYAN, &name);
    if columns(&name) > longest {
        let _ = writeln!(out, "{:indent$}{painted}", "");
        entry(out, indent, "", longest, &lines, "");
    } else {
        entry(out, indent, &name, longest, &lines, &painted);
    }
}

/// The calls in order, with the provisioners at their place among them.
fn steps(out: &mut String, build: &BuildPlan, paper: Paper) {
    let width = build.steps.iter().map(|s| columns(&s.call)).max().unwrap_or(0);
    let mut number = 0;
    let mut last = None;
    let mut provisioned = false;
    for group in groups(&build.steps) {
        let step = group.step;
        let up = step.stage > Stage::Machine || is_stop(step);
        if up && !provisioned {
            provisioners(out, build, paper);
            provisioned = true;
            last = None;
        }
        number += 1;
        let name = if last == Some(step.stage) { "" } else { stage(step.stage) };
        last = Some(step.stage);
        call(out, (number, width), name, &group, home(build), paper);
    }
    if !provisioned {
        provisioners(out, build, paper);
    }
}

/// Whether a call of the machine's part comes after the provisioners.
fn is_stop(step: &Step) -> bool {
    ["StopInstances", "/deallocate", "instances.delete"].iter().any(|c| step.call.ends_with(c))
}

fn call(out: &mut String, (number, width): (usize, usize), name: &str, group: &Group<'_>, home: &str, paper: Paper) {
    let step = group.step;
    let mark = if step.destroys { paper.paint(RED, "-") } else { " ".to_owned() };
    let mut about = clean::visible(&step.about);
    if group.places != [home] {
        let _ = write!(about, " [{}]", clean::visible(&group.places.join(", ")));
    }
    if let Some(when) = &step.when {
        let _ = write!(about, ", if {}", clean::visible(when));
    }
    let painted = match (step.destroys, step.when.is_some()) {
        (true, _) => paper.paint(RED, &step.call),
        (false, true) => paper.paint(DIM, &step.call),
        (false, false) => step.call.clone(),
    };
    let left = 2 + 9 + 4 + 2;
    // Where a call's name is long, what it is about goes below it.
    let beside = left + width + 2 + 24 <= paper.width;
    let shown = paper.paint(DIM, name);
    let pad = 9_usize.saturating_sub(columns(name));
    let _ = write!(out, "  {shown}{:pad$}{mark}{number:>3}  ", "");
    let indent = if beside { left + width + 2 } else { left + 2 };
    let lines = wrap(&about, paper.width.saturating_sub(indent));
    if beside {
        let pad = width.saturating_sub(columns(&step.call));
        let _ = writeln!(out, "{painted}{:pad$}  {}", "", lines.first().map_or("", String::as_str));
    } else {
        let _ = writeln!(out, "{painted}");
    }
    for line in lines.iter().skip(usize::from(beside)) {
        let _ = writeln!(out, "{:indent$}{line}", "");
    }
}

fn provisioners(out: &mut String, build: &BuildPlan, paper: Paper) {
    for (n, step) in build.provisioners.iter().enumerate() {
        component(out, if n == 0 { "provision" } else { "" }, step, paper);
    }
    if let Some(step) = &build.error_cleanup {
        component(out, "on error", step, paper);
    }
}

fn component(out: &mut String, name: &str, step: &StepPlan, paper: Paper) {
    let shown = paper.paint(DIM, name);
    let pad = 9_usize.saturating_sub(columns(name));
    let kind = paper.paint(GREEN, &clean::visible(&label(step)));
    let _ = writeln!(out, "  {shown}{:pad$}   •  {kind}", "");
    settings(out, 19, &step.settings, paper);
}

fn chains(out: &mut String, build: &BuildPlan, paper: Paper) {
    if build.post_processors.is_empty() {
        return;
    }
    out.push('\n');
    for (n, chain) in build.post_processors.iter().enumerate() {
        for (m, step) in chain.iter().enumerate() {
            let name = if (n, m) == (0, 0) { "then" } else { "" };
            let name = if m > 0 { "└ then" } else { name };
            component(out, name, step, paper);
            if let Some(writes) = &step.writes {
                let lines = wrap(&format!("writes {}", clean::visible(writes)), paper.width.saturating_sub(19));
                lines.iter().for_each(|l| {
                    let _ = writeln!(out, "{:19}{}", "", paper.paint(YELLOW, l));
                });
            }
        }
    }
}

/// Documents of permissions: alone they are only the document, so that it can be piped into a file.
pub fn documents(all: &[Document], paper: Paper) -> String {
    let [one] = all else {
        let mut out = String::new();
        for document in all {
            head(&mut out, &clean::visible(&document.title), &document.file, paper);
            let _ = writeln!(out, "{}", paper.paint(DIM, &format!("# {}", clean::visible(&document.command))));
            let _ = writeln!(out, "{}\n", clean_lines(&document.text));
        }
        return out;
    };
    clean_lines(&one.text)
}

fn clean_lines(text: &str) -> String {
    text.trim_end().split('\n').map(clean::visible).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_cut_and_blanks_break() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("", 3), [""]);
    }
}
