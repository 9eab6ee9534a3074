//! A job for each build, and one that joins them: `command: matrix` gives the jobs, each with `part: true` leaves a folder, and
//! `command: merge` makes one report, one manifest and one release of what they have left.

use super::{Action, files};
use crate::cli::exit::Exit;
use crate::cli::matrix;
use crate::github::runner;
use crate::postprocessor::manifest;
use crate::report::markdown::{Failure, Report, Row, Status};
use image_action_engine::run::{PlannedBuild, RunOutcome};
use image_action_engine::{Error, ErrorKind, Result};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder that a job leaves, in the working directory.
const PART: &str = "image-action-part";

/// Its report, for [`merge`](Action::merge) only.
const REPORT: &str = "report.json";

/// The names of what the joined run has written, in the working directory.
const MANIFEST: &str = "manifest.json";
const CHECKSUMS: &str = "checksums.txt";

/// What one job has left.
struct Part {
    report: Report,
    manifest: Option<Vec<u8>>,
    /// SBOMs, by name.
    others: Vec<(String, Vec<u8>)>,
}

impl Action<'_> {
    /// `command: matrix`.
    pub(super) fn matrix(&self, builds: &[PlannedBuild]) -> Result<Exit> {
        if builds.len() > matrix::JOBS {
            let many =
                format!("{} builds are more jobs than the {} that a matrix may have", builds.len(), matrix::JOBS);
            return Err(Error::new(ErrorKind::Invalid, many).hint("choose some with `only`, in several workflows"));
        }
        let text = matrix::of(builds).to_string();
        self.session.say(&text);
        // Empty, a condition of the workflow can tell; a matrix without a job is an error of the runner's.
        let output = if builds.is_empty() { "" } else { &text };
        runner::output(&self.session.env, "matrix", output)?;
        runner::output(&self.session.env, "status", Status::Success.word())?;
        Ok(Exit::Ok)
    }

    /// Leaves this job's part.
    pub(super) fn leave_part(&self, report: &Report, outcome: Option<&RunOutcome>) -> Result<()> {
        let dir = self.session.cwd.join(PART);
        let failed = |e: std::io::Error| Error::failed(format!("cannot write {}: {e}", dir.display()));
        std::fs::create_dir_all(&dir).map_err(failed)?;
        let text = serde_json::to_vec(&report.masked(&self.session.masker));
        let text = text.map_err(|e| Error::failed(format!("cannot write the report: {e}")))?;
        files::write(self.session, &format!("{PART}/{REPORT}"), &text)?;
        let Some(outcome) = outcome.filter(|_| self.work.makes_images()) else { return Ok(()) };
        for file in files::of_release(self.session, outcome, "")? {
            if file.name == MANIFEST || files::is_sbom(&file.name) {
                files::write(self.session, &format!("{PART}/{}", file.name), &file.content)?;
            }
        }
        Ok(())
    }

    /// `command: merge`.
    pub(super) async fn merge(&self) -> Result<Exit> {
        let dir = self.session.cwd.join(self.work.inputs.get("parts").unwrap_or("parts"));
        let parts = read_parts(&dir)?;
        let mut report = self.joined(&parts);
        report.rows.extend(missing(self.work.inputs.get("matrix"), &report)?);
        self.check_merged(&report).await;
        let files = self.join_files(&parts)?;
        // The builds themselves ran elsewhere.
        let outcome = RunOutcome { builds: Vec::new(), errors: Vec::new(), files };
        self.finish(&report, Some(&outcome)).await
    }

    /// One report of all. What is Markdown is this job's own: a part comes from a job that ran the template's code.
    fn joined(&self, parts: &[Part]) -> Report {
        let own = self.report();
        let first = parts.first().map(|p| &p.report);
        let mut seen = BTreeSet::new();
        let mut all = Report {
            what: first.map_or_else(|| own.what.clone(), |r| r.what.clone()),
            makes_images: first.map_or(own.makes_images, |r| r.makes_images),
            local: first.is_some_and(|r| r.local),
            validated_only: first.is_some_and(|r| r.validated_only),
            elapsed: parts.iter().filter_map(|p| p.report.elapsed).max(),
            ..own
        };
        for part in parts {
            all.rows.extend(part.report.rows.iter().cloned());
            all.errors.extend(part.report.errors.iter().cloned());
            all.notes.extend(part.report.notes.iter().filter(|n| seen.insert((*n).clone())).cloned());
            all.findings.extend(part.report.findings.iter().filter(|f| seen.insert(f.excerpt.clone())).cloned());
        }
        all
    }

    /// Writes what all parts have left as the files of one run; their paths.
    fn join_files(&self, parts: &[Part]) -> Result<Vec<PathBuf>> {
        let manifests: Vec<Vec<u8>> = parts.iter().filter_map(|p| p.manifest.clone()).collect();
        if manifests.is_empty() {
            return Ok(Vec::new());
        }
        let mut written = vec![(MANIFEST.to_owned(), manifest::joined(&manifests, &self.session.run_id)?)];
        for (name, content) in parts.iter().flat_map(|p| &p.others) {
            let taken = written.iter().filter(|(n, _)| n == name || n.ends_with(&format!("-{name}"))).count();
            let name = if taken == 0 { name.clone() } else { format!("{}-{name}", taken + 1) };
            written.push((name, content.clone()));
        }
        written.push((CHECKSUMS.to_owned(), files::checksums(written.iter().map(|(n, c)| (n.as_str(), c.as_slice())))));
        for (name, content) in &written {
            files::write(self.session, name, content)?;
        }
        Ok(written.into_iter().map(|(name, _)| PathBuf::from(name)).collect())
    }
}

