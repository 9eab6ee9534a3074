//! Traps of the provisioner `shell` and of both `shell-local`.

use crate::lint::fix::{Edit, insert_argument};
use crate::lint::{Found, Rule, Subject, flag, known, says, text, texts};
use crate::template::plan::Part;
use crate::template::syntax::Expr;
use image_action_lang::{SourceMap, Value};
use regex::Regex;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::LazyLock;

/// Both `shell-local`, which have the same options.
fn local<'a>(subject: &Subject<'a>) -> impl Iterator<Item = &'a Part<'a>> {
    subject.provisioners_of("shell-local").chain(subject.post_processors_of("shell-local"))
}

/// The text of `execute_command`, which is a text for `shell` and a list for `shell-local`.
fn execute_command(part: &Part) -> Option<String> {
    match text(&part.block, "execute_command") {
        Some(command) => Some(command.to_owned()),
        None => texts(&part.block, "execute_command").map(|words| words.join(" ")),
    }
}

/// The script's variables reach it through `{{ .Vars }}` (or the file of `{{ .EnvVarFile }}`) only.
pub static WITHOUT_VARS: Rule = Rule {
    id: "shell-execute-command-without-vars",
    on: "provisioner `shell`, provisioner and post-processor `shell-local`",
    summary: "The script sees none of its variables: execute_command does not use {{ .Vars }}",
    reason: "`environment_vars` and `env` reach the script through {{ .Vars }} only (or {{ .EnvVarFile }} with \
             `use_env_var_file`). Without it they are dropped, `PACKER_BUILD_NAME` and `PACKER_BUILDER_TYPE` too.",
    cure: "put {{ .Vars }} in front of what runs the script; behind sudo it is `sudo env {{ .Vars }} {{ .Path }}`",
    fixes: true,
    check: without_vars,
};

fn without_vars(subject: &Subject, found: &mut Found) {
    for part in subject.provisioners_of("shell").chain(local(subject)) {
        let body = &part.block;
        let Some(command) = execute_command(part) else { continue };
        let uses = command.contains(".Vars") || command.contains(".EnvVarFile");
        if (says(body, "environment_vars") || says(body, "env")) && !uses {
            let finding = found.at(body.span_of("execute_command"));
            if flag(body, "use_env_var_file") != Some(true) {
                finding.fix(with_vars(part, subject.sources));
            }
        }
    }
}

/// The last command of a line that does nothing but run the script, maybe by a shell, maybe as somebody else.
static RUNS_SCRIPT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(?x) (?: ^ | [;&|]\s* )
           (?<sudo> sudo (?: \s+ -[A-Za-z]+ )* \s+ )?
           (?<at>)
           (?: (?: /\S+/ )? (?: ba | da )? sh (?: \s+ -[a-z]+ )* \s+ )?
           '? \{\{ -? \s* \.Path \s* -? \}\} '? $"#,
    )
    .ok()
});

/// Puts `{{ .Vars }}` where it belongs, in a command that is written out as one text.
fn with_vars(part: &Part, sources: &SourceMap) -> Option<Edit> {
    let expr = &part.content.attribute("execute_command")?.expr;
    let Expr::Native(..) = expr else { return None };
    let span = expr.span();
    let written = sources.slice(&span)?;
    let inner = written.strip_prefix('"')?.strip_suffix('"')?;
    let captures = RUNS_SCRIPT.as_ref()?.captures(inner)?;
    let at = span.start + 1 + captures.name("at")?.start();
    let vars = if captures.name("sudo").is_some() { "env {{ .Vars }} " } else { "{{ .Vars }} " };
    Some(Edit::insert(&span, at, vars))
}

/// A command that does not run the script at all.
pub static WITHOUT_PATH: Rule = Rule {
    id: "shell-execute-command-without-path",
    on: "provisioner `shell`, provisioner and post-processor `shell-local`",
    summary: "The script never runs: execute_command does not use {{ .Path }}",
    reason: "The script is copied to the machine, and what runs there is `execute_command` and nothing else. Only \
             {{ .Path }} (for `shell-local` {{ .Script }}) says where the script is.",
    cure: "end the command with {{ .Path }}; for `shell-local` with {{ .Script }}",
    fixes: false,
    check: without_path,
};

fn without_path(subject: &Subject, found: &mut Found) {
    let remote = subject.provisioners_of("shell").map(|p| (p, &[".Path"][..]));
    let local = local(subject).map(|p| (p, &[".Script", ".Command"][..]));
    for (part, names) in remote.chain(local) {
        if execute_command(part).is_some_and(|c| !names.iter().any(|n| c.contains(n))) {
            found.at(part.block.span_of("execute_command"));
        }
    }
}

/// A line of a script that reboots the machine, alone or with `sudo`, options and a redirection.
static REBOOTS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?x) ^ \s* (?: sudo (?: \s+ -[A-Za-z]+ )* \s+ )?
          (?: (?: /\S+/ )? (?: systemctl \s+ (?: --?[a-z-]+ \s+ )* )? reboot \b [^;|]* | (?: /\S+/ )? shutdown \s+ (?: -\S* \s+ )* -r \b [^;|]* )
          $",
    )
    .ok()
});

fn reboots(part: &Part) -> bool {
    let lines = texts(&part.block, "inline").unwrap_or_default();
    lines.iter().flat_map(|l| l.lines()).any(|l| REBOOTS.as_ref().is_some_and(|r| r.is_match(l)))
}

/// A script that reboots the machine ends without an exit code.
pub static REBOOT: Rule = Rule {
    id: "shell-reboot-without-expect-disconnect",
    on: "provisioner `shell`",
    summary: "The script reboots the machine, and the lost connection fails the build",
    reason: "When the machine goes down before the script has ended, there is no exit code, and that is an error \
             unless `expect_disconnect` is set.",
    cure: "set `expect_disconnect = true`",
    fixes: true,
    check: reboot,
};

