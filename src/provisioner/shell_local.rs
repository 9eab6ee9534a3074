//! `shell-local`: scripts that run on our side, beside the machine.

use super::local::{self, Mark, Program};
use super::output::Lines;
use super::{Checks, codes, data, environment, render, unreadable, valid_codes};
use async_trait::async_trait;
use image_action_engine::{
    Block, BuildContext, CancellationToken, Communicator, Config, Error, Facts, PrepareContext, Provisioner, Result,
};
use image_action_lang::Diagnostics;
use image_action_lang::gotemplate::{Data, Node};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The systems that `only_on` may name.
const SYSTEMS: [&str; 6] = ["darwin", "freebsd", "linux", "openbsd", "solaris", "windows"];

/// Runs scripts on the machine that runs the build.
#[derive(Clone, Debug, Config)]
pub struct ShellLocalConfig {
    /// One command.
    #[config(deprecated = "inline")]
    command: String,
    /// The lines of one script. Either this, `script` or `scripts`.
    inline: Vec<String>,
    /// The path of a script, which must be executable, relative to the working directory.
    script: String,
    /// The paths of scripts, which run in this order.
    scripts: Vec<String>,
    /// Variables of the scripts, `NAME=value` each. They reach a script where `execute_command` says `{{ .Vars }}`.
    environment_vars: Vec<String>,
    /// Variables of the scripts by name. They go before those of `environment_vars`.
    env: BTreeMap<String, String>,
    /// How one variable is written; the first `%s` is its name, the second its value.
    #[config(default = "%s='%s' ")]
    env_var_format: String,
    /// Exit codes that count as success. Left out: 0.
    valid_exit_codes: Vec<i64>,
    /// The program and its arguments that run a script: `{{ .Script }}` is its path, `{{ .Vars }}` its variables. Left
    /// out: `["/bin/sh", "-c", "{{.Vars}} {{.Script}}"]`.
    #[config(late)]
    execute_command: Vec<String>,
    /// What the first line of an `inline` script names. The default ends the script at the first line that fails.
    #[config(default = "/bin/sh -e")]
    inline_shebang: String,
    /// The systems on which the scripts run at all: `darwin`, `freebsd`, `linux`, `openbsd`, `solaris`, `windows`. Left
    /// out: on any.
    only_on: Vec<String>,
    /// The ending of the name of the file that an `inline` script is written to. Left out: none.
    tempfile_extension: String,
    /// For Windows: runs scripts under its Linux.
    #[config(unsupported)]
    // Declared for the check of the body alone.
    #[allow(dead_code)]
    use_linux_pathing: bool,
}

/// Checks the options of a provisioner or post-processor.
///
/// # Errors
/// No script or more than one kind of them, a script that does not exist, a variable without a name.
pub(crate) fn prepare(cx: &PrepareContext, body: &Block) -> std::result::Result<ShellLocalConfig, Diagnostics> {
    let mut config = ShellLocalConfig::decode(body);
    let mut checks = Checks::new(cx, body);
    let kinds =
        [!config.command.is_empty(), !config.inline.is_empty(), !config.script.is_empty(), !config.scripts.is_empty()];
    match kinds.iter().filter(|k| **k).count() {
        0 => {
            let what = "Command, Inline, Script and Scripts options cannot all be empty";
            checks.push("inline", what, "", "set `inline`, `script` or `scripts`");
        }
        1 => {}
        _ => {
            let what = "Only one of Command, Inline, Script and Scripts may be specified";
            checks.push("inline", what, "", "make one provisioner block of each");
        }
    }
    if !config.command.is_empty() {
        config.inline.push(config.command.clone());
    }
    if !config.script.is_empty() {
        checks.exists("script", &config.script);
        config.scripts.push(config.script.clone());
    } else {
        for script in &config.scripts {
            checks.exists("scripts", script);
        }
    }
    environment::check(&mut checks, &config.environment_vars);
    environment::check_format(&mut checks, &config.env_var_format);
    for system in config.only_on.iter().filter(|s| !SYSTEMS.contains(&s.as_str())) {
        let what = format!("only_on names the unknown system \"{system}\"");
        checks.push("only_on", what, "", format!("systems are {}", SYSTEMS.join(", ")));
    }
    checks.done(config)
}

/// Makes it.
///
/// # Errors
/// What is wrong with its options.
pub fn make(cx: &PrepareContext, body: &Block) -> std::result::Result<Box<dyn Provisioner>, Diagnostics> {
    Ok(Box::new(ShellLocal(prepare(cx, body)?)))
}

struct ShellLocal(ShellLocalConfig);

#[async_trait]
impl Provisioner for ShellLocal {
    async fn provision(
        &self,
        cx: &BuildContext,
        _communicator: &dyn Communicator,
        facts: &Facts,
        cancel: &CancellationToken,
    ) -> Result<()> {
        run(&self.0, &[], cx, facts, cancel).await
    }
}

