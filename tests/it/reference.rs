//! The JSON schema of templates, beside what the program itself says of them: the judge of the schema is Python's jsonschema.

#![allow(clippy::unwrap_used)]

use crate::support::python;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

fn image_action(arguments: &[&str], dir: &Path) -> (i32, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_image-action")).args(arguments).current_dir(dir).env_clear().output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// A template with a `null` source, and whatever else.
fn with(more: &Value) -> Value {
    let mut template = json!({
        "source": {"null": {"x": {"communicator": "none"}}},
        "build": {"sources": ["null.x"]},
    });
    for (name, value) in more.as_object().unwrap() {
        template[name] = value.clone();
    }
    template
}

/// Templates that are right, in all the forms that values and blocks can have.
fn right() -> Vec<Value> {
    vec![
        with(&json!({})),
        json!([with(&json!({})), {"locals": {"a": 1}}]),
        with(&json!({"//": "a comment", "variable": {"a": {"type": "number", "default": 0, "validation": [
            {"condition": "${var.a < 1}", "error_message": "It must be small."}]}}})),
        with(&json!({"variable": [{"a": {"default": "x"}}, {"b": {"default": null, "sensitive": true}}]})),
        with(
            &json!({"variables": {"a": ["x"], "b": {"c": 1}}, "local": {"l": {"expression": "${var.a}", "sensitive": "true"}}}),
        ),
        with(&json!({"packer": {"required_version": ">= 1.7.0", "required_plugins": {
            "amazon": {"source": "github.com/hashicorp/amazon", "version": ">= 1.2.0"}}}})),
        with(
            &json!({"source": {"null": {"x": {"communicator": "none", "ssh_port": "${20 + 2}", "ssh_timeout": "1h30m",
            "ssh_pty": "true", "ssh_ciphers": null, "ssh_host": 5}}}}),
        ),
        with(&json!({"build": [{"sources": "${[\"null.x\"]}", "name": "n", "description": "d",
            "provisioner": [{"shell-local": {"inline": ["true"], "max_retries": 2, "pause_before": "1s", "only": ["null.x"]}},
                            {"sleep": {"duration": "1s", "override": {"x": {"duration": "2s"}}}}],
            "error-cleanup-provisioner": {"shell-local": {"inline": ["true"], "env": {"A": 1}}},
            "post-processor": {"manifest": {"output": "m.json", "custom_data": {"a": true}}},
            "post-processors": [{"post-processor": [{"checksum": {"checksum_types": ["sha256"]}}, {"manifest": {}}]}],
        }]})),
        with(&json!({"source": {"file": {"f": {"content": "x"}}},
            "build": {"source": {"file.f": {"name": "g", "target": "t"}}}})),
        with(&json!({"data": {"null": {"d": {"input": "x"}}}})),
        with(
            &json!({"source": {"amazon-ebs": {"a": {"ami_name": "a-b", "region": "eu-central-1", "instance_type": "t3.small",
            "ssh_username": "u", "source_ami": "ami-1", "aws_polling": {"delay_seconds": 2},
            "launch_block_device_mappings": [{"device_name": "/dev/sda1"}, {"device_name": "/dev/sdb"}],
            "dynamic": {"tag": {"for_each": {"a": "b"}, "content": {"key": "${tag.key}", "value": "${tag.value}"}}}}}},
            "build": {"sources": ["amazon-ebs.a"]}}),
        ),
    ]
}

/// Templates with one mistake each, that a schema can see.
fn wrong() -> Vec<Value> {
    vec![
        with(&json!({"bulid": {}})),
        with(&json!({"source": {"null": {"x": {"communicator": "none", "ssh_prot": 22}}}})),
        with(&json!({"source": {"null": {"x": {"communicator": "none", "ssh_port": "many"}}}})),
        with(&json!({"source": {"null": {"x": {"communicator": "none", "ssh_pty": "yes"}}}})),
        with(&json!({"source": {"null": {"x": {"communicator": "none", "ssh_timeout": "5 minutes"}}}})),
        with(&json!({"source": {"null": {"x": {"communicator": "none", "ssh_ciphers": "aes"}}}})),
        with(&json!({"source": {"nul": {"x": {}}}, "build": {"sources": ["nul.x"]}})),
        with(&json!({"build": {"sources": ["null.x"], "provisioner": {"shel-local": {}}}})),
        with(&json!({"build": {"sources": ["null.x"], "provisioner": {"file": {"content": "x"}}}})),
        with(&json!({"build": {"sources": ["null.x"], "post-processor": {"manifest": {"outptu": "x"}}}})),
        with(&json!({"variable": {"a": {"defualt": 1}}})),
        with(&json!({"local": {"a": {"sensitive": true}}})),
    ]
}

#[tokio::test]
async fn the_schema_says_of_templates_what_the_program_says() {
    let dir = tempfile::tempdir().unwrap();
    let schema = dir.path().join("schema.json");
    std::fs::write(&schema, image_action(&["schema"], dir.path()).1).unwrap();
    let (right, wrong) = (right(), wrong());
    let all: Vec<Value> = right.iter().chain(&wrong).cloned().collect();
    let templates = dir.path().join("templates.json");
    std::fs::write(&templates, Value::from(all.clone()).to_string()).unwrap();
    let arguments = [schema.to_str().unwrap(), templates.to_str().unwrap()];
    let answer = python("template_schema.py", &arguments, BTreeMap::new()).await;
    let found: Vec<String> = serde_json::from_str(&answer).unwrap();
    for (n, (template, found)) in all.iter().zip(&found).enumerate() {
        let expected = i32::from(n >= right.len());
        let path = dir.path().join("t.pkr.json");
        std::fs::write(&path, template.to_string()).unwrap();
        let (code, said) = image_action(&["validate", "t.pkr.json"], dir.path());
        assert_eq!(code, expected, "{template}\n{said}");
        assert_eq!(!found.is_empty(), expected == 1, "{template}\n{found}");
    }
}

#[test]
fn explain_answers_on_standard_output_without_colours() {
    let here = Path::new(".");
    let (code, text) = image_action(&["explain", "amazon-ebs.aws_polling"], here);
    assert_eq!(code, 0);
    assert!(text.contains("max_attempts  whole number") && !text.contains('\u{1b}'), "{text}");
    let (code, text) = image_action(&["explain", "amazon-ebs.aws_poling"], here);
    assert_eq!(
        (code, text.trim_end()),
        (1, "error: amazon-ebs has no option \"aws_poling\"; did you mean amazon-ebs.aws_polling?")
    );
}
