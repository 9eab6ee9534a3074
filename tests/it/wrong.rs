//! What people are told about templates with the mistakes that people make: the whole text, as `tests/data/wrong` has it.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// With this variable set, the texts are written anew; whoever does it reads them.
const UPDATE: &str = "WRONG_UPDATE";

#[test]
fn wrong_templates_get_every_error_with_its_place_and_cure() {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/wrong");
    let mut templates: Vec<PathBuf> = std::fs::read_dir(&data)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.to_string_lossy().ends_with(".pkr.hcl"))
        .collect();
    templates.sort();
    assert!(!templates.is_empty());
    for template in templates {
        let name = template.file_name().unwrap().to_string_lossy().into_owned();
        let output = Command::new(env!("CARGO_BIN_EXE_image-action"))
            .args(["validate", &name])
            .current_dir(&data)
            .env_clear()
            .env("HOME", "/nonexistent")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}: {text}");
        assert!(output.stderr.is_empty(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let expected = data.join(name.replace(".pkr.hcl", ".txt"));
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&expected, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(&expected).unwrap_or_default(), "{name}");
    }
}