/// Runs the scripts. `wrap` goes before a command of a single element (the post-processor's `sh -c`).
///
/// # Errors
/// A script that cannot be started or ends with another exit code than those allowed.
pub(crate) async fn run(
    config: &ShellLocalConfig,
    wrap: &[&str],
    cx: &BuildContext,
    facts: &Facts,
    cancel: &CancellationToken,
) -> Result<()> {
    if cx.env().bounds().strange() {
        cx.say("shell-local is left out: the template is that of a fork or of an untrusted event");
        return Ok(());
    }
    if !config.only_on.is_empty() && !config.only_on.iter().any(|s| s == system()) {
        cx.say(format!("shell-local does not run on {}: only_on says so", system()));
        return Ok(());
    }
    let data = data(facts);
    // Kept until the end: the script is in it.
    let mut file = None;
    let scripts: Vec<(String, PathBuf)> = if config.inline.is_empty() {
        config.scripts.iter().map(|s| (s.clone(), cx.run.cwd.join(s))).collect()
    } else {
        let made = inline(config, cx, &data)?;
        let path = made.to_path_buf();
        file = Some(made);
        vec![("the inline script".to_owned(), path)]
    };
    for (shown, path) in &scripts {
        cx.say(format!("Running {shown} on this side"));
        one(config, wrap, cx, &data, shown, path, cancel).await?;
    }
    drop(file);
    Ok(())
}

/// The name of this system, as `only_on` has it.
fn system() -> &'static str {
    if std::env::consts::OS == "macos" { "darwin" } else { std::env::consts::OS }
}

fn inline(config: &ShellLocalConfig, cx: &BuildContext, data: &Data) -> Result<tempfile::TempPath> {
    let mut text = String::new();
    if !config.inline_shebang.is_empty() {
        text.push_str(&format!("#!{}\n", config.inline_shebang));
    }
    for line in &config.inline {
        text.push_str(&render(cx, "inline", line, data)?);
        text.push('\n');
    }
    let suffix = match config.tempfile_extension.trim_start_matches('.') {
        "" => String::new(),
        extension => format!(".{extension}"),
    };
    let failed = |e: std::io::Error| Error::failed(format!("the inline script cannot be written to a file: {e}"));
    let mut file = tempfile::Builder::new().prefix("packer-shell").suffix(&suffix).tempfile().map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
    // Closed for writing: a file that is open for writing cannot be run.
    Ok(file.into_temp_path())
}

async fn one(
    config: &ShellLocalConfig,
    wrap: &[&str],
    cx: &BuildContext,
    data: &Data,
    shown: &str,
    path: &Path,
    cancel: &CancellationToken,
) -> Result<()> {
    std::fs::metadata(path).map_err(|e| unreadable(shown, &e, &cx.run.cwd))?;
    let mut rendered = Vec::new();
    for variable in &config.environment_vars {
        rendered.push(render(cx, "environment_vars", variable, data)?);
    }
    let variables = environment::variables(cx, &rendered, &config.env);
    let mut data = data.clone();
    data.insert("Vars".to_owned(), Node::from(environment::format(&config.env_var_format, &variables)));
    for name in ["Script", "Command"] {
        data.insert(name.to_owned(), Node::String(path.display().to_string()));
    }
    let default = ["/bin/sh", "-c", "{{.Vars}} {{.Script}}"].map(str::to_owned);
    let command: Vec<String> = match config.execute_command.as_slice() {
        [] => default.to_vec(),
        [one] => wrap.iter().map(|s| (*s).to_owned()).chain([one.clone()]).collect(),
        more => more.to_vec(),
    };
    let mut words = Vec::new();
    for word in &command {
        words.push(render(cx, "execute_command", word, &data)?);
    }
    let Some((name, arguments)) = words.split_first() else { return Ok(()) };
    let program = local::find(name, cx.env(), &cx.run.cwd).ok_or_else(|| {
        Error::failed(format!("execute_command names {name}, which is not there"))
            .hint("give its path, or install it where PATH leads")
    })?;
    let env = cx.env().iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let mut lines = Lines::new(cx);
    let mark = Mark::new();
    let program = Program { program: &program, arguments, env, cwd: &cx.run.cwd, mark: &mark };
    let ended = local::run(&program, &mut lines, cancel).await;
    let tail = lines.finish();
    let code = ended?;
    let valid = valid_codes(&config.valid_exit_codes);
    if valid.contains(&code) {
        return Ok(());
    }
    let how = if code < 0 {
        "was ended by a signal".to_owned()
    } else {
        format!("ended with a non-zero exit status: {code}")
    };
    let error = Error::failed(format!("{shown} {how} (allowed: {})", codes(&valid))).detail(tail);
    Err(if code == 126 { error.hint("is the script executable? (chmod +x)") } else { error })
}
