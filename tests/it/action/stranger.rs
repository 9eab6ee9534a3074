//! Templates of a fork that reach for what is not theirs: the job's token and variables, the repository's credential, the runner's
//! files, other machines, a program on the runner. Each is run twice: as the repository's own pull request, where it gets what it
//! wants (so the test has teeth), and as a fork's, where it gets nothing.

use super::{Ended, Job, pull_request};
use crate::support::can_have_guests;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;

/// What nobody may get: it stands in the credential that checkout keeps, in the runner's token, and in a file of another user.
const SECRET: &str = "correct-horse-battery";

/// A machine, in which steps of an attack run.
const MACHINE: &str = r#"
source "amazon-ebs" "m" {
  ami_name      = "m-{{timestamp}}"
  instance_type = "t3.micro"
  region        = "us-west-2"
  ssh_username  = "ubuntu"
  EXTRA
  source_ami_filter {
    filters     = { name = "ubuntu/images/*ubuntu-jammy-22.04-amd64-server-*" }
    owners      = ["099720109477"]
    most_recent = true
  }
}
build {
  sources = ["source.amazon-ebs.m"]
  STEPS
}
"#;

/// Writes what an expression has found into the workspace.
const LEAK: &str = r#"
source "file" "leak" {
  content = EXPRESSION
  target  = "leak.txt"
}
build {
  sources = ["source.file.leak"]
}
"#;

fn leak(expression: &str) -> String {
    LEAK.replace("EXPRESSION", expression)
}

fn machine(steps: &str) -> String {
    MACHINE.replace("EXTRA", "").replace("STEPS", steps)
}

/// Uploads a path and says so where the secret is in it.
fn upload(source: &str) -> String {
    machine(&format!(
        r#"
  provisioner "file" {{
    source      = "{source}"
    destination = "/tmp/got"
  }}
  provisioner "shell" {{
    inline = ["sudo grep -rqa {SECRET} /tmp/got && echo GOT-$((1+1))"]
  }}"#
    ))
}

/// What a fork's run says of an attack.
enum Answer {
    /// It is refused, with its place and the cure.
    Refused,
    /// The step is left out with a notice, and the build goes on.
    LeftOut,
}

struct Lab {
    job: Job,
    /// A place that nobody may be led to.
    canary: TcpListener,
}

impl Lab {
    async fn new(head_repo: u64) -> Lab {
        let mut job = Job::new(
            "pull_request",
            &pull_request(head_repo),
            &[
                ("ACTIONS_RUNTIME_TOKEN", SECRET),
                ("INPUT_LOCAL", "true"),
                // Post-processors have their turn too.
                ("INPUT_VALIDATION-BUILD", "full"),
            ],
        )
        .await;
        let dir = job.dir.path().to_owned();
        let workspace = job.workspace();
        for (name, file) in [("GITHUB_ENV", "github-env"), ("GITHUB_PATH", "github-path")] {
            std::fs::write(dir.join(file), "").unwrap();
            job.env.insert(name.to_owned(), dir.join(file).display().to_string());
        }
        job.env.insert("GITHUB_WORKSPACE".to_owned(), workspace.display().to_string());
        job.env.insert("HOME".to_owned(), dir.display().to_string());
        job.env.insert("IMAGE_ACTION_CACHE".to_owned(), cache());
        std::fs::create_dir_all(workspace.join(".git/hooks")).unwrap();
        std::fs::write(workspace.join(".git/config"), format!("[http]\n\textraheader = {SECRET}\n")).unwrap();
        std::fs::write(dir.join("other"), SECRET).unwrap();
        std::fs::create_dir_all(workspace.join("tree")).unwrap();
        symlink("../.git/config", workspace.join("tree/link")).unwrap();
        symlink("../.git/config", workspace.join("templates/link")).unwrap();
        let canary = TcpListener::bind("127.0.0.1:0").unwrap();
        canary.set_nonblocking(true).unwrap();
        Lab { job, canary }
    }

    /// The template, with the places of this lab in it.
    fn template(&self, text: &str) {
        let dir = self.job.dir.path().display().to_string();
        let port = self.canary.local_addr().unwrap().port().to_string();
        self.job.template(&text.replace("DIR", &dir).replace("CANARY", &port));
    }

