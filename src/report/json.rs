//! Events as JSON lines, one object a line: `{"at": …, "event": "say", "build": …, …}`.

use crate::report::Masker;
use image_action_engine::component::Stream;
use image_action_engine::event::{Event, Stamped, Subscriber};
use serde_json::{Value, json};
use std::io::Write;
use std::time::UNIX_EPOCH;

/// Writes objects to any writer.
pub struct JsonLines<W: Write + Send> {
    out: W,
    masker: Masker,
}

impl<W: Write + Send> JsonLines<W> {
    /// Objects to `out`.
    pub fn new(out: W, masker: Masker) -> Self {
        JsonLines { out, masker }
    }
}

/// An event as an object.
pub fn object(event: &Event) -> Value {
    match event {
        Event::Planned { builds } => json!({"event": "planned", "builds": builds}),
        Event::Started { build } => json!({"event": "started", "build": build}),
        Event::Phase { build, phase } => json!({"event": "phase", "build": build, "phase": phase}),
        Event::Say { build, text } => json!({"event": "say", "build": build, "text": text}),
        Event::Message { build, text } => json!({"event": "message", "build": build, "text": text}),
        Event::Output { build, stream, line } => {
            let stream = if *stream == Stream::Stdout { "stdout" } else { "stderr" };
            json!({"event": "output", "build": build, "stream": stream, "line": line})
        }
        Event::Error { build, text } => json!({"event": "error", "build": build, "text": text}),
        Event::Warning { build, text } => json!({"event": "warning", "build": build, "text": text}),
        Event::Notice { text } => json!({"event": "notice", "text": text}),
        Event::Leftover { build, what, remove_with } => {
            json!({"event": "leftover", "build": build, "what": what, "remove_with": remove_with})
        }
        Event::Finished { build, elapsed, outcome } => match outcome {
            Ok(artifacts) => {
                json!({"event": "finished", "build": build, "seconds": elapsed.as_secs_f64(), "artifacts": artifacts})
            }
            Err(e) => {
                json!({"event": "finished", "build": build, "seconds": elapsed.as_secs_f64(), "error": e.to_string()})
            }
        },
    }
}

/// Masks every text inside.
fn masked(value: Value, masker: &Masker) -> Value {
    match value {
        Value::String(s) => Value::String(masker.mask(&s)),
        Value::Array(a) => a.into_iter().map(|v| masked(v, masker)).collect(),
        Value::Object(o) => o.into_iter().map(|(k, v)| (k, masked(v, masker))).collect(),
        other => other,
    }
}

impl<W: Write + Send> Subscriber for JsonLines<W> {
    fn event(&mut self, stamped: &Stamped) {
        let mut value = masked(object(&stamped.event), &self.masker);
        value["at"] = json!(stamped.at.duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64()));
        let _ = writeln!(self.out, "{value}");
        let _ = self.out.flush();
    }
}
