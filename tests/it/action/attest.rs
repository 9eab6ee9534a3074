//! `attest: true` against a Fulcio and a Rekor on loopback; what is signed is checked by Sigstore's own client for Python and by
//! `image-action verify`, which refuses every byte that was changed.

use super::Job;
use crate::support::{python, script};
use image_action_localcloud::issuer;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const IDENTITY: &str = "https://github.com/octo/images/.github/workflows/images.yml@refs/heads/main";

/// The services, which end with this.
struct Sigstore {
    child: Child,
    dir: tempfile::TempDir,
}

impl Sigstore {
    fn start(job: &mut Job) -> Sigstore {
        let dir = tempfile::tempdir().unwrap();
        let issuer = format!("{}/_services/token", job.env["GITHUB_SERVER_URL"].trim_end_matches('/'));
        let mut child = Command::new("python3")
            .arg(script("sigstore_services.py"))
            .arg(dir.path())
            .arg(issuer)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        for name in ["IMAGE_ACTION_FULCIO_URL", "IMAGE_ACTION_REKOR_URL"] {
            job.env.insert(name.to_owned(), url.trim().to_owned());
        }
        Sigstore { child, dir }
    }
    fn root(&self) -> String {
        self.dir.path().join("trusted_root.json").display().to_string()
    }
    fn fault(&self, what: &str) {
        std::fs::write(self.dir.path().join("fault"), what).unwrap();
    }
}

impl Drop for Sigstore {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn tagged() -> (Job, Sigstore) {
    let more = [
        ("GITHUB_REF", "refs/tags/v1"),
        ("GITHUB_REF_TYPE", "tag"),
        ("GITHUB_REF_NAME", "v1"),
        ("INPUT_ATTEST", "true"),
    ];
    let mut job = Job::new("push", &json!({"ref": "refs/tags/v1"}), &more).await;
    job.env.extend(issuer::env(&job.local.running.cloud));
    let sigstore = Sigstore::start(&mut job);
    (job, sigstore)
}

/// `verify` of a file of the workspace; whether it is believed, and what is said.
fn verify(job: &Job, arguments: &[&str]) -> (bool, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_image-action"));
    let output = program.arg("verify").args(arguments).current_dir(job.workspace()).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_is_believed_and_nothing_else() {
    let (job, sigstore) = tagged().await;
    let issuer = format!("{}/_services/token", job.env["GITHUB_SERVER_URL"]);
    let ended = job.run().await;
    assert_eq!(ended.code, 0, "{}", ended.text);
    job.contract().await;
    let output = job.file("output");
    assert!(output.contains("attestation-url") && output.contains("/octo/images/attestations/"), "{output}");
    let bundle = job.workspace().join("attestation.sigstore.json");
    let place = bundle.display().to_string();

    // Sigstore's own client.
    let statement = python("sigstore_check.py", &[&place, &sigstore.root(), IDENTITY, &issuer], BTreeMap::new()).await;
    let statement: Value = serde_json::from_str(&statement).unwrap();
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let definition = &statement["predicate"]["buildDefinition"];
    assert_eq!(definition["externalParameters"]["workflow"]["path"], ".github/workflows/images.yml");
    assert_eq!(definition["resolvedDependencies"][0]["digest"]["gitCommit"], "1".repeat(40));
    let names: Vec<_> = statement["subject"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["manifest.json", "checksums.txt", "image-action-report.md"]);

    // Our own.
    let root = sigstore.root();
    let common = ["--trusted-root", &root, "--certificate-oidc-issuer", &issuer];
    let with = |more: &[&str]| verify(&job, &[&["image-action-report.md"], &common[..], more].concat());
    let (good, text) = with(&["--repo", "octo/images"]);
    assert!(good && text.contains(IDENTITY) && text.contains("in the public log"), "{text}");
    assert!(with(&["--certificate-identity", IDENTITY]).0);
    for (more, why) in [
        (&["--repo", "octo/other"][..], "it was signed for https://github.com/octo/images"),
        (&["--certificate-identity", "https://github.com/octo/images/other.yml@refs/heads/main"], "identity mismatch"),
        (&["--repo", "octo/images", "--bundle", "image.txt"], "no Sigstore bundle"),
        (&[], "required"),
    ] {
        let (good, text) = with(more);
        assert!(!good && text.contains(why), "{more:?}: {text}");
    }
    let (good, text) = verify(&job, &["image-action-report.md", "--trusted-root", &root, "--repo", "octo/images"]);
    assert!(!good && text.contains("issuer mismatch") && text.contains("--certificate-oidc-issuer"), "{text}");
    let (good, text) =
        verify(&job, &["image-action-report.md", "--repo", "octo/images", "--certificate-oidc-issuer", &issuer]);
    assert!(!good && text.contains("--trusted-root"), "{text}");
    let (good, text) = verify(&job, &[&["image.txt"], &common[..], &["--repo", "octo/images"]].concat());
    assert!(!good && text.contains("the file is not one that was attested"), "{text}");

    // One character of each part, changed to another of its kind.
    let whole: Value = serde_json::from_str(&std::fs::read_to_string(&bundle).unwrap()).unwrap();
    for part in [
        "/dsseEnvelope/payload",
        "/dsseEnvelope/signatures/0/sig",
        "/verificationMaterial/certificate/rawBytes",
        "/verificationMaterial/tlogEntries/0/canonicalizedBody",
        "/verificationMaterial/tlogEntries/0/integratedTime",
        "/verificationMaterial/tlogEntries/0/inclusionPromise/signedEntryTimestamp",
        "/verificationMaterial/tlogEntries/0/inclusionProof/rootHash",
        "/verificationMaterial/tlogEntries/0/inclusionProof/hashes/0",
        "/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope",
    ] {
        let text = whole.pointer(part).and_then(Value::as_str).unwrap_or_else(|| panic!("{part} in {whole}"));
        for at in [text.len() / 3, text.len() / 2] {
            let (start, rest) = text.split_at(at);
            let other = if rest.starts_with('1') { "2" } else { "1" };
            let mut changed = whole.clone();
            *changed.pointer_mut(part).unwrap() = json!(format!("{start}{other}{}", &rest[1..]));
            std::fs::write(job.workspace().join("changed.json"), changed.to_string()).unwrap();
            let (good, text) = with(&["--repo", "octo/images", "--bundle", "changed.json"]);
            assert!(!good && text.contains("error"), "{part} at {at}: {text}");
        }
    }
    job.local.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_that_fails_says_what_to_do() {
    let (mut job, sigstore) = tagged().await;
    for (fault, said) in [
        ("fulcio 403", "Fulcio has to know that issuer"),
        ("fulcio 503", "status.sigstore.dev"),
        ("fulcio garbage", "cannot be used"),
        ("rekor 500", "status.sigstore.dev"),
        ("rekor garbage", "cannot be used"),
    ] {
        sigstore.fault(fault);
        let ended = job.run().await;
        assert_eq!(ended.code, 1, "{fault}: {}", ended.text);
        assert!(ended.text.contains(said), "{fault}: {}", ended.text);
        assert!(!job.workspace().join("attestation.sigstore.json").exists());
    }
    job.env.insert("IMAGE_ACTION_REKOR_URL".to_owned(), "http://example.com".to_owned());
    let ended = job.run().await;
    assert!(ended.code == 1 && ended.text.contains("is not encrypted"), "{}", ended.text);
    job.env.remove("ACTIONS_ID_TOKEN_REQUEST_URL");
    let ended = job.run().await;
    assert!(ended.code == 1 && ended.text.contains("id-token: write"), "{}", ended.text);
    job.local.running.stop().await;
}
