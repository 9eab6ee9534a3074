//! Traps of the template itself: its variables, files and blocks.

use crate::lint::{Found, Rule, Subject};
use hcl::edit::Span as _;
use hcl::edit::expr::{Expression, ObjectKey};
use hcl::edit::visit::{self, Visit};
use image_action_lang::diag::suggest;
use image_action_lang::{Source, Span};

/// Two values for one key.
pub static DUPLICATE_KEY: Rule = Rule {
    id: "object-duplicate-key",
    on: "`{ KEY = VALUE }` anywhere",
    summary: "This key stands in the object twice: the last one wins",
    reason: "The value of the first is dropped, without an error.",
    cure: "remove one of them",
    fixes: false,
    check: duplicate_key,
};

fn duplicate_key(subject: &Subject, found: &mut Found) {
    for file in subject.sources.files() {
        let Some(source) = subject.sources.source(&file.to_string_lossy()) else { continue };
        if !source.name.ends_with(".hcl") {
            continue;
        }
        // It was parsed before, so that it can be.
        let Ok(body) = image_action_lang::parse::parse_body(&source.name, &source.text) else { continue };
        let mut keys = Keys { source: &source, twice: Vec::new() };
        keys.visit_body(&body);
        for (span, key) in keys.twice {
            found.at(Some(span)).summary(format!("The key {key:?} stands in this object twice: the last one wins"));
        }
    }
}

/// Looks for keys that stand in an object twice; the place is that of the first.
struct Keys<'a> {
    source: &'a Source,
    twice: Vec<(Span, String)>,
}

impl Visit for Keys<'_> {
    fn visit_object(&mut self, object: &hcl::edit::expr::Object) {
        let keys: Vec<(String, &ObjectKey)> =
            object.iter().filter_map(|(key, _)| Some((written(key, self.source)?, key))).collect();
        for (n, (name, key)) in keys.iter().enumerate() {
            if keys.iter().skip(n + 1).any(|(other, _)| other == name) {
                self.twice.push((self.source.span(key.span()), name.clone()));
            }
        }
        visit::visit_object(self, object);
    }
}

/// A key that is written as it is, read from the source: the parser is shown other words for those that are repeated.
fn written(key: &ObjectKey, source: &Source) -> Option<String> {
    let word = source.slice(key.span()?);
    let word = word.strip_prefix('"').and_then(|w| w.strip_suffix('"')).unwrap_or(word);
    let plain = !word.is_empty() && !word.contains(['$', '%', '(', '"', '\\', '.']);
    plain.then(|| word.to_owned())
}

/// Blocks that are accepted and not looked at.
pub static IGNORED_BLOCK: Rule = Rule {
    id: "block-without-effect",
    on: "`communicator` at the top of a file, `from` in a build",
    summary: "This block is accepted and not looked at",
    reason: "It is left over from older releases of Packer.",
    cure: "remove it",
    fixes: false,
    check: ignored_block,
};

fn ignored_block(subject: &Subject, found: &mut Found) {
    for block in &subject.template.blocks {
        if &*block.kind == "communicator" {
            let cure = "remove it; its options (ssh_username, …) belong into the source block";
            found.at(Some(block.header.clone())).cure(cure);
        }
        if &*block.kind == "build" {
            let mut ignored = image_action_lang::Diagnostics::new();
            let content = block.body.content(&|n| (n == "from").then_some(1), &mut ignored);
            for inner in content.blocks.iter().filter(|b| &*b.kind == "from") {
                found.at(Some(inner.header.clone()));
            }
        }
    }
}

/// The endings of files that are read by themselves.
const READ: [&str; 4] = [".pkr.hcl", ".pkr.json", ".auto.pkrvars.hcl", ".auto.pkrvars.json"];
/// The endings of variable files that are read where they are named.
const NAMED: [&str; 2] = [".pkrvars.hcl", ".pkrvars.json"];

/// A file whose ending is nearly one that is read.
pub static MISSPELT_FILE: Rule = Rule {
    id: "file-name-misspelt",
    on: "files beside the template",
    summary: "This file is not read: its name is misspelt",
    reason: "Of a directory the files *.pkr.hcl, *.pkr.json, *.auto.pkrvars.hcl and *.auto.pkrvars.json are read, and \
             others passed over without a word.",
    cure: "rename it",
    fixes: false,
    check: misspelt_file,
};

fn misspelt_file(subject: &Subject, found: &mut Found) {
    let Some(directory) = &subject.template.directory else { return };
    let entries = std::fs::read_dir(subject.settings.cwd.join(directory)).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter(|e| e.path().is_file()).filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    for name in names {
        if READ.iter().chain(&NAMED).any(|end| name.ends_with(end)) {
            continue;
        }
        let Some((stem, end)) = name.split_once('.').map(|(s, e)| (s, format!(".{e}"))) else { continue };
        if let Some(near) = suggest(&end, READ.into_iter().chain(NAMED)) {
            let span = Span::new(format!("{}/{name}", directory.trim_end_matches('/')), 0..0);
            found
                .at(Some(span))
                .summary(format!("{name} is not read: its name is misspelt"))
                .cure(format!("rename it to {stem}{near}"));
        }
    }
}

