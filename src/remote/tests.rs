//! The communicator against the system's OpenSSH server.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../../tests/it/sshd.rs"]
mod sshd;

use crate::*;
use image_action_engine::component::{Capture, Discard};
use image_action_engine::{CancellationToken, Communicator, ErrorKind, ExitStatus};
use sshd::Sshd;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn settings(server: &Sshd) -> SshSettings {
    let key = keys::load_private_key(&server.key).unwrap();
    let login = Login { user: server.user.clone(), keys: vec![key], ..Login::default() };
    SshSettings { login, timeout: Some(Duration::from_secs(20)), ..SshSettings::default() }
}

fn silent() -> Notice {
    Arc::new(|_| {})
}

async fn join(server: &Sshd, settings: &SshSettings) -> Arc<dyn Communicator> {
    connect(settings, "127.0.0.1", server.port, &CancellationToken::new(), silent()).await.unwrap()
}

async fn run(machine: &Arc<dyn Communicator>, command: &str) -> (ExitStatus, String, String) {
    let mut capture = Capture::default();
    let status = machine.exec(command, &mut capture, &CancellationToken::new()).await.unwrap();
    let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
    (status, text(capture.stdout), text(capture.stderr))
}

#[tokio::test]
async fn commands_give_their_streams_and_exit_codes() {
    if sshd::missing() {
        return;
    }
    let server = Sshd::start("");
    let machine = join(&server, &settings(&server)).await;
    assert_eq!(
        run(&machine, "echo out; echo err >&2; exit 7").await,
        (ExitStatus::Code(7), "out\n".into(), "err\n".into())
    );
    assert_eq!(run(&machine, "kill -TERM $$").await.0, ExitStatus::Code(143));
    assert_eq!(run(&machine, "cat; echo end").await.1, "end\n", "there is no input");
    assert_eq!(run(&machine, "printf '%s' \"it's\"\nprintf ' two'").await.1, "it's two");
    let (_, long, _) = run(&machine, "head -c 3000000 /dev/zero | tr '\\0' x").await;
    assert_eq!(long.len(), 3_000_000);
    // Ten commands at once over one connection: as many as a server allows.
    let all = futures_util::future::join_all((0..10).map(|n| {
        let machine = machine.clone();
        async move { run(&machine, &format!("sleep 0.1; echo {n}")).await.1 }
    }));
    assert_eq!(all.await, (0..10).map(|n| format!("{n}\n")).collect::<Vec<_>>());
    assert_eq!(server.sessions().len(), 1, "one connection is kept");
}

#[tokio::test]
async fn a_terminal_is_there_when_asked_for_and_transfers_do_not_mind() {
    if sshd::missing() {
        return;
    }
    let server = Sshd::start("");
    let machine = join(&server, &SshSettings { pty: true, ..settings(&server) }).await;
    let (status, out, err) = run(&machine, "tty >/dev/null && echo tty; stty size; echo $TERM; echo err >&2").await;
    assert_eq!(status, ExitStatus::Code(0));
    assert_eq!((out.as_str(), err.as_str()), ("tty\r\n40 80\r\nxterm\r\nerr\r\n", ""));
    let at = server.dir.path().join("binary");
    let content: Vec<u8> = (0..=255).collect();
    machine.upload(&content, at.to_str().unwrap(), 0o640, &CancellationToken::new()).await.unwrap();
    assert_eq!(std::fs::read(&at).unwrap(), content);
}

/// Whether a process with this word in its command line runs.
fn runs(word: &str) -> bool {
    std::process::Command::new("pgrep").args(["-f", "--", word]).output().unwrap().status.success()
}

#[tokio::test]
async fn a_cancelled_command_ends_with_its_children() {
    if sshd::missing() {
        return;
    }
    let server = Sshd::start("");
    for pty in [false, true] {
        let machine = join(&server, &SshSettings { pty, ..settings(&server) }).await;
        // A child, a grandchild that ignores SIGTERM, one in a session of its own.
        let mark = format!("7{:07}", rand::random::<u32>() % 10_000_000);
        let command = format!(
            "sh -c 'trap \"\" TERM; sleep {mark}1; :' & setsid sleep {mark}2 & (sleep {mark}3; :) & echo started; sleep {mark}4"
        );
        let cancel = CancellationToken::new();
        let trigger = cancel.clone();
        let word = mark.clone();
        tokio::spawn(async move {
            while !(1..=4).all(|n| runs(&format!("sleep {word}{n}"))) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            trigger.cancel();
        });
        let mut nothing = Discard;
        let limit = tokio::time::timeout(Duration::from_secs(20), machine.exec(&command, &mut nothing, &cancel));
        assert!(limit.await.unwrap().unwrap_err().is_cancelled());
        for n in 1..=4 {
            assert!(!runs(&format!("sleep {mark}{n}")), "child {n} is left, pty: {pty}");
        }
        assert_eq!(run(&machine, "echo still here").await.1.trim(), "still here");
    }
}

