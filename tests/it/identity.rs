//! Who builds, in a workflow: the job's own identity, exchanged at each of the local clouds, which check it as the real ones do.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::support::{Local, script};
use image_action_localcloud::issuer::{self, Trust};
use image_action_localcloud::{aws, azure, google};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

/// The subject of the local job.
const SUBJECT: &str = "repo:octo/images:ref:refs/heads/main";

/// What the local clouds put into the environment of whoever has credentials of another kind.
const CREDENTIALS: [&str; 8] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "ARM_CLIENT_SECRET",
    "AZURE_CLIENT_SECRET",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "IMAGE_ACTION_LOCAL_AZURE_TOKEN",
];

/// One image in each cloud, from a template that says nothing of credentials.
const TEMPLATE: &str = r#"
variable "step" {
  type    = string
  default = "true"
}
variable "client" {
  default = env("ARM_CLIENT_ID")
}
variable "subscription" {
  default = env("ARM_SUBSCRIPTION_ID")
}
variable "url" {
  default = env("ACTIONS_ID_TOKEN_REQUEST_URL")
}
variable "token" {
  default = env("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
}

source "amazon-ebs" "linux" {
  ami_name      = "linux"
  instance_type = "t3.micro"
  communicator  = "none"
  source_ami_filter {
    filters     = { name = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*" }
    owners      = ["099720109477"]
    most_recent = true
  }
}

source "azure-arm" "linux" {
  communicator                      = "none"
  os_type                           = "Linux"
  image_publisher                   = "Canonical"
  image_offer                       = "0001-com-ubuntu-server-jammy"
  image_sku                         = "22_04-lts-gen2"
  managed_image_name                = "linux"
  managed_image_resource_group_name = "packer-images-rg"
  location                          = "westus2"
AZURE}

source "googlecompute" "linux" {
  project_id          = "local-project"
  zone                = "us-central1-a"
  source_image_family = "ubuntu-2204-lts"
  image_name          = "linux"
  communicator        = "none"
}

build {
  sources = ["source.amazon-ebs.linux", "source.azure-arm.linux", "source.googlecompute.linux"]
  provisioner "shell-local" {
    inline = [var.step]
  }
}
"#;

/// A job on a runner that vouches for it, in front of the local clouds, without any other credential.
struct Job {
    local: Local,
    env: BTreeMap<String, String>,
}

struct Ended {
    code: i32,
    text: String,
}

impl Job {
    async fn new() -> Job {
        Job::with("").await
    }
    /// With more options of the source for Azure.
    async fn with(azure: &str) -> Job {
        let local = Local::start().await;
        std::fs::create_dir(local.dir.path().join("templates")).unwrap();
        std::fs::write(local.dir.path().join("templates/build.pkr.hcl"), TEMPLATE.replace("AZURE", azure)).unwrap();
        std::fs::write(local.dir.path().join("event.json"), "{}").unwrap();
        let mut env = local.env();
        env.retain(|name, _| !CREDENTIALS.contains(&name.as_str()) && !name.starts_with("GITHUB_"));
        for name in ["CLIENT_ID", "TENANT_ID", "SUBSCRIPTION_ID"] {
            env.retain(|n, _| *n != format!("ARM_{name}") && *n != format!("AZURE_{name}"));
        }
        env.extend(issuer::env(&local.running.cloud));
        let path = |name: &str| local.dir.path().join(name).display().to_string();
        let pairs = [
            ("PATH", std::env::var("PATH").unwrap()),
            ("HOME", path("home")),
            ("GITHUB_ACTIONS", "true".to_owned()),
            ("GITHUB_EVENT_NAME", "workflow_dispatch".to_owned()),
            ("GITHUB_EVENT_PATH", path("event.json")),
            ("GITHUB_REPOSITORY", "octo/images".to_owned()),
            ("GITHUB_RUN_ID", "42".to_owned()),
            ("RUNNER_TEMP", path("temp")),
            ("INPUT_AWS-ROLE-TO-ASSUME", aws::WEB_ROLE.to_owned()),
            ("INPUT_AWS-REGION", "us-west-2".to_owned()),
            ("INPUT_AZURE-CLIENT-ID", azure::login::CLIENT.to_owned()),
            ("INPUT_AZURE-TENANT-ID", azure::login::TENANT.to_owned()),
            ("INPUT_AZURE-SUBSCRIPTION-ID", azure::login::SUBSCRIPTION.to_owned()),
            ("INPUT_GCP-WORKLOAD-IDENTITY-PROVIDER", google::PROVIDER.to_owned()),
            ("INPUT_GCP-SERVICE-ACCOUNT", google::account()),
        ];
        env.extend(pairs.map(|(k, v)| (k.to_owned(), v)));
        Job { local, env }
    }
    fn trust(&self, change: impl FnOnce(&mut Trust)) {
        change(&mut self.local.running.cloud.issuer.trust());
    }
    fn set(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }
    async fn run(&self, arguments: &[&str]) -> Ended {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_image-action"))
            .args(arguments)
            .current_dir(self.local.dir.path())
            .env_clear()
            .envs(&self.env)
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let ended = Ended { code: output.status.code().unwrap(), text };
        self.check_secrets(&ended);
        ended
    }
    /// What clouds exist in, by provider and kind.
    fn existing(&self) -> Vec<String> {
        let all = self.local.running.cloud.existing();
        all.iter().map(|e| format!("{} {}", e.provider, e.kind)).collect()
    }
    /// Requests whose call contains this, in order: body and answer.
    fn calls(&self, part: &str) -> Vec<(Value, Value)> {
        let log = self.local.running.cloud.log();
        let read = |text: &str| {
            let form: BTreeMap<String, String> = url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
            serde_json::from_str(text).unwrap_or_else(|_| json!(form))
        };
        log.iter().filter(|e| e.call.contains(part)).map(|e| (read(&e.body), read(&e.answer))).collect()
    }
    /// Identity tokens that were sent to clouds, and the audience that each cloud goes by.
    fn sent(&self) -> Vec<Value> {
        let of = |call: &str, field: &str, audience: &str| {
            let calls = self.calls(call);
            let tokens = calls.iter().map(|(body, _)| json!({"token": body[field], "audience": audience}));
            tokens.collect::<Vec<_>>()
        };
        let google = format!("https://iam.googleapis.com/{}", google::PROVIDER);
        [
            of("AssumeRoleWithWebIdentity", "WebIdentityToken", "sts.amazonaws.com"),
            of("/oauth2/v2.0/token", "client_assertion", "api://AzureADTokenExchange"),
            of("/google/sts/v1/token", "subjectToken", &google),
        ]
        .concat()
    }
    /// Every token and key that was given to the program: shown nowhere but to the runner, which hides it then.
    fn check_secrets(&self, ended: &Ended) {
        let (masks, rest): (Vec<&str>, Vec<&str>) = ended.text.lines().partition(|l| l.starts_with("::add-mask::"));
        let masked: BTreeSet<&str> = masks.iter().map(|l| l.trim_start_matches("::add-mask::")).collect();
        let rest = rest.join("\n");
        let log = self.local.running.cloud.log();
        let mut secrets: BTreeSet<String> = BTreeSet::new();
        for entry in &log {
            let answer: Value = serde_json::from_str(&entry.answer).unwrap_or_default();
            for field in ["value", "access_token", "accessToken"] {
                secrets.extend(answer[field].as_str().map(str::to_owned));
            }
            let session = entry.answer.split("<SessionToken>").nth(1).and_then(|rest| rest.split('<').next());
            secrets.extend(session.map(str::to_owned));
        }
        for secret in secrets {
            assert!(!rest.contains(&secret), "a token is shown:\n{rest}");
            assert!(masked.contains(secret.as_str()) || ended.code == -1, "the runner does not know {secret}");
        }
    }
}

impl Ended {
    /// Whether it ended with this code, and said all of these.
    fn expect(&self, code: i32, said: &[&str]) {
        assert_eq!(self.code, code, "{}", self.text);
        for text in said {
            assert!(self.text.contains(text), "{text:?} is missing in:\n{}", self.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_outlives_every_token_and_pyjwt_believes_what_was_sent() {
    let mut job = Job::new().await;
    // What the clouds give for a token ends while the machines are provisioned.
    job.trust(|t| t.session = Duration::from_secs(3));
    job.set("INPUT_VARS", "step=sleep 5");
    job.run(&["action"]).await.expect(0, &[]);
    let existing = job.existing();
    for image in ["aws image", "azure Microsoft.Compute/images", "gcp image"] {
        assert!(existing.iter().any(|e| e == image), "no {image} in {existing:?}");
    }
    let machines = existing.iter().filter(|e| e.contains("instance") || e.contains("virtualMachines"));
    assert_eq!(machines.count(), 0, "{existing:?}");
    let role = &job.calls("AssumeRoleWithWebIdentity")[0].0;
    assert_eq!(role["RoleSessionName"], "octo-images-42-1", "{role}");
    assert!(job.calls(":generateAccessToken").len() > 1, "the service account's token is renewed");

    let sent = job.sent();
    for audience in ["sts.amazonaws.com", "api://AzureADTokenExchange", "workloadIdentityPools"] {
        let times = sent.iter().filter(|s| s["audience"].as_str().unwrap().contains(audience)).count();
        assert!(times > 1, "{audience} was asked {times} times");
    }
    let mut python = std::process::Command::new("python3")
        .arg(script("id_tokens.py"))
        .arg(issuer::issuer(&job.local.running.cloud))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 with the packages of tests/requirements.txt comes first in PATH");
    python.stdin.take().unwrap().write_all(json!(sent).to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), sent.len().to_string());
}

/// What a run says of each cloud's refusal: never the token, always its subject and audience.
async fn refused(job: &Job, aws: &str, azure: &str, google: &str) -> String {
    let ended = job.run(&["action"]).await;
    ended.expect(1, &[aws, azure, google]);
    assert_eq!(job.existing(), Vec::<String>::new(), "nothing was made");
    ended.text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_that_no_cloud_trusts_is_shown_with_what_to_change() {
    let job = Job::new().await;
    job.trust(|t| t.subject = "repo:octo/images:pull_request".to_owned());
    let issuer = issuer::issuer(&job.local.running.cloud);
    let text = refused(
        &job,
        "Not authorized to perform sts:AssumeRoleWithWebIdentity",
        "AADSTS700213: No matching federated identity record found for presented assertion subject 'repo:octo/images:pull_request'",
        "The given credential is rejected by the attribute condition.",
    )
    .await;
    let host = issuer.trim_start_matches("http://");
    for said in [
        "subject (sub):  repo:octo/images:pull_request".to_owned(),
        "audience (aud): sts.amazonaws.com".to_owned(),
        "audience (aud): api://AzureADTokenExchange".to_owned(),
        format!("audience (aud): https://iam.googleapis.com/{}", google::PROVIDER),
        format!("issuer (iss):   {issuer}"),
        format!("arn:aws:iam::111122223333:oidc-provider/{host}"),
        format!("\"{host}:sub\":\"repo:octo/images:pull_request\""),
        format!("az ad app federated-credential create --id {}", azure::login::CLIENT),
        format!("gcloud iam workload-identity-pools providers describe {}", google::PROVIDER),
    ] {
        assert!(text.contains(&said), "{said:?} is missing in:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_somebody_else_one_that_has_ended_and_a_forged_one_are_refused() {
    let job = Job::new().await;
    job.trust(|t| t.audience = Some("https://github.com/octo".to_owned()));
    refused(&job, "Incorrect token audience", "AADSTS700212", "[https://github.com/octo] does not match").await;
    let job = Job::new().await;
    job.trust(|t| t.life = -5);
    refused(&job, "Token expired", "AADSTS700024", "invalid time or has expired").await;
    let job = Job::new().await;
    job.trust(|t| t.forged = true);
    refused(&job, "retrieve verification key", "AADSTS700027", "signature of the ID Token").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_the_permission_is_told_the_line() {
    let mut job = Job::new().await;
    job.env.retain(|name, _| !name.starts_with("ACTIONS_ID_TOKEN_"));
    let missing = "this job may not ask GitHub for an identity token: ACTIONS_ID_TOKEN_REQUEST_URL is not set";
    let text = refused(&job, missing, missing, missing).await;
    assert_eq!(text.matches("add `id-token: write` to the `permissions` of the job").count() % 3, 0, "{text}");
    // A template is validated without any identity.
    job.set("INPUT_COMMAND", "validate");
    job.run(&["action"]).await.expect(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_the_job_may_not_act_as_is_told_with_the_binding() {
    let mut job = Job::new().await;
    job.set("INPUT_GCP-SERVICE-ACCOUNT", "other@local-project.iam.gserviceaccount.com");
    job.set("INPUT_ONLY", "googlecompute.*");
    let member = format!(
        "principal://iam.googleapis.com/projects/100000000001/locations/global/workloadIdentityPools/local/subject/{SUBJECT}"
    );
    job.run(&["action"])
        .await
        .expect(1, &["iam.serviceAccounts.getAccessToken", "roles/iam.workloadIdentityUser", &member]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_template_says_of_credentials_goes_before_the_inputs() {
    // As Packer's own option does it, with the runner's address: the same exchange, and masked as well.
    let packers = "  client_id = var.client\n  subscription_id = var.subscription\n  oidc_request_url = var.url\n  \
        oidc_request_token = var.token\n";
    let mut job = Job::with(packers).await;
    job.set("INPUT_ONLY", "azure-arm.*");
    job.run(&["action"]).await.expect(0, &[]);
    assert!(!job.calls("/oauth2/v2.0/token").is_empty());

    // A secret of its own: no identity token is asked for at all.
    let own = format!(
        "  client_id = \"{}\"\n  tenant_id = \"{}\"\n  subscription_id = \"{}\"\n  client_secret = \"not the secret\"\n",
        azure::login::CLIENT,
        azure::login::TENANT,
        azure::login::SUBSCRIPTION
    );
    let mut job = Job::with(&own).await;
    job.set("INPUT_ONLY", "azure-arm.*");
    job.run(&["action"]).await.expect(1, &["AADSTS7000215"]);
    assert_eq!(job.calls("/_services/token/request").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_and_a_local_run_never_see_the_identity() {
    let show = "step=echo url=[$ACTIONS_ID_TOKEN_REQUEST_URL] role=[$AWS_ROLE_ARN]";
    for local_input in [true, false] {
        let mut job = Job::new().await;
        let payload = json!({ "number": 7, "pull_request": { "number": 7,
            "head": { "sha": "2222222222222222222222222222222222222222", "repo": { "id": 2 } },
            "base": { "ref": "main", "repo": { "id": 1 } } } });
        if local_input {
            job.set("INPUT_LOCAL", "true");
        } else {
            std::fs::write(job.local.dir.path().join("event.json"), payload.to_string()).unwrap();
            job.set("GITHUB_EVENT_NAME", "pull_request");
        }
        job.set("INPUT_COMMAND", "validate");
        job.set("INPUT_VARS", show);
        job.run(&["action"]).await.expect(0, &[]);
        assert_eq!(job.sent().len(), 0);
        assert_eq!(job.calls("/_services/token/request").len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_no_cloud_takes_is_told_before_anything_runs() {
    for (name, value, said) in [
        ("INPUT_AWS-ROLE-TO-ASSUME", "image-builder", "arn:aws:iam::123456789012:role/image-builder"),
        ("INPUT_AWS-REGION", "Oregon", "eu-west-1"),
        ("INPUT_AZURE-TENANT-ID", "", "`azure-client-id` needs `azure-tenant-id`"),
        ("INPUT_AZURE-CLIENT-ID", "my-app", "the application's (client) id"),
        (
            "INPUT_GCP-WORKLOAD-IDENTITY-PROVIDER",
            "projects/my-project/locations/global/workloadIdentityPools/p/providers/x",
            "the number of the project (not its id)",
        ),
        ("INPUT_GCP-SERVICE-ACCOUNT", "builder", "builder@PROJECT.iam.gserviceaccount.com"),
    ] {
        let mut job = Job::new().await;
        job.set(name, value);
        job.run(&["action"]).await.expect(1, &[said]);
        assert_eq!(job.local.running.cloud.log().len(), 0);
    }
}
