//! The command line, as Packer takes it: one dash or two, `-flag=value` or `-flag value`, flags before or after the template.

use crate::cli::local::LocalOptions;
use clap::{ArgAction, ArgGroup, Args, Parser, Subcommand, ValueEnum, ValueHint};
use image_action_engine::run::OnError;
use image_action_localcloud::guest::{GuestNetwork, Rung};
use std::path::PathBuf;
use std::time::Duration;

/// Builds machine images from Packer's HCL2 templates.
#[derive(Debug, Parser)]
#[command(name = "image-action", disable_version_flag = true, args_override_self = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build images from a template
    Build(BuildArgs),
    /// Show what a build would do, without doing it
    Plan(PlanArgs),
    /// Check that a template is valid
    Validate(ValidateArgs),
    /// Show the variables, locals and builds of a template
    Inspect(InspectArgs),
    /// Print the builds of a template as a matrix of jobs
    Matrix(MatrixArgs),
    /// Join what jobs of one build each have left (in a workflow: comment, release)
    Merge(MergeArgs),
    /// Evaluate expressions: typed ones, or those on standard input
    Console(ConsoleArgs),
    /// Bring templates into their canonical layout
    Fmt(FmtArgs),
    /// Find what is valid in a template and most likely not meant
    Lint(LintArgs),
    /// Explain a component, an option, a block or a function
    Explain(ExplainArgs),
    /// Print a JSON schema of templates, for editors
    Schema,
    /// Check that the plugins a template asks for are built in
    Init(InitArgs),
    /// Remove what earlier runs have left in the clouds
    Cleanup(CleanupArgs),
    /// Play the clouds on this machine, until stopped
    Localcloud(LocalcloudArgs),
    /// Run as a step of a GitHub workflow
    Action(ActionArgs),
    /// Check that files are what a workflow of a repository has built and attested
    Verify(VerifyArgs),
    /// Print a script that completes commands, flags and values in a shell
    Completion(CompletionArgs),
    /// Print the manual, or the page of one command
    Man(ManArgs),
    /// Print the version
    Version,
    /// What the scripts of shells ask.
    #[command(hide = true, name = "__complete")]
    Complete(CompleteArgs),
    /// Old JSON templates (not supported)
    #[command(hide = true)]
    Fix(Rest),
    /// Old JSON templates (not supported)
    #[command(hide = true, name = "hcl2_upgrade")]
    Hcl2Upgrade(Rest),
    /// Plugins are built in
    #[command(hide = true)]
    Plugins(Rest),
}

impl Command {
    /// Whether diagnostics are told as JSON, and if so, whether nothing else is.
    pub fn json(&self) -> Option<bool> {
        let (json, alone) = match self {
            Command::Validate(args) => (args.json, true),
            Command::Lint(args) => (args.json, true),
            Command::Build(args) => (args.json, false),
            Command::Inspect(args) => (args.json, false),
            Command::Fmt(args) => (args.json, false),
            _ => return None,
        };
        json.json.then_some(alone)
    }
}

/// Whatever follows.
#[derive(Debug, Args)]
pub struct Rest {
    /// Not looked at.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<String>,
}

/// What every command that reads a template takes.
#[derive(Debug, Args)]
pub struct TemplateArgs {
    /// A directory with *.pkr.hcl files, or one such file
    #[arg(value_hint = ValueHint::AnyPath)]
    pub template: String,
    #[command(flatten)]
    /// Variables and selection.
    pub common: CommonArgs,
}

/// Variables and selection.
#[derive(Debug, Default, Args)]
pub struct CommonArgs {
    /// Give a variable a value
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable, action = ArgAction::Append, allow_hyphen_values = true)]
    pub var: Vec<(String, String)>,
    /// Read values of variables from a file
    #[arg(long, value_name = "PATH", action = ArgAction::Append, value_hint = ValueHint::FilePath)]
    pub var_file: Vec<String>,
    /// Only these builds; * stands for anything
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', action = ArgAction::Append)]
    pub only: Vec<String>,
    /// All builds but these
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', action = ArgAction::Append)]
    pub except: Vec<String>,
    /// Evaluate data sources before all locals, as older releases of Packer
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub use_sequential_evaluation: bool,
    /// Accepted for Packer's sake: plugins are built in
    #[arg(long, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub ignore_prerelease_plugins: bool,
    /// Accepted for Packer's sake: templates are HCL2
    #[arg(long, hide = true, value_name = "TYPE")]
    pub config_type: Option<String>,
}