#[tokio::test]
async fn a_lost_connection_is_told_and_made_anew() {
    if sshd::missing() {
        return;
    }
    let server = Sshd::start("");
    let machine = join(&server, &settings(&server)).await;
    let running = run(&machine, "sleep 30");
    let cut = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.cut();
    };
    assert_eq!(tokio::join!(running, cut).0.0, ExitStatus::Disconnected);
    assert_eq!(run(&machine, "echo again").await.1, "again\n");
    server.cut();
    machine.ping(&CancellationToken::new()).await.unwrap();
    // The server is gone for good: an error at once, not a wait.
    drop(server);
    let error = machine.exec("true", &mut Discard, &CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
}

#[tokio::test]
async fn the_wait_ends_when_the_server_comes_up() {
    if sshd::missing() {
        return;
    }
    let port = sshd::free_port();
    let key = tempfile::tempdir().unwrap();
    sshd::keygen(&key.path().join("k"), &["-t", "ed25519"]);
    let mut login = Login { user: "x".into(), ..Login::default() };
    login.keys.push(keys::load_private_key(&key.path().join("k")).unwrap());
    let wanted = SshSettings { login, timeout: Some(Duration::from_secs(30)), ..SshSettings::default() };
    let told = Arc::new(Mutex::new(Vec::new()));
    let list = told.clone();
    let notice: Notice = Arc::new(move |line| list.lock().unwrap().push(line.to_owned()));
    let public = std::fs::read(key.path().join("k.pub")).unwrap();
    let late = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(1500));
        let server = Sshd::start_on(port, "");
        // The key comes later than the server, as with cloud-init.
        std::thread::sleep(Duration::from_millis(1500));
        std::fs::write(server.dir.path().join("authorized"), public).unwrap();
        server
    });
    let user = String::from_utf8(std::process::Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let wanted = SshSettings { login: Login { user: user.trim().into(), ..wanted.login.clone() }, ..wanted };
    let machine = connect(&wanted, "127.0.0.1", port, &CancellationToken::new(), notice).await.unwrap();
    let _server = late.await.unwrap();
    assert_eq!(run(&machine, "echo in").await.1, "in\n");
    let told = told.lock().unwrap().join("\n");
    assert!(told.contains("is closed") && told.contains("was refused"), "{told}");
    assert!(told.lines().count() < 6, "only news is told: {told}");
}

#[tokio::test]
async fn errors_say_what_is_wrong() {
    if sshd::missing() {
        return;
    }
    let never = CancellationToken::new();
    let server = Sshd::start("");
    let short = |settings: SshSettings| SshSettings { timeout: Some(Duration::from_secs(3)), ..settings };
    let fails = async |settings: SshSettings, port: u16| {
        connect(&settings, "127.0.0.1", port, &never, silent()).await.err().unwrap()
    };
    let closed = fails(short(settings(&server)), sshd::free_port()).await;
    assert_eq!(closed.kind, ErrorKind::TimedOut);
    assert!(closed.summary.contains("is closed"), "{closed}");
    // A key that the server does not know.
    let other = server.dir.path().join("other");
    sshd::keygen(&other, &["-t", "ecdsa"]);
    let mut wrong = settings(&server);
    wrong.login.keys = vec![keys::load_private_key(&other).unwrap()];
    let refused = fails(short(wrong.clone()), server.port).await;
    assert_eq!(refused.kind, ErrorKind::Credentials);
    assert!(refused.summary.contains("was refused") && refused.summary.contains("other"), "{refused}");
    let begin = Instant::now();
    let twice = SshSettings { handshake_attempts: Some(2), timeout: None, ..wrong.clone() };
    let counted = fails(twice, server.port).await;
    assert!(counted.summary.contains("2 attempts"), "{counted}");
    assert!(begin.elapsed() < Duration::from_secs(10));
    // The right key after a wrong one.
    wrong.login.keys.push(keys::load_private_key(&server.key).unwrap());
    join(&server, &wrong).await;
    // A server that speaks, but not ssh.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            use tokio::io::AsyncWriteExt;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let not = fails(short(settings(&server)), port).await;
    assert!(!not.summary.is_empty() && not.hint.is_some(), "{not}");
    // Nothing in common.
    let picky = Sshd::start("Ciphers aes256-ctr");
    let gcm = SshSettings { ciphers: vec!["aes128-gcm@openssh.com".into(), "no-such".into()], ..settings(&picky) };
    let none = fails(short(gcm), picky.port).await;
    assert!(none.summary.contains("aes256-ctr"), "{none}");
    let cancel = CancellationToken::new();
    cancel.cancel();
    assert!(connect(&settings(&server), "127.0.0.1", 1, &cancel, silent()).await.err().unwrap().is_cancelled());
}

