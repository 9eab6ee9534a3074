//! Provisioners through the program itself, on a machine that the system's OpenSSH server stands for.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use crate::sshd::{self, Sshd};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A machine, a folder with a template for it, and a folder of the machine to write to.
struct Setup {
    server: Sshd,
    dir: tempfile::TempDir,
}

impl Setup {
    /// A null build of these blocks; `@FAR@` is a folder of the machine's own.
    fn new(source: &str, blocks: &str) -> Setup {
        let server = Sshd::start("");
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("far")).unwrap();
        let setup = Setup { server, dir };
        let text = format!(
            "source \"null\" \"box\" {{\n  ssh_host = \"127.0.0.1\"\n  ssh_port = {}\n  ssh_username = \"{}\"\n  \
             ssh_private_key_file = \"{}\"\n  ssh_timeout = \"20s\"\n{source}\n}}\n\
             build {{\n  sources = [\"null.box\"]\n{blocks}\n}}\n",
            setup.server.port,
            setup.server.user,
            setup.server.key.display()
        );
        setup.write("t.pkr.hcl", &text.replace("@FAR@", setup.far("").trim_end_matches('/')), 0o644);
        setup
    }
    fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    fn far(&self, name: &str) -> String {
        self.dir.path().join("far").join(name).display().to_string()
    }
    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }
    fn command(&self, command: &str) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_image-action"));
        program.arg(command).args((command == "build").then_some("-color=false")).arg("t.pkr.hcl");
        program.current_dir(self.dir.path()).stdin(Stdio::null());
        program
    }
    fn build(&self) -> (bool, String) {
        text(&self.command("build").output().unwrap())
    }
    /// Builds, and hands the output of a build that worked on.
    fn built(&self) -> String {
        let (ok, text) = self.build();
        assert!(ok, "{text}\n{}", self.server.log());
        text
    }
    fn failed(&self) -> String {
        let (ok, text) = self.build();
        assert!(!ok, "{text}");
        text
    }
}

