//! The inputs of the action, as the runner hands them over: `INPUT_<NAME>`, upper-cased, hyphens kept.

use image_action_engine::{Env, Error, ErrorKind, Result};
use image_action_lang::diag::suggest;
use std::collections::BTreeMap;

/// The names that `action.yml` declares.
pub const NAMES: [&str; 22] = [
    "template",
    "command",
    "environment",
    "vars",
    "var-files",
    "only",
    "except",
    "parallel-builds",
    "on-error",
    "force",
    "working-directory",
    "github-token",
    "validation-build",
    "local",
    "allow-untrusted",
    "aws-role-to-assume",
    "aws-region",
    "azure-client-id",
    "azure-tenant-id",
    "azure-subscription-id",
    "gcp-workload-identity-provider",
    "gcp-service-account",
];

/// Names that the runner itself may add for a container action.
const RUNNERS_OWN: [&str; 2] = ["args", "entrypoint"];

/// What the workflow says; an empty input counts as not given.
#[derive(Clone, Debug, Default)]
pub struct Inputs(BTreeMap<String, String>);

impl Inputs {
    /// Reads every `INPUT_…` of the environment.
    ///
    /// # Errors
    /// Every unknown name, with the nearest known one.
    pub fn read(env: &Env) -> Result<Inputs> {
        let mut inputs = BTreeMap::new();
        let mut unknown = Vec::new();
        for (name, value) in env.iter().filter_map(|(k, v)| Some((k.strip_prefix("INPUT_")?, v))) {
            let name = name.to_lowercase().replace('_', "-");
            if RUNNERS_OWN.contains(&name.as_str()) {
                continue;
            }
            if !NAMES.contains(&name.as_str()) {
                let near = suggest(&name, NAMES).map(|n| format!(" (did you mean `{n}`?)")).unwrap_or_default();
                unknown.push(format!("`{name}`{near}"));
            } else if !value.trim().is_empty() {
                inputs.insert(name, value.trim().to_owned());
            }
        }
        if unknown.is_empty() {
            return Ok(Inputs(inputs));
        }
        Err(Error::new(ErrorKind::Invalid, format!("unknown input {}", unknown.join(", ")))
            .hint(format!("the inputs are: {}", NAMES.join(", "))))
    }
    /// A text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
    /// The lines (or, on one line, the parts between commas) of a list.
    pub fn list(&self, name: &str) -> Vec<String> {
        let text = self.get(name).unwrap_or_default();
        let parts: Vec<&str> = if text.contains('\n') { text.lines().collect() } else { text.split(',').collect() };
        parts.into_iter().map(str::trim).filter(|p| !p.is_empty()).map(str::to_owned).collect()
    }
    /// The lines of an input whose values may hold commas.
    pub fn lines(&self, name: &str) -> Vec<String> {
        let text = self.get(name).unwrap_or_default();
        text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect()
    }
    /// A boolean; `None` where it is not given.
    ///
    /// # Errors
    /// Anything but what YAML writes for a boolean.
    pub fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.get(name) {
            None => Ok(None),
            Some("true" | "True" | "TRUE") => Ok(Some(true)),
            Some("false" | "False" | "FALSE") => Ok(Some(false)),
            Some(other) => Err(Error::new(ErrorKind::Invalid, format!("the input `{name}` is `{other}`"))
                .hint("write `true` or `false`")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        Env::from_pairs(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn hyphens_and_underscores_are_one() {
        for name in ["INPUT_VAR-FILES", "INPUT_VAR_FILES"] {
            assert_eq!(Inputs::read(&env(&[(name, "a, b")])).unwrap().list("var-files"), ["a", "b"]);
        }
    }

    #[test]
    fn an_unknown_input_is_an_error_with_the_nearest_name() {
        let e = Inputs::read(&env(&[("INPUT_TEMPLAT", "x")])).unwrap_err();
        assert!(e.summary.contains("did you mean `template`?"), "{e}");
    }

    #[test]
    fn a_flag_is_true_or_false() {
        assert!(Inputs::read(&env(&[("INPUT_FORCE", "yes")])).unwrap().flag("force").is_err());
        assert_eq!(Inputs::read(&env(&[("INPUT_FORCE", "")])).unwrap().flag("force").unwrap(), None);
    }
}
