//! What a pull request, a job summary and a check run show: a verdict, one table, failures with their cure below it.
//!
//! Everything that comes from a template, a guest or a branch name is untrusted; [`text`] makes it harmless. Secrets are taken out
//! before that: afterwards they would be written in another way, and not be found.

pub mod launch;
#[cfg(test)]
mod sample;
mod table;
pub mod text;

pub use table::short_id;
pub use text::{code, fence, fenced, html_code, inline, link, prose};

use crate::report::Masker;
use chrono::{DateTime, Utc};
use image_action_engine::component::Image;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// Longest comment that is posted, in bytes: below GitHub's 65,536 characters whatever they are made of.
pub const COMMENT_LIMIT: usize = 60_000;

/// How many of the last lines of a failure are shown, where there is room.
const LOG_LINES: usize = 40;

/// Longest line of a log, in characters: beyond it nobody reads on a page.
const LINE_LIMIT: usize = 400;

/// Longest message of a failure, in characters.
const MESSAGE_LIMIT: usize = 4000;

/// How many warnings are listed; the others are counted.
const LISTED: usize = 30;

/// How a build stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It did what it should.
    Success,
    /// It ended with an error.
    Failure,
    /// It was stopped.
    Cancelled,
}

impl Status {
    /// One picture.
    pub fn sign(self) -> &'static str {
        match self {
            Status::Success => "✅",
            Status::Failure => "❌",
            Status::Cancelled => "⏹️",
        }
    }
    /// The word of the action's output `status`, and of GitHub's conclusions.
    pub fn word(self) -> &'static str {
        match self {
            Status::Success => "success",
            Status::Failure => "failure",
            Status::Cancelled => "cancelled",
        }
    }
}

/// One build of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Whole name.
    pub build: String,
    /// Type of its source (`amazon-ebs`).
    pub source_type: String,
    /// How it stands.
    pub status: Status,
    /// How long it took.
    pub elapsed: Duration,
    /// What it made.
    pub images: Vec<Image>,
    /// Why it failed: the error, then the last lines of output.
    pub failure: Option<Failure>,
}

/// Why a build failed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Failure {
    /// What it was at (`provisioner 2 of 3: shell`), or empty.
    pub phase: String,
    /// What went wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The last lines of its output.
    pub log: Vec<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// Good to know.
    Note,
    /// It works, and is not right.
    Warning,
    /// It does not work.
    Error,
}

/// Something that was found in the template: by reading it, or by a lint rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// One line.
    pub title: String,
    /// Whole sentences, or empty.
    pub detail: String,
    /// What to do.
    pub hint: Option<String>,
    /// The file, from the root of the repository; line and column, from 1.
    pub place: Option<(String, usize, usize)>,
    /// The finding with its lines of the template, as a terminal shows it.
    pub excerpt: String,
}

/// Everything a report shows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// What was done (`validation build of pull request 7`).
    pub what: String,
    /// Facts of the run behind it, as Markdown (`environment dev`).
    pub facts: Vec<String>,
    /// Whether no build was meant to run.
    pub validated_only: bool,
    /// Whether an image was meant to be made.
    pub makes_images: bool,
    /// Whether clouds and machines were played on the runner: their ids lead nowhere.
    pub local: bool,
    /// What was found in the template.
    pub findings: Vec<Finding>,
    /// From which level on a finding fails the job.
    pub fail_on: Option<Level>,
    /// The builds, in order.
    pub rows: Vec<Row>,
    /// What changes against the base branch, as Markdown: parts that stand alone, the important ones first.
    pub changes: Vec<String>,
    /// Failures that belong to no build.
    pub errors: Vec<String>,
    /// Short facts below the table.
    pub notes: Vec<String>,
    /// Whether the way to launch the images is shown.
    pub launch: bool,
    /// The page of the run.
    pub run_url: String,
    /// `run 42, attempt 1`, or empty.
    pub run: String,
    /// The page of the commit's files (`https://github.com/o/r/blob/SHA`), or empty.
    pub files_url: String,
    /// The commit.
    pub sha: String,
    /// When it was written.
    pub at: Option<SystemTime>,
    /// How long all of it took.
    pub elapsed: Option<Duration>,
}

