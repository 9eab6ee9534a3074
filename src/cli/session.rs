//! What every command needs: where its words go, and what a run is made with.

use crate::cli::args::{CommonArgs, StateArgs};
use crate::cli::person::Terminal as Person;
use crate::report::diagnostics::{self, Entry};
use crate::report::machine::Machine;
use crate::report::terminal::{Style, Terminal};
use crate::report::{Masker, clean};
use crate::template::{Options, Secrets, Settings};
use image_action_engine::ask::{self, Asking};
use image_action_engine::event::Subscriber;
use image_action_engine::run::{OnError, RunContext};
use image_action_engine::{CancellationToken, Env, Error, Events, Ledger, Result};
use image_action_lang::{Diagnostic, Diagnostics, RenderOptions, Severity, SourceMap, render};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// One run of one command.
pub struct Session {
    /// The environment of the command.
    pub env: Env,
    /// The working directory.
    pub cwd: PathBuf,
    /// Unique id of the run.
    pub run_id: String,
    /// When it began.
    pub started: SystemTime,
    /// Takes secrets out of everything that is said.
    pub masker: Masker,
    /// Whether it speaks to a program.
    pub machine_readable: bool,
    /// Where diagnostics are collected, with `-json`.
    pub json: Option<Arc<Json>>,
}

/// Diagnostics that are told as one JSON array when the command ends.
pub struct Json {
    entries: Mutex<Vec<Entry>>,
    /// Whether the array is all that the command says, on standard output; else it goes to standard error.
    alone: bool,
}

impl Json {
    /// None so far.
    pub fn new(alone: bool) -> Json {
        Json { entries: Mutex::default(), alone }
    }
    fn push(&self, entry: Entry) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }
    /// Writes the array.
    pub fn write(&self, masker: &Masker) {
        let entries = std::mem::take(&mut *self.entries.lock().unwrap_or_else(PoisonError::into_inner));
        let array = diagnostics::array(entries, masker);
        // A reader that has gone away does not want to know.
        let _ = if self.alone {
            let mut out = std::io::stdout().lock();
            writeln!(out, "{array}").and_then(|()| out.flush())
        } else {
            writeln!(std::io::stderr().lock(), "{array}")
        };
    }
}

/// What the runner gives a job and no builder needs. Whatever a stranger's template gets at in this program, it is not there.
const RUNNER: [&str; 4] = ["ACTIONS_", "GITHUB_", "INPUT_", "RUNNER_"];

/// The environment without the runner's variables.
fn without_runner(env: &Env) -> Env {
    let names = env.iter().map(|(name, _)| name).filter(|name| RUNNER.iter().any(|p| name.starts_with(p)));
    env.without(&names.collect::<Vec<_>>())
}

impl Session {
    /// A session that begins now.
    pub fn new(env: Env, cwd: PathBuf, machine_readable: bool, masker: Masker) -> Session {
        let run_id = uuid::Uuid::new_v4().to_string();
        Session { env, cwd, run_id, started: SystemTime::now(), masker, machine_readable, json: None }
    }

    /// Tells something.
    pub fn say(&self, text: &str) {
        if self.json.as_ref().is_some_and(|j| j.alone) {
            return;
        }
        self.write("say", text);
    }

    /// Tells that something went wrong.
    pub fn fail(&self, text: &str) {
        if let Some(json) = &self.json {
            return json.push(Entry::failure(text));
        }
        self.write("error", text);
    }

    fn write(&self, kind: &str, text: &str) {
        Session::tell(self.machine_readable, &self.masker, kind, text);
    }

