//! A report with everything in it, kept as a file: `tests/data/action/comment.md`. The pictures in `docs/` are made of it.

use super::*;
use crate::plan::changes::{
    Became, BuildChange, Changes, FileChange, PartChange, PermissionChange, SettingChange, StepChange,
};
use crate::report::plan::changes as drawn;
use image_action_engine::outline::{Stage, Steps};
use std::time::UNIX_EPOCH;

fn image(provider: &str, region: &str, id: &str) -> Image {
    Image { provider: provider.into(), region: region.into(), id: id.into(), name: String::new() }
}

fn row(build: &str, source_type: &str, seconds: u64, images: Vec<Image>) -> Row {
    let (status, elapsed) = (Status::Success, Duration::from_secs(seconds));
    Row { build: build.into(), source_type: source_type.into(), status, elapsed, images, failure: None }
}

/// What a pull request changes.
fn changes() -> Vec<String> {
    let setting = |option: &str, old: Option<&str>, new: Option<&str>| SettingChange {
        option: option.into(),
        old: old.map(str::to_owned),
        new: new.map(str::to_owned),
        sensitive: false,
    };
    let script = FileChange {
        path: "scripts/app/docker.sh".into(),
        became: Became::Changed,
        old: Some("5f1e9c0d7a21bb".into()),
        new: Some("c0ffee1234567890".into()),
    };
    let part = PartChange {
        part: "provisioner",
        kind: "shell".into(),
        name: String::new(),
        place: 2,
        became: Became::Changed,
        settings: vec![setting("environment_vars", Some("[\"A=1\"]"), Some("[\"A=1\", \"B=<b>|\"]"))],
        files: vec![script],
    };
    let mut steps = Steps::at("ap-northeast-1");
    steps.stage(Stage::Image);
    steps.call("CopyImage", "the image web-1.4.0 from us-west-2, encrypted with alias/images");
    let step = StepChange { became: Became::Added, step: steps.done().remove(0) };
    let build = BuildChange {
        name: "web.amazon-ebs.ubuntu_2404".into(),
        kind: "amazon-ebs".into(),
        became: Became::Changed,
        settings: vec![
            setting("instance_type", Some("\"t3.medium\""), Some("\"t3.large\"")),
            setting("tags.Stage", None, Some("\"release\"")),
        ],
        parts: vec![part],
        files: Vec::new(),
        steps: vec![step],
    };
    let new = BuildChange {
        name: "web.googlecompute.ubuntu_2404".into(),
        kind: "googlecompute".into(),
        became: Became::Added,
        settings: Vec::new(),
        parts: Vec::new(),
        files: Vec::new(),
        steps: Vec::new(),
    };
    let permission = PermissionChange {
        provider: "aws",
        became: Became::Added,
        action: "ec2:CopyImage".into(),
        on: "arn:aws:ec2:ap-northeast-1::image/*".into(),
    };
    drawn::markdown(&Changes {
        against: "main".into(),
        commit: "3b44a1b0c9d8e7f6".into(),
        builds: vec![build, new],
        unchanged: vec!["web.azure-arm.ubuntu_2404".into()],
        permissions: vec![permission],
        notes: Vec::new(),
    })
}

/// Three clouds, of which one has failed.
fn failed() -> Report {
    let lines = [
        "Reading package lists...",
        "Building dependency tree...",
        "Reading state information...",
        "E: Unable to locate package docker-cee",
    ];
    let azure = Row {
        status: Status::Failure,
        failure: Some(Failure {
            phase: "provisioner 2 of 3: shell".into(),
            message: "scripts/app/docker.sh ended with a non-zero exit status: 100 (allowed: 0)".into(),
            hint: Some("its last lines say why; a status that is no failure goes into `valid_exit_codes`".into()),
            log: lines.map(str::to_owned).into(),
        }),
        ..row("web.azure-arm.ubuntu_2404", "azure-arm", 241, Vec::new())
    };
    let regions = ["us-west-2", "eu-central-1", "ap-northeast-1"];
    let amis = regions.iter().enumerate().map(|(n, r)| image("aws", r, &format!("ami-0c3fa2b7d1e5a9c0{n}")));
    let id = "projects/company-images/global/images/web-ubuntu-2404-20261126";
    Report {
        what: "validation build of pull request 7".into(),
        facts: vec![format!("environment {}", code("dev")), "images are removed again".into()],
        makes_images: true,
        findings: vec![Finding {
            level: Level::Warning,
            title: "`ssh_username` is root".into(),
            detail: "Ubuntu's images do not let root log in.".into(),
            hint: Some("write `ssh_username = \"ubuntu\"`".into()),
            place: Some(("templates/azure-ubuntu.pkr.hcl".into(), 31, 3)),
            excerpt: String::new(),
        }],
        rows: vec![
            row("web.amazon-ebs.ubuntu_2404", "amazon-ebs", 372, amis.collect()),
            azure,
            row("web.googlecompute.ubuntu_2404", "googlecompute", 220, vec![image("gcp", "us", id)]),
        ],
        changes: changes(),
        run_url: "https://github.com/company/images/actions/runs/42".into(),
        run: "run 42, attempt 2".into(),
        files_url: "https://github.com/company/images/blob/8c1f2e5".into(),
        sha: "8c1f2e5d".into(),
        at: Some(UNIX_EPOCH + Duration::from_secs(1_795_680_000)),
        elapsed: Some(Duration::from_secs(372)),
        ..Report::default()
    }
}

/// The same after the release, which shows how images are launched.
fn released() -> Report {
    let mut report = failed();
    report.what = "build of tag v1.4.0".into();
    report.facts = vec![format!("environment {}", code("prod"))];
    report.findings.clear();
    report.changes.clear();
    report.launch = true;
    let id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images/providers/Microsoft.Compute/galleries/web/images/ubuntu-2404/versions/1.4.0";
    report.rows[1] = row("web.azure-arm.ubuntu_2404", "azure-arm", 511, vec![image("azure", "westeurope", id)]);
    report
}

/// What the check run of one build shows.
fn check() -> Report {
    let mut report = Report { findings: Vec::new(), changes: Vec::new(), elapsed: None, ..failed() };
    report.rows.retain(|r| r.status == Status::Failure);
    report
}

#[test]
fn the_page_in_the_documentation_is_the_one_that_is_drawn() {
    for (name, report) in [("comment", failed()), ("summary", released()), ("check", check())] {
        let text = report.render(&Masker::new(), COMMENT_LIMIT);
        let path = format!("{}/tests/data/action/{name}.md", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE_SAMPLES").is_some() {
            std::fs::write(&path, &text).expect("the folder is there");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "UPDATE_SAMPLES=1 writes it anew");
    }
}
