//! The inputs of the action, as the runner hands them over (`INPUT_<NAME>`, upper-cased, hyphens kept), over the defaults of the
//! repository (`.github/image-action.yml`).

use crate::github::yaml;
use image_action_engine::{Env, Error, ErrorKind, Result};
use image_action_lang::diag::suggest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Where a repository keeps its defaults, from its root.
pub const DEFAULTS_FILE: &str = ".github/image-action.yml";

/// What an input takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A text.
    Text,
    /// A list, one a line, or separated by commas on one line.
    List,
    /// `NAME=VALUE`, one a line.
    Pairs,
    /// `true` or `false`.
    Flag,
    /// A number from 0.
    Number,
    /// One of these words; a `true` or `false` among them is a boolean in YAML.
    Word(&'static [&'static str]),
}

/// One input.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// Whether the repository's defaults may set it: the file is part of what a pull request changes.
    pub in_file: bool,
}

const fn input(name: &'static str, takes: Takes) -> Input {
    Input { name, takes, in_file: true }
}

/// An input that only a workflow may set.
const fn only_workflow(name: &'static str, takes: Takes) -> Input {
    Input { name, takes, in_file: false }
}

/// Every input, in the order of `action.yml`, which a test compares with it.
pub const INPUTS: &[Input] = &[
    input("template", Takes::Text),
    input("command", Takes::Word(&["validate", "build", "matrix", "merge"])),
    input("environment", Takes::Text),
    input("vars", Takes::Pairs),
    input("var-files", Takes::List),
    input("only", Takes::List),
    input("except", Takes::List),
    input("parallel-builds", Takes::Number),
    input("on-error", Takes::Word(&["cleanup", "abort", "run-cleanup-provisioner"])),
    input("force", Takes::Flag),
    input("working-directory", Takes::Text),
    only_workflow("github-token", Takes::Text),
    input("checks", Takes::Flag),
    input("comment", Takes::Flag),
    input("release", Takes::Word(&["true", "false", "draft"])),
    input("attest", Takes::Flag),
    input("validation-build", Takes::Word(&["provision", "full"])),
    input("local", Takes::Flag),
    input("fail-on", Takes::Word(&["error", "warning"])),
    only_workflow("allow-untrusted", Takes::Flag),
    only_workflow("part", Takes::Flag),
    only_workflow("parts", Takes::Text),
    only_workflow("matrix", Takes::Text),
    input("aws-role-to-assume", Takes::Text),
    input("aws-region", Takes::Text),
    input("azure-client-id", Takes::Text),
    input("azure-tenant-id", Takes::Text),
    input("azure-subscription-id", Takes::Text),
    input("gcp-workload-identity-provider", Takes::Text),
    input("gcp-service-account", Takes::Text),
];

/// Names that the runner itself may add for a container action.
const RUNNERS_OWN: [&str; 2] = ["args", "entrypoint"];

/// What the workflow says, over the repository's defaults; an empty input counts as not given.
#[derive(Clone, Debug, Default)]
pub struct Inputs(BTreeMap<String, String>);

fn invalid(summary: String) -> Error {
    Error::new(ErrorKind::Invalid, summary)
}

/// The names, for a hint.
fn names(all: impl Iterator<Item = &'static Input>) -> String {
    all.map(|i| i.name).collect::<Vec<_>>().join(", ")
}

fn near(name: &str) -> String {
    let near = suggest(name, INPUTS.iter().map(|i| i.name));
    near.map(|n| format!(" (did you mean `{n}`?)")).unwrap_or_default()
}

