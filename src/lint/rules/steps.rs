//! Traps that components of every kind have in common.

use crate::lint::fix::{Edit, remove_argument};
use crate::lint::{Found, Rule, Subject};
use crate::template::build::SourceUse;
use crate::template::plan::{BuildParts, Part};
use crate::template::syntax::Expr;
use image_action_engine::config::Block;
use image_action_lang::diag::suggest;
use image_action_lang::{Span, Value};

/// `only` and `except` name a source exactly.
pub static ONLY: Rule = Rule {
    id: "step-selects-no-source",
    on: "`only` and `except` of provisioners and post-processors",
    summary: "This names no source of the build",
    reason: "`only` and `except` of a step are compared with TYPE.NAME of each source of the build, as a whole: \
             without the build's name, and without wildcards. What matches none selects nothing.",
    cure: "write \"TYPE.NAME\", with the source's name in this build",
    fixes: true,
    check: only,
};

fn only(subject: &Subject, found: &mut Found) {
    // A step that is copied from build to build may name the sources of the others: that is harmless.
    let all: Vec<String> = subject.template.builds.iter().flat_map(|b| &b.uses).map(SourceUse::reference).collect();
    for build in &subject.template.builds {
        let known: Vec<String> = build.uses.iter().map(SourceUse::reference).collect();
        for step in build.provisioners.iter().chain(&build.error_cleanup).chain(build.chains.iter().flatten()) {
            for (listed, expr) in step.selects() {
                let places = expr.elements().unwrap_or_default();
                for (n, entry) in listed.iter().enumerate().filter(|(_, e)| !all.contains(e)) {
                    let place = places.get(n);
                    let span = place.map_or_else(|| expr.span(), Expr::span);
                    let finding = found.at(Some(span.clone()));
                    finding.summary(format!("{entry:?} names no source of this build"));
                    match meant(entry, &known) {
                        Some(near) => {
                            finding.cure(format!("write {near:?}"));
                            // What is nearly a name may be the name of something that is still to come.
                            let longer = entry.ends_with(&format!(".{near}"));
                            let written = subject.sources.slice(&span) == Some(&format!("{entry:?}"));
                            if longer && written && matches!(place, Some(Expr::Native(..))) {
                                finding.fix(Some(Edit::replace(&span, format!("{near:?}"))));
                            }
                        }
                        None => {
                            finding.cure(format!("write one of {}", known.join(", ")));
                        }
                    }
                }
            }
        }
    }
}

/// Of the sources of a build, the one that was meant by what names none of them.
fn meant<'a>(entry: &str, known: &'a [String]) -> Option<&'a str> {
    let longer = known.iter().find(|k| entry.ends_with(&format!(".{k}")));
    let shorter = known.iter().find(|k| k.ends_with(&format!(".{entry}")));
    longer.or(shorter).map(String::as_str).or_else(|| suggest(entry, known.iter().map(String::as_str)))
}

/// `override` names a source without its type.
pub static OVERRIDE: Rule = Rule {
    id: "provisioner-override-of-no-source",
    on: "`override` of provisioners",
    summary: "This overrides nothing: no source of the build has the name",
    reason: "The keys of `override` are the names of sources in this build, without the type.",
    cure: "write the name alone: NAME = { … }",
    fixes: false,
    check: overrides,
};

fn overrides(subject: &Subject, found: &mut Found) {
    for build in &subject.template.builds {
        for step in build.provisioners.iter().chain(&build.error_cleanup) {
            let Some((value, expr)) = &step.overrides else { continue };
            for key in value.entries().into_iter().flat_map(|e| e.keys()) {
                if build.uses.iter().any(|u| u.local_name == *key) {
                    continue;
                }
                let finding = found.at(Some(key_span(expr, key, subject).unwrap_or_else(|| expr.span())));
                finding.summary(format!("{key:?} in override names no source of this build"));
                let names: Vec<&str> = build.uses.iter().map(|u| &*u.local_name).collect();
                match build.uses.iter().find(|u| u.reference() == **key) {
                    Some(used) => finding.cure(format!("write {:?}, without the type", used.local_name)),
                    None => finding.cure(format!("write one of {}", names.join(", "))),
                };
            }
        }
    }
}

/// The place of a key in an object that is written out.
fn key_span(expr: &Expr, key: &str, subject: &Subject) -> Option<Span> {
    let span = expr.span();
    let written = subject.sources.slice(&span)?;
    let quoted = format!("{key:?}");
    let (at, length) = match written.find(&quoted) {
        Some(at) => (at, quoted.len()),
        None => (written.find(key)?, key.len()),
    };
    Some(Span::new(span.file.clone(), span.start + at..span.start + at + length))
}