/// `build`
#[derive(Debug, Args)]
pub struct BuildArgs {
    #[command(flatten)]
    /// The template.
    pub template: TemplateArgs,
    /// Colour the lines of each build [default: on a terminal, unless NO_COLOR is set]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    pub color: Option<bool>,
    /// Not supported: builds do not pause between steps
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub debug: bool,
    /// Replace images and files of the same name
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub force: bool,
    /// Begin every line with its time
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub timestamp_ui: bool,
    /// How many builds run side by side; 0 for all
    #[arg(long, value_name = "N", default_value_t = 0, allow_hyphen_values = true)]
    pub parallel_builds: i64,
    /// What happens when a step fails
    #[arg(long, value_enum, default_value_t = OnErrorArg::Cleanup)]
    pub on_error: OnErrorArg,
    /// Warn of names in variable files that no variable has
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub warn_on_undeclared_var: bool,
    /// Accepted for Packer's sake: nothing is enforced
    #[arg(long, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub skip_enforcement: bool,
    #[command(flatten)]
    /// What becomes of warnings.
    pub warnings: WarningArgs,
    #[command(flatten)]
    /// For whom diagnostics are written.
    pub json: JsonArgs,
    #[command(flatten)]
    /// Where it runs.
    pub local: LocalArgs,
    #[command(flatten)]
    /// Where it keeps its books.
    pub state: StateArgs,
}

/// `plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    /// The template.
    pub template: TemplateArgs,
    /// Plan a build that replaces images and files of the same name
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub force: bool,
    /// Read data sources, which may ask a cloud
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub evaluate_datasources: bool,
    /// Show what the clouds have to allow, as documents that can be handed to them
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub permissions: bool,
    /// Show what has changed since another git revision (main, v1.2.0, HEAD~3)
    #[arg(long, value_name = "REVISION", conflicts_with = "permissions", allow_hyphen_values = true)]
    pub against: Option<String>,
    /// How it is shown
    #[arg(long, value_enum, default_value_t = PlanForm::Text)]
    pub format: PlanForm,
    /// The same as -format=json: one JSON object (docs/plan.md)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub json: bool,
    /// Use colours [default: on a terminal, unless NO_COLOR is set]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    pub color: Option<bool>,
    /// Warn of names in variable files that no variable has
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub warn_on_undeclared_var: bool,
    #[command(flatten)]
    /// What becomes of warnings.
    pub warnings: WarningArgs,
    #[command(flatten)]
    /// Where data sources keep their books.
    pub state: StateArgs,
}

/// How a plan is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PlanForm {
    /// For a terminal
    #[default]
    Text,
    /// One JSON object (docs/plan.md)
    Json,
    /// For GitHub
    Markdown,
}

/// What becomes of warnings.
#[derive(Clone, Debug, Default, Args)]
pub struct WarningArgs {
    /// Make warnings errors, or switch them off: error, error=ID, off=ID (the ids of docs/lint.md)
    #[arg(short = 'W', value_name = "LEVEL[=ID,...]", action = ArgAction::Append)]
    pub warnings: Vec<String>,
}

/// For whom diagnostics are written.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct JsonArgs {
    /// Diagnostics as one JSON array (docs/diagnostics.md): of validate and lint on standard output and nothing else, of other commands on standard error
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub json: bool,
}

/// Where a build runs.
#[derive(Clone, Debug, Default, Args)]
pub struct LocalArgs {
    /// Build on clouds and machines that are played on this machine
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub local: bool,
    #[command(flatten)]
    /// Its machines.
    pub guests: GuestArgs,
}

