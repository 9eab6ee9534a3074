//! Where the report goes: outputs, summary, checks, comment, release. Nothing of it fails the job but a release.

use super::{Action, REPORT_FILE, ToRelease, files, findings};
use crate::cli::exit::Exit;
use crate::github::checks::{Checks, Completion, Conclusion};
use crate::github::client::RELEASE_PATIENCE;
use crate::github::release::{self, Contents, File};
use crate::github::{Mode, comment, runner};
use crate::report::markdown::{COMMENT_LIMIT, Report, Row, Status, launch, short_id, took};
use image_action_engine::run::RunOutcome;
use image_action_engine::{Error, ErrorKind, Result};
use image_action_lang::SourceMap;
use serde_json::json;
use std::sync::Arc;

/// The name of the check that shows what was found in the template.
const TEMPLATE_CHECK: &str = "template";

/// The name of the check for all jobs together.
const MERGED_CHECK: &str = "all builds";

/// The output that holds the first image of a provider.
const IMAGE_OUTPUTS: [(&str, &str); 3] =
    [("aws", "amazon-ebs-image"), ("azure", "azure-arm-image"), ("gcp", "googlecompute-image")];

/// Longest summary of a check run, in bytes: below GitHub's 65,535 characters.
const CHECK_LIMIT: usize = 60_000;

fn conclusion(status: Status) -> Conclusion {
    match status {
        Status::Success => Conclusion::Success,
        Status::Failure => Conclusion::Failure,
        Status::Cancelled => Conclusion::Cancelled,
    }
}