/// What a field of a Go template becomes that has no value.
const NO_VALUE: &str = "<no value>";

/// A `{{ .Field }}` where there are no fields.
pub static NO_FIELD: Rule = Rule {
    id: "template-field-without-value",
    on: "every text option of every component",
    summary: "A field of the text's template has no value: it becomes \"<no value>\"",
    reason: "Texts with {{ … }} are Go templates. In this option they know functions (`{{ timestamp }}`, \
             `{{ build_name }}`) and no fields, and a field that is not known is no error.",
    cure: "write ${build.NAME} or ${var.NAME} for a value; braces that are meant as text (docker's `--format`) go into a \
           script file, or are written `{{ \"{{\" }}`",
    fixes: false,
    check: no_field,
};

fn no_field(subject: &Subject, found: &mut Found) {
    for part in subject.parts() {
        in_block(part, &part.block, found);
    }
}

fn in_block(part: &Part, block: &Block, found: &mut Found) {
    for (name, attribute) in &block.attributes {
        let mut seen = false;
        // Looked at, not changed.
        let _ = attribute.value.map_strings(&mut |text: &str| {
            seen |= text.contains(NO_VALUE);
            Ok::<_, ()>(None)
        });
        if seen && !attribute.value.contains_sensitive() {
            let finding = found.at(attribute.span.clone());
            if part.component.starts_with("shell") && name == "inline" {
                finding.cure(
                    "write ${build.NAME} or ${var.NAME} for a value; braces that are meant as text (docker's `--format`) \
                     go into a script file: `script`",
                );
            }
        }
    }
    block.blocks.values().flatten().for_each(|b| in_block(part, b, found));
}

/// Post-processors that keep what they are given, whatever is said.
const KEEPS: [&str; 3] = ["checksum", "manifest", "shell-local"];

/// `keep_input_artifact = false` where it is not looked at.
pub static KEEP: Rule = Rule {
    id: "post-processor-keep-input-ignored",
    on: "post-processors `checksum`, `manifest` and `shell-local`",
    summary: "keep_input_artifact = false has no effect here",
    reason: "This post-processor hands on what it is given, and always keeps it.",
    cure: "remove it",
    fixes: true,
    check: keep,
};

fn keep(subject: &Subject, found: &mut Found) {
    for component in KEEPS {
        for part in subject.post_processors_of(component) {
            let Some(step) = part.step.filter(|s| s.keep_input_artifact == Some(false)) else { continue };
            let place = step.keep_input_written.clone();
            let edit = place.as_ref().and_then(|a| remove_argument(subject.sources, a));
            found.at(place.map(|a| a.name_span.join(&a.expr.span()))).fix(edit);
        }
    }
}

/// Post-processors whose result is another artifact, which knows nothing of the machine.
const MAKES_ANOTHER: [&str; 3] = ["artifice", "checksum", "compress"];

/// In Packer the values of the machine end with the builder's artifact.
pub static LOST_VALUE: Rule = Rule {
    id: "post-processor-value-lost-in-packer",
    on: "post-processors behind `artifice`, `checksum` or `compress` in one chain",
    summary: "Packer does not know this value any more",
    reason: "Behind a post-processor that makes another artifact, `build.NAME` is the text \"<unknown>\" in Packer, \
             without an error. Here it keeps its value, so that the two give different results.",
    cure: "give the post-processor a chain of its own, beside this one",
    fixes: false,
    check: lost_value,
};

fn lost_value(subject: &Subject, found: &mut Found) {
    let chains = subject.builds.iter().flat_map(|b: &BuildParts| &b.chains);
    for chain in chains {
        let Some(first) = chain.iter().position(|p| MAKES_ANOTHER.contains(&p.component)) else { continue };
        for part in &chain[first + 1..] {
            for attribute in &part.content.attributes {
                let lost = attribute
                    .expr
                    .references()
                    .into_iter()
                    .find(|r| &*r.root == "build" && r.attribute(0).is_some_and(|name| name != "name"));
                if let Some(reference) = lost {
                    found.at(Some(reference.span));
                }
            }
        }
    }
}

/// No algorithm, no sum.
pub static NO_CHECKSUM: Rule = Rule {
    id: "checksum-without-types",
    on: "post-processor `checksum`",
    summary: "Nothing is computed: checksum_types is an empty list",
    reason: "Left out it is [\"md5\"]; an empty list stays empty.",
    cure: "write checksum_types = [\"sha256\"]",
    fixes: false,
    check: no_checksum,
};

fn no_checksum(subject: &Subject, found: &mut Found) {
    for part in subject.post_processors_of("checksum") {
        if part.block.value("checksum_types").and_then(Value::len) == Some(0) {
            found.at(part.block.span_of("checksum_types"));
        }
    }
}
