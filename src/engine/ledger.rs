//! What was created and must go again: an append-only file of JSON lines.
//!
//! `intent` is written (and synced) before a create call, `created` after it, `gone` after the delete, `kept` for what the
//! template asked for. Whatever ends the program, the file says what may be left: failure, cancel, the post step of the job and
//! `image-action cleanup` all read the same lines. An intent without an end is looked up by its unique name or token.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// The tag (or label) that every resource carries: the id of its run.
pub const RUN_TAG: &str = "image-action-run";

/// The tag (or label) of every resource that is not an image that was asked for: when nobody needs it any more, in seconds
/// since 1970. (A label of Google's holds neither colons nor capitals.)
pub const EXPIRES_TAG: &str = "image-action-expires";

/// How long after the beginning of its run a resource expires: longer than any build.
pub const LIFETIME: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// What one create call makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// `aws`, `azure` or `gcp`: who knows how to remove it.
    pub provider: String,
    /// The cloud's own word (`instance`, `key-pair`, `resource-group`, `image`, …).
    pub kind: String,
    /// Where: a region, a zone, a resource group's path.
    pub place: String,
    /// The unique name, or the client token, that finds it when its id is not known.
    pub name: String,
    /// How the account is reached again (profile, role, endpoint, project, …); never a secret.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub access: serde_json::Value,
}

/// What is known of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The call was about to be made: perhaps it exists.
    Intent,
    /// It exists.
    Created,
    /// It is wanted: an image that the template asked for.
    Kept,
    /// It does not exist any more.
    Gone,
}

/// One line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    state: State,
    /// Seconds since 1970.
    at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    build: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<Resource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// A resource as the ledger has it last.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The ledger's own name for it, unique in the file.
    pub key: String,
    /// What it is.
    pub resource: Resource,
    /// The build that made it.
    pub build: String,
    /// The cloud's id, once known.
    pub id: Option<String>,
    /// What is known.
    pub state: State,
    /// Position in the file: what was created later often has to go first.
    pub order: usize,
}

/// The ledger of one run. Cheap to clone.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    path: PathBuf,
    run_id: String,
    book: Mutex<Book>,
}

struct Book {
    file: File,
    items: BTreeMap<String, Item>,
}

/// The handle of one resource, from its intent on.
#[derive(Clone)]
#[must_use = "say created(), gone() or kept() of it, or it counts as left behind"]
pub struct Entry {
    ledger: Ledger,
    /// The ledger's own name for it.
    pub key: String,
}

fn failed(path: &Path, e: &std::io::Error) -> Error {
    Error::failed(format!("cannot write the ledger {}: {e}", path.display()))
        .hint("nothing is created without it; make its folder writable, or name another one with --state-dir")
}