/// The builds that were to run and have left nothing: their jobs ended before they could.
fn missing(matrix: Option<&str>, report: &Report) -> Result<Vec<Row>> {
    let Some(matrix) = matrix else { return Ok(Vec::new()) };
    let wrong = || {
        Error::new(ErrorKind::Invalid, "the input `matrix` is not what the command matrix gives")
            .hint("write `matrix: ${{ needs.JOB.outputs.matrix }}`")
    };
    let matrix: Value = serde_json::from_str(matrix).map_err(|_| wrong())?;
    let mut rows = Vec::new();
    for entry in matrix["include"].as_array().ok_or_else(wrong)? {
        let (Some(build), Some(kind)) = (entry["build"].as_str(), entry["type"].as_str()) else { return Err(wrong()) };
        // A template that is not right is reported without builds, by every job alike.
        if report.invalid() || report.validated_only || report.rows.iter().any(|r| r.build == build) {
            continue;
        }
        rows.push(Row {
            build: build.to_owned(),
            source_type: kind.to_owned(),
            status: Status::Failure,
            elapsed: Duration::ZERO,
            images: Vec::new(),
            failure: Some(Failure {
                message: "its job has left no report".to_owned(),
                hint: Some("look at the job itself: it was cancelled, or ended before the build began".to_owned()),
                ..Failure::default()
            }),
        });
    }
    Ok(rows)
}

/// Reads one folder a job, by name.
fn read_parts(dir: &Path) -> Result<Vec<Part>> {
    let none = |why: String| {
        Error::new(ErrorKind::NotFound, format!("{} holds no parts to merge{why}", dir.display())).hint(
            "run the builds with `part: true`, upload image-action-part of each, and download them into one folder",
        )
    };
    let entries = std::fs::read_dir(dir).map_err(|e| none(format!(": {e}")))?;
    let mut folders: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_dir()).collect();
    folders.sort();
    // actions/download-artifact makes no folder of its own for a single artifact.
    if folders.is_empty() && dir.join(REPORT).is_file() {
        folders.push(dir.to_owned());
    }
    if folders.is_empty() {
        return Err(none(String::new()));
    }
    folders.iter().map(|folder| read_part(folder)).collect()
}

fn read_part(folder: &Path) -> Result<Part> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).map_err(|e| Error::failed(format!("cannot read {}: {e}", path.display())))
    };
    let report = serde_json::from_slice(&read(REPORT)?).map_err(|e| {
        Error::failed(format!("{} is no part of this version of image-action: {e}", folder.join(REPORT).display()))
            .hint("use one release of the action for all jobs")
    })?;
    let manifest = folder.join(MANIFEST).is_file().then(|| read(MANIFEST)).transpose()?;
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .map_err(|e| Error::failed(format!("cannot read {}: {e}", folder.display())))?
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter(|name| files::is_sbom(name))
        .collect();
    names.sort();
    let others = names.into_iter().map(|name| Ok((name.clone(), read(&name)?))).collect::<Result<_>>()?;
    Ok(Part { report, manifest, others })
}
