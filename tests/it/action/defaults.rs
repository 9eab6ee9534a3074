//! The published schema of `.github/image-action.yml`, and what the program takes.

use crate::support::python;
use image_action::github::inputs::{DEFAULTS_FILE, Inputs};
use std::collections::BTreeMap;

/// Documents, of which schema and program have to think the same.
const DOCUMENTS: [&str; 16] = [
    "template: images\n",
    "vars: {region: eu, ports: [1, 2]}\nonly: ['*.a', b]\n",
    "vars: [a=b]\nvar-files: a, b\n",
    "force: true\nparallel-builds: 2\nrelease: draft\nfail-on: warning\n",
    "release: false\non-error: abort\nvalidation-build: full\ncommand: validate\n",
    "templat: images\n",
    "allow-untrusted: true\n",
    "github-token: x\n",
    "force: 'yes'\n",
    "force: 1\n",
    "parallel-builds: two\n",
    "parallel-builds: -1\n",
    "on-error: ask\n",
    "only: {a: b}\n",
    "- template\n",
    "command: true\n",
];

#[tokio::test]
async fn the_schema_takes_what_the_program_takes() {
    let ours: Vec<bool> = DOCUMENTS
        .iter()
        .map(|text| {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir(dir.path().join(".github")).unwrap();
            std::fs::write(dir.path().join(DEFAULTS_FILE), text).unwrap();
            Inputs::default().over_defaults(dir.path()).is_ok()
        })
        .collect();
    assert!(ours.contains(&true) && ours.contains(&false));
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/image-action.schema.json");
    let mut arguments = vec![schema];
    arguments.extend(DOCUMENTS);
    let theirs = python("defaults_schema.py", &arguments, BTreeMap::new()).await;
    let theirs: Vec<bool> = serde_json::from_str(&theirs).unwrap();
    for (text, (ours, theirs)) in DOCUMENTS.iter().zip(ours.iter().zip(&theirs)) {
        assert_eq!(ours, theirs, "program and schema: {text}");
    }
}