impl Ledger {
    /// Opens `DIR/RUN-ID.jsonl` and locks it for as long as this program lives.
    ///
    /// # Errors
    /// Where the file cannot be made, read, or locked (another program is at work on this run).
    pub fn open(dir: &Path, run_id: &str) -> Result<Ledger> {
        let path = dir.join(format!("{run_id}.jsonl"));
        std::fs::create_dir_all(dir).map_err(|e| failed(&path, &e))?;
        let file =
            OpenOptions::new().create(true).append(true).read(true).open(&path).map_err(|e| failed(&path, &e))?;
        if file.try_lock().is_err() {
            return Err(Error::failed(format!("the run {run_id} is still going on"))
                .hint("wait for it to end, or stop it; it cleans up after itself"));
        }
        let items = read(&path)?;
        let inner = Inner { path, run_id: run_id.to_owned(), book: Mutex::new(Book { file, items }) };
        Ok(Ledger(Arc::new(inner)))
    }
    /// The file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }
    /// The id of the run, which every resource carries as a tag too.
    pub fn run_id(&self) -> &str {
        &self.0.run_id
    }
    /// Notes that a create call is about to be made. Only then make it.
    ///
    /// # Errors
    /// Where the line did not reach the disk: then nothing may be created.
    pub fn intent(&self, build: &str, resource: Resource) -> Result<Entry> {
        let key = uuid::Uuid::new_v4().simple().to_string();
        self.write(Line {
            key: key.clone(),
            state: State::Intent,
            at: now(),
            build: Some(build.to_owned()),
            resource: Some(resource),
            id: None,
        })?;
        Ok(Entry { ledger: self.clone(), key })
    }
    /// The handle of an item that was read back.
    pub fn entry(&self, key: &str) -> Entry {
        Entry { ledger: self.clone(), key: key.to_owned() }
    }
    /// Everything, in the order of the intents.
    pub fn items(&self) -> Vec<Item> {
        let mut items: Vec<_> = self.lock().items.values().cloned().collect();
        items.sort_by_key(|i| i.order);
        items
    }
    /// What exists, or may exist, and nobody wants: latest first.
    pub fn left(&self) -> Vec<Item> {
        let mut left = self.items();
        left.retain(|i| matches!(i.state, State::Intent | State::Created));
        left.reverse();
        left
    }
    /// Deletes the file when nothing is left to remove; says whether it did.
    pub fn close(&self) -> bool {
        self.left().is_empty() && std::fs::remove_file(&self.0.path).is_ok()
    }
    fn lock(&self) -> std::sync::MutexGuard<'_, Book> {
        // A panic in another thread does not make the lines wrong.
        self.0.book.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
    fn write(&self, line: Line) -> Result<()> {
        let mut text =
            serde_json::to_string(&line).map_err(|e| Error::failed(format!("cannot write the ledger: {e}")))?;
        text.push('\n');
        let mut book = self.lock();
        book.file
            .write_all(text.as_bytes())
            .and_then(|()| book.file.sync_data())
            .map_err(|e| failed(&self.0.path, &e))?;
        apply(&mut book.items, line);
        Ok(())
    }
}

impl Entry {
    fn note(&self, state: State, id: Option<&str>) -> Result<()> {
        let id = id.map(str::to_owned);
        self.ledger.write(Line { key: self.key.clone(), state, at: now(), build: None, resource: None, id })
    }
    /// It exists, under this id.
    ///
    /// # Errors
    /// Where the line could not be written; the intent still stands.
    pub fn created(&self, id: &str) -> Result<()> {
        self.note(State::Created, Some(id))
    }
    /// It is what the template asked for.
    ///
    /// # Errors
    /// Where the line could not be written.
    pub fn kept(&self) -> Result<()> {
        self.note(State::Kept, None)
    }
    /// It does not exist: deleted, or never made.
    ///
    /// # Errors
    /// Where the line could not be written.
    pub fn gone(&self) -> Result<()> {
        self.note(State::Gone, None)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

fn apply(items: &mut BTreeMap<String, Item>, line: Line) {
    let order = items.len();
    match (items.get_mut(&line.key), line.resource) {
        (Some(item), _) => {
            item.state = line.state;
            item.id = line.id.or(item.id.take());
        }
        (None, Some(resource)) => {
            let build = line.build.unwrap_or_default();
            items.insert(
                line.key.clone(),
                Item { key: line.key, resource, build, id: line.id, state: line.state, order },
            );
        }
        // A state of something that no line introduces: the file was cut at its head; nothing can be done about it.
        (None, None) => {}
    }
}

/// Reads a ledger; a last line that was cut by a crash is passed over (its call was not made: the line is synced first).
///
/// # Errors
/// Where the file cannot be read.
pub fn read(path: &Path) -> Result<BTreeMap<String, Item>> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::failed(format!("cannot read the ledger {}: {e}", path.display())))?;
    let mut items = BTreeMap::new();
    for line in text.lines() {
        if let Ok(line) = serde_json::from_str::<Line>(line) {
            apply(&mut items, line);
        }
    }
    Ok(items)
}