impl Report {
    /// Whether a finding fails the job; an error does unless told otherwise.
    pub fn invalid(&self) -> bool {
        let least = self.fail_on.unwrap_or(Level::Error);
        self.findings.iter().any(|f| f.level >= least)
    }
    /// Whether everything is as it should be.
    pub fn status(&self) -> Status {
        if self.invalid() || !self.errors.is_empty() || self.rows.iter().any(|r| r.status == Status::Failure) {
            Status::Failure
        } else if self.rows.iter().any(|r| r.status == Status::Cancelled) {
            Status::Cancelled
        } else {
            Status::Success
        }
    }
    /// One line that says it all.
    pub fn headline(&self) -> String {
        let failed = self.rows.iter().filter(|r| r.status == Status::Failure).count();
        let all = self.rows.len();
        let done = if self.makes_images { "built" } else { "provisioned" };
        match self.status() {
            Status::Failure if failed == 1 && all == 1 => "the build failed".to_owned(),
            Status::Failure if failed > 0 => format!("{failed} of {all} builds failed"),
            Status::Failure if self.findings.iter().any(|f| f.level == Level::Error) => {
                "the template is not valid".to_owned()
            }
            Status::Failure if self.invalid() => "the template has warnings, which fail this job".to_owned(),
            Status::Failure => "the run failed".to_owned(),
            Status::Cancelled => "cancelled".to_owned(),
            Status::Success if all == 0 && !self.validated_only => "nothing to build".to_owned(),
            Status::Success if all == 0 => "the template is valid".to_owned(),
            Status::Success if all == 1 => format!("1 of 1 {done}"),
            Status::Success => format!("all {all} {done}"),
        }
    }
    /// The whole report, at most `limit` bytes: logs get shorter first, the verdict and the table stay.
    pub fn render(&self, masker: &Masker, limit: usize) -> String {
        let report = self.masked(masker);
        for lines in [LOG_LINES, 10, 0] {
            let text = report.sections(lines).concat() + &report.footer();
            if text.len() <= limit {
                return text;
            }
        }
        // Section by section, whole ones only: what is cut in its middle leaves a fence or an element open.
        let footer =
            format!("\n*Some details are left out here, they are too long: see the run.*\n{}", report.footer());
        let mut text = String::new();
        for section in report.sections(0) {
            if text.len() + section.len() + footer.len() <= limit {
                text.push_str(&section);
            }
        }
        text + &footer
    }
    /// The table of builds alone.
    pub fn table_only(&self, masker: &Masker) -> String {
        self.masked(masker).table().concat()
    }
    /// The same without secrets.
    #[must_use]
    pub fn masked(&self, masker: &Masker) -> Report {
        let mut report = self.clone();
        let mask = |text: &mut String| *text = masker.mask(text);
        for text in
            [&mut report.what, &mut report.run_url].into_iter().chain(&mut report.errors).chain(&mut report.notes)
        {
            mask(text);
        }
        report.facts.iter_mut().chain(&mut report.changes).for_each(mask);
        for finding in &mut report.findings {
            [&mut finding.title, &mut finding.detail, &mut finding.excerpt].into_iter().for_each(mask);
            finding.hint.iter_mut().for_each(mask);
        }
        for row in &mut report.rows {
            mask(&mut row.build);
            for image in &mut row.images {
                [&mut image.region, &mut image.id, &mut image.name].into_iter().for_each(mask);
            }
            if let Some(failure) = &mut row.failure {
                [&mut failure.phase, &mut failure.message].into_iter().for_each(mask);
                failure.hint.iter_mut().chain(&mut failure.log).for_each(mask);
            }
        }
        report
    }
    /// The parts, each whole by itself, the important ones first.
    fn sections(&self, log_lines: usize) -> Vec<String> {
        let mut all = vec![self.head()];
        all.extend(self.table());
        all.extend(self.errors.iter().map(|e| format!("\n❌ {}\n", inline(&cut(e, MESSAGE_LIMIT)))));
        let failures = self.rows.iter().filter_map(|row| Some((row, row.failure.as_ref()?)));
        all.extend(failures.map(|(row, failure)| failure_section(row, failure, log_lines)));
        all.extend(self.errors_of_the_template());
        all.extend(self.changes.iter().map(|part| format!("\n{part}\n")));
        all.extend(self.warnings());
        if self.launch && !self.local {
            all.extend(launch::section(&self.rows).map(|s| format!("\n{}\n", details("Launch one of the images", &s))));
        }
        all.extend(self.notes.iter().map(|n| format!("\n- {}\n", prose(&cut(n, MESSAGE_LIMIT)))));
        all
    }
    fn head(&self) -> String {
        let mut facts = vec![format!("**{}**", inline(&cut(&capital(&self.what), LINE_LIMIT)))];
        facts.extend(self.facts.iter().cloned());
        facts.extend(self.elapsed.map(took));
        format!("### {} image-action: {}\n\n{}\n\n", self.status().sign(), self.headline(), facts.join(" · "))
    }
    /// Errors stand open, with the lines of the template.
    fn errors_of_the_template(&self) -> Vec<String> {
        let errors = self.findings.iter().filter(|f| f.level == Level::Error);
        errors.map(|f| format!("\n{}", fenced(&lines(&cut(&f.excerpt, MESSAGE_LIMIT))))).collect()
    }
    /// Warnings and notes are a list that can be opened.
    fn warnings(&self) -> Option<String> {
        let all: Vec<_> = self.findings.iter().filter(|f| f.level < Level::Error).collect();
        if all.is_empty() {
            return None;
        }
        let count = |level, one: &str| {
            let n = all.iter().filter(|f| f.level == level).count();
            (n > 0).then(|| format!("{n} {one}{}", if n == 1 { "" } else { "s" }))
        };
        let title: Vec<_> =
            [count(Level::Warning, "warning"), count(Level::Note, "note")].into_iter().flatten().collect();
        let mut text: String = all.iter().take(LISTED).map(|f| self.bullet(f)).collect();
        if all.len() > LISTED {
            text.push_str(&format!("- … and {} more: see the run\n", all.len() - LISTED));
        }
        let sign = if all.iter().any(|f| f.level == Level::Warning) { "⚠️" } else { "ℹ️" };
        Some(format!("\n{}\n", details(&format!("{sign} {} about the template", title.join(" and ")), &text)))
    }
    fn bullet(&self, finding: &Finding) -> String {
        let sign = if finding.level == Level::Note { "ℹ️" } else { "⚠️" };
        let place = finding.place.as_ref().map_or_else(String::new, |(file, line, _)| {
            let shown = code(&format!("{file}:{line}"));
            let url =
                if self.files_url.is_empty() { String::new() } else { format!("{}/{file}#L{line}", self.files_url) };
            format!(" {}", link(&shown, &url))
        });
        let more =
            |text: &str| if text.is_empty() { String::new() } else { format!("<br>{}", prose(&cut(text, LINE_LIMIT))) };
        let hint = finding.hint.as_deref().map_or_else(String::new, |h| more(&format!("What to do: {h}")));
        format!("- {sign} **{}**{place}{}{hint}\n", prose(&cut(&finding.title, LINE_LIMIT)), more(&finding.detail))
    }
    fn footer(&self) -> String {
        let mut parts = Vec::new();
        let short: String = self.sha.chars().filter(char::is_ascii_hexdigit).take(7).collect();
        if !short.is_empty() {
            parts.push(format!("commit <code>{short}</code>"));
        }
        if text::is_plain_url(&self.run_url) {
            // Inside of an HTML element on a line of its own Markdown's links still work: <sub> is inline.
            let run = if self.run.is_empty() { "run" } else { &self.run };
            parts.push(link(&inline(run), &self.run_url));
        }
        if let Some(at) = self.at {
            parts.push(DateTime::<Utc>::from(at).format("%Y-%m-%d %H:%M UTC").to_string());
        }
        if parts.is_empty() { String::new() } else { format!("\n<sub>{}</sub>\n", parts.join(" · ")) }
    }
}