#[tokio::test]
async fn every_kind_of_temporary_key_logs_in() {
    if sshd::missing() {
        return;
    }
    let server = Sshd::start("");
    for (kind, bits) in [("ed25519", 0), ("ecdsa", 256), ("ecdsa", 521), ("rsa", 2048)] {
        let key = TemporaryKey::generate(KeyKind::parse(kind, bits).unwrap()).await.unwrap();
        std::fs::write(server.dir.path().join("authorized"), format!("{}\n", key.public_openssh)).unwrap();
        // The system's own tool reads the private key and finds the same public one.
        let file = server.dir.path().join(format!("{kind}{bits}"));
        std::fs::write(&file, key.private_pem.expose()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let out = std::process::Command::new("ssh-keygen").arg("-y").arg("-f").arg(&file).output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&out.stdout).trim(),
            key.public_openssh,
            "{kind} {}",
            String::from_utf8_lossy(&out.stderr)
        );
        let head = key.private_pem.expose().lines().next().unwrap().to_owned();
        let form =
            if kind == "ed25519" { "-----BEGIN OPENSSH PRIVATE KEY-----" } else { "-----BEGIN PRIVATE KEY-----" };
        assert_eq!(head, form);
        let mut wanted = settings(&server);
        wanted.login.keys = vec![PrivateKey::parse(key.private_pem.expose()).unwrap()];
        join(&server, &wanted).await;
    }
}

#[tokio::test]
async fn a_certificate_an_agent_and_a_bastion_let_us_in() {
    if sshd::missing() {
        return;
    }
    let server = Sshd::start("");
    let at = |name: &str| server.dir.path().join(name);
    // A certificate: the server trusts the authority, not the key.
    sshd::keygen(&at("ca"), &["-t", "ed25519"]);
    sshd::keygen(&at("user"), &["-t", "ed25519"]);
    let signed = std::process::Command::new("ssh-keygen")
        .args(["-q", "-s"])
        .arg(at("ca"))
        .args(["-I", "id", "-n", &server.user, "-V", "-1m:+5m"])
        .arg(at("user.pub"))
        .status();
    assert!(signed.unwrap().success());
    let trusting = Sshd::start(&format!("TrustedUserCAKeys {}", at("ca.pub").display()));
    let mut key = keys::load_private_key(&at("user")).unwrap();
    let mut wanted = settings(&trusting);
    wanted.login.keys = vec![key.clone()];
    wanted.timeout = Some(Duration::from_secs(2));
    assert!(connect(&wanted, "127.0.0.1", trusting.port, &CancellationToken::new(), silent()).await.is_err());
    key.certificate = Some(keys::load_certificate(&at("user-cert.pub")).unwrap());
    wanted.login.keys = vec![key];
    join(&trusting, &wanted).await;
    // An agent that holds the key.
    let socket = at("agent");
    let mut agent = std::process::Command::new("ssh-agent")
        .arg("-D")
        .arg("-a")
        .arg(&socket)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !socket.exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let added = std::process::Command::new("ssh-add").arg("-q").arg(&server.key).env("SSH_AUTH_SOCK", &socket).status();
    assert!(added.unwrap().success());
    let mut wanted = settings(&server);
    wanted.login.keys.clear();
    wanted.login.agent = Some(socket.clone());
    wanted.forward_agent = Some(socket);
    let machine = join(&server, &wanted).await;
    let (_, listed, _) = run(&machine, "ssh-add -L").await;
    assert!(
        std::fs::read_to_string(at("client.pub")).unwrap().starts_with(listed.split(" a comment").next().unwrap()),
        "{listed}"
    );
    agent.kill().unwrap();
    agent.wait().unwrap();
    // A bastion in between.
    let mut wanted = settings(&server);
    wanted.bastion = Some(Bastion { host: "127.0.0.1".into(), port: trusting.port, login: settings(&trusting).login });
    let machine = join(&server, &wanted).await;
    assert_eq!(run(&machine, "echo through").await.1, "through\n");
    assert!(trusting.log().contains("direct-tcpip") || trusting.sessions().len() == 1);
    drop(trusting);
    let error = machine.exec("true", &mut Discard, &CancellationToken::new()).await.unwrap_err();
    assert!(error.summary.contains("bastion"), "{error}");
}

