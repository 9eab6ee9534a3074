//! What a pull request and a job summary show: one table, failures folded below it.
//!
//! Everything that comes from a template, a guest or a branch name is untrusted: it cannot leave its cell, mention people, close
//! a fence, or bring HTML.

use crate::report::{Masker, clean, terminal::words};
use image_action_engine::component::Image;
use std::time::Duration;

/// Longest comment that is posted, in bytes: below GitHub's 65,536 characters whatever they are made of.
pub const COMMENT_LIMIT: usize = 60_000;

/// How many of the last lines of a failure are shown.
const LOG_LINES: usize = 40;

/// How a build stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It did what it should.
    Success,
    /// It ended with an error.
    Failure,
    /// It was stopped.
    Cancelled,
}

impl Status {
    fn sign(self) -> &'static str {
        match self {
            Status::Success => "✅",
            Status::Failure => "❌",
            Status::Cancelled => "⏹️",
        }
    }
    fn word(self) -> &'static str {
        match self {
            Status::Success => "built",
            Status::Failure => "failed",
            Status::Cancelled => "cancelled",
        }
    }
}

/// One build of the table.
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug)]
pub struct Failure {
    /// What went wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The last lines of its output.
    pub log: Vec<String>,
}

/// Everything a report shows.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// `pull request: validation build`, `tag v1: production build`
    pub what: String,
    /// What was validated only: no build ran.
    pub validated_only: bool,
    /// Errors and warnings of the template, as text blocks with their source lines.
    pub diagnostics: Vec<String>,
    /// Whether one of them is an error.
    pub invalid: bool,
    /// The builds, in order.
    pub rows: Vec<Row>,
    /// Failures that belong to no build.
    pub errors: Vec<String>,
    /// Short facts below the table.
    pub notes: Vec<String>,
    /// The page of the run.
    pub run_url: String,
    /// The commit.
    pub sha: String,
}

/// Text inside a table cell or a sentence: no markup, no mention, no HTML, one line.
pub fn inline(text: &str) -> String {
    let mut out = String::new();
    for c in clean::line(&text.replace(['\n', '\r'], " ")).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A zero-width space keeps `@name` and `#1` from becoming a mention.
            '@' | '#' => {
                out.push(c);
                out.push('\u{200b}');
            }
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    // `http://…` would become a link by itself.
    out.replace("://", ":\u{200b}//")
}

/// Text as code inside a cell.
pub fn code(text: &str) -> String {
    let text = clean::line(&text.replace(['\n', '\r'], " "));
    // HTML's own element: in a table cell backticks do not protect a `|`.
    let safe = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('|', "&#124;")
        .replace('@', "&#64;");
    let safe = safe.replace('*', "&#42;").replace('_', "&#95;").replace('`', "&#96;").replace('~', "&#126;");
    let safe = safe.replace('[', "&#91;").replace('\\', "&#92;").replace('#', "&#35;").replace("://", ":&#47;/");
    format!("<code>{safe}</code>")
}

/// A fenced block whose fence is longer than any run of backticks inside.
fn fenced(lines: &[String]) -> String {
    let longest = lines.iter().flat_map(|l| l.split(|c| c != '`')).map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n", lines.join("\n"))
}