fn reboot(subject: &Subject, found: &mut Found) {
    for part in subject.provisioners_of("shell") {
        let body = &part.block;
        if reboots(part) && !body.is_set("expect_disconnect") {
            let edit = insert_argument(subject.sources, &part.header, "expect_disconnect = true");
            found.at(body.span_of("inline")).fix(edit);
        }
    }
}

/// The script may end before the machine goes down.
pub static REBOOT_PAUSE: Rule = Rule {
    id: "shell-reboot-without-pause",
    on: "provisioner `shell`",
    summary: "The next provisioner may still run on the machine that is going down",
    reason: "`reboot` returns before the machine goes down. A script that ends in time is a success, and the next \
             provisioner begins at once, on the machine that is about to be gone.",
    cure: "set `pause_after` here, or `pause_before` in the next provisioner, to the time that the machine needs to go \
           down (\"30s\")",
    fixes: false,
    check: reboot_pause,
};

fn reboot_pause(subject: &Subject, found: &mut Found) {
    for build in subject.builds {
        for (part, next) in build.provisioners.iter().zip(build.provisioners.iter().skip(1)) {
            let waits = says(&part.block, "pause_after")
                || next.component == "breakpoint"
                || next.component == "sleep"
                || next.step.is_some_and(|s| !s.pause_before.is_zero());
            if part.component == "shell"
                && reboots(part)
                && flag(&part.block, "expect_disconnect") == Some(true)
                && !waits
            {
                found.at(part.block.span_of("inline"));
            }
        }
    }
}

/// The numbers of `valid_exit_codes`, where it is given and known.
fn exit_codes(part: &Part) -> Vec<i64> {
    let list = known(&part.block, "valid_exit_codes").and_then(Value::elements).unwrap_or_default();
    list.iter().filter_map(|v| v.as_number()?.as_i64()).collect()
}

/// Success fails.
pub static NO_ZERO: Rule = Rule {
    id: "shell-exit-codes-without-zero",
    on: "provisioner `shell`, provisioner and post-processor `shell-local`",
    summary: "A script that succeeds fails the build: valid_exit_codes has no 0",
    reason: "`valid_exit_codes` replaces the list, it does not add to it.",
    cure: "add 0 to the list",
    fixes: false,
    check: no_zero,
};

fn no_zero(subject: &Subject, found: &mut Found) {
    for part in subject.provisioners_of("shell").chain(local(subject)) {
        let codes = exit_codes(part);
        if !codes.is_empty() && !codes.contains(&0) {
            found.at(part.block.span_of("valid_exit_codes"));
        }
    }
}

/// What Packer has for the exit code of a script whose connection was lost.
const DISCONNECTED: i64 = 2_300_218;

/// The code of a lost connection does not help in the list.
pub static DISCONNECT_CODE: Rule = Rule {
    id: "shell-disconnect-code-without-effect",
    on: "provisioner `shell`",
    summary: "2300218 in valid_exit_codes has no effect without expect_disconnect",
    reason: "A lost connection is looked at before the list of exit codes; whether it is an error, only \
             `expect_disconnect` says.",
    cure: "set `expect_disconnect = true`",
    fixes: true,
    check: disconnect_code,
};

fn disconnect_code(subject: &Subject, found: &mut Found) {
    for part in subject.provisioners_of("shell") {
        if exit_codes(part).contains(&DISCONNECTED) && !part.block.is_set("expect_disconnect") {
            let edit = insert_argument(subject.sources, &part.header, "expect_disconnect = true");
            found.at(part.block.span_of("valid_exit_codes")).fix(edit);
        }
    }
}

/// Remote paths are words of a command line.
pub static BLANK: Rule = Rule {
    id: "shell-remote-path-with-blank",
    on: "provisioner `shell`",
    summary: "The script will not be found: its path on the machine has a blank in it",
    reason: "{{ .Path }} is put into the command line as it is, without quotes.",
    cure: "choose a path without blanks",
    fixes: false,
    check: blank,
};

fn blank(subject: &Subject, found: &mut Found) {
    for part in subject.provisioners_of("shell") {
        let quoted = text(&part.block, "execute_command").is_some_and(|c| c.contains('\'') || c.contains('"'));
        let whole = text(&part.block, "remote_path").map(|_| &["remote_path"][..]);
        for option in whole.unwrap_or(&["remote_folder", "remote_file"]) {
            if !quoted && text(&part.block, option).is_some_and(|t| t.trim().contains(' ')) {
                found.at(part.block.span_of(option));
            }
        }
    }
}

/// A local script is started as it is.
pub static NOT_EXECUTABLE: Rule = Rule {
    id: "shell-local-script-not-executable",
    on: "provisioner and post-processor `shell-local`",
    summary: "The script is not executable",
    reason: "`shell-local` starts a script by its path and changes nothing about it; the shell answers `Permission \
             denied`.",
    cure: "run `chmod +x` on it (`git update-index --chmod=+x` for git to know), or set `execute_command` to run it by a \
           shell",
    fixes: false,
    check: not_executable,
};

fn not_executable(subject: &Subject, found: &mut Found) {
    for part in local(subject).filter(|p| !says(&p.block, "execute_command")) {
        let one = text(&part.block, "script").into_iter().map(|s| ("script", s));
        let many = texts(&part.block, "scripts").unwrap_or_default().into_iter().map(|s| ("scripts", s));
        for (option, script) in one.chain(many) {
            let meta = std::fs::metadata(subject.settings.cwd.join(script));
            if meta.is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 == 0) {
                found.at(part.block.span_of(option)).summary(format!("The script {script} is not executable"));
            }
        }
    }
}
