//! The environment, read once.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A snapshot of the environment that `main` takes and passes down; nothing else reads or writes the process's own.
#[derive(Clone, Default)]
pub struct Env(Arc<BTreeMap<String, String>>);

impl Env {
    /// The environment of this process; names and values that are not UTF-8 are left out.
    pub fn of_process() -> Env {
        let pairs = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Env(Arc::new(pairs.collect()))
    }
    /// An environment of these pairs only.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Env {
        Env(Arc::new(pairs.into_iter().collect()))
    }
    /// The value of a name; an empty one counts as unset, as the clouds' own tools take it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }
    /// The value as it stands, empty or not.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
    /// All pairs, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }
    /// This environment over `defaults`: a name that is set here keeps its value.
    #[must_use]
    pub fn over(&self, defaults: impl IntoIterator<Item = (String, String)>) -> Env {
        let mut all: BTreeMap<String, String> = defaults.into_iter().collect();
        all.extend(self.0.iter().map(|(k, v)| (k.clone(), v.clone())));
        Env(Arc::new(all))
    }
    /// `pairs` over this environment: a name in both takes the new value.
    #[must_use]
    pub fn with(&self, pairs: impl IntoIterator<Item = (String, String)>) -> Env {
        let mut all = (*self.0).clone();
        all.extend(pairs);
        Env(Arc::new(all))
    }
}
