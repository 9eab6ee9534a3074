//! GitHub's own examples of its events, each with what is decided for it.

use image_action::github::Job;
use image_action_engine::Env;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// What the runner says beside the event file.
fn variables(event: &str, payload: &Value) -> Vec<(String, String)> {
    let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut all = vec![
        of("GITHUB_EVENT_NAME", event),
        of("GITHUB_SHA", "0000000000000000000000000000000000000001"),
        of("GITHUB_REPOSITORY", "octo/images"),
        of("GITHUB_ACTOR", payload["sender"]["login"].as_str().unwrap_or("octocat")),
    ];
    let tag = match event {
        "push" => payload["ref"].as_str().and_then(|r| r.strip_prefix("refs/tags/")),
        "release" => payload["release"]["tag_name"].as_str(),
        _ => None,
    };
    if let Some(tag) = tag {
        all.extend([of("GITHUB_REF_TYPE", "tag"), of("GITHUB_REF_NAME", tag)]);
    }
    all
}

fn decision(event: &str, payload: &Value) -> String {
    let job = Job::of(&Env::from_pairs(variables(event, payload)), payload);
    let on = if job.sha.ends_with("0001") { "GITHUB_SHA" } else { "the event's head" };
    match job.decide(false) {
        Err(e) => format!("refused: {}", e.summary),
        Ok(d) => format!(
            "{:?} {}{}{}, checks on {on}; {}",
            d.mode,
            d.environment,
            if d.local { ", local" } else { "" },
            if d.release { ", release" } else { "" },
            d.reason
        ),
    }
}

#[allow(clippy::print_stderr)]
#[test]
fn every_example_of_githubs_is_decided() {
    let Some(modules) = std::env::var_os("IMAGE_ACTION_NODE_MODULES") else {
        eprintln!("passed over: IMAGE_ACTION_NODE_MODULES is not set, scripts/dev/test.sh sets it");
        return;
    };
    let file = Path::new(&modules).join("@octokit/webhooks-examples/api.github.com/index.json");
    let all: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    for event in all.as_array().unwrap() {
        let name = event["name"].as_str().unwrap();
        for example in event["examples"].as_array().unwrap() {
            let activity = example["action"].as_str().unwrap_or("-");
            *lines.entry(format!("{name} {activity}: {}", decision(name, example))).or_default() += 1;
            // The same pull request as the two-faced event has it.
            if name == "pull_request" {
                let name = "pull_request_target";
                *lines.entry(format!("{name} {activity}: {}", decision(name, example))).or_default() += 1;
            }
        }
    }
    let found: String = lines.iter().map(|(line, times)| format!("{times:>3} {line}\n")).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/action/decisions.txt");
    if std::env::var_os("UPDATE_DECISIONS").is_some() {
        std::fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        std::fs::write(path, &found).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), found, "UPDATE_DECISIONS=1 writes it anew");
}
