//! The environment, read once.

use crate::bounds::Bounds;
use crate::identity::IdentitySource;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A snapshot of the environment that `main` takes and passes down; nothing else reads or writes the process's own. Whoever the
/// surroundings vouch for ([`IdentitySource`]) is part of it, as are the variables that name credentials, and what of our side a
/// template may touch ([`Bounds`]).
#[derive(Clone, Default)]
pub struct Env {
    variables: Arc<BTreeMap<String, String>>,
    identity: Option<Arc<dyn IdentitySource>>,
    bounds: Bounds,
}

impl Env {
    /// The environment of this process; names and values that are not UTF-8 are left out.
    pub fn of_process() -> Env {
        let pairs = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Env::from_pairs(pairs)
    }
    /// An environment of these pairs only; nobody vouches for it.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Env {
        Env { variables: Arc::new(pairs.into_iter().collect()), identity: None, bounds: Bounds::default() }
    }
    /// The value of a name; an empty one counts as unset, as the clouds' own tools take it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }
    /// The value as it stands, empty or not.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }
    /// All pairs, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }
    /// This environment over `defaults`: a name that is set here keeps its value.
    #[must_use]
    pub fn over(&self, defaults: impl IntoIterator<Item = (String, String)>) -> Env {
        let mut all: BTreeMap<String, String> = defaults.into_iter().collect();
        all.extend(self.variables.iter().map(|(k, v)| (k.clone(), v.clone())));
        Env { variables: Arc::new(all), identity: self.identity.clone(), bounds: self.bounds.clone() }
    }
    /// `pairs` over this environment: a name in both takes the new value.
    #[must_use]
    pub fn with(&self, pairs: impl IntoIterator<Item = (String, String)>) -> Env {
        let mut all = (*self.variables).clone();
        all.extend(pairs);
        Env { variables: Arc::new(all), identity: self.identity.clone(), bounds: self.bounds.clone() }
    }
    /// This environment without some names.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Env {
        let kept = self.iter().filter(|(name, _)| !names.contains(name));
        let kept = kept.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Env { variables: Arc::new(kept), identity: self.identity.clone(), bounds: self.bounds.clone() }
    }
    /// This environment, for a template with these bounds.
    #[must_use]
    pub fn within(mut self, bounds: Bounds) -> Env {
        self.bounds = bounds;
        self
    }
    /// What of our side a template may touch.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }
    /// This environment, vouched for.
    #[must_use]
    pub fn with_identity(mut self, source: Arc<dyn IdentitySource>) -> Env {
        self.identity = Some(source);
        self
    }
    /// This environment, vouched for by nobody.
    #[must_use]
    pub fn without_identity(mut self) -> Env {
        self.identity = None;
        self
    }
    /// Who vouches for this environment.
    pub fn identity(&self) -> Option<&Arc<dyn IdentitySource>> {
        self.identity.as_ref()
    }
}