    /// Whether the attack has got anything.
    fn got(&self, ended: &Ended) -> Option<&'static str> {
        let dir = self.job.dir.path();
        let holds = |path: &Path, text: &str| {
            std::fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text))
        };
        let hook = self.job.workspace().join(".git/hooks/post-checkout");
        let all = [
            (dir.join("marker").exists(), "a program ran on the runner"),
            (holds(&self.job.workspace().join("leak.txt"), SECRET), "the secret is in a file"),
            (std::fs::metadata(dir.join("github-env")).unwrap().len() > 0, "GITHUB_ENV is written"),
            (std::fs::metadata(dir.join("github-path")).unwrap().len() > 0, "GITHUB_PATH is written"),
            (hook.exists(), "a hook is written"),
            (ended.text.contains("GOT-2"), "the secret is in a machine"),
            (ended.text.contains(SECRET), "the secret is in the log"),
            (self.canary.accept().is_ok(), "somebody was led to another place"),
        ];
        all.into_iter().find(|(got, _)| *got).map(|(_, what)| what)
    }
}

/// The cache of guests' roots, which the tests share.
fn cache() -> String {
    image_action::cli::local::cache_dir(&image_action_engine::Env::of_process()).display().to_string()
}

async fn attack(name: &str, text: &str, answer: Answer) {
    let own = Lab::new(1).await;
    own.template(text);
    let ended = own.job.run().await;
    assert!(own.got(&ended).is_some(), "{name} has no teeth: {}", ended.text);

    let fork = Lab::new(2).await;
    fork.template(text);
    let ended = fork.job.run().await;
    assert_eq!(fork.got(&ended), None, "{name}: {}", ended.text);
    let (code, words) = match answer {
        Answer::Refused => (1, "of a fork or of an untrusted event"),
        Answer::LeftOut => (0, "left out"),
    };
    assert_eq!(ended.code, code, "{name}: {}", ended.text);
    // Whoever reads the page reads it too; lines break anywhere.
    for text in [&ended.text, &fork.job.file("summary")] {
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(words), "{name}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forks_expressions_read_its_own_files_alone() {
    if !can_have_guests() {
        return;
    }
    let env = r#"
variable "token" {
  default = env("ACTIONS_RUNTIME_TOKEN")
}
"#;
    for (name, expression) in [
        ("a credential in the workspace", r#"file("../.git/config")"#),
        ("a link to it", r#"file("link")"#),
        ("another file", r#"file("DIR/other")"#),
        ("a file by its bytes", r#"base64decode(filebase64(".git/config"))"#),
        ("a file as a template", r#"templatefile("../.git/config", {})"#),
        ("names of files", r#"join(" ", [for f in fileset("../.git", "*") : file("../.git/${f}")])"#),
    ] {
        attack(name, &leak(expression), Answer::Refused).await;
    }
    // What a variable of the job holds is nothing at all there.
    let text = format!("{env}{}", leak("\"x${var.token}\""));
    let fork = Lab::new(2).await;
    fork.template(&text);
    let ended = fork.job.run().await;
    assert_eq!((fork.got(&ended), ended.code), (None, 0), "{}", ended.text);
    assert_eq!(std::fs::read_to_string(fork.job.workspace().join("leak.txt")).unwrap(), "x");
    let own = Lab::new(1).await;
    own.template(&text);
    let ended = own.job.run().await;
    assert!(own.got(&ended).is_some(), "{}", ended.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forks_files_come_from_its_own_and_go_nowhere_else() {
    if !can_have_guests() {
        return;
    }
    for (name, text) in [
        ("a credential, uploaded", upload(".git/config")),
        ("another file, uploaded", upload("DIR/other")),
        ("a folder with a link in it", upload("tree")),
        ("a path that is made up late", upload("{{ `.git/config` }}")),
        (
            "a credential, run",
            machine(
                r#"
  provisioner "shell" {
    script          = ".git/config"
    execute_command = "grep -q horse {{ .Path }} && echo GOT-$((1+1))"
  }"#,
            ),
        ),
        ("a file over the runner's", leak(r#""x=y\n""#).replace("\"leak.txt\"", "\"DIR/github-env\"")),
        (
            "a manifest over the runner's",
            leak("\"x\"").replace(
                "[\"source.file.leak\"]",
                "[\"source.file.leak\"]\n  post-processor \"manifest\" {\n    output = \"DIR/github-path\"\n  }",
            ),
        ),
    ] {
        attack(name, &text, Answer::Refused).await;
    }
    let download = machine(
        r#"
  provisioner "file" {
    direction   = "download"
    source      = "/etc/passwd"
    destination = ".git/hooks/post-checkout"
  }"#,
    );
    let own = Lab::new(1).await;
    own.template(&download);
    let ended = own.job.run().await;
    assert!(own.got(&ended).is_some(), "{}", ended.text);
    let fork = Lab::new(2).await;
    fork.template(&download);
    let ended = fork.job.run().await;
    assert_eq!((fork.got(&ended), ended.code), (None, 0), "{}", ended.text);
    assert!(ended.text.contains("is not downloaded"), "{}", ended.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forks_programs_do_not_run_on_the_runner() {
    if !can_have_guests() {
        return;
    }
    let run = r#"shell-local" {
    inline = ["touch DIR/marker"]
  }"#;
    attack("shell-local", &machine(&format!("  provisioner \"{run}")), Answer::LeftOut).await;
    attack("shell-local afterwards", &machine(&format!("  post-processor \"{run}")), Answer::LeftOut).await;
    let process =
        MACHINE.replace("STEPS", "").replace("EXTRA", "shared_credentials_file = \"credentials\"\n  profile = \"p\"");
    let fork = Lab::new(2).await;
    let credentials = format!("[p]\ncredential_process = touch {}/marker\n", fork.job.dir.path().display());
    std::fs::write(fork.job.workspace().join("credentials"), credentials).unwrap();
    fork.template(&process);
    let ended = fork.job.run().await;
    assert_eq!((fork.got(&ended), ended.code), (None, 1), "{}", ended.text);
    assert!(ended.text.contains("the option shared_credentials_file cannot be used"), "{}", ended.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forks_playbook_does_not_run_on_the_runner() {
    if !can_have_guests() || std::process::Command::new("ansible-playbook").arg("--version").output().is_err() {
        return;
    }
    let steps = r#"  provisioner "ansible" {
    playbook_file = "templates/play.yml"
  }"#;
    for (head_repo, got) in [(1, Some("a program ran on the runner")), (2, None)] {
        let lab = Lab::new(head_repo).await;
        let play = "- hosts: all\n  gather_facts: false\n  tasks:\n    - command: touch DIR/marker\n      delegate_to: localhost\n";
        let play = play.replace("DIR", &lab.job.dir.path().display().to_string());
        std::fs::write(lab.job.workspace().join("templates/play.yml"), play).unwrap();
        lab.template(&machine(steps));
        let ended = lab.job.run().await;
        assert_eq!((lab.got(&ended), ended.code), (got, 0), "{}", ended.text);
        assert_eq!(ended.text.contains("ansible is left out"), head_repo == 2, "{}", ended.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forks_template_leads_nobody_elsewhere() {
    if !can_have_guests() {
        return;
    }
    let data = "data \"http\" \"x\" {\n  url = \"http://127.0.0.1:CANARY/\"\n}\n";
    attack("data over http", &format!("{data}{}", leak("data.http.x.body")), Answer::Refused).await;
    let ssh = r#"
source "null" "n" {
  ssh_host     = "127.0.0.1"
  ssh_port     = CANARY
  ssh_username = "x"
  ssh_password = "x"
  ssh_timeout  = "3s"
}
build {
  sources = ["source.null.n"]
}
"#;
    attack("ssh to another place", ssh, Answer::Refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_place_of_a_file_shows_and_overwrites_nothing() {
    if !can_have_guests() {
        return;
    }
    let fork = Lab::new(2).await;
    symlink("../.git/config", fork.job.workspace().join("templates/more.pkr.hcl")).unwrap();
    let ended = fork.job.run().await;
    assert_eq!((fork.got(&ended), ended.code), (None, 1), "{}", ended.text);
    assert!(!fork.job.file("summary").contains(SECRET) && !ended.text.contains("extraheader"), "{}", ended.text);

    let fork = Lab::new(2).await;
    symlink(fork.job.dir.path().join("github-env"), fork.job.workspace().join("image-action-report.md")).unwrap();
    let ended = fork.job.run().await;
    assert_eq!(fork.got(&ended), None, "{}", ended.text);
}
