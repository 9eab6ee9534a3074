//! Guests of an ordinary user, who is made for the test and removed after it: the tests of root's guests once more, as that user,
//! and the whole way of a build.

use super::run;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What the user is told in place of what was compiled in: where the program is, and what guests are made of.
pub const PROGRAM: &str = "GUEST_TEST_PROGRAM";
pub const ROOT: &str = "GUEST_TEST_ROOT";

/// What the names of users that are made here begin with.
pub const PREFIX: &str = "ia-";

/// One change of the user files at a time: a second useradd does not wait for the first, it fails.
static USERS: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// An ordinary user with a home, ids of its own, and copies of what it runs.
struct Person {
    name: String,
    dir: tempfile::TempDir,
}

impl Person {
    /// `None` where none can be made, with the reason.
    async fn new(name: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: making a user needs root");
            return None;
        }
        if !Path::new("/usr/bin/newuidmap").exists() {
            eprintln!("skipped: newuidmap is not installed (apt-get install -y uidmap)");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("guest-user-").tempdir().unwrap();
        let name = format!("{PREFIX}{name}-{}", std::process::id());
        let person = Self { name, dir };
        let one = USERS.lock().unwrap();
        run(Command::new("useradd")
            .args(["--create-home", "--shell", "/bin/bash", "--home-dir"])
            .args([person.path("home").to_str().unwrap(), &person.name]));
        let has_ids = |file: &str| std::fs::read_to_string(file).unwrap_or_default().contains(&person.name);
        if !has_ids("/etc/subuid") || !has_ids("/etc/subgid") {
            let range = "2000000000-2000065535";
            run(Command::new("usermod").args(["--add-subuids", range, "--add-subgids", range, &person.name]));
        }
        drop(one);
        std::fs::set_permissions(person.dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        for (from, to) in [(PathBuf::from(env!("CARGO_BIN_EXE_image-action")), "image-action"), (tests(), "tests")] {
            std::fs::copy(from, person.path(to)).unwrap();
        }
        person.lay_root().await;
        // On some machines the device is root's alone; the user sees one that is everybody's, as on GitHub's runners.
        run(Command::new("mknod").args(["-m", "666", person.path("tun").to_str().unwrap(), "c", "10", "200"]));
        Some(person)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The root file system that root's tests have made, as a tar that the user may read.
    async fn lay_root(&self) {
        let state = self.path("root-state");
        let options = super::options(&state);
        let roots = options.cache_dir.join("roots");
        // Makes it, where nobody has.
        image_action_localcloud::guest::GuestHost::new(options).await.unwrap();
        std::fs::remove_dir_all(state).unwrap();
        let tars = std::fs::read_dir(roots).unwrap().map(|e| e.unwrap().path());
        let tar = tars.filter(|p| p.extension().is_some_and(|e| e == "tar"));
        let newest = tar.max_by_key(|p| p.metadata().unwrap().modified().unwrap()).unwrap();
        std::fs::copy(newest, self.path("root.tar")).unwrap();
    }

    /// A program with arguments, as this user, in a login of its own.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        let script = "mount --bind \"$1\" /dev/net/tun && shift && exec runuser -u \"$@\"";
        command.args(["--mount", "--", "sh", "-c", script, "sh"]).arg(self.path("tun"));
        command.args([&self.name, "--", program]).args(arguments).env_clear().current_dir(self.path("home"));
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.path("home"));
        command.env(PROGRAM, self.path("image-action")).env(ROOT, self.path("root.tar"));
        command.env("IMAGE_ACTION_CACHE", self.path("home/cache")).stdin(Stdio::null());
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(program, arguments).output().unwrap()
    }

    /// Tests of this binary, as this user.
    fn test(&self, names: &[&str]) {
        let mut arguments = vec!["--exact", "--nocapture", "--test-threads", "1"];
        arguments.extend(names);
        let output = self.run(self.path("tests").to_str().unwrap(), &arguments);
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{text}");
        assert!(text.contains(&format!("{} passed", names.len())) && !text.contains("skipped"), "{text}");
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        // What the user's guests have left, which belongs to ids of the user's, goes by root's hand.
        let _one = USERS.lock();
        let _ = Command::new("userdel").arg("--force").arg(&self.name).stderr(Stdio::null()).status();
        let _ = Command::new("groupdel").arg(&self.name).stderr(Stdio::null()).status();
    }
}