#[tokio::test]
async fn tunnels_lead_both_ways() {
    if sshd::missing() {
        return;
    }
    let server = Sshd::start("");
    let echo = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = echo.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = echo.accept().await {
            use tokio::io::AsyncWriteExt;
            let _ = stream.write_all(b"hello\n").await;
        }
    });
    let (near, far) = (sshd::free_port(), sshd::free_port());
    let mut wanted = settings(&server);
    wanted.local_tunnels = vec![Tunnel::parse(&format!("{near}:127.0.0.1:{target}")).unwrap()];
    wanted.remote_tunnels = vec![Tunnel::parse(&format!("{far}:127.0.0.1:{target}")).unwrap()];
    let _machine = join(&server, &wanted).await;
    for port in [near, far] {
        use tokio::io::AsyncReadExt;
        let mut text = String::new();
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello\n", "{port}");
    }
}

/// A directory with everything that is hard to send.
fn hard_tree(root: &std::path::Path) {
    let at = |name: &str| root.join(name);
    std::fs::create_dir_all(at("a/b/c")).unwrap();
    std::fs::create_dir_all(at("empty")).unwrap();
    std::fs::write(at("with blank 'é.txt"), "blank").unwrap();
    std::fs::write(at("a/b/c/deep"), vec![b'x'; 300_000]).unwrap();
    std::fs::write(at("a/nothing"), "").unwrap();
    std::fs::write(at(&format!("a/{}", "n".repeat(150))), "long").unwrap();
    std::fs::write(at("run.sh"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(at("run.sh"), std::fs::Permissions::from_mode(0o775)).unwrap();
    std::os::unix::fs::symlink("run.sh", at("link")).unwrap();
    std::os::unix::fs::symlink("a/b", at("linked-dir")).unwrap();
}

/// Names, kinds, modes and contents below a directory.
fn listing(root: &std::path::Path) -> Vec<String> {
    let mut lines: Vec<String> = tree::walk(root)
        .unwrap()
        .iter()
        .map(|e| {
            let content = e.size.map(|_| std::fs::read(&e.local).unwrap().len());
            format!("{} {:o} {content:?}", e.name.display(), e.mode)
        })
        .collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn directories_arrive_as_they_are_whatever_the_method() {
    if sshd::missing() {
        return;
    }
    let server = Sshd::start("");
    let never = CancellationToken::new();
    let local = tempfile::tempdir().unwrap();
    let source = local.path().join("source dir");
    std::fs::create_dir(&source).unwrap();
    hard_tree(&source);
    for transfer in [Transfer::Shell, Transfer::Sftp] {
        let machine = join(&server, &SshSettings { transfer, ..settings(&server) }).await;
        let far = tempfile::tempdir().unwrap();
        let at = |name: &str| far.path().join(name).to_str().unwrap().to_owned();
        // Contents into what does not exist yet, with missing parents.
        machine.upload_dir(&format!("{}/", source.display()), &at("x/y z"), &never).await.unwrap();
        assert_eq!(listing(&far.path().join("x/y z")), listing(&source), "{transfer:?}");
        // Itself into what exists; an existing directory keeps its mode and its other files.
        std::fs::create_dir(far.path().join("there")).unwrap();
        std::fs::set_permissions(far.path().join("there"), std::fs::Permissions::from_mode(0o1777)).unwrap();
        std::fs::create_dir_all(far.path().join("there/source dir/a")).unwrap();
        std::fs::set_permissions(far.path().join("there/source dir/a"), std::fs::Permissions::from_mode(0o700))
            .unwrap();
        std::fs::write(far.path().join("there/source dir/a/mine"), "kept").unwrap();
        machine.upload_dir(source.to_str().unwrap(), &at("there/"), &never).await.unwrap();
        let mode = |name: &str| std::fs::metadata(far.path().join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode("there"), 0o1777, "{transfer:?}");
        assert_eq!(mode("there/source dir/a"), 0o700, "{transfer:?}");
        assert_eq!(mode("there/source dir/run.sh"), 0o775, "{transfer:?}");
        assert!(far.path().join("there/source dir/a/mine").exists());
        // One file, parents missing; then over an existing one.
        machine.upload(b"one", &at("p/q/f"), 0o600, &never).await.unwrap();
        assert_eq!((std::fs::read(far.path().join("p/q/f")).unwrap(), mode("p/q/f")), (b"one".to_vec(), 0o600));
        machine.upload_file(&source.join("run.sh"), &at("p/q/f"), 0o755, &never).await.unwrap();
        assert_eq!((std::fs::read(far.path().join("p/q/f")).unwrap(), mode("p/q/f")), (b"#!/bin/sh\n".to_vec(), 0o755));
        let error = machine.upload(b"x", &at("p/q"), 0o644, &never).await.unwrap_err();
        assert!(!error.is_cancelled(), "{error}");
        // A long line arrives whole.
        let long = [b"#!/bin/sh\n#".to_vec(), vec![b'y'; 5_000_000]].concat();
        machine.upload(&long, &at("long"), 0o644, &never).await.unwrap();
        assert_eq!(std::fs::read(far.path().join("long")).unwrap(), long);
        // And back.
        let back = tempfile::tempdir().unwrap();
        machine.download_dir(&format!("{}/", at("x/y z")), &back.path().join("got"), &never).await.unwrap();
        assert_eq!(listing(&back.path().join("got/y z")).len(), listing(&source).len(), "{transfer:?}");
        assert_eq!(std::fs::read(back.path().join("got/y z/with blank 'é.txt")).unwrap(), b"blank");
        machine.download(&at("long"), &back.path().join("long"), &never).await.unwrap();
        assert_eq!(std::fs::read(back.path().join("long")).unwrap(), long);
        let error = machine.download(&at("none"), &back.path().join("none"), &never).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
        assert!(std::fs::read_dir(back.path()).unwrap().count() == 2, "no half file stays");
        // What cannot be sent is named.
        std::os::unix::fs::symlink("nowhere", local.path().join("broken")).unwrap();
        let error = machine.upload_dir(&format!("{}/", local.path().display()), &at("b"), &never).await.unwrap_err();
        assert!(error.summary.contains("broken"), "{error}");
        std::fs::remove_file(local.path().join("broken")).unwrap();
    }
    let machine = join(&server, &settings(&server)).await;
    let back = tempfile::tempdir().unwrap();
    machine.download_dir(&format!("{}/*.sh", source.display()), back.path(), &never).await.unwrap();
    assert_eq!(listing(back.path()), ["run.sh 775 Some(10)"]);
    let (_, home, _) = run(&machine, "echo $HOME").await;
    let name = format!(".image-action-test-{:x}", rand::random::<u64>());
    machine.upload(b"x", &format!("~/{name}"), 0o600, &never).await.unwrap();
    std::fs::remove_file(format!("{}/{name}", home.trim())).unwrap();
}

#[tokio::test]
async fn a_login_shell_that_talks_does_no_harm() {
    if sshd::missing() {
        return;
    }
    // What start-up files print comes before everything; a forced command stands for them.
    let server = Sshd::start("ForceCommand echo Welcome; /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"");
    let machine = join(&server, &settings(&server)).await;
    assert_eq!(run(&machine, "echo real").await.1, "Welcome\nreal\n");
    let at = server.dir.path().join("file");
    machine.upload(b"content", at.to_str().unwrap(), 0o644, &CancellationToken::new()).await.unwrap();
    assert_eq!(std::fs::read(&at).unwrap(), b"content");
}
