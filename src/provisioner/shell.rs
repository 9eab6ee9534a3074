//! `shell`: scripts that run on the machine.

use super::output::Lines;
use super::{Checks, codes, data, environment, render, unreadable, valid_codes};
use async_trait::async_trait;
use image_action_engine::component::Capture;
use image_action_engine::{
    Block, BuildContext, CancellationToken, Communicator, Config, Error, ErrorKind, ExitStatus, Facts, PrepareContext,
    Provisioner, Result, duration, wait,
};
use image_action_lang::Diagnostics;
use image_action_lang::gotemplate::{Data, Node};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The pause between two attempts to reach a machine that does not answer (it may be rebooting).
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Random numbers in names of remote files are below this, as in Packer.
const NUMBERS: u32 = 9999;

/// Runs scripts on the machine.
#[derive(Clone, Debug, Config)]
pub struct ShellConfig {
    /// The lines of one script. Either this, `script` or `scripts`.
    inline: Vec<String>,
    /// The path of a local script, relative to the working directory.
    script: String,
    /// The paths of local scripts, which run in this order.
    scripts: Vec<String>,
    /// Variables of the scripts, `NAME=value` each. They reach a script where `execute_command` says `{{ .Vars }}`.
    environment_vars: Vec<String>,
    /// Variables of the scripts by name. They go before those of `environment_vars`.
    env: BTreeMap<String, String>,
    /// How one variable is written; the first `%s` is its name, the second its value. Left out: `%s='%s' `, or a line
    /// with `export` where `use_env_var_file` is set.
    env_var_format: String,
    /// Uploads the variables as a file, which `execute_command` reads (`. {{ .EnvVarFile }}`), in place of `{{ .Vars
    /// }}`.
    use_env_var_file: bool,
    /// The command that runs a script: `{{ .Path }}` is the script on the machine, `{{ .Vars }}` its variables. Left
    /// out: `chmod +x {{.Path}}; {{.Vars}} {{.Path}}`. With sudo: `{{ .Vars }} sudo -E {{ .Path }}`.
    #[config(late)]
    execute_command: String,
    /// What the first line of an `inline` script names. Left out: `/bin/sh -e`, which ends the script at the first line
    /// that fails.
    inline_shebang: Option<String>,
    /// Uploads scripts as they are. Left out, their lines get the ends of Unix.
    binary: bool,
    /// The folder on the machine that scripts are uploaded to.
    #[config(default = "/tmp")]
    remote_folder: String,
    /// The name of the script on the machine. Left out: one is made up.
    remote_file: String,
    /// The whole path of the script on the machine, in place of `remote_folder` and `remote_file`.
    remote_path: String,
    /// Leaves the script on the machine, and so in the image.
    skip_clean: bool,
    /// How long a machine that cannot be reached is tried again: while a script is brought to it, and after a reboot.
    #[config(default = "5m")]
    start_retry_timeout: Duration,
    /// Exit codes that count as success. Left out: 0.
    valid_exit_codes: Vec<i64>,
    /// Takes the end of the connection while a script runs (a reboot) for its success.
    expect_disconnect: bool,
    /// A pause after the scripts. Left out: none.
    pause_after: Duration,
}

/// Makes it.
///
/// # Errors
/// No script or more than one kind of them, a script that does not exist, a variable without a name.
pub fn make(cx: &PrepareContext, body: &Block) -> std::result::Result<Box<dyn Provisioner>, Diagnostics> {
    let config = ShellConfig::decode(body);
    let mut checks = Checks::new(cx, body);
    let (inline, one, many) = (!config.inline.is_empty(), !config.script.is_empty(), !config.scripts.is_empty());
    if one && many {
        checks.push("script", "Only one of script or scripts can be specified", "", "name all of them in `scripts`");
    }
    if (one || many) && inline {
        let what = "Only a script file or an inline script can be specified, not both";
        checks.push("inline", what, "", "make two provisioner blocks of it");
    }
    if !inline && !one && !many {
        let what = "Either a script file or an inline script must be specified";
        checks.push("inline", what, "", "set `inline`, `script` or `scripts`");
    }
    for script in &config.scripts {
        checks.exists("scripts", script);
    }
    if one {
        checks.exists("script", &config.script);
    }
    environment::check(&mut checks, &config.environment_vars);
    environment::check_format(&mut checks, &config.env_var_format);
    checks.done(Box::new(Shell(config)) as Box<dyn Provisioner>)
}