fn failure_section(row: &Row, failure: &Failure, log_lines: usize) -> String {
    let what = if row.status == Status::Cancelled { "was cancelled" } else { "failed" };
    let phase = if failure.phase.is_empty() {
        String::new()
    } else {
        format!(" at: {}", inline(&cut(&failure.phase, LINE_LIMIT)))
    };
    let mut text = format!("\n#### {} {} {what}{phase}\n\n", row.status.sign(), code(&row.build));
    if row.status == Status::Failure {
        text.push_str(&fenced(&lines(&cut(&failure.message, MESSAGE_LIMIT))));
    }
    if let Some(hint) = &failure.hint {
        // Commands stand on lines of their own, to be copied as they are.
        let (advice, commands) = hint.split_once('\n').unwrap_or((hint, ""));
        text.push_str(&format!("\n**What to do:** {}\n", prose(&cut(advice, MESSAGE_LIMIT))));
        if !commands.is_empty() {
            text.push_str(&format!("\n{}", fenced(&lines(&cut(commands, MESSAGE_LIMIT)))));
        }
    }
    let first = failure.log.len().saturating_sub(log_lines);
    let log: Vec<String> = failure.log.iter().skip(first).map(|l| cut(l, LINE_LIMIT)).collect();
    if !log.is_empty() {
        let title = format!("The last {} lines of its output", log.len());
        text.push_str(&format!("\n{}", details(&title, &fenced(&log))));
    }
    text
}