fn text(output: &Output) -> (bool, String) {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    let _ = write!(text, "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

/// Whether a process with this word in its command line runs.
fn runs(word: &str) -> bool {
    Command::new("pgrep").args(["-f", "--", word]).output().unwrap().status.success()
}

/// A number that no other process sleeps for.
fn mark() -> String {
    format!("7{:07}", rand::random::<u32>() % 10_000_000)
}

fn line(text: &str, wanted: &str) -> bool {
    text.lines().any(|l| l == format!("==> null.box: {wanted}"))
}

#[test]
fn scripts_get_their_variables_and_run_as_written() {
    if sshd::missing() {
        return;
    }
    let setup = Setup::new(
        "",
        r##"
  provisioner "shell" {
    inline = ["echo one", "echo \"at ${build.User} $PACKER_BUILD_NAME $PACKER_BUILDER_TYPE\"", "echo {{ build_name }}"]
  }
  provisioner "shell" {
    environment_vars = ["ZED=last", "QUOTED=it's a \"test\" $HOME", "EQ=a=b=c", "EMPTY="]
    env              = { ZED = "env wins" }
    script           = "crlf.sh"
  }
  provisioner "shell" {
    script           = "crlf.sh"
    environment_vars = ["QUOTED=sudo"]
    execute_command  = "chmod +x {{ .Path }}; {{ .Vars }} env sh {{ .Path }}"
  }
  provisioner "shell" {
    inline           = ["echo \"file $Q\""]
    environment_vars = ["Q=it's"]
    use_env_var_file = true
    remote_folder    = "@FAR@/deep/er"
  }
  provisioner "shell" {
    inline         = ["set -o | grep -q 'errexit.*on' && echo bash $BASH_VERSION"]
    inline_shebang = "/bin/bash -e"
    remote_path    = "@FAR@/kept.sh"
    skip_clean     = true
  }
  provisioner "shell" {
    inline = ["#!/usr/bin/env sh", "echo own $0"]
    remote_path = "@FAR@/own.sh"
  }
  provisioner "shell" {
    script           = "fail3.sh"
    valid_exit_codes = [0, 3]
  }
  provisioner "shell" {
    script         = "long.sh"
  }
"##,
    );
    setup.write("crlf.sh", "#!/bin/sh\r\necho \"$ZED|$QUOTED|$EQ|${EMPTY-unset}\"\r\nprintf no-newline", 0o644);
    setup.write("fail3.sh", "#!/bin/sh\necho to-stderr >&2\nexit 3\n", 0o644);
    setup.write("long.sh", &format!("#!/bin/sh\nx={}\necho length ${{#x}}\n", "y".repeat(100_000)), 0o644);
    let text = setup.built();
    let user = setup.server.user.as_str();
    for wanted in [
        "one",
        &format!("at {user} box null"),
        "box",
        "env wins|it's a \"test\" $HOME|a=b=c|",
        "no-newline",
        "|sudo||unset",
        "file it's",
        "to-stderr",
        "length 100000",
        &format!("own {}", setup.far("own.sh")),
    ] {
        assert!(line(&text, wanted), "{wanted} is missing in:\n{text}");
    }
    assert!(text.contains("==> null.box: bash "), "{text}");
    assert_eq!(setup.read("far/kept.sh").lines().next().unwrap(), "#!/bin/bash -e");
    let left: Vec<_> = std::fs::read_dir(setup.far("deep/er")).unwrap().collect();
    assert!(left.is_empty(), "scripts and variables are removed: {left:?}");
    assert!(!Path::new(&setup.far("own.sh")).exists());
}

#[test]
fn a_failing_script_says_how_and_stops_the_build() {
    if sshd::missing() {
        return;
    }
    let setup = Setup::new(
        "",
        r#"
  provisioner "shell" {
    inline = ["echo about to fail", "exit 7"]
  }
  provisioner "shell" {
    inline = ["echo never"]
  }
  error-cleanup-provisioner "shell" {
    inline = ["echo cleaning up"]
  }
"#,
    );
    let text = setup.failed();
    assert!(text.contains("exit status: 7") && line(&text, "about to fail") && line(&text, "cleaning up"), "{text}");
    assert!(!text.contains("never"), "{text}");
}

#[test]
fn variables_that_reach_no_script_are_warned_of() {
    if sshd::missing() {
        return;
    }
    let setup = Setup::new(
        "",
        r#"
  provisioner "shell" {
    inline           = ["true"]
    environment_vars = ["A=1"]
    execute_command  = "sudo -E {{ .Path }}"
  }
"#,
    );
    let (ok, text) = text(&setup.command("validate").output().unwrap());
    assert!(ok && text.contains("t.pkr.hcl:15") && text.contains("put {{ .Vars }} in front"), "{text}");
}

#[test]
fn a_timeout_ends_what_runs_on_the_machine() {
    if sshd::missing() {
        return;
    }
    let mark = mark();
    let setup = Setup::new(
        "",
        &format!(
            r#"
  provisioner "shell" {{
    inline  = ["sleep {mark}1 &", "echo started", "sh -c 'sleep {mark}2; true'"]
    timeout = "3s"
  }}
"#
        ),
    );
    let begin = Instant::now();
    let text = setup.failed();
    assert!(line(&text, "started") && text.contains("did not end within 3s"), "{text}");
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert!(!runs(&format!("sleep {mark}")), "it still runs");
}

#[test]
fn a_reboot_is_waited_for() {
    if sshd::missing() {
        return;
    }
    // The server of this connection dies, as in a reboot; the next one answers again.
    let reboot = "p=$$; while [ \\\"$(ps -o comm= -p $p)\\\" != sshd ] && [ \\\"$(ps -o comm= -p $p)\\\" != sshd-session ]; do p=$(ps -o ppid= -p $p | tr -d ' '); done; kill -9 $p; sleep 5";
    let block = |more: &str| {
        format!(
            "  provisioner \"shell\" {{\n    inline = [\"echo down\", \"{}\"]\n{more}\n  }}\n  provisioner \"shell\" {{\n    inline = [\"echo up again\"]\n  }}\n",
            reboot
        )
    };
    let setup = Setup::new("", &block("    expect_disconnect = true"));
    let text = setup.built();
    assert!(line(&text, "down") && line(&text, "up again"), "{text}");
    let setup = Setup::new("", &block("    valid_exit_codes = [0, 2300218]"));
    let text = setup.failed();
    assert!(text.contains("expect_disconnect = true") && !text.contains("up again"), "{text}");
}

#[test]
fn files_go_where_the_template_says() {
    if sshd::missing() {
        return;
    }
    let setup = Setup::new(
        "",
        r#"
  provisioner "file" {
    source      = "tree/"
    destination = "@FAR@/missing/contents"
  }
  provisioner "file" {
    source      = "tree"
    destination = "@FAR@"
  }
  provisioner "file" {
    sources     = ["one.txt", "tree/run.sh"]
    destination = "@FAR@/several/"
  }
  provisioner "file" {
    content     = "made of {{ build_name }}"
    destination = "@FAR@/content"
  }
  provisioner "shell-local" {
    inline = ["echo late > late.txt"]
  }
  provisioner "file" {
    source      = "late.txt"
    destination = "@FAR@/late"
    generated   = true
  }
  provisioner "file" {
    direction   = "download"
    sources     = ["@FAR@/tree/", "@FAR@/content"]
    destination = "back/"
  }
"#,
    );
    setup.write("one.txt", "one\n", 0o600);
    setup.write("tree/run.sh", "#!/bin/sh\n", 0o755);
    setup.write("tree/sub dir/leaf.txt", "leaf\n", 0o640);
    setup.built();
    let mode = |name: &str| std::fs::metadata(setup.dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    for (name, content, bits) in [
        ("far/missing/contents/run.sh", "#!/bin/sh\n", 0o755),
        ("far/missing/contents/sub dir/leaf.txt", "leaf\n", 0o640),
        ("far/tree/sub dir/leaf.txt", "leaf\n", 0o640),
        ("far/several/one.txt", "one\n", 0o600),
        ("far/several/run.sh", "#!/bin/sh\n", 0o755),
        ("far/content", "made of box", 0o600),
        ("back/tree/sub dir/leaf.txt", "leaf\n", 0o640),
    ] {
        assert_eq!((setup.read(name).as_str(), mode(name)), (content, bits), "{name}");
    }
    assert_eq!(setup.read("far/late"), "late\n");
    assert_eq!(setup.read("back/content"), "made of box");
}

#[test]
fn local_scripts_run_beside_the_machine_and_end_with_the_build() {
    if sshd::missing() {
        return;
    }
    let mark = mark();
    let setup = Setup::new(
        "",
        &format!(
            r#"
  provisioner "shell-local" {{
    inline           = ["echo local $PACKER_BUILD_NAME \"$QUOTED\" $OUTER", "pwd"]
    environment_vars = ["QUOTED=it's"]
  }}
  provisioner "shell-local" {{
    script           = "three.sh"
    valid_exit_codes = [3]
    execute_command  = ["/bin/sh", "-e", "{{{{.Script}}}}"]
  }}
  provisioner "shell-local" {{
    inline  = ["echo elsewhere"]
    only_on = ["windows"]
  }}
  provisioner "shell-local" {{
    inline = ["setsid sleep {mark}1 &", "echo waiting", "sleep {mark}2"]
  }}
"#
        ),
    );
    setup.write("three.sh", "exit 3\n", 0o644);
    let mut command = setup.command("build");
    command.env("OUTER", "outer").stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let begin = Instant::now();
    while !(runs(&format!("sleep {mark}1")) && runs(&format!("sleep {mark}2"))) {
        assert!(begin.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(50));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let (ok, text) = text(&child.wait_with_output().unwrap());
    assert!(!ok && line(&text, "local box it's outer") && line(&text, "waiting"), "{text}");
    assert!(line(&text, &setup.dir.path().canonicalize().unwrap().display().to_string()), "{text}");
    assert!(!text.contains("elsewhere"), "{text}");
    assert!(!runs(&format!("sleep {mark}")), "a child outlives the build");
}

/// ansible-playbook as the tests' environment has it.
fn ansible() -> Option<PathBuf> {
    let path = std::env::var("IMAGE_ACTION_ANSIBLE").ok().map(PathBuf::from);
    let found = path.or_else(|| {
        let all = std::env::var("PATH").unwrap_or_default();
        all.split(':').map(|dir| Path::new(dir).join("ansible-playbook")).find(|p| p.exists())
    });
    if found.is_none() {
        eprintln!("skipped: ansible-playbook is missing (tests/requirements.txt, or IMAGE_ACTION_ANSIBLE=PATH)");
    }
    found
}

/// Where Debian keeps its own Python: what a version manager puts in PATH answers differently over ssh.
const PYTHON: &str = "/usr/bin/python3";

#[test]
fn a_playbook_changes_the_machine() {
    let Some(program) = ansible().filter(|_| !sshd::missing()) else { return };
    let setup = Setup::new(
        "",
        &format!(
            r#"
  provisioner "ansible" {{
    command          = "{}"
    playbook_file    = "site.yml"
    use_proxy        = false
    groups           = ["web"]
    extra_arguments  = ["--extra-vars", "image_environment=dev", "-e", "db_password=hunter2"]
    ansible_env_vars = ["ANSIBLE_NOCOWS=1", "FROM_TEMPLATE={{{{ build_type }}}}"]
  }}
  provisioner "ansible" {{
    command       = "{0}"
    playbook_file = "fails.yml"
  }}
"#,
            program.display()
        ),
    );
    let tasks = |tasks: &str| {
        format!(
            "- hosts: all\n  gather_facts: false\n  vars:\n    ansible_python_interpreter: {PYTHON}\n  tasks:\n{tasks}"
        )
    };
    let content = "{{ image_environment }} {{ packer_build_name }} {{ packer_builder_type }} {{ inventory_hostname }} {{ group_names | first }} {{ lookup('env', 'FROM_TEMPLATE') }}";
    setup.write(
        "site.yml",
        &tasks(&format!(
            "    - ansible.builtin.copy:\n        content: \"{content}\"\n        dest: {}\n        mode: \"0640\"\n",
            setup.far("made")
        )),
        0o644,
    );
    setup.write("fails.yml", &tasks("    - ansible.builtin.fail:\n        msg: on purpose\n"), 0o644);
    let text = setup.failed();
    assert_eq!(setup.read("far/made"), "dev box null default web null", "{text}");
    assert!(text.contains("on purpose") && text.contains("exit code 2"), "{text}");
    assert!(text.contains("db_password=*****") && !text.contains("hunter2"), "{text}");
}

#[test]
fn a_playbook_that_takes_too_long_is_ended_on_both_sides() {
    let Some(program) = ansible().filter(|_| !sshd::missing()) else { return };
    let mark = mark();
    let setup = Setup::new(
        "",
        &format!(
            r#"
  provisioner "ansible" {{
    command       = "{}"
    playbook_file = "slow.yml"
    timeout       = "15s"
  }}
"#,
            program.display()
        ),
    );
    let play = format!(
        "- hosts: all\n  gather_facts: false\n  vars:\n    ansible_python_interpreter: {PYTHON}\n  tasks:\n    - ansible.builtin.command: sleep {mark}\n"
    );
    setup.write("slow.yml", &play, 0o644);
    let seen = std::thread::spawn({
        let word = format!("sleep {mark}");
        move || {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_secs(30) {
                if runs(&word) {
                    return true;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            false
        }
    });
    let text = setup.failed();
    assert!(seen.join().unwrap(), "the task was reached: {text}");
    assert!(text.contains("did not end within 15s"), "{text}");
    assert!(!runs(&format!("sleep {mark}")), "the task outlives the timeout");
    assert!(!runs(&setup.server.key.display().to_string()), "an ssh of ansible is left");
}

#[test]
fn a_missing_ansible_is_told_before_anything_runs() {
    if sshd::missing() {
        return;
    }
    let setup = Setup::new(
        "",
        "  provisioner \"ansible\" {\n    command = \"no-such-ansible\"\n    playbook_file = \"p.yml\"\n  }",
    );
    setup.write("p.yml", "- hosts: all\n", 0o644);
    let (ok, said) = text(&setup.command("validate").output().unwrap());
    assert!(ok && said.contains("no-such-ansible is not there"), "{said}");
    let said = setup.failed();
    assert!(said.contains("no-such-ansible is not there") && said.contains("pip install"), "{said}");
    assert!(!said.contains("Connected"), "{said}");
}
