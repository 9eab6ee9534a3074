//! The lines that a person reads, in the shapes of Packer (`==> NAME: text`).

use crate::report::{Masker, clean};
use chrono::{DateTime, Local, SecondsFormat};
use image_action_engine::component::{Artifact, Stream};
use image_action_engine::event::{Event, Stamped, Subscriber, build_of};
use image_action_engine::run::RunOutcome;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, SystemTime};

/// Colours of builds, by their index: green, cyan, magenta, yellow, blue (SGR codes).
const PALETTE: [u8; 5] = [32, 36, 35, 33, 34];

/// Colour of what went wrong.
const RED: u8 = 31;

/// How it looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Whether colours are used.
    pub color: bool,
    /// Whether each message begins with its time.
    pub timestamp: bool,
}

/// Writes lines to any writer (standard output).
pub struct Terminal<W: Write + Send> {
    out: W,
    style: Style,
    masker: Masker,
    builds: BTreeMap<String, usize>,
}

impl<W: Write + Send> Terminal<W> {
    /// Lines to `out`.
    pub fn new(out: W, style: Style, masker: Masker) -> Self {
        Terminal { out, style, masker, builds: BTreeMap::new() }
    }

    fn code(&self, build: &str) -> u8 {
        self.builds.get(build_of(build)).map_or(PALETTE[0], |n| PALETTE[n % PALETTE.len()])
    }

    /// Every line of `text` with the build's prefix, in one colour.
    fn prefixed(&mut self, at: SystemTime, build: &str, code: u8, text: &str) {
        let text = self.masker.mask(text);
        let lines: Vec<String> = text
            .trim_end()
            .split('\n')
            .map(|l| format!("==> {build}: {}", clean::visible(l)).trim_end().to_owned())
            .collect();
        self.write(Some(at), code, &lines.join("\n"));
    }

    fn write(&mut self, at: Option<SystemTime>, code: u8, text: &str) {
        let stamp = match at.filter(|_| self.style.timestamp) {
            Some(at) => format!("{}: ", DateTime::<Local>::from(at).to_rfc3339_opts(SecondsFormat::Secs, true)),
            None => String::new(),
        };
        // The name of a build is a text of the template as well, and notices quote others.
        let text = text.split('\n').map(clean::line).collect::<Vec<_>>().join("\n");
        // A terminal that has gone away is found out by the signal that it sends.
        let _ = if self.style.color {
            writeln!(self.out, "\u{1b}[1;{code}m{stamp}{text}\u{1b}[0m")
        } else {
            writeln!(self.out, "{stamp}{text}")
        };
        let _ = self.out.flush();
    }
}

impl<W: Write + Send> Subscriber for Terminal<W> {
    fn event(&mut self, stamped: &Stamped) {
        let at = stamped.at;
        match &stamped.event {
            Event::Planned { builds } => {
                self.builds = builds.iter().enumerate().map(|(n, b)| (b.clone(), n)).collect();
                // Without colours there is nothing to explain.
                for build in builds.iter().filter(|_| self.style.color).collect::<Vec<_>>() {
                    self.write(None, self.code(build), &format!("{build}: output will be in this color."));
                }
                if self.style.color {
                    let _ = writeln!(self.out);
                }
            }
            Event::Started { .. } | Event::Phase { .. } => {}
            Event::Say { build, text } | Event::Message { build, text } => {
                self.prefixed(at, build, self.code(build), text);
            }
            Event::Output { build, stream, line } => {
                let code = if *stream == Stream::Stderr { RED } else { self.code(build) };
                self.prefixed(at, build, code, clean::after_returns(line));
            }
            Event::Error { build, text } => self.prefixed(at, build, RED, text),
            Event::Warning { build: Some(build), text } => self.prefixed(at, build, 33, &format!("Warning: {text}")),
            Event::Warning { build: None, text } => {
                let text = self.masker.mask(text);
                self.write(None, 33, &format!("Warning: {text}"));
            }
            Event::Notice { text } => {
                let text = self.masker.mask(text);
                self.write(None, 36, &text);
            }
            Event::Leftover { build, what, remove_with } => {
                self.prefixed(at, build, RED, &format!("Left behind: {what}\nremove it with: {remove_with}"));
            }
            Event::Finished { build, elapsed, outcome } => {
                let took = words(*elapsed);
                let (code, text) = match outcome {
                    Ok(_) => (self.code(build), format!("Build '{build}' finished after {took}.")),
                    Err(e) => (RED, format!("Build '{build}' errored after {took}: {e}")),
                };
                let text = self.masker.mask(&text);
                self.write(Some(at), code, &text);
            }
        }
    }
}