/// The prefix of variables in the environment.
const ENV_PREFIX: &str = "PKR_VAR_";

/// A variable of the environment that is nearly one of the template.
pub static MISSPELT_ENV: Rule = Rule {
    id: "environment-variable-misspelt",
    on: "the environment",
    summary: "This variable of the environment gives no variable its value: its name is misspelt",
    reason: "PKR_VAR_NAME sets the variable NAME, and one that the template does not have is passed over without a word.",
    cure: "correct the name",
    fixes: false,
    check: misspelt_env,
};

fn misspelt_env(subject: &Subject, found: &mut Found) {
    let variables = &subject.template.variables;
    for (name, _) in subject.settings.env.iter() {
        let Some(own) = name.strip_prefix(ENV_PREFIX).filter(|n| !variables.contains_key(*n)) else { continue };
        // One that has its own variable of the environment is not meant by another.
        let free = variables.keys().filter(|v| subject.settings.env.get(&format!("{ENV_PREFIX}{v}")).is_none());
        if let Some(near) = suggest(own, free.map(|v| &**v)) {
            found
                .at(variables.get(near).map(|v| v.span.clone()))
                .summary(format!("{name} gives no variable its value: its name is misspelt"))
                .cure(format!("write {ENV_PREFIX}{near}"));
        }
    }
}

/// Attributes that the type does not have.
pub static DROPPED: Rule = Rule {
    id: "variable-attribute-dropped",
    on: "`default` of variables with an object type",
    summary: "The type of the variable has no such attribute: it is dropped",
    reason: "Where a value is converted to an object type, attributes that the type does not have are left out, without an \
             error.",
    cure: "correct the name, or add the attribute to the type",
    fixes: false,
    check: dropped,
};

fn dropped(subject: &Subject, found: &mut Found) {
    for block in subject.template.blocks.iter().filter(|b| &*b.kind == "variable") {
        let Some(variable) = subject.template.variables.get(block.label(0)) else { continue };
        let mut ignored = image_action_lang::Diagnostics::new();
        let content = block.body.content(&|n| (n == "validation").then_some(0), &mut ignored);
        if content.attribute("type").is_none() {
            continue;
        }
        let Some(default) = content.attribute("default") else { continue };
        let crate::template::syntax::Expr::Native(expr, source) = &default.expr else { continue };
        in_type(expr, &variable.constraint.ty, source, found);
    }
}

/// Goes down a value that is written out, beside its type.
fn in_type(expr: &Expression, ty: &image_action_lang::Type, source: &Source, found: &mut Found) {
    use image_action_lang::Type;
    match (expr, ty) {
        (Expression::Object(object), Type::Object(known)) => {
            for (key, value) in object.iter() {
                let Some(name) = written(key, source) else { continue };
                match known.attributes.get(&*name) {
                    Some(inner) => in_type(value.expr(), inner, source, found),
                    None => {
                        let finding = found.at(Some(source.span(key.span())));
                        finding.summary(format!("The type of the variable has no attribute {name:?}: it is dropped"));
                        if let Some(near) = suggest(&name, known.attributes.keys().map(|k| &**k)) {
                            finding.cure(format!("did you mean {near:?}?"));
                        }
                    }
                }
            }
        }
        (Expression::Object(object), Type::Map(element)) => {
            object.iter().for_each(|(_, value)| in_type(value.expr(), element, source, found));
        }
        (Expression::Array(array), Type::List(element) | Type::Set(element)) => {
            array.iter().for_each(|value| in_type(value, element, source, found));
        }
        _ => {}
    }
}

/// Attempts without a time limit.
pub static NO_TIMEOUT: Rule = Rule {
    id: "ssh-attempts-without-timeout",
    on: "sources that log in by ssh",
    summary: "A machine that never answers is waited for without end",
    reason: "`ssh_timeout` (5 minutes) and `ssh_handshake_attempts` (10) have their defaults only where neither is set. With \
             attempts alone nothing bounds the time until sshd answers for the first time.",
    cure: "set `ssh_timeout` beside it",
    fixes: false,
    check: |subject, found| {
        for part in subject.builds.iter().filter_map(|b| b.source.as_ref()) {
            let body = &part.block;
            let attempts = crate::lint::known(body, "ssh_handshake_attempts").and_then(|v| v.as_number()?.as_i64());
            let bounded = ["ssh_timeout", "ssh_wait_timeout"].iter().any(|o| crate::lint::says(body, o));
            if attempts.is_some_and(|n| n > 0) && !bounded {
                found.at(body.span_of("ssh_handshake_attempts"));
            }
        }
    },
};
