//! Traps of `googlecompute`.

use crate::lint::{Found, Rule, Subject, known, says, text};
use image_action_lang::Value;
use std::sync::Arc;

const SOURCE: &str = "googlecompute";

/// An image goes before a family.
pub static FAMILY: Rule = Rule {
    id: "google-source-image-family-ignored",
    on: "source `googlecompute`",
    summary: "source_image_family is not looked at: source_image is set too",
    reason: "Where both are set, the build starts from `source_image`, and does not follow the family.",
    cure: "remove one of them",
    fixes: false,
    check: |subject, found| {
        for part in subject.sources_of(SOURCE) {
            if text(&part.block, "source_image").is_some() && says(&part.block, "source_image_family") {
                found.at(part.block.span_of("source_image_family"));
            }
        }
    },
};

/// The key of metadata that a startup script is in.
const STARTUP_SCRIPT: &str = "startup-script";

fn keys(value: Option<&Value>) -> Vec<&Arc<str>> {
    value.and_then(Value::entries).into_iter().flat_map(|e| e.keys()).collect()
}

/// Three ways to set one key.
pub static OVERRIDDEN: Rule = Rule {
    id: "google-metadata-overridden",
    on: "source `googlecompute`",
    summary: "This metadata is not set: a file goes before it",
    reason: "`metadata_files` and `startup_script_file` go before the same key in `metadata`.",
    cure: "keep one of them",
    fixes: false,
    check: overridden,
};

fn overridden(subject: &Subject, found: &mut Found) {
    for part in subject.sources_of(SOURCE) {
        let body = &part.block;
        let files = keys(known(body, "metadata_files"));
        for key in keys(known(body, "metadata")) {
            let by = if files.contains(&key) {
                "metadata_files"
            } else if &**key == STARTUP_SCRIPT && says(body, "startup_script_file") {
                "startup_script_file"
            } else {
                continue;
            };
            found.at(body.span_of("metadata")).summary(format!("metadata {key:?} is not set: {by} goes before it"));
        }
    }
}

/// A startup script in metadata.
pub static STARTUP: Rule = Rule {
    id: "google-startup-script-end-unknown",
    on: "source `googlecompute`",
    summary: "Nobody knows when this startup script has ended",
    reason: "A script in `metadata` is wrapped, so that it tells its end, only if `wrap_startup_script` says so. \
             Without it Packer waits for ever for that word, and here the provisioners begin while the script still runs.",
    cure: "set `wrap_startup_script = true` (the machine's service account must be allowed to set metadata), or false \
           where the provisioners need not wait",
    fixes: false,
    check: |subject, found| {
        for part in subject.sources_of(SOURCE) {
            let body = &part.block;
            let scripted = keys(known(body, "metadata")).iter().any(|k| &***k == STARTUP_SCRIPT);
            if scripted && !says(body, "startup_script_file") && !body.is_set("wrap_startup_script") {
                found.at(body.span_of("metadata"));
            }
        }
    },
};