impl Report {
    /// Whether everything is as it should be.
    pub fn status(&self) -> Status {
        if self.invalid || !self.errors.is_empty() || self.rows.iter().any(|r| r.status == Status::Failure) {
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
        match self.status() {
            _ if self.invalid => "the template is not valid".to_owned(),
            Status::Failure if failed > 0 => format!("{failed} of {all} builds failed"),
            Status::Failure => "the run failed".to_owned(),
            Status::Cancelled => "cancelled".to_owned(),
            Status::Success if self.validated_only || all == 0 => "the template is valid".to_owned(),
            Status::Success => format!("all {all} builds succeeded"),
        }
    }
    /// The whole report, at most `limit` bytes: logs go first, the table stays.
    pub fn render(&self, masker: &Masker, limit: usize) -> String {
        for lines in [LOG_LINES, 10, 0] {
            let text = masker.mask(&self.draw(lines));
            if text.len() <= limit {
                return text;
            }
        }
        let mut short = self.clone();
        short.diagnostics.clear();
        short.notes.push("Details were left out, they are too long: see the run.".to_owned());
        let most = 100;
        if short.rows.len() > most {
            short.notes.push(format!("{} more builds are not shown.", short.rows.len() - most));
            short.rows.truncate(most);
        }
        for row in &mut short.rows {
            row.failure = None;
            row.images.truncate(1);
        }
        let mut text = masker.mask(&short.draw(0));
        if text.len() > limit {
            let mut end = limit;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
        text
    }
    fn draw(&self, log_lines: usize) -> String {
        let mut text = format!("### {} image-action: {}\n\n", self.status().sign(), self.headline());
        text.push_str(&format!("{}\n\n", inline(&self.what)));
        if !self.rows.is_empty() {
            text.push_str(&self.table());
        }
        for block in &self.diagnostics {
            text.push_str(&fenced(&block.lines().map(clean::line).collect::<Vec<_>>()));
            text.push('\n');
        }
        for error in &self.errors {
            text.push_str(&format!("❌ {}\n\n", inline(error)));
        }
        for row in &self.rows {
            if let Some(failure) = &row.failure {
                text.push_str(&draw_failure(row, failure, log_lines));
            }
        }
        for note in &self.notes {
            text.push_str(&format!("- {}\n", inline(note)));
        }
        text.push_str(&self.footer());
        text
    }
    fn table(&self) -> String {
        let mut text =
            "| | Build | Provider | Image | Region | Time |\n| :-: | :-- | :-- | :-- | :-- | --: |\n".to_owned();
        for row in &self.rows {
            let first = row.images.first();
            text.push_str(&format!(
                "| {} | {} | {} | {} | {} | {} |\n",
                row.status.sign(),
                code(&row.build),
                inline(&row.source_type),
                first.map_or_else(
                    || inline(if row.status == Status::Success { "none kept" } else { row.status.word() }),
                    |i| code(&i.id)
                ),
                first.map_or_else(String::new, |i| inline(&i.region)),
                words(Duration::from_secs(row.elapsed.as_secs().max(1))),
            ));
            for image in row.images.iter().skip(1) {
                text.push_str(&format!("| | | | {} | {} | |\n", code(&image.id), inline(&image.region)));
            }
        }
        text.push('\n');
        text
    }
    fn footer(&self) -> String {
        let mut parts = Vec::new();
        if !self.sha.is_empty() {
            let short: String = self.sha.chars().filter(char::is_ascii_hexdigit).take(7).collect();
            parts.push(format!("commit {}", code(&short)));
        }
        if self.run_url.starts_with("http") && !self.run_url.contains(['(', ')', ' ', '<', '>']) {
            parts.push(format!("[run]({})", self.run_url));
        }
        if parts.is_empty() { String::new() } else { format!("\n<sub>{}</sub>\n", parts.join(" · ")) }
    }
}

fn draw_failure(row: &Row, failure: &Failure, log_lines: usize) -> String {
    let mut text = format!(
        "<details{}><summary>{} {}</summary>\n\n",
        if log_lines > 0 { " open" } else { "" },
        row.status.sign(),
        code(&row.build)
    );
    text.push_str(&fenced(&failure.message.lines().map(clean::line).collect::<Vec<_>>()));
    if let Some(hint) = &failure.hint {
        // Commands stand on lines of their own, to be copied as they are.
        let (advice, commands) = hint.split_once('\n').unwrap_or((hint, ""));
        text.push_str(&format!("\n**What to do:** {}\n", inline(advice)));
        if !commands.is_empty() {
            text.push_str(&format!("\n{}", fenced(&commands.lines().map(clean::line).collect::<Vec<_>>())));
        }
    }
    let log: Vec<String> = failure.log.iter().rev().take(log_lines).rev().map(|l| clean::line(l)).collect();
    if !log.is_empty() {
        text.push_str(&format!("\nThe last lines:\n\n{}", fenced(&log)));
    }
    text.push_str("\n</details>\n\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_cell() {
        let evil = "a|b\n# @octocat <img src=x> [x](y) `c` https://e.vil #1 \\";
        for shown in [inline(evil), code(evil)] {
            assert!(!shown.contains('\n') && !shown.contains("<img") && !shown.contains("@octocat"), "{shown}");
            assert!(!shown.contains("https://") && !shown.contains("#1"), "{shown}");
            let bare = shown.replace("\\|", "").replace("&#124;", "");
            assert!(!bare.contains('|'), "{shown}");
        }
    }

    #[test]
    fn a_fence_is_longer_than_what_it_holds() {
        let block = fenced(&["a ````` b".to_owned()]);
        assert!(block.starts_with("``````text\n") && block.ends_with("``````\n"), "{block}");
    }

    #[test]
    fn the_comment_stays_below_its_limit_whatever_happens() {
        let log = vec!["x".repeat(5000); 100];
        let row = |n: usize| Row {
            build: format!("b{n}"),
            source_type: "null".into(),
            status: Status::Failure,
            elapsed: Duration::from_secs(1),
            images: vec![],
            failure: Some(Failure { message: "y".repeat(10_000), hint: None, log: log.clone() }),
        };
        let report = Report { rows: (0..300).map(row).collect(), ..Report::default() };
        let text = report.render(&Masker::new(), COMMENT_LIMIT);
        assert!(text.len() <= COMMENT_LIMIT && text.contains("300 of 300") | text.contains("builds failed"));
        assert!(text.contains("| ❌ |"));
    }
}