impl Inputs {
    /// Reads every `INPUT_…` of the environment.
    ///
    /// # Errors
    /// Every unknown name, with the nearest known one; a value that an input does not take.
    pub fn read(env: &Env) -> Result<Inputs> {
        let mut inputs = BTreeMap::new();
        let mut unknown = Vec::new();
        for (name, value) in env.iter().filter_map(|(k, v)| Some((k.strip_prefix("INPUT_")?, v))) {
            let name = name.to_lowercase().replace(['_', ' '], "-");
            if RUNNERS_OWN.contains(&name.as_str()) {
                continue;
            }
            match INPUTS.iter().find(|i| i.name == name) {
                None => unknown.push(format!("`{name}`{}", near(&name))),
                Some(_) if value.trim().is_empty() => {}
                Some(input) => {
                    check(input, value.trim(), "the input")?;
                    inputs.insert(name, value.trim().to_owned());
                }
            }
        }
        if unknown.is_empty() {
            return Ok(Inputs(inputs));
        }
        Err(invalid(format!("unknown input {}", unknown.join(", ")))
            .hint(format!("the inputs are: {}", names(INPUTS.iter()))))
    }
    /// Lays them over the defaults of the repository at `root`.
    ///
    /// # Errors
    /// A file that is there and not right, whole: every unknown name, every value that its input does not take.
    pub fn over_defaults(mut self, root: &Path) -> Result<Inputs> {
        let path = root.join(DEFAULTS_FILE);
        // What is wrong with it is shown with its text: a pull request may hold a link that leads elsewhere.
        if let (Ok(real), Ok(root)) = (path.canonicalize(), root.canonicalize())
            && real != root.join(DEFAULTS_FILE)
        {
            return Err(invalid(format!("{DEFAULTS_FILE} is a link")).hint("make it a file"));
        }
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(self),
            Err(e) => return Err(Error::failed(format!("cannot read {DEFAULTS_FILE}: {e}"))),
        };
        for (name, value) in defaults(&text)? {
            self.0.entry(name).or_insert(value);
        }
        Ok(self)
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
    /// The `NAME=VALUE` lines of an input.
    pub fn pairs(&self, name: &str) -> Vec<(String, String)> {
        let lines = self.get(name).unwrap_or_default().lines();
        // Each has an equals sign: it was checked.
        lines.filter_map(|l| l.trim().split_once('=')).map(|(n, v)| (n.trim().to_owned(), v.to_owned())).collect()
    }
    /// A boolean; `None` where it is not given.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).and_then(boolean)
    }
    /// A number; `None` where it is not given.
    pub fn number(&self, name: &str) -> Option<usize> {
        self.get(name).and_then(|v| v.parse().ok())
    }
}

