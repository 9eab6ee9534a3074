//! What a guest knows about a user: read inside of the guest from its own files, never through this machine's name service.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;

/// Most bytes of one file that are looked at (`/etc/passwd`, `authorized_keys`, …): the guest's files are not to be trusted.
const MAX_FILE: u64 = 1 << 20;

/// A user of a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Login {
    /// User name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Every group the user is in.
    pub groups: Vec<u32>,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
    /// Text of `~/.ssh/authorized_keys`.
    pub authorized_keys: String,
    /// `NAME=value` lines of `/etc/environment`.
    pub environment: Vec<String>,
}

/// Writes the user as JSON, `null` if there is none. Runs with the guest's root as root.
///
/// # Errors
/// When the answer cannot be written.
pub fn look_up(user: &str, out: &mut impl Write) -> io::Result<()> {
    let text = |path: &str| read_some(path).unwrap_or_default();
    let login = parse(user, &text("/etc/passwd"), &text("/etc/group")).map(|mut login| {
        login.authorized_keys = text(&format!("{}/.ssh/authorized_keys", login.home));
        login.environment = environment(&text("/etc/environment"));
        login
    });
    serde_json::to_writer(&mut *out, &login)?;
    out.flush()
}

/// The start of a regular file; a pipe or device that a guest put in its place would never end.
fn read_some(path: &str) -> io::Result<String> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn parse(user: &str, passwd: &str, group: &str) -> Option<Login> {
    let fields = passwd.lines().map(|l| l.split(':').collect::<Vec<_>>()).find(|f| f.len() == 7 && f[0] == user)?;
    let (uid, gid) = (fields[2].parse().ok()?, fields[3].parse().ok()?);
    let mut groups = vec![gid];
    for line in group.lines() {
        let [_, _, number, members] = line.split(':').collect::<Vec<_>>()[..] else { continue };
        if let Ok(number) = number.parse()
            && members.split(',').any(|m| m == user)
            && !groups.contains(&number)
        {
            groups.push(number);
        }
    }
    let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
    Some(Login {
        name: user.to_owned(),
        uid,
        gid,
        groups,
        home: or(fields[5], "/"),
        shell: or(fields[6], "/bin/sh"),
        ..Login::default()
    })
}

/// Lines of `/etc/environment` as pam_env reads them: optional `export`, optional quotes, no expansion.
fn environment(text: &str) -> Vec<String> {
    let each = text.lines().filter_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=')?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            return None;
        }
        let value = value.trim();
        let unquoted = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q)).unwrap_or(value);
        Some(format!("{name}={unquoted}"))
    });
    each.collect()
}

/// One usable line of an `authorized_keys` file.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyLine<'a> {
    /// The command that this key is for, if it is bound to one.
    pub command: Option<String>,
    /// Base64 of the key.
    pub key: &'a str,
}

/// The keys of an `authorized_keys` file, as sshd(8) reads it; what is not a key is passed over.
pub fn key_lines(text: &str) -> impl Iterator<Item = KeyLine<'_>> {
    text.lines().filter_map(|line| {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (options, rest) = if is_key_type(line.split_whitespace().next()?) {
            ("", line)
        } else {
            let at = end_of_options(line)?;
            (&line[..at], line[at..].trim_start())
        };
        let mut words = rest.split_whitespace();
        if !is_key_type(words.next()?) {
            return None;
        }
        Some(KeyLine { command: command_option(options), key: words.next()? })
    })
}

fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"].iter().any(|p| word.starts_with(p))
}

/// The first blank outside of double quotes.
fn end_of_options(line: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in line.char_indices() {
        match c {
            '"' if !escaped => quoted = !quoted,
            ' ' | '\t' if !quoted => return Some(at),
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

fn command_option(options: &str) -> Option<String> {
    let start = options.to_ascii_lowercase().find("command=\"")? + "command=\"".len();
    let mut out = String::new();
    let mut chars = options[start..].chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Some(out),
            '\\' if chars.clone().next() == Some('"') => {
                chars.next();
                out.push('"');
            }
            _ => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nubuntu:x:1000:1001:Ubuntu:/home/ubuntu:\nbroken:x\n";
    const GROUP: &str = "root:x:0:\nsudo:x:27:ubuntu\nadm:x:4:syslog,ubuntu\nubuntu:x:1001:ubuntu\n";

    #[test]
    fn a_user_has_its_groups_and_a_shell() {
        let login = parse("ubuntu", PASSWD, GROUP).unwrap();
        assert_eq!((login.uid, login.gid, login.groups), (1000, 1001, vec![1001, 27, 4]));
        assert_eq!((login.home.as_str(), login.shell.as_str()), ("/home/ubuntu", "/bin/sh"));
        assert_eq!(parse("broken", PASSWD, GROUP), None);
        assert_eq!(parse("", PASSWD, GROUP), None);
    }

    #[test]
    fn keys_are_found_behind_options() {
        let text = "# c\n\nssh-ed25519 AAAA me\n  no-pty,command=\"echo \\\"a b\\\"; exit 1\" ssh-rsa BBBB x\nfrom=\"a\nnonsense here\n";
        let found: Vec<_> = key_lines(text).collect();
        let bound = KeyLine { command: Some("echo \"a b\"; exit 1".into()), key: "BBBB" };
        assert_eq!(found, [KeyLine { command: None, key: "AAAA" }, bound]);
    }

    #[test]
    fn environment_lines_lose_their_quotes() {
        assert_eq!(environment("PATH=\"/a:/b\"\n#X=1\nexport Y='z'\nbad name=1\n"), ["PATH=/a:/b", "Y=z"]);
    }
}