struct Shell(ShellConfig);

/// One script on its way.
struct Script {
    /// As people know it.
    shown: String,
    content: Vec<u8>,
}

fn number() -> u32 {
    rand::random::<u32>() % NUMBERS
}

impl Shell {
    fn scripts(&self, cx: &BuildContext, data: &Data) -> Result<Vec<Script>> {
        let config = &self.0;
        if !config.inline.is_empty() {
            return Ok(vec![self.inline(cx, data)?]);
        }
        let names = if config.script.is_empty() { config.scripts.clone() } else { vec![config.script.clone()] };
        let mut scripts = Vec::new();
        for shown in names {
            let path = cx.run.cwd.join(&shown);
            cx.env().bounds().read(&path)?;
            let content = std::fs::read(&path).map_err(|e| unreadable(&shown, &e, &cx.run.cwd))?;
            let content = if config.binary { content } else { unix_lines(&content) };
            scripts.push(Script { shown, content });
        }
        Ok(scripts)
    }

    fn inline(&self, cx: &BuildContext, data: &Data) -> Result<Script> {
        let mut text = String::new();
        for line in &self.0.inline {
            text.push_str(&render(cx, "inline", line, data)?);
            text.push('\n');
        }
        let shebang = match &self.0.inline_shebang {
            Some(shebang) if !shebang.is_empty() => Some(shebang.as_str()),
            _ if text.starts_with("#!") => None,
            _ => Some("/bin/sh -e"),
        };
        if let Some(shebang) = shebang {
            text.insert_str(0, &format!("#!{shebang}\n"));
        }
        let content = if self.0.binary { text.into_bytes() } else { unix_lines(text.as_bytes()) };
        Ok(Script { shown: "the inline script".to_owned(), content })
    }

    fn remote_path(&self) -> String {
        let config = &self.0;
        if !config.remote_path.is_empty() {
            return config.remote_path.clone();
        }
        let file =
            if config.remote_file.is_empty() { format!("script_{}.sh", number()) } else { config.remote_file.clone() };
        format!("{}/{file}", config.remote_folder)
    }

    fn command(&self) -> &str {
        match (self.0.execute_command.as_str(), self.0.use_env_var_file) {
            ("", false) => "chmod +x {{.Path}}; {{.Vars}} {{.Path}}",
            ("", true) => "chmod +x {{.Path}}; . {{.EnvVarFile}} && {{.Path}}",
            (given, _) => given,
        }
    }

    fn variables(&self, cx: &BuildContext) -> String {
        let format = match (self.0.env_var_format.as_str(), self.0.use_env_var_file) {
            ("", false) => "%s='%s' ",
            ("", true) => "export %s='%s'\n",
            (given, _) => given,
        };
        environment::format(format, &environment::variables(cx, &self.0.environment_vars, &self.0.env))
    }

    /// Judges how a script ended.
    fn judge(&self, status: ExitStatus, shown: &str, tail: String) -> Result<()> {
        let valid = valid_codes(&self.0.valid_exit_codes);
        match status {
            ExitStatus::Disconnected if self.0.expect_disconnect => Ok(()),
            ExitStatus::Disconnected => {
                Err(Error::new(ErrorKind::Unreachable, format!("the connection ended while {shown} ran"))
                    .detail(tail)
                    .hint("if the script reboots the machine, set expect_disconnect = true (the exit code 2300218 in valid_exit_codes does not help)"))
            }
            ExitStatus::Code(code) if valid.contains(&i64::from(code)) => Ok(()),
            ExitStatus::Code(code) => {
                Err(Error::failed(format!("{shown} ended with a non-zero exit status: {code} (allowed: {})", codes(&valid)))
                    .detail(tail)
                    .hint("its last lines say why; a status that is no failure goes into `valid_exit_codes`"))
            }
        }
    }
}

/// The lines of a script with the ends of Unix, the last one too.
fn unix_lines(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 1);
    for line in content.split_inclusive(|b| *b == b'\n') {
        let body = line.strip_suffix(b"\n").unwrap_or(line);
        out.extend_from_slice(body.strip_suffix(b"\r").unwrap_or(body));
        out.push(b'\n');
    }
    out
}

/// One run of the provisioner.
struct Run<'a> {
    shell: &'a Shell,
    cx: &'a BuildContext,
    machine: &'a dyn Communicator,
    cancel: &'a CancellationToken,
}

