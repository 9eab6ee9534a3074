//! `fmt`: files of templates and variables in their canonical layout.

use crate::cli::Session;
use crate::cli::args::FmtArgs;
use crate::cli::exit::Exit;
use crate::report::clean;
use crate::template::discover;
use image_action_lang::format::format;
use image_action_lang::parse::MAX_TEXT;
use image_action_lang::{Diagnostic, Diagnostics, SourceMap};
use similar::TextDiff;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::time::Duration;

/// What a path ends with that is formatted.
const ENDINGS: [&str; 2] = [".pkr.hcl", ".pkrvars.hcl"];
/// The path that stands for standard input.
const STDIN: &str = "-";
/// The name of standard input in messages.
const STDIN_NAME: &str = "<stdin>";
/// How long the shortest way from one text to another is looked for; a longer one does after that.
const DIFF_TIMEOUT: Duration = Duration::from_secs(5);
/// Directories inside of each other that are gone into.
const MAX_DEPTH: usize = 64;

/// Runs the command. Files that cannot be formatted are left alone; the others are done all the same.
pub fn run(session: &Session, args: &FmtArgs) -> Exit {
    let (diags, sources) = (Diagnostics::new(), SourceMap::default());
    let mut run = Run { session, args, changed: false, diags, sources };
    for path in &args.paths {
        run.argument(path);
    }
    match () {
        () if session.show(&run.diags, &run.sources) => Exit::Failed,
        () if args.check && run.changed => Exit::Differences,
        () => Exit::Ok,
    }
}

struct Run<'a> {
    session: &'a Session,
    args: &'a FmtArgs,
    /// Whether something was not in canonical layout.
    changed: bool,
    diags: Diagnostics,
    sources: SourceMap,
}

impl Run<'_> {
    fn argument(&mut self, path: &str) {
        if path == STDIN {
            self.stdin();
        } else if self.session.cwd.join(path).is_dir() {
            self.directory(Path::new(path), MAX_DEPTH);
        } else {
            self.file(Path::new(path));
        }
    }

    fn writes(&self) -> bool {
        self.args.write && !self.args.check
    }

    fn failed(&mut self, path: &Path, why: String, cure: &str) {
        let d = Diagnostic::error(format!("Cannot format {}", shown(path))).detail(why);
        self.diags.push(if cure.is_empty() { d } else { d.hint(cure) });
    }

    /// The files of a directory, by name, and those of its directories where that is asked for.
    fn directory(&mut self, path: &Path, depth: usize) {
        let entries = std::fs::read_dir(self.session.cwd.join(path)).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(e) => return self.failed(path, format!("The directory cannot be read: {e}."), ""),
        };
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            if is_left_by_an_editor(&name.to_string_lossy()) {
                continue;
            }
            let inner = discover::clean(&path.join(name));
            if !entry.file_type().is_ok_and(|t| t.is_dir()) {
                if is_formatted(&inner) {
                    self.file(&inner);
                }
            } else if self.args.recursive && depth == 0 {
                let why = format!("There are more than {MAX_DEPTH} directories inside of each other.");
                self.failed(&inner, why, "format it by naming it");
            } else if self.args.recursive {
                self.directory(&inner, depth - 1);
            }
        }
    }

    fn file(&mut self, path: &Path) {
        if !is_formatted(path) {
            let why = format!("Only files that end in {} or {} are formatted.", ENDINGS[0], ENDINGS[1]);
            let cure = "rename it, or hand it over on standard input: image-action fmt - < FILE";
            return self.failed(path, why, cure);
        }
        let whole = self.session.cwd.join(path);
        let read = std::fs::File::open(&whole).and_then(read);
        let Some((old, new)) = self.formatted(path, &path.to_string_lossy(), read) else { return };
        if old == new {
            return;
        }
        self.changed = true;
        self.session.put(&format!("{}\n", shown(path)));
        if self.writes()
            && let Err(e) = std::fs::write(&whole, &new)
        {
            return self.failed(path, format!("The file cannot be written: {e}."), "");
        }
        if self.args.diff {
            self.show_diff(&unified(&shown(path), &old, &new));
        }
    }

    /// What comes in goes out; nothing is named and no difference shown, since the output is the text.
    fn stdin(&mut self) {
        let read = read(io::stdin().lock());
        let Some((old, new)) = self.formatted(Path::new(STDIN_NAME), STDIN_NAME, read) else { return };
        self.changed |= old != new;
        if old == new || self.writes() {
            self.session.put(&new);
        }
    }

    /// A text and how it should be.
    fn formatted(&mut self, path: &Path, name: &str, read: io::Result<String>) -> Option<(String, String)> {
        let old = match read {
            Ok(old) => old,
            Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                self.failed(path, "Its text is not UTF-8.".to_owned(), "save it as UTF-8");
                return None;
            }
            Err(e) => {
                self.failed(path, format!("It cannot be read: {e}."), "");
                return None;
            }
        };
        let name = self.sources.add(name, &old);
        match format(&name, &old) {
            Ok(new) => Some((old, new)),
            Err(found) => {
                self.diags.extend(found);
                None
            }
        }
    }

    /// Shows a difference as it is, so that it can be applied, but for those who would act upon what is in it.
    fn show_diff(&self, diff: &str) {
        if io::stdout().is_terminal() {
            self.session.put(&self.session.clean(diff));
        } else if self.session.env.get("GITHUB_ACTIONS").is_some() {
            self.session.put(&clean::break_commands(diff));
        } else {
            self.session.put(diff);
        }
    }
}

/// A path that may be called anything, on one line.
fn shown(path: &Path) -> String {
    clean::line(&path.to_string_lossy())
}

fn is_formatted(path: &Path) -> bool {
    let name = path.to_string_lossy();
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Hidden files, and what vim and Emacs leave behind.
fn is_left_by_an_editor(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~') || (name.starts_with('#') && name.ends_with('#'))
}

/// The whole text.
fn read(from: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(MAX_TEXT as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_TEXT {
        return Err(io::Error::other(format!("it has more than {} MiB", MAX_TEXT >> 20)));
    }
    String::from_utf8(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

/// The difference as `diff -u` has it.
fn unified(name: &str, old: &str, new: &str) -> String {
    // A line ends with \n alone: a carriage return is part of it, as it is for diff and patch.
    let (old, new) = (old.split_inclusive('\n').collect::<Vec<_>>(), new.split_inclusive('\n').collect::<Vec<_>>());
    let diff = TextDiff::configure().newline_terminated(true).timeout(DIFF_TIMEOUT).diff_slices(&old, &new);
    diff.unified_diff().header(&format!("old/{name}"), &format!("new/{name}")).to_string()
}