/// Machines that are played here.
#[derive(Clone, Debug, Default, Args)]
pub struct GuestArgs {
    /// In which way local machines are played; `localcloud --check` explains each
    #[arg(long, value_enum, default_value_t = GuestArg::Auto)]
    pub guest: GuestArg,
    /// What a local machine may reach
    #[arg(long, value_enum, default_value_t = NetworkArg::User)]
    pub guest_network: NetworkArg,
    /// The root file system of local machines: a directory or a tar
    #[arg(long, value_name = "PATH")]
    pub guest_root: Option<PathBuf>,
}

/// In which way local machines are played, as it is written.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum GuestArg {
    /// The first that works here
    #[default]
    Auto,
    /// Namespaces made by root
    Root,
    /// A user namespace of an ordinary user
    User,
}

/// What a local machine may reach, as it is written.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum NetworkArg {
    /// Nothing
    None,
    /// What this machine may reach, and not this machine itself
    #[default]
    User,
    /// This machine's own network
    Host,
}

impl GuestArgs {
    /// As the local cloud takes them.
    pub fn options(&self, port: u16) -> LocalOptions {
        let guest_network = match self.guest_network {
            NetworkArg::None => GuestNetwork::None,
            NetworkArg::User => GuestNetwork::User,
            NetworkArg::Host => GuestNetwork::Host,
        };
        let guest = match self.guest {
            GuestArg::Auto => None,
            GuestArg::Root => Some(Rung::Root),
            GuestArg::User => Some(Rung::User),
        };
        LocalOptions { guest, guest_network, guest_root: self.guest_root.clone(), port, ..LocalOptions::default() }
    }
}

/// Where the ledgers are.
#[derive(Clone, Debug, Default, Args)]
pub struct StateArgs {
    /// Where runs note what they create [default: $XDG_STATE_HOME/image-action]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

/// `validate`
#[derive(Debug, Args)]
pub struct ValidateArgs {
    #[command(flatten)]
    /// The template.
    pub template: TemplateArgs,
    /// Only syntax, declarations, and values of variables
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub syntax_only: bool,
    /// Do not warn of names in variable files that no variable has
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub no_warn_undeclared_var: bool,
    /// Read data sources, which may ask a cloud
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub evaluate_datasources: bool,
    #[command(flatten)]
    /// What becomes of warnings.
    pub warnings: WarningArgs,
    #[command(flatten)]
    /// For whom diagnostics are written.
    pub json: JsonArgs,
    #[command(flatten)]
    /// Where data sources keep their books.
    pub state: StateArgs,
}

/// `lint`
#[derive(Debug, Args)]
pub struct LintArgs {
    /// A directory with *.pkr.hcl files, or one such file
    #[arg(required_unless_present = "list", value_hint = ValueHint::AnyPath)]
    pub template: Option<String>,
    #[command(flatten)]
    /// Variables and selection.
    pub common: CommonArgs,
    #[command(flatten)]
    /// What becomes of findings.
    pub warnings: WarningArgs,
    #[command(flatten)]
    /// For whom diagnostics are written.
    pub json: JsonArgs,
    /// Write the cures of findings that leave no choice into the files
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub fix: bool,
    /// Show the rules
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "text", value_name = "FORM")]
    pub list: Option<ListForm>,
}

/// How rules are listed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ListForm {
    /// One line a rule
    Text,
    /// As docs/lint.md has them
    Markdown,
}

/// `matrix`
#[derive(Debug, Args)]
pub struct MatrixArgs {
    #[command(flatten)]
    /// The template.
    pub template: TemplateArgs,
}

/// `merge`
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// The folder that holds one folder for each job
    pub parts: PathBuf,
}

/// `inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    /// The template.
    pub template: TemplateArgs,
    #[command(flatten)]
    /// For whom diagnostics are written.
    pub json: JsonArgs,
}

/// `console`
#[derive(Debug, Args)]
pub struct ConsoleArgs {
    /// A directory with *.pkr.hcl files, or one such file
    #[arg(value_hint = ValueHint::AnyPath)]
    pub template: Option<String>,
    #[command(flatten)]
    /// Variables.
    pub common: CommonArgs,
}