/// What is looked for by its tags, where no ledger is left.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Regions, subscriptions or projects, as the cloud has them; all that the environment leads to where there are none.
    pub places: Vec<String>,
    /// Seconds since 1970: what expires later stays.
    pub expired_before: u64,
}

impl Search {
    /// Whether something with these values of [`RUN_TAG`] and [`EXPIRES_TAG`] is ours and has expired. A value that is no time
    /// (`never`) does not expire.
    pub fn takes(&self, run: Option<&str>, expires: Option<&str>) -> bool {
        let at = expires.and_then(|text| text.parse::<u64>().ok());
        run.is_some_and(|run| !run.is_empty()) && at.is_some_and(|at| at < self.expired_before)
    }
}

/// Something that a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// What it is.
    pub resource: Resource,
    /// The cloud's id.
    pub id: String,
    /// The run that made it.
    pub run: String,
}

/// Removes what a ledger lists; each cloud has one.
#[async_trait::async_trait]
pub trait Sweeper: Send + Sync {
    /// The `provider` of the resources it knows.
    fn provider(&self) -> &'static str;
    /// Removes one resource, by id or by its unique name; it is no error when it does not exist. `run` carries the environment,
    /// the ledger and the events.
    ///
    /// # Errors
    /// Why it is still there.
    async fn remove(&self, run: &crate::run::RunContext, item: &Item) -> Result<()>;
    /// Whether the environment names an account of this cloud: who says nothing of clouds means those.
    fn is_named(&self, env: &crate::env::Env) -> bool;
    /// Everything temporary that carries our tags and has expired: never a finished image.
    ///
    /// # Errors
    /// Where the account cannot be reached, or looking is refused.
    async fn find(&self, run: &crate::run::RunContext, search: &Search) -> Result<Vec<Found>>;
    /// A command that a person can type to remove it.
    fn command(&self, item: &Item) -> String;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn resource(name: &str) -> Resource {
        Resource {
            provider: "aws".into(),
            kind: "instance".into(),
            place: "us-west-2".into(),
            name: name.into(),
            access: serde_json::Value::Null,
        }
    }

    #[test]
    fn only_what_is_ours_and_has_expired_is_taken() {
        let search = Search { expired_before: 1000, ..Search::default() };
        assert!(search.takes(Some("run"), Some("999")));
        for (run, expires) in [
            (Some("run"), Some("1000")),
            (Some("run"), Some("never")),
            (Some("run"), Some("-1")),
            (Some("run"), None),
            (Some(""), Some("999")),
            (None, Some("999")),
        ] {
            assert!(!search.takes(run, expires), "{run:?} {expires:?}");
        }
    }

    #[test]
    fn what_is_left_survives_the_program_and_a_cut_last_line() {
        let dir = std::env::temp_dir().join(format!("ledger-{}", uuid::Uuid::new_v4()));
        let ledger = Ledger::open(&dir, "run").unwrap();
        ledger.intent("a", resource("one")).unwrap().created("i-1").unwrap();
        ledger.intent("a", resource("two")).unwrap().gone().unwrap();
        let image = ledger.intent("a", resource("image")).unwrap();
        image.created("ami-1").unwrap();
        image.kept().unwrap();
        drop(image);
        drop(ledger.intent("a", resource("three")).unwrap());
        assert!(Ledger::open(&dir, "run").is_err(), "a run that goes on is not swept");
        assert!(!ledger.close());
        let path = ledger.path().to_owned();
        drop(ledger);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"key\":\"x\",\"sta").unwrap();
        let again = Ledger::open(&dir, "run").unwrap();
        let left: Vec<_> = again.left().into_iter().map(|i| (i.resource.name, i.id)).collect();
        assert_eq!(left, [("three".to_owned(), None), ("one".to_owned(), Some("i-1".to_owned()))]);
        for item in again.left() {
            again.entry(&item.key).gone().unwrap();
        }
        assert!(again.close() && !path.exists());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
