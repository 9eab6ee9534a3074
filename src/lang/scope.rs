//! What an expression may see: variables, functions, and a fixed picture of the world outside.

use crate::functions::{self, Function, FunctionError};
use crate::value::Value;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which functions may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionSet {
    /// None: "Function calls not allowed".
    None,
    /// `env` alone: the default of a variable.
    EnvOnly,
    /// Everything but `env`.
    All,
    /// Everything but `env` and `templatefile`: a file rendered by `templatefile`.
    InTemplateFile,
}

/// A secret that a server keeps, as a function asks for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// `consul_key`
    Consul {
        /// Its path in the key-value store.
        key: String,
    },
    /// `vault`
    Vault {
        /// As Vault's API has it after `/v1/`.
        path: String,
        /// Of the secret's data.
        key: String,
    },
    /// `aws_secretsmanager`
    AwsValue {
        /// Name or ARN.
        name: String,
        /// Of the JSON object that the secret is; may be empty where it has one entry.
        key: String,
    },
    /// `aws_secretsmanager_raw`
    AwsText {
        /// Name or ARN.
        name: String,
    },
}

/// Asks the servers that keep secrets: this room knows no network.
pub trait Keeper: Send + Sync {
    /// The text of a secret. May take seconds.
    ///
    /// # Errors
    /// It cannot be had; says the server, the call and the cure.
    fn read(&self, kept: &Kept) -> Result<String, FunctionError>;
    /// What was asked for so far, each once, whether there was an answer or not.
    fn asked(&self) -> Vec<Kept> {
        Vec::new()
    }
}

/// Where nobody is there to be asked.
struct Nobody;

impl Keeper for Nobody {
    fn read(&self, _: &Kept) -> Result<String, FunctionError> {
        Err(FunctionError::new("no secrets are read here"))
    }
}

/// Says whether functions may look at a path; an error says why not.
pub type Guard = Arc<dyn Fn(&Path) -> Result<(), String> + Send + Sync>;

/// The outside, as functions see it. Made once a run; nothing else of the process is looked at.
#[derive(Clone)]
pub struct World {
    /// What relative paths of `file`, `fileset`, `templatefile` … start from.
    pub base_dir: PathBuf,
    /// The working directory: `abspath`, `filebase64`.
    pub working_dir: PathBuf,
    /// The environment, as a snapshot: `env`, and `HOME` for `~`.
    pub environment: Arc<BTreeMap<String, String>>,
    /// When the run began: `legacy_isotime`, `legacy_strftime`.
    pub start: DateTime<Utc>,
    /// Who is asked for secrets.
    keeper: Arc<dyn Keeper>,
    /// Who may forbid a path.
    guard: Guard,
    /// Rounds of `for` so far, all copies of this world together.
    rounds: Arc<AtomicU64>,
}

/// Rounds of `for` in one run: loops inside of loops end with an error rather than with the memory.
const MAX_ROUNDS: u64 = 2_000_000;

impl World {
    /// A world with `working_dir` as its base directory too.
    pub fn new(working_dir: impl Into<PathBuf>, environment: BTreeMap<String, String>, start: DateTime<Utc>) -> World {
        let working_dir = working_dir.into();
        World {
            base_dir: working_dir.clone(),
            working_dir,
            environment: Arc::new(environment),
            start,
            keeper: Arc::new(Nobody),
            guard: Arc::new(|_| Ok(())),
            rounds: Arc::default(),
        }
    }

    /// The same world with somebody who is asked for secrets.
    #[must_use]
    pub fn with_keeper(mut self, keeper: Arc<dyn Keeper>) -> World {
        self.keeper = keeper;
        self
    }

    /// Who is asked for secrets.
    /// The secrets that functions have asked for so far.
    pub fn asked(&self) -> Vec<Kept> {
        self.keeper.asked()
    }
    pub(crate) fn keeper(&self) -> &dyn Keeper {
        &*self.keeper
    }

    /// The same world, where functions look only at paths that `guard` allows.
    #[must_use]
    pub fn with_guard(mut self, guard: Guard) -> World {
        self.guard = guard;
        self
    }