/// `fmt`
#[derive(Debug, Args)]
pub struct FmtArgs {
    /// Files (*.pkr.hcl, *.pkrvars.hcl), directories with such files, or - for standard input
    #[arg(required = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub paths: Vec<String>,
    /// Only look: exit code 3 where something would change
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub check: bool,
    /// Show what changes
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub diff: bool,
    /// Go into directories of directories too
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub recursive: bool,
    /// Write what has changed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", value_parser = go_bool)]
    pub write: bool,
    #[command(flatten)]
    /// For whom diagnostics are written.
    pub json: JsonArgs,
}

/// `explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// amazon-ebs, amazon-ebs.aws_polling, provisioner.file, variable, fn:cidrsubnet; without it, what there is
    pub name: Option<String>,
}

/// `init`
#[derive(Debug, Args)]
pub struct InitArgs {
    #[command(flatten)]
    /// The template.
    pub template: TemplateArgs,
    /// Accepted for Packer's sake: nothing is downloaded
    #[arg(long, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub upgrade: bool,
    /// Accepted for Packer's sake: nothing is downloaded
    #[arg(long, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub force: bool,
}

/// `cleanup`
#[derive(Debug, Default, Args)]
pub struct CleanupArgs {
    #[command(flatten)]
    /// Where the ledgers are.
    pub state: StateArgs,
    /// Only list what would be removed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool)]
    pub dry_run: bool,
    /// In place of this machine's own notes, look in the clouds for what any run has left, by its tags: what began longer ago
    /// than this (36h, 2d) and has expired, as everything temporary does after 24 hours. Images are never removed
    #[arg(long, value_name = "DURATION", value_parser = age)]
    pub older_than: Option<Duration>,
    /// Only in these regions of AWS [default: all that the account has]
    #[arg(long, value_name = "REGION,...", value_delimiter = ',', action = ArgAction::Append, requires = "older_than")]
    pub region: Vec<String>,
    /// Only in these subscriptions of Azure [default: AZURE_SUBSCRIPTION_ID or ARM_SUBSCRIPTION_ID]
    #[arg(long, value_name = "ID,...", value_delimiter = ',', action = ArgAction::Append, requires = "older_than")]
    pub subscription: Vec<String>,
    /// Only in these projects of Google Cloud [default: GOOGLE_CLOUD_PROJECT]
    #[arg(long, value_name = "ID,...", value_delimiter = ',', action = ArgAction::Append, requires = "older_than")]
    pub project: Vec<String>,
}

/// `localcloud`
#[derive(Clone, Debug, Default, Args)]
pub struct LocalcloudArgs {
    /// The port to listen on; 0 for any
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// Where to write the environment that leads clients to it
    #[arg(long, value_name = "PATH")]
    pub env_file: Option<PathBuf>,
    /// Only say whether machines can be played here
    #[arg(long)]
    pub check: bool,
    /// Only the clouds: their machines cannot be logged in to
    #[arg(long)]
    pub without_guests: bool,
    #[command(flatten)]
    /// Its machines.
    pub guests: GuestArgs,
}

/// `action`
#[derive(Clone, Debug, Default, Args)]
pub struct ActionArgs {
    /// Clean up after the job, in place of running it
    #[arg(long)]
    pub post: bool,
}

/// `verify`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("who").required(true).multiple(true).args(["repo", "certificate_identity"]))]
pub struct VerifyArgs {
    /// Files of a release: manifest.json, checksums.txt
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// The attestation [default: attestation.sigstore.json beside the file]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub bundle: Option<PathBuf>,
    /// The repository whose workflow must have built them
    #[arg(long, value_name = "OWNER/NAME")]
    pub repo: Option<String>,
    /// The workflow that must have built them: https://github.com/OWNER/NAME/.github/workflows/FILE@REF
    #[arg(long, value_name = "URL")]
    pub certificate_identity: Option<String>,
    /// Who must have vouched for it [default: https://token.actions.githubusercontent.com]
    #[arg(long, value_name = "URL")]
    pub certificate_oidc_issuer: Option<String>,
    /// The keys that are trusted (trusted_root.json) [default: those of Sigstore's public instance, or GitHub's for what is in no log]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub trusted_root: Option<PathBuf>,
}