impl Run<'_> {
    async fn upload(&self, content: &[u8], remote: &str, mode: u32) -> Result<()> {
        let begin = Instant::now();
        loop {
            match self.machine.upload(content, remote, mode, self.cancel).await {
                Err(e) if self.again(&e, begin) => wait::pause(RETRY_PAUSE, self.cancel).await?,
                other => return other,
            }
        }
    }

    /// Whether an error only means that the machine cannot be reached now.
    fn again(&self, e: &Error, begin: Instant) -> bool {
        e.kind == ErrorKind::Unreachable && begin.elapsed() < self.shell.0.start_retry_timeout
    }

    async fn script(&self, script: &Script, remote: &str, data: &Data) -> Result<()> {
        self.cx.say(format!("Running {} on the machine", script.shown));
        let command = render(self.cx, "execute_command", self.shell.command(), data)?;
        self.upload(&script.content, remote, 0o755).await?;
        let begin = Instant::now();
        let (status, tail) = loop {
            let mut lines = Lines::new(self.cx);
            match self.machine.exec(&command, &mut lines, self.cancel).await {
                Err(e) if self.again(&e, begin) => wait::pause(RETRY_PAUSE, self.cancel).await?,
                Err(e) => {
                    lines.finish();
                    return Err(e);
                }
                Ok(status) => break (status, lines.finish()),
            }
        };
        self.shell.judge(status, &script.shown, tail)
    }

    /// Removes a remote file. After a reboot this is where the machine is waited for.
    async fn remove(&self, remote: &str) -> Result<()> {
        let command = format!("rm -f {remote}");
        let begin = Instant::now();
        loop {
            let mut capture = Capture::default();
            let why = match self.machine.exec(&command, &mut capture, self.cancel).await {
                Ok(ExitStatus::Code(0)) => return Ok(()),
                Ok(ExitStatus::Code(code)) => {
                    format!("exit code {code}: {}", String::from_utf8_lossy(&capture.stderr).trim())
                }
                Ok(ExitStatus::Disconnected) => "the connection ended".to_owned(),
                Err(e) if e.is_cancelled() => return Err(e),
                Err(e) => e.summary,
            };
            if begin.elapsed() >= self.shell.0.start_retry_timeout {
                let limit = duration::show(self.shell.0.start_retry_timeout);
                return Err(Error::failed(format!("the remote script {remote} could not be removed within {limit}"))
                    .detail(why)
                    .hint("raise start_retry_timeout if the machine is rebooting, or set skip_clean = true"));
            }
            wait::pause(RETRY_PAUSE, self.cancel).await?;
        }
    }
}

#[async_trait]
impl Provisioner for Shell {
    async fn provision(
        &self,
        cx: &BuildContext,
        communicator: &dyn Communicator,
        facts: &Facts,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let run = Run { shell: self, cx, machine: communicator, cancel };
        let mut data = data(facts);
        let scripts = self.scripts(cx, &data)?;
        let remote = self.remote_path();
        let variables = self.variables(cx);
        let env_file = format!("{}/varfile_{}.sh", self.0.remote_folder, number());
        data.insert("Path".to_owned(), Node::from(remote.as_str()));
        if self.0.use_env_var_file {
            run.upload(variables.as_bytes(), &env_file, 0o600).await?;
            data.insert("EnvVarFile".to_owned(), Node::from(env_file.as_str()));
        }
        data.insert("Vars".to_owned(), Node::from(variables));
        data.entry("EnvVarFile".to_owned()).or_insert_with(|| Node::from(""));
        for script in &scripts {
            run.script(script, &remote, &data).await?;
            if !self.0.skip_clean {
                run.remove(&remote).await?;
            }
        }
        if self.0.use_env_var_file && !self.0.skip_clean {
            run.remove(&env_file).await?;
        }
        if !self.0.pause_after.is_zero() {
            cx.say(format!("Pausing {} after this provisioner", duration::show(self.0.pause_after)));
            wait::pause(self.0.pause_after, cancel).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::unix_lines;

    #[test]
    fn lines_get_the_ends_of_unix() {
        assert_eq!(unix_lines(b"a\r\nb\rc\n\r\nd"), b"a\nb\rc\n\nd\n");
        assert_eq!(unix_lines(b""), b"");
        let long = vec![b'x'; 200_000];
        assert_eq!(unix_lines(&long).len(), 200_001);
    }
}
