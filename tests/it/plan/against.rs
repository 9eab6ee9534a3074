//! What has changed since another revision.

use super::{run_in, text};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

const TEMPLATE: &str = r#"
variable "password" {
  default   = "hunter2-old"
  sensitive = true
}
source "amazon-ebs" "one" {
  ami_name      = "company-1.0.0"
  instance_type = "t3.medium"
  region        = "us-west-2"
  source_ami    = "ami-0123456789abcdef0"
  ssh_username  = "ubuntu"
  tags          = { Version = "1" }
}
source "null" "gone" {
  communicator = "none"
}
build {
  sources = ["source.amazon-ebs.one", "source.null.gone"]
  provisioner "shell" {
    script           = "${path.root}/scripts/base.sh"
    environment_vars = ["PASSWORD=${var.password}"]
  }
  provisioner "shell" {
    inline = ["true"]
  }
}
"#;

/// A repository with one commit, on the branch `main`.
struct Repository(tempfile::TempDir);

impl Repository {
    fn new() -> Repository {
        let repository = Repository(tempfile::tempdir().unwrap());
        repository.write("templates/t.pkr.hcl", TEMPLATE);
        repository.write("templates/scripts/base.sh", "echo one\n");
        repository.git(&["init", "-q", "-b", "main"]);
        repository.commit();
        repository
    }
    fn path(&self) -> &Path {
        self.0.path()
    }
    fn write(&self, path: &str, content: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    fn git(&self, arguments: &[&str]) {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(arguments).current_dir(self.path());
        assert!(git.status().unwrap().success());
    }
    fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "one"]);
    }
    async fn plan(&self, arguments: &[&str]) -> Output {
        run_in(self.path(), &BTreeMap::new(), &[&["plan"], arguments, &["templates"]].concat()).await
    }
    async fn changes(&self, arguments: &[&str]) -> Value {
        let output = self.plan(&[&["-against", "main", "-json"], arguments].concat()).await;
        assert!(output.status.success(), "{}", text(&output));
        let mut plan: Value = serde_json::from_slice(&output.stdout).unwrap();
        plan["changes"].take()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_changed_is_no_change() {
    let repository = Repository::new();
    let changes = repository.changes(&[]).await;
    assert_eq!((changes["builds"].as_array().unwrap().len(), changes["permissions"].as_array().unwrap().len()), (0, 0));
    assert_eq!(changes["unchanged"].as_array().unwrap().len(), 2, "{changes}");
    let shown = text(&repository.plan(&["-against", "main"]).await);
    assert!(shown.contains("Nothing that is built has changed"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn options_steps_scripts_calls_and_permissions_are_told() {
    let repository = Repository::new();
    let template = TEMPLATE
        .replace("t3.medium", "t3.large")
        .replace("\"1\"", "\"2\"")
        .replace("hunter2-old", "hunter2-new")
        .replace("ssh_username  =", "ami_regions   = [\"us-east-1\"]\n  ssh_username  =")
        .replace(
            "inline = [\"true\"]\n  }",
            "inline = [\"true\"]\n  }\n  provisioner \"sleep\" {\n    duration = \"5s\"\n  }",
        )
        .replace("source \"null\" \"gone\"", "source \"null\" \"new\"")
        .replace("source.null.gone", "source.null.new");
    repository.write("templates/t.pkr.hcl", &template);
    repository.write("templates/scripts/base.sh", "echo two\n");
    let changes = repository.changes(&[]).await;
    let became: Vec<_> = changes["builds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| (b["name"].as_str().unwrap(), b["became"].as_str().unwrap()))
        .collect();
    assert_eq!(became, [("amazon-ebs.one", "changed"), ("null.new", "added"), ("null.gone", "removed")]);
    let build = &changes["builds"][0];
    let settings = build["settings"].as_array().unwrap();
    let of =
        |option: &str| settings.iter().find(|s| s["option"] == option).unwrap_or_else(|| panic!("{option}: {build}"));
    assert_eq!(
        (&of("instance_type")["old"], &of("instance_type")["new"]),
        (&"\"t3.medium\"".into(), &"\"t3.large\"".into())
    );
    assert_eq!(of("tags.Version")["new"], "\"2\"");
    assert!(of("ami_regions")["old"].is_null());
    let parts = build["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 2, "{build}");
    assert_eq!((parts[0]["became"].as_str(), parts[0]["place"].as_u64()), (Some("changed"), Some(1)));
    assert_eq!(parts[0]["files"][0]["became"], "changed");
    assert_eq!(parts[0]["settings"][0]["sensitive"], true);
    assert_eq!((parts[1]["type"].as_str(), parts[1]["became"].as_str()), (Some("sleep"), Some("added")));
    let added = |call: &str| {
        build["steps"]
            .as_array()
            .unwrap()
            .iter()
            .any(|s| s["call"] == call && s["became"] == "added" && s["place"] == "us-east-1")
    };
    assert!(added("CopyImage"), "{build}");
    let permissions = changes["permissions"].as_array().unwrap();
    assert!(
        permissions.iter().any(|p| p["action"] == "ec2:CopyImage" && p["on"] == "arn:aws:ec2:us-east-1::image/*"),
        "{permissions:?}"
    );
    for form in ["text", "json", "markdown"] {
        let shown = text(&repository.plan(&["-against", "main", "-format", form]).await);
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("t3.large") && shown.contains("base.sh") && shown.contains("CopyImage"), "{shown}");
    }
}

/// Variables, variable files and templates that the other revision does not have are no reason to stop.
#[tokio::test(flavor = "multi_thread")]
async fn a_revision_may_lack_what_is_new() {
    let repository = Repository::new();
    repository.write(
        "templates/t.pkr.hcl",
        &format!("variable \"size\" {{}}\n{}", TEMPLATE.replace("\"t3.medium\"", "var.size")),
    );
    repository.write("prod.pkrvars.hcl", "password = \"x-y-z\"\n");
    let changes = repository.changes(&["-var", "size=t3.small", "-var-file", "prod.pkrvars.hcl"]).await;
    assert_eq!(changes["builds"][0]["settings"][0]["new"], "\"t3.small\"", "{changes}");
    std::fs::rename(repository.path().join("templates"), repository.path().join("other")).unwrap();
    let output = run_in(
        repository.path(),
        &BTreeMap::new(),
        &["plan", "-against", "main", "-json", "-var", "size=t3.small", "other"],
    )
    .await;
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["changes"]["builds"].as_array().unwrap().iter().filter(|b| b["became"] == "added").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_is_not_there_is_told_with_the_cure() {
    let repository = Repository::new();
    let evil = repository.path().join("evil").display().to_string();
    let option = format!("--output={evil}");
    for name in ["nothere", option.as_str(), "main\n", "-h", "3333333333333333333333333333333333333333", ""] {
        let output = repository.plan(&[&format!("-against={name}")]).await;
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{name:?}: {said}");
        assert!(said.contains("there is no revision") && said.contains("fetch-depth: 0"), "{name:?}: {said}");
    }
    assert!(!Path::new(&evil).exists());
    repository.write("templates/t.pkr.hcl", "broken {");
    repository.commit();
    repository.write("templates/t.pkr.hcl", TEMPLATE);
    let said = text(&repository.plan(&["-against", "main"]).await);
    assert!(said.contains("the template at main cannot be planned"), "{said}");
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("t.pkr.hcl"), TEMPLATE.replace("${path.root}/scripts/base.sh", "t.pkr.hcl"))
        .unwrap();
    let said = text(&run_in(outside.path(), &BTreeMap::new(), &["plan", "-against", "main", "."]).await);
    assert!(said.contains("is in no git repository"), "{said}");
}

/// Links of the revision lead nowhere else, and what they would show is not shown.
#[tokio::test(flavor = "multi_thread")]
async fn links_of_a_revision_stay_inside() {
    let repository = Repository::new();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "top-secret-content").unwrap();
    let template = TEMPLATE.replace("\"1\"", "file(\"${path.root}/link\")");
    repository.write("templates/t.pkr.hcl", &template);
    std::os::unix::fs::symlink(secret.path(), repository.path().join("templates/link")).unwrap();
    repository.commit();
    std::fs::remove_file(repository.path().join("templates/link")).unwrap();
    repository.write("templates/t.pkr.hcl", TEMPLATE);
    let said = text(&repository.plan(&["-against", "main"]).await);
    assert!(said.contains("cannot be planned") && !said.contains("top-secret-content"), "{said}");
}