/// `completion`
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: ShellArg,
}

/// A shell that completes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ShellArg {
    /// source <(image-action completion bash), in ~/.bashrc
    Bash,
    /// source <(image-action completion zsh), in ~/.zshrc behind compinit
    Zsh,
    /// image-action completion fish | source, in ~/.config/fish/config.fish
    Fish,
}

/// `__complete`
#[derive(Debug, Args)]
pub struct CompleteArgs {
    /// The words so far, the program first; the last one is completed.
    #[arg(last = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

/// `man`
#[derive(Debug, Args)]
pub struct ManArgs {
    /// A command: build, validate [default: the page of the program]
    pub about: Option<String>,
    /// Write the page of the program and those of all commands into this directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

/// What happens when a step fails, as it is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum OnErrorArg {
    /// Remove everything temporary
    Cleanup,
    /// Stop and leave everything as it is
    Abort,
    /// Ask
    Ask,
    /// Run the error-cleanup-provisioner, then stop
    RunCleanupProvisioner,
}

impl From<OnErrorArg> for OnError {
    fn from(value: OnErrorArg) -> OnError {
        match value {
            OnErrorArg::Cleanup => OnError::Cleanup,
            OnErrorArg::Abort => OnError::Abort,
            OnErrorArg::Ask => OnError::Ask,
            OnErrorArg::RunCleanupProvisioner => OnError::RunCleanupProvisioner,
        }
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// A duration of Go's, or of whole days.
fn age(text: &str) -> Result<Duration, String> {
    const DAY: u64 = 24 * 60 * 60;
    match text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok()).and_then(|days| days.checked_mul(DAY)) {
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => image_action_engine::duration::parse(text).map_err(|why| format!("{why}; or days, such as \"2d\"")),
    }
}

/// Bools as Go's `flag` package reads them.
fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("write true or false".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::dashes::normalise;
    use clap::CommandFactory;

    fn build(line: &[&str]) -> BuildArgs {
        let argv = normalise(std::iter::once("image-action").chain(line.iter().copied()).map(str::to_owned));
        match Cli::try_parse_from(argv.arguments).unwrap().command {
            Command::Build(args) => args,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn one_dash_or_two_before_or_after_the_template() {
        for line in [
            &["build", "-only=a,b", "-var", "x=-1", "-force", "-parallel-builds=2", "dir"][..],
            &["build", "dir", "--only", "a", "--only", "b", "--var=x=-1", "--force=1", "--parallel-builds", "2"],
        ] {
            let args = build(line);
            assert_eq!(args.template.common.only, ["a", "b"]);
            assert_eq!(args.template.common.var, [("x".to_owned(), "-1".to_owned())]);
            assert!(args.force && args.color.is_none());
            assert_eq!((args.parallel_builds, args.template.template.as_str()), (2, "dir"));
        }
        let args =
            build(&["build", "-color=false", "-var", "a=b=c", "-var=a=", "-on-error=run-cleanup-provisioner", "."]);
        assert_eq!(args.color, Some(false));
        assert_eq!(args.template.common.var[0].1, "b=c");
        assert_eq!(args.template.common.var[1].1, "");
        assert!(matches!(args.on_error, OnErrorArg::RunCleanupProvisioner));
    }

    #[test]
    fn ages_are_hours_or_days() {
        assert_eq!(age("2d"), Ok(Duration::from_secs(172_800)));
        assert_eq!(age("36h"), Ok(Duration::from_secs(129_600)));
        assert!(age("2").is_err() && age("d").is_err() && age("-1d").is_err());
    }

    #[test]
    fn every_flag_is_declared_soundly() {
        Cli::command().debug_assert();
    }
}