fn tests() -> PathBuf {
    std::env::current_exe().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_users_guests_are_as_closed_as_roots() {
    let Some(person) = Person::new("closed").await else { return };
    person.test(&[
        "guest::isolation::a_guest_neither_sees_nor_changes_this_machine",
        "guest::isolation::a_killed_host_takes_its_guests_along",
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_users_guests_are_machines() {
    let Some(person) = Person::new("machines").await else { return };
    person.test(&[
        "guest::openssh_runs_commands_as_on_a_cloud_machine",
        "guest::packages_services_and_sudo_work",
        "guest::an_image_boots_and_holds_what_was_changed",
        "guest::a_machine_stops_starts_reboots_and_runs_user_data",
    ]);
}

const TEMPLATE: &str = r#"
source "amazon-ebs" "small" {
  ami_name      = "small-{{timestamp}}"
  instance_type = "t3.micro"
  region        = "us-west-2"
  ssh_username  = "ubuntu"
  source_ami_filter {
    filters     = { name = "ubuntu/images/*ubuntu-jammy-22.04-amd64-server-*" }
    owners      = ["099720109477"]
    most_recent = true
  }
}
build {
  sources = ["source.amazon-ebs.small"]
  provisioner "shell" {
    inline = ["echo in=$(id -un)", "sudo useradd --create-home app", "sudo -u app id -un"]
  }
  provisioner "shell-local" {
    inline = ["echo here=$(id -un) port=${build.Port}"]
  }
  post-processor "manifest" {}
}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_user_builds_an_image() {
    let Some(person) = Person::new("builds").await else { return };
    let (program, root) = (person.path("image-action"), person.path("root.tar"));
    let (program, root) = (program.to_str().unwrap(), root.to_str().unwrap());
    let template = person.path("home/t.pkr.hcl");
    std::fs::write(&template, TEMPLATE).unwrap();
    let check = person.run(program, &["localcloud", "--check", "--guest-root", root]);
    let text = String::from_utf8(check.stdout).unwrap();
    assert!(check.status.success(), "{text}");
    assert!(text.contains("missing root: this process is not root"), "{text}");
    assert!(text.ends_with("(--guest user).\n"), "{text}");

    let build = ["build", "--local", "--guest-root", root, "--guest", "user", template.to_str().unwrap()];
    let output = person.run(program, &build);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    // Ports below 1024 are root's, unless this machine says otherwise.
    let start = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let port = if start.trim().parse::<u16>().unwrap() > 22 { 2222 } else { 22 };
    for wanted in ["in=ubuntu".to_owned(), ": app\n".to_owned(), format!("here={} port={port}", person.name)] {
        assert!(text.contains(&wanted), "{wanted:?} in {text}");
    }
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(person.path("home/packer-manifest.json")).unwrap()).unwrap();
    assert!(manifest["builds"][0]["artifact_id"].as_str().unwrap().starts_with("us-west-2:ami-"), "{manifest}");
    let left = std::fs::read_dir(std::env::temp_dir()).unwrap().map(|e| e.unwrap()).filter(|e| {
        use std::os::unix::fs::MetadataExt;
        let id = Command::new("id").args(["-u", &person.name]).output().unwrap().stdout;
        e.metadata().is_ok_and(|m| m.uid().to_string() == String::from_utf8_lossy(&id).trim())
    });
    assert_eq!(left.map(|e| e.path()).collect::<Vec<_>>(), Vec::<PathBuf>::new(), "left in the temporary folder");

    // As root such guests would be root's own; that is said, not done.
    let output = Command::new(program).args(["localcloud", "--check", "--guest", "user"]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("run the same command as an ordinary user"));
}
