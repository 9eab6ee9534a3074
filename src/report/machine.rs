//! Packer's machine-readable lines: `TIMESTAMP,TARGET,TYPE,DATA…`.

use crate::report::Masker;
use image_action_engine::component::{Artifact, Stream};
use image_action_engine::event::{Event, Stamped, Subscriber};
use image_action_engine::run::RunOutcome;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes records to any writer (standard output).
pub struct Machine<W: Write + Send> {
    out: W,
    masker: Masker,
}

impl<W: Write + Send> Machine<W> {
    /// Records to `out`.
    pub fn new(out: W, masker: Masker) -> Self {
        Machine { out, masker }
    }
    fn record(&mut self, at: SystemTime, target: &str, kind: &str, data: &[&str]) {
        let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let data: Vec<String> = data.iter().map(|d| escape(&self.masker.mask(d))).collect();
        let _ = writeln!(self.out, "{seconds},{target},{kind},{}", data.join(","));
        let _ = self.out.flush();
    }
    fn ui(&mut self, at: SystemTime, kind: &str, build: &str, text: &str) {
        let lines: Vec<String> = text.trim_end().split('\n').map(|l| format!("==> {build}: {l}")).collect();
        self.record(at, "", "ui", &[kind, &lines.join("\n")]);
    }
    /// A line for people (`say`, `error`) that belongs to no build.
    pub fn say(&mut self, kind: &str, text: &str) {
        self.record(SystemTime::now(), "", "ui", &[kind, text]);
    }
    /// The records of the end: errors and artifacts of every build.
    pub fn outcome(&mut self, outcome: &RunOutcome) {
        let at = SystemTime::now();
        let failed: Vec<_> = outcome.builds.iter().filter_map(|b| Some((&b.name, b.result.as_ref().err()?))).collect();
        if !failed.is_empty() {
            self.record(at, "", "error-count", &[&failed.len().to_string()]);
            for (name, error) in failed {
                self.record(at, name, "error", &[&error.to_string()]);
            }
        }
        for build in &outcome.builds {
            let artifacts = build.result.as_deref().unwrap_or(&build.kept);
            if artifacts.is_empty() {
                continue;
            }
            self.record(at, &build.name, "artifact-count", &[&artifacts.len().to_string()]);
            for (n, artifact) in artifacts.iter().enumerate() {
                self.artifact(at, &build.name, &n.to_string(), artifact);
            }
        }
    }
    fn artifact(&mut self, at: SystemTime, build: &str, n: &str, artifact: &Artifact) {
        self.record(at, build, "artifact", &[n, "builder-id", &artifact.builder_id]);
        self.record(at, build, "artifact", &[n, "id", &artifact.id]);
        self.record(at, build, "artifact", &[n, "string", &artifact.description]);
        self.record(at, build, "artifact", &[n, "files-count", &artifact.files.len().to_string()]);
        for (k, file) in artifact.files.iter().enumerate() {
            self.record(at, build, "artifact", &[n, "file", &k.to_string(), &file.display().to_string()]);
        }
        self.record(at, build, "artifact", &[n, "end"]);
    }
}

/// Commas and line ends as Packer writes them.
fn escape(text: &str) -> String {
    text.replace(',', "%!(PACKER_COMMA)").replace('\r', "\\r").replace('\n', "\\n")
}

impl<W: Write + Send> Subscriber for Machine<W> {
    fn event(&mut self, stamped: &Stamped) {
        let at = stamped.at;
        match &stamped.event {
            Event::Planned { .. } | Event::Started { .. } | Event::Phase { .. } => {}
            Event::Say { build, text } | Event::Message { build, text } => self.ui(at, "say", build, text),
            Event::Output { build, stream, line } => {
                self.ui(at, if *stream == Stream::Stderr { "error" } else { "say" }, build, line);
            }
            Event::Error { build, text } => self.ui(at, "error", build, text),
            Event::Warning { build, text } => {
                let text = format!("Warning: {text}");
                match build {
                    Some(build) => self.ui(at, "say", build, &text),
                    None => self.record(at, "", "ui", &["say", &text]),
                }
            }
            Event::Notice { text } => self.record(at, "", "ui", &["say", text]),
            Event::Leftover { build, what, remove_with } => {
                self.ui(at, "error", build, &format!("Left behind: {what}\nremove it with: {remove_with}"));
            }
            Event::Finished { build, elapsed, outcome } => {
                let took = super::terminal::words(*elapsed);
                match outcome {
                    Ok(_) => self.record(at, "", "ui", &["say", &format!("Build '{build}' finished after {took}.")]),
                    Err(e) => {
                        self.record(at, "", "ui", &["error", &format!("Build '{build}' errored after {took}: {e}")])
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn records_escape_commas_and_lines() {
        let mut bytes = Vec::new();
        let mut machine = Machine::new(&mut bytes, Masker::new());
        let event = Event::Say { build: "b".into(), text: "a, b\nc".into() };
        machine.event(&Stamped { at: UNIX_EPOCH, event });
        drop(machine);
        assert_eq!(String::from_utf8(bytes).unwrap(), "0,,ui,say,==> b: a%!(PACKER_COMMA) b\\n==> b: c\n");
    }
}