    /// Whether functions may look at a path.
    pub(crate) fn may_read(&self, path: &Path) -> Result<(), String> {
        (self.guard)(path)
    }

    /// Counts one round of a `for`; says whether it may still be run.
    pub(crate) fn another_round(&self) -> bool {
        self.rounds.fetch_add(1, Ordering::Relaxed) < MAX_ROUNDS
    }

    /// The same world with another base directory; a relative one starts from the working directory.
    #[must_use]
    pub fn with_base_dir(mut self, base_dir: impl AsRef<Path>) -> World {
        self.base_dir = self.working_dir.join(base_dir);
        self
    }
}

/// A chain of frames of variables above one world. Cheap to clone; frames are added, never changed.
#[derive(Clone)]
pub struct Scope {
    world: Arc<World>,
    functions: FunctionSet,
    frame: Option<Arc<Frame>>,
}

struct Frame {
    parent: Option<Arc<Frame>>,
    variables: BTreeMap<Arc<str>, Value>,
}

impl Scope {
    /// All functions, and no variable yet: any reference is "Variables not allowed" until a frame is added.
    pub fn new(world: Arc<World>) -> Scope {
        Scope { world, functions: FunctionSet::All, frame: None }
    }

    /// Constants only: neither variables nor functions.
    pub fn constant() -> Scope {
        let world = World::new(PathBuf::new(), BTreeMap::new(), DateTime::UNIX_EPOCH);
        Scope { functions: FunctionSet::None, ..Scope::new(Arc::new(world)) }
    }

    /// The same variables with other functions.
    #[must_use]
    pub fn with_functions(&self, functions: FunctionSet) -> Scope {
        Scope { functions, ..self.clone() }
    }

    /// A frame of variables above this scope; they shadow those of the same name below.
    #[must_use]
    pub fn child(&self, variables: impl IntoIterator<Item = (Arc<str>, Value)>) -> Scope {
        let frame = Frame { parent: self.frame.clone(), variables: variables.into_iter().collect() };
        Scope { frame: Some(Arc::new(frame)), ..self.clone() }
    }

    /// One variable more.
    #[must_use]
    pub fn with(&self, name: &str, value: Value) -> Scope {
        self.child([(Arc::from(name), value)])
    }

    /// The same world and functions without any variable.
    #[must_use]
    pub fn without_variables(&self) -> Scope {
        Scope { frame: None, ..self.clone() }
    }

    /// The value of a root name.
    pub fn variable(&self, name: &str) -> Option<&Value> {
        let mut frame = self.frame.as_ref();
        while let Some(f) = frame {
            if let Some(value) = f.variables.get(name) {
                return Some(value);
            }
            frame = f.parent.as_ref();
        }
        None
    }

    /// Whether there is any frame, even an empty one.
    pub fn has_variables(&self) -> bool {
        self.frame.is_some()
    }

    /// Every root name, the innermost frame first.
    pub fn variable_names(&self) -> Vec<Arc<str>> {
        let mut names = Vec::new();
        let mut frame = self.frame.as_ref();
        while let Some(f) = frame {
            names.extend(f.variables.keys().cloned());
            frame = f.parent.as_ref();
        }
        names
    }

    /// Which functions may be called here.
    pub fn functions(&self) -> FunctionSet {
        self.functions
    }

    /// A function that may be called here.
    pub fn function(&self, name: &str) -> Option<&'static Function> {
        functions::lookup(name).filter(|f| self.allows(f))
    }

    /// The names of all functions that may be called here.
    pub fn function_names(&self) -> impl Iterator<Item = &'static str> + '_ {
        functions::all().iter().filter(|f| self.allows(f)).map(|f| f.name)
    }

    fn allows(&self, function: &Function) -> bool {
        match self.functions {
            FunctionSet::None => false,
            FunctionSet::EnvOnly => function.name == "env",
            FunctionSet::All => function.name != "env",
            FunctionSet::InTemplateFile => function.name != "env" && function.name != "templatefile",
        }
    }

    /// The outside.
    pub fn world(&self) -> &World {
        &self.world
    }
}