/// A part that opens on a click. `title` stands in HTML, `body` is Markdown.
pub fn details(title: &str, body: &str) -> String {
    format!("<details><summary>{title}</summary>\n\n{body}\n</details>\n")
}

fn lines(text: &str) -> Vec<String> {
    text.trim_end().lines().map(str::to_owned).collect()
}

/// At most `limit` characters.
fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// `1 h 5 min`, `6 min 12 s`; at least a second.
pub fn took(duration: Duration) -> String {
    let seconds = duration.as_secs().max(1);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(build: &str, status: Status) -> Row {
        let failure = (status != Status::Success).then(|| Failure {
            phase: "provisioner 1 of 2: shell".into(),
            message: "script exited with 1".into(),
            hint: Some("look at the script".into()),
            log: vec!["x".repeat(5000); 100],
        });
        Row {
            build: build.into(),
            source_type: "amazon-ebs".into(),
            status,
            elapsed: Duration::from_secs(75),
            images: vec![],
            failure,
        }
    }

    #[test]
    fn the_comment_stays_below_its_limit_whatever_happens() {
        let mut rows: Vec<Row> = (0..3000).map(|n| row(&format!("build_{n}"), Status::Failure)).collect();
        for row in &mut rows {
            row.failure.as_mut().into_iter().for_each(|f| f.message = "`<|".repeat(4000));
        }
        let finding = |level| Finding {
            level,
            title: "y".repeat(9000),
            detail: "z".repeat(9000),
            hint: None,
            place: Some(("a".repeat(9000), 1, 1)),
            excerpt: "```\n".repeat(9000),
        };
        let report = Report {
            what: "w".repeat(100_000),
            rows,
            findings: [finding(Level::Error), finding(Level::Warning)].into_iter().cycle().take(200).collect(),
            errors: vec!["e|".repeat(50_000); 40],
            notes: vec!["n".repeat(50_000); 40],
            sha: "0".repeat(40),
            ..Report::default()
        };
        let text = report.render(&Masker::new(), COMMENT_LIMIT);
        assert!(text.len() <= COMMENT_LIMIT, "{}", text.len());
        assert!(text.starts_with("### ❌ image-action: 3000 of 3000 builds failed"), "{}", &text[..200]);
        assert!(text.contains("`build_0`") && text.contains("left out") && text.contains("0000000</code>"));
        assert_eq!(text.matches("<details>").count(), text.matches("</details>").count());
    }

    #[test]
    fn secrets_are_taken_out_before_anything_is_escaped() {
        let masker = Masker::new();
        masker.add("pa_ss*wo<rd");
        let mut failed = row("b", Status::Failure);
        failed.failure.as_mut().into_iter().for_each(|f| f.hint = Some("not pa_ss*wo<rd".into()));
        let report = Report { rows: vec![failed], notes: vec!["pa_ss*wo<rd".into()], ..Report::default() };
        let text = report.render(&masker, COMMENT_LIMIT);
        assert!(!text.contains("ss\\*wo") && !text.contains("pa_ss"), "{text}");
        assert!(text.contains("&lt;sensitive&gt;"), "what stands in its place is seen: {text}");
    }

    #[test]
    fn the_verdict_counts() {
        let verdict = |statuses: &[Status]| {
            let rows = statuses.iter().map(|s| row("b", *s)).collect();
            Report { rows, makes_images: true, ..Report::default() }.headline()
        };
        assert_eq!(verdict(&[Status::Success, Status::Failure]), "1 of 2 builds failed");
        assert_eq!(verdict(&[Status::Failure]), "the build failed");
        assert_eq!(verdict(&[Status::Success, Status::Success]), "all 2 built");
        assert_eq!(verdict(&[Status::Success, Status::Cancelled]), "cancelled");
        assert_eq!(verdict(&[]), "nothing to build");
    }
}
