//! A command's output as lines.

use image_action_engine::component::Output;
use image_action_engine::{BuildContext, Event, Stream};
use std::collections::VecDeque;

/// The longest line that is shown whole, in bytes; a longer one is shown in pieces.
const LINE_LIMIT: usize = 64 << 10;

/// How many lines an error keeps.
const TAIL_LINES: usize = 20;

/// How much of a line an error keeps, in characters.
const TAIL_WIDTH: usize = 400;

/// Tells a command's output line by line, and keeps its end for the error.
pub(super) struct Lines<'a> {
    cx: &'a BuildContext,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    tail: VecDeque<String>,
    /// Whether the error output is ordinary output: that of tools which write their progress there.
    merged: bool,
}

impl<'a> Lines<'a> {
    pub(super) fn new(cx: &'a BuildContext) -> Lines<'a> {
        Lines { cx, stdout: Vec::new(), stderr: Vec::new(), tail: VecDeque::new(), merged: false }
    }
    /// With both streams told as standard output.
    pub(super) fn merged(mut self) -> Lines<'a> {
        self.merged = true;
        self
    }
    /// Tells what was not ended by a newline; the last lines of all.
    pub(super) fn finish(mut self) -> String {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = std::mem::take(self.half(stream));
            if !rest.is_empty() {
                self.line(stream, &rest);
            }
        }
        self.tail.into_iter().collect::<Vec<_>>().join("\n")
    }
    fn half(&mut self, stream: Stream) -> &mut Vec<u8> {
        if stream == Stream::Stdout { &mut self.stdout } else { &mut self.stderr }
    }
    fn line(&mut self, stream: Stream, bytes: &[u8]) {
        let line = clean(bytes);
        if !line.is_empty() {
            self.tail.push_back(line.chars().take(TAIL_WIDTH).collect());
            if self.tail.len() > TAIL_LINES {
                self.tail.pop_front();
            }
        }
        let stream = if self.merged { Stream::Stdout } else { stream };
        self.cx.events().send(Event::Output { build: self.cx.name.clone(), stream, line });
    }
}

impl Output for Lines<'_> {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        for part in bytes.split_inclusive(|b| *b == b'\n') {
            let half = self.half(stream);
            half.extend_from_slice(part);
            if part.ends_with(b"\n") || half.len() >= LINE_LIMIT {
                let whole = std::mem::take(half);
                self.line(stream, &whole);
            }
        }
    }
}

/// A line as a terminal would leave it: white space at its end goes, and so does what a carriage return wrote over.
fn clean(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end();
    text.rsplit('\r').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn what_was_written_over_is_not_shown() {
        assert_eq!(clean(b"  a b \r\n"), "  a b");
        assert_eq!(clean(b"10%\r50%\r100%\n"), "100%");
        assert_eq!(clean(b"\xff\n"), "\u{fffd}");
        assert_eq!(clean(b"\n"), "");
    }
}