impl Action<'_> {
    /// Tells that something could not be reported: the summary has it all the same.
    fn notice(&self, what: &str, e: &Error) {
        let fork = self.work.job.without_secrets || self.work.job.pull_request.as_ref().is_some_and(|p| p.fork);
        let hint = match (&e.hint, e.kind) {
            // More permissions do not help there.
            (_, ErrorKind::Permission | ErrorKind::NotFound) if fork => {
                "; a pull request of a fork has a token that only reads, and the summary of the job shows everything"
                    .to_owned()
            }
            (Some(hint), _) => format!("; {hint}"),
            (None, _) => String::new(),
        };
        let text = format!("no {what}: {}{hint}", e.summary);
        self.session.say(&runner::annotation("notice", "image-action", None, &text));
    }

    /// Queues a check for each name; `None` where there is nowhere to put it.
    pub(super) async fn open_checks(&self, names: &[String]) -> Option<Arc<Checks>> {
        let client = self.client.clone()?;
        if self.work.inputs.flag("checks") == Some(false) {
            return None;
        }
        match Checks::open(client, self.work.head(), names).await {
            Ok(checks) => {
                if checks.are_statuses() {
                    let text = "check runs are refused, commit statuses stand in for them; add `checks: write` to the `permissions` of the job";
                    self.session.say(&runner::annotation("notice", "image-action", None, text));
                }
                // The post step ends what this process could not.
                if let Err(e) = runner::state(&self.session.env, "checks", &checks.state().to_string()) {
                    self.notice("state for the post step", &e);
                }
                Some(Arc::new(checks))
            }
            Err(e) => {
                self.notice("check runs", &e);
                None
            }
        }
    }

    /// Shows what was found in the template: a check with marks on its lines; where there can be none, the runner's own marks.
    pub(super) async fn check_template(&self, report: &Report) {
        let checks = self.open_checks(&[TEMPLATE_CHECK.to_owned()]).await;
        let Some(checks) = checks.filter(|c| !c.are_statuses()) else {
            return findings::annotate(self.session, &report.findings);
        };
        let completion = Completion {
            conclusion: if report.invalid() { Conclusion::Failure } else { Conclusion::Success },
            title: report.headline(),
            summary: report.render(&self.session.masker, CHECK_LIMIT),
            marks: findings::marks(&report.findings),
        };
        if let Err(e) = checks.complete(TEMPLATE_CHECK, &completion).await {
            self.notice("check of the template", &e);
            findings::annotate(self.session, &report.findings);
        }
    }

    /// The check that stands for all jobs of a matrix: the one that a branch can require.
    pub(super) async fn check_merged(&self, report: &Report) {
        let Some(checks) = self.open_checks(&[MERGED_CHECK.to_owned()]).await else { return };
        let completion = Completion {
            conclusion: conclusion(report.status()),
            title: report.headline(),
            summary: report.render(&self.session.masker, CHECK_LIMIT),
            marks: Vec::new(),
        };
        if let Err(e) = checks.complete(MERGED_CHECK, &completion).await {
            self.notice("check of all builds", &e);
        }
    }

    /// Completes the check of every build.
    pub(super) async fn complete(&self, checks: &Checks, report: &Report, outcome: &RunOutcome, sources: &SourceMap) {
        let mut all = true;
        for (row, build) in report.rows.iter().zip(&outcome.builds) {
            let alone = Report {
                rows: vec![row.clone()],
                findings: Vec::new(),
                errors: Vec::new(),
                notes: Vec::new(),
                changes: Vec::new(),
                elapsed: None,
                ..report.clone()
            };
            let completion = Completion {
                conclusion: conclusion(row.status),
                title: self.session.masker.mask(&title(row)),
                summary: alone.render(&self.session.masker, CHECK_LIMIT),
                marks: build.result.as_ref().err().and_then(|e| self.mark(e, sources)).into_iter().collect(),
            };
            if let Err(e) = checks.complete(&row.build, &completion).await {
                self.notice(&format!("completed check for {}", row.build), &e);
                all = false;
            }
        }
        if all {
            // Nothing is left for the post step to end.
            let _ = runner::state(&self.session.env, "checks", "");
        }
    }

    /// The mark of a failure on the line of the template that caused it.
    fn mark(&self, e: &Error, sources: &SourceMap) -> Option<crate::github::checks::Mark> {
        let place = findings::place(e.span.as_ref()?, sources, &self.work.prefix)?;
        let hint = e.hint.as_deref().map(|h| format!("\nWhat to do: {h}")).unwrap_or_default();
        let mask = |text: &str| self.session.masker.mask(text);
        let message = mask(format!("{}{hint}", e.detail).trim());
        Some(crate::github::checks::Mark { place, level: "failure", title: mask(&e.summary), message })
    }

    /// Outputs, summary, comment, release.
    pub(super) async fn finish(&self, report: &Report, outcome: Option<&RunOutcome>) -> Result<Exit> {
        let (session, work) = (self.session, self.work);
        let text = report.render(&session.masker, runner::SUMMARY_LIMIT - 1);
        let in_workflow = runner::summary(&session.env, &text)?;
        files::write(session, REPORT_FILE, text.as_bytes())?;
        self.outputs(report, outcome)?;
        if work.part {
            self.leave_part(report, outcome)?;
            return Ok(if report.status() == Status::Success { Exit::Ok } else { Exit::Failed });
        }
        if let Some(client) = &self.client {
            if let (Some(pull), true) = (&work.job.pull_request, work.inputs.flag("comment") != Some(false)) {
                let body = report.render(&session.masker, COMMENT_LIMIT);
                match comment::upsert(client, pull.number, &work.author(), &body).await {
                    Ok(comment::Outcome::Written(url)) => session.say(&format!("comment: {url}")),
                    Ok(comment::Outcome::Outdated) => session.say("comment: left to a newer run"),
                    Err(e) => self.notice("comment", &e),
                }
            }
            if let (Some(outcome), Status::Success) = (outcome, report.status())
                && (work.attest || work.release != ToRelease::No)
            {
                let mut files = files::of_release(session, outcome, &text)?;
                self.attest(report, &mut files).await?;
                if let Some(tag) = work.job.tag.as_ref().filter(|_| work.release != ToRelease::No) {
                    self.release(client, tag, report, files).await?;
                }
            }
        } else if !in_workflow {
            self.print(report, outcome, &text);
        }
        Ok(if report.status() == Status::Success { Exit::Ok } else { Exit::Failed })
    }

    /// A release without its files is no release: what goes wrong here is an error.
    async fn release(
        &self,
        client: &crate::github::Client,
        tag: &str,
        report: &Report,
        files: Vec<File>,
    ) -> Result<()> {
        let contents = Contents {
            tag: tag.to_owned(),
            files,
            section: section(report, &self.session.masker),
            key: self.work.section_key(),
            draft: self.work.release == ToRelease::Draft,
        };
        let url = release::publish(&client.patient(RELEASE_PATIENCE), &contents).await?;
        self.session.say(&format!("release: {url}"));
        Ok(())
    }

    /// What a workflow would post, for whoever runs the command on a machine of their own.
    fn print(&self, report: &Report, outcome: Option<&RunOutcome>, text: &str) {
        let session = self.session;
        session.say("\nOutside of a workflow nothing is posted. This is what would be.\n");
        let head = self.work.head();
        for row in &report.rows {
            let line = format!("check run \"{}\": {}, {}", head.name(&row.build), row.status.word(), title(row));
            session.say(&session.clean(&line));
        }
        if report.rows.is_empty() {
            session.say(&format!("check run \"{}\": {}", head.name(TEMPLATE_CHECK), report.headline()));
        }
        if let (Mode::Build, Some(outcome), false) = (self.work.decision.mode, outcome, self.work.decision.local) {
            let names = files::of_release(session, outcome, text);
            let names: Vec<String> = names.into_iter().flatten().map(|f| f.name).collect();
            session.say(&format!("release, on a tag: {}", session.clean(&names.join(", "))));
        }
        session.say(&format!("comment on the pull request, and summary of the job:\n\n{}", session.clean(text)));
    }

    fn outputs(&self, report: &Report, outcome: Option<&RunOutcome>) -> Result<()> {
        let env = &self.session.env;
        runner::output(env, "status", report.status().word())?;
        let all = || report.rows.iter().flat_map(|r| r.images.iter().map(move |i| (r, i)));
        let images: Vec<_> = all()
            .map(|(r, i)| json!({"build": r.build, "provider": i.provider, "region": i.region, "id": i.id, "name": i.name}))
            .collect();
        runner::output(env, "images", &json!(images).to_string())?;
        for (provider, name) in IMAGE_OUTPUTS {
            if let Some((_, image)) = all().find(|(_, i)| i.provider == provider) {
                runner::output(env, name, &image.id)?;
            }
        }
        let written = outcome.map_or(&[][..], |o| &o.files);
        let path = |p: &std::path::Path| format!("{}{}", self.work.prefix, p.display());
        if let Some(manifest) = written.iter().find(|p| files::is_manifest(&self.session.cwd.join(p))) {
            runner::output(env, "manifest", &path(manifest))?;
        }
        if let Some(sums) = written.iter().find(|p| files::is_checksums(p)) {
            runner::output(env, "checksums", &path(sums))?;
        }
        runner::output(env, "report", &format!("{}{REPORT_FILE}", self.work.prefix)).map(drop)
    }
}

/// The part of a release's text that is ours.
fn section(report: &Report, masker: &crate::report::Masker) -> String {
    let images =
        Report { launch: false, findings: Vec::new(), notes: Vec::new(), changes: Vec::new(), ..report.clone() };
    let table = images.table_only(masker);
    let launch =
        launch::section(&report.rows).map(|s| format!("\n### Launch\n\n{}", masker.mask(&s))).unwrap_or_default();
    format!("### Images\n\n{table}{launch}")
}

fn title(row: &Row) -> String {
    match (row.status, &row.images[..]) {
        (Status::Success, []) => format!("provisioned in {}", took(row.elapsed)),
        (Status::Success, [only]) => format!("{} in {}, made in {}", short_id(only), only.region, took(row.elapsed)),
        (Status::Success, [first, rest @ ..]) => {
            let more = rest.len();
            format!("{} in {} and {more} more, made in {}", short_id(first), first.region, took(row.elapsed))
        }
        (Status::Cancelled, _) => format!("cancelled after {}", took(row.elapsed)),
        (Status::Failure, _) => {
            let message = row.failure.as_ref().and_then(|f| f.message.lines().next()).unwrap_or("failed");
            message.to_owned()
        }
    }
}