/// The two largest parts that are not zero, in words: `1 minute 5 seconds`.
pub fn words(duration: Duration) -> String {
    let units: [(&str, u128); 8] = [
        ("year", 31_536_000_000_000),
        ("week", 604_800_000_000),
        ("day", 86_400_000_000),
        ("hour", 3_600_000_000),
        ("minute", 60_000_000),
        ("second", 1_000_000),
        ("millisecond", 1_000),
        ("microsecond", 1),
    ];
    let mut rest = duration.as_micros();
    let mut parts = Vec::new();
    for (name, size) in units {
        let count = rest / size;
        rest %= size;
        if count > 0 && parts.len() < 2 {
            parts.push(format!("{count} {name}{}", if count == 1 { "" } else { "s" }));
        }
    }
    if parts.is_empty() { "0 seconds".to_owned() } else { parts.join(" ") }
}

/// What the end of a run says: what was made, or why not.
pub fn summary(outcome: &RunOutcome, elapsed: Duration, interrupted: bool, masker: &Masker) -> String {
    let mut text = format!("\n==> Wait completed after {}\n", words(elapsed));
    if interrupted {
        text.push_str("Cleanly cancelled builds after being interrupted.\n");
        return text;
    }
    let failed: Vec<_> = outcome.builds.iter().filter_map(|b| Some((&b.name, b.result.as_ref().err()?))).collect();
    if !failed.is_empty() || !outcome.errors.is_empty() {
        text.push_str("\n==> Some builds didn't complete successfully and had errors:\n");
        for (name, error) in failed {
            text.push_str(&format!("--> {name}: {error}\n"));
            if let Some(hint) = &error.hint {
                text.push_str(&format!("    hint: {hint}\n"));
            }
        }
        for error in &outcome.errors {
            text.push_str(&format!("--> {error}\n"));
        }
    }
    let made: Vec<(&String, &Artifact)> = outcome
        .builds
        .iter()
        .flat_map(|b| b.result.as_deref().unwrap_or(&b.kept).iter().map(move |a| (&b.name, a)))
        .collect();
    if made.is_empty() {
        text.push_str("\n==> Builds finished but no artifacts were created.\n");
    } else {
        text.push_str("\n==> Builds finished. The artifacts of successful builds are:\n");
        for (name, artifact) in made {
            text.push_str(&format!("--> {name}: {}\n", artifact.description));
        }
    }
    let text = masker.mask(&text);
    text.split('\n').map(clean::line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shown(style: Style, events: Vec<Event>) -> String {
        let mut bytes = Vec::new();
        let masker = Masker::new();
        masker.add("hunter22");
        let mut terminal = Terminal::new(&mut bytes, style, masker);
        for event in events {
            terminal.event(&Stamped { at: SystemTime::UNIX_EPOCH, event });
        }
        drop(terminal);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn lines_have_the_prefix_and_no_secret_and_no_escape() {
        let text = shown(
            Style::default(),
            vec![
                Event::Say { build: "a.b".into(), text: "one\ntwo hunter22".into() },
                Event::Output { build: "a.b".into(), stream: Stream::Stdout, line: "\u{1b}[2J::error::x".into() },
            ],
        );
        assert_eq!(text, "==> a.b: one\n==> a.b: two <sensitive>\n==> a.b: ::error::x\n");
    }

    #[test]
    fn colour_wraps_the_whole_message_once() {
        let text = shown(
            Style { color: true, timestamp: false },
            vec![Event::Error { build: "a".into(), text: "x\ny".into() }],
        );
        assert_eq!(text, "\u{1b}[1;31m==> a: x\n==> a: y\u{1b}[0m\n");
    }

    #[test]
    fn durations_in_words() {
        assert_eq!(words(Duration::from_secs(65)), "1 minute 5 seconds");
        assert_eq!(words(Duration::from_micros(53_247)), "53 milliseconds 247 microseconds");
        assert_eq!(words(Duration::from_secs(3600)), "1 hour");
    }
}