/// As the runner's own toolkit reads booleans (YAML 1.2, core schema).
fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// Whether an input takes a value.
fn check(input: &Input, value: &str, whose: &str) -> Result<()> {
    let wrong = |hint: String| {
        let shown = value.lines().next().unwrap_or_default();
        Err(invalid(format!("{whose} `{}` is `{shown}`", input.name)).hint(hint))
    };
    match input.takes {
        Takes::Text | Takes::List => Ok(()),
        Takes::Flag if boolean(value).is_none() => wrong("write `true` or `false`".to_owned()),
        Takes::Number if value.parse::<usize>().is_err() => wrong("write a number; 0 is no limit".to_owned()),
        Takes::Word(words) if !words.contains(&value) => {
            let quoted: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
            wrong(format!("write {}, or leave it out", quoted.join(", ")))
        }
        Takes::Pairs => match value.lines().map(str::trim).find(|l| !l.is_empty() && !l.contains('=')) {
            // The line may be a secret whose name was forgotten: it is not shown.
            Some(_) => Err(invalid(format!("{whose} `{}` has a line without `=`", input.name))
                .hint("write one NAME=VALUE a line; a list or map as `NAME=[\"a\", \"b\"]`, all on one line")),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The inputs that a file of defaults sets, as the runner would hand them over.
fn defaults(text: &str) -> Result<Vec<(String, String)>> {
    let wrong = |what: String| invalid(format!("{DEFAULTS_FILE} {what}"));
    let value = yaml::parse(text).map_err(|e| wrong(format!("is not YAML: {e}")))?;
    let map = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Object(map) => map,
        _ => return Err(wrong("is no map of inputs".to_owned()).hint("write one `input: value` a line")),
    };
    let mut found = Vec::new();
    let mut complaints = Vec::new();
    for (name, value) in map {
        let line = text.lines().position(|l| l.trim_start().starts_with(&format!("{name}:"))).map_or(0, |n| n + 1);
        let complain = |what: String| format!("line {line}: {what}");
        match INPUTS.iter().find(|i| i.name == name) {
            None => complaints.push(complain(format!("unknown input `{name}`{}", near(&name)))),
            Some(input) if !input.in_file => {
                complaints.push(complain(format!("`{name}` can only be set in the workflow")));
            }
            Some(input) => match text_of(input, &value).map(|t| check(input, &t, "the default").map(|()| t)) {
                None => complaints.push(complain(format!("`{name}` does not take a value of this kind"))),
                Some(Err(e)) => complaints.push(complain(format!("{}: {}", e.summary, e.hint.unwrap_or_default()))),
                Some(Ok(text)) if text.is_empty() => {}
                Some(Ok(text)) => found.push((name, text)),
            },
        }
    }
    if complaints.is_empty() {
        return Ok(found);
    }
    Err(wrong("is not right".to_owned())
        .detail(complaints.join("\n"))
        .hint(format!("it may set: {}", names(INPUTS.iter().filter(|i| i.in_file)))))
}

/// A value of the file as the text that a workflow would give; `None` where the input has no such form.
fn text_of(input: &Input, value: &Value) -> Option<String> {
    let scalar = |v: &Value| match v {
        Value::String(s) => Some(s.clone()),
        Value::Bool(_) | Value::Number(_) => Some(v.to_string()),
        _ => None,
    };
    match (input.takes, value) {
        (_, Value::Null) => Some(String::new()),
        (Takes::List, Value::Array(items)) => {
            // A line end makes a list of one element with commas in it a list of one element.
            Some(items.iter().map(scalar).collect::<Option<Vec<_>>>()?.join("\n") + "\n")
        }
        // Lists and maps of variables are written as HCL reads them.
        (Takes::Pairs, Value::Object(map)) => {
            let lines = map.iter().map(|(n, v)| format!("{n}={}", scalar(v).unwrap_or_else(|| v.to_string())));
            let lines: Vec<String> = lines.collect();
            lines.iter().all(|l| !l.contains('\n')).then(|| lines.join("\n"))
        }
        (Takes::Pairs, Value::Array(items)) => Some(items.iter().map(scalar).collect::<Option<Vec<_>>>()?.join("\n")),
        (Takes::Flag, Value::Bool(b)) => Some(b.to_string()),
        (Takes::Flag, _) => None,
        (Takes::Number, Value::Number(n)) => Some(n.to_string()),
        (Takes::Number, _) => None,
        (_, value) => scalar(value),
    }
}

/// The JSON schema of the file of defaults, for editors; `docs/image-action.schema.json` is this. `descriptions` are those of
/// `action.yml`.
pub fn schema(descriptions: &BTreeMap<String, String>) -> Value {
    let mut properties = serde_json::Map::new();
    for input in INPUTS.iter().filter(|i| i.in_file) {
        let strings = json!({"type": "array", "items": {"type": "string"}});
        let mut property = match input.takes {
            Takes::Text => json!({"type": "string"}),
            Takes::List => json!({"anyOf": [{"type": "string"}, strings]}),
            Takes::Pairs => json!({"anyOf": [{"type": "string"}, {"type": "object"}, strings]}),
            Takes::Flag => json!({"type": "boolean"}),
            Takes::Number => json!({"type": "integer", "minimum": 0}),
            Takes::Word(words) => {
                let word = |w: &&str| boolean(w).map_or_else(|| json!(w), |b| json!(b));
                json!({"enum": words.iter().map(word).collect::<Vec<_>>()})
            }
        };
        property["description"] = json!(descriptions.get(input.name));
        properties.insert(input.name.to_owned(), property);
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Defaults of image-action",
        "description": ".github/image-action.yml: what the inputs of the action are where a workflow does not say",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        Env::from_pairs(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    /// `action.yml`, as the runner reads it.
    fn action() -> Value {
        yaml::parse(include_str!("../../action.yml")).unwrap()
    }

    #[test]
    fn action_yml_declares_these_and_no_others() {
        let action = action();
        let declared: Vec<&str> = action["inputs"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(declared, INPUTS.iter().map(|i| i.name).collect::<Vec<_>>());
        for (name, input) in action["inputs"].as_object().unwrap() {
            assert!(input["description"].as_str().is_some_and(|d| !d.is_empty()), "{name}");
        }
    }

    #[test]
    fn the_published_schema_is_of_these_inputs() {
        let action = action();
        let all = action["inputs"].as_object().unwrap();
        let descriptions =
            all.iter().map(|(n, i)| (n.clone(), i["description"].as_str().unwrap().trim().to_owned())).collect();
        let text = serde_json::to_string_pretty(&schema(&descriptions)).unwrap() + "\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/image-action.schema.json");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), text, "UPDATE_SCHEMA=1 writes it anew");
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
    fn every_value_is_checked_before_anything_is_done() {
        for (name, value) in [
            ("INPUT_FORCE", "yes"),
            ("INPUT_PARALLEL-BUILDS", "two"),
            ("INPUT_ON-ERROR", "ask"),
            ("INPUT_VARS", "a=b\nsecret-without-name"),
            ("INPUT_RELEASE", "maybe"),
        ] {
            let e = Inputs::read(&env(&[(name, value)])).unwrap_err();
            assert!(e.hint.is_some() && !e.to_string().contains("secret-without-name"), "{name}: {e}");
        }
        assert_eq!(Inputs::read(&env(&[("INPUT_FORCE", "")])).unwrap().flag("force"), None);
    }

    #[test]
    fn defaults_have_the_forms_of_yaml() {
        let text = "template: images\nforce: true\nparallel-builds: 2\nrelease: draft\nonly: ['*.a,b', c]\nvars:\n  region: eu\n  ports: [1, 2]\n";
        let all: BTreeMap<String, String> = defaults(text).unwrap().into_iter().collect();
        let inputs = Inputs(all);
        assert_eq!(inputs.get("template"), Some("images"));
        assert_eq!((inputs.flag("force"), inputs.number("parallel-builds")), (Some(true), Some(2)));
        assert_eq!(inputs.list("only"), ["*.a,b", "c"]);
        assert_eq!(
            inputs.pairs("vars"),
            [("region".to_owned(), "eu".to_owned()), ("ports".to_owned(), "[1,2]".to_owned())]
        );
        assert!(defaults("").unwrap().is_empty() && defaults("# nothing\n").unwrap().is_empty());
    }

    #[test]
    fn a_file_of_defaults_is_told_all_its_faults_and_cannot_trust_itself() {
        let e =
            defaults("templat: x\nforce: 'yes'\nallow-untrusted: true\ngithub-token: t\nonly: {a: 1}\n").unwrap_err();
        for part in [
            "line 1: unknown input `templat` (did you mean `template`?)",
            "line 2:",
            "line 3: `allow-untrusted` can only be set in the workflow",
            "line 4:",
            "line 5:",
        ] {
            assert!(e.detail.contains(part), "{part}\n{e}");
        }
        for text in ["- a", "just text", "a: [", "template: a\ntemplate: b\n"] {
            assert!(defaults(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_workflow_wins_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".github")).unwrap();
        std::fs::write(dir.path().join(DEFAULTS_FILE), "template: images\nenvironment: staging\n").unwrap();
        let inputs = Inputs::read(&env(&[("INPUT_ENVIRONMENT", "prod")])).unwrap().over_defaults(dir.path()).unwrap();
        assert_eq!((inputs.get("template"), inputs.get("environment")), (Some("images"), Some("prod")));
    }
}