    /// Tells something without a session at hand: `say` or `error`.
    pub fn tell(machine_readable: bool, masker: &Masker, kind: &str, text: &str) {
        let text = masker.mask(text.trim_end_matches('\n'));
        if machine_readable {
            Machine::new(std::io::stdout(), masker.clone()).say(kind, &text);
            return;
        }
        let mut out = std::io::stdout().lock();
        // A reader that has gone away does not want to know.
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// Writes a text as it is, with nothing added.
    pub fn put(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        // A reader that has gone away does not want to know.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Shows what was found; whether there was an error.
    pub fn show(&self, diags: &Diagnostics, sources: &SourceMap) -> bool {
        if let Some(json) = &self.json {
            diags.iter().for_each(|d| json.push(Entry::new(d, sources)));
            return diags.has_errors();
        }
        // A person may be shown colours; a file or a pipe is not, in Packer neither.
        let color = std::io::stdout().is_terminal() && !self.machine_readable && !self.no_color();
        let options = RenderOptions { color, ..RenderOptions::default() };
        for d in diags {
            let kind = if d.severity == Severity::Error { "error" } else { "say" };
            let text = render(d, sources, options);
            self.write(kind, &format!("{text}\n"));
        }
        diags.has_errors()
    }

    /// Shows one failure that may have a place in the template.
    pub fn show_error(&self, error: Error, sources: &SourceMap) {
        self.show(&Diagnostics::from(Diagnostic::from(error)), sources);
    }

    /// Whether the lines of builds are coloured: as the flag says, else on a terminal.
    pub fn color(&self, flag: Option<bool>) -> bool {
        flag.unwrap_or_else(|| std::io::stdout().is_terminal() && self.env.get("NO_COLOR").is_none())
    }

    /// Whether colours are switched off from outside.
    pub fn no_color(&self) -> bool {
        self.env.get("PACKER_NO_COLOR").is_some()
    }

    /// What a template is read with.
    pub fn options(&self, path: &str, common: &CommonArgs, warn_undeclared: bool) -> Options {
        Options {
            path: path.to_owned(),
            vars: common.var.clone(),
            var_files: common.var_file.clone(),
            warn_undeclared,
            sequential: common.use_sequential_evaluation,
        }
    }

    /// What components are made with.
    pub fn settings(&self, validating: bool, force: bool, on_error: OnError) -> Settings {
        let masker = self.masker.clone();
        Settings {
            env: self.env.clone(),
            cwd: self.cwd.clone(),
            run_id: self.run_id.clone(),
            started: self.started,
            force,
            on_error,
            validating,
            secrets: Secrets::new(move |text| masker.add(text)),
        }
    }

    /// Where ledgers are kept.
    ///
    /// # Errors
    /// Where neither a flag nor the environment says.
    pub fn state_dir(&self, args: &StateArgs) -> Result<PathBuf> {
        if let Some(dir) = &args.state_dir {
            return Ok(self.cwd.join(dir));
        }
        let base = self.env.get("XDG_STATE_HOME").map(PathBuf::from);
        let base = base.or_else(|| self.env.get("HOME").map(|home| PathBuf::from(home).join(".local/state")));
        // A daemon's environment may have neither; the runner's temporary folder is as good.
        let base = base.or_else(|| self.env.get("RUNNER_TEMP").map(PathBuf::from));
        base.map(|b| b.join("image-action")).ok_or_else(|| {
            Error::failed("there is no folder to note in what is created: neither XDG_STATE_HOME nor HOME is set")
                .hint("name one with --state-dir")
        })
    }

    /// Who listens to the events of a run.
    pub fn subscriber(&self, color: bool, timestamp: bool) -> Box<dyn Subscriber> {
        let out = std::io::stdout();
        if self.machine_readable {
            return Box::new(Machine::new(out, self.masker.clone()));
        }
        let style = Style { color: color && !self.no_color(), timestamp };
        Box::new(Terminal::new(out, style, self.masker.clone()))
    }

    /// Who can be asked: whoever sits at the terminal, unless a program listens.
    fn person(&self) -> Option<Arc<dyn ask::Person>> {
        let terminal = (!self.machine_readable).then(Person::open).flatten()?;
        Some(Arc::new(terminal))
    }

    /// What all builds of a run share.
    ///
    /// # Errors
    /// Where the ledger cannot be opened.
    pub fn run_context(&self, settings: &Settings, state: &StateArgs, events: Events) -> Result<RunContext> {
        let ledger = Ledger::open(&self.state_dir(state)?, &self.run_id)?;
        Ok(RunContext {
            id: self.run_id.clone(),
            started: self.started,
            cwd: self.cwd.clone(),
            env: if self.env.bounds().strange() { without_runner(&self.env) } else { self.env.clone() },
            events,
            ledger,
            cancel: CancellationToken::new(),
            on_error: settings.on_error,
            asking: Asking::new(self.person()),
            force: settings.force,
            skip_image: false,
            finishers: Mutex::default(),
        })
    }

    /// A text of the outside, fit to be shown.
    pub fn clean(&self, text: &str) -> String {
        text.split('\n').map(clean::line).collect::<Vec<_>>().join("\n")
    }
}
