//! `ansible`: ansible-playbook on our side, against the machine.

use super::local::{self, Mark, Program};
use super::output::Lines;
use super::{Checks, data, render};
use async_trait::async_trait;
use image_action_engine::component::{Capture, Connection};
use image_action_engine::config::UNKNOWN_TEXT;
use image_action_engine::{
    Block, BuildContext, CancellationToken, Communicator, Config, Error, ErrorKind, Facts, PrepareContext, Provisioner,
    Result,
};
use image_action_lang::Diagnostics;
use image_action_lang::gotemplate::{Data, Node};
use std::io::Write;
use std::path::{Path, PathBuf};

/// How often ansible connects again after ssh's own status 255; its default is not at all.
const SSH_RETRIES: (&str, &str) = ("ANSIBLE_SSH_RETRIES", "3");

/// One line of the inventory. Packer writes the names of ansible 1 where it did not look at the version; those of today are
/// right everywhere.
const HOST_LINE: &str = "{{ .HostAlias }} ansible_host={{ .Host }} ansible_user={{ .User }} ansible_port={{ .Port }}\n";

/// The longest path of a directory for control sockets: a socket's own path may have 104 bytes, its name here about 30.
const SOCKET_DIR_LIMIT: usize = 70;

/// How long the end of tasks on the machine may take, once a run is cancelled or has timed out.
const TASKS_LIMIT: std::time::Duration = std::time::Duration::from_secs(6);

/// Runs ansible-playbook on the machine that runs the build, against the machine that is built. It connects by itself, with
/// the key of this build; a bastion is gone through.
#[derive(Clone, Debug, Config)]
pub struct AnsibleConfig {
    /// The program: a name that is looked for in `PATH`, or a path.
    #[config(default = "ansible-playbook")]
    command: String,
    /// The path of the playbook, relative to the working directory.
    #[config(required)]
    playbook_file: String,
    /// The user who logs in, where `use_proxy = false`. Left out: the user of the build's own connection.
    user: String,
    /// Groups of the inventory that the machine is put into.
    groups: Vec<String>,
    /// Groups of the inventory that hold nothing.
    empty_groups: Vec<String>,
    /// The name of the machine in the inventory.
    #[config(default = "default")]
    host_alias: String,
    /// More arguments for ansible-playbook, such as `["--extra-vars", "version=1.2"]`.
    extra_arguments: Vec<String>,
    /// Variables of ansible-playbook's environment, `NAME=value` each.
    ansible_env_vars: Vec<String>,
    /// Arguments for ssh. Left out: `["-o IdentitiesOnly=yes"]`.
    ansible_ssh_extra_args: Vec<String>,
    /// Whether Packer would put a proxy of its own in between. Here ansible connects to the machine directly in any
    /// case; `false` lets `user` hold.
    use_proxy: Option<bool>,
    /// The port of Packer's proxy. It has no effect: there is no proxy here.
    local_port: i64,
    /// The host key of Packer's proxy. There is no proxy here; where it is set, ansible checks the machine's host key.
    ssh_host_key_file: String,
    /// The key that Packer's proxy lets in. It has no effect: there is no proxy here.
    ssh_authorized_key_file: String,
    /// The type of the key of Packer's proxy: `ECDSA` or `RSA`. It has no effect: there is no proxy here.
    #[config(default = "ECDSA")]
    ansible_proxy_key_type: String,
    /// What Packer's proxy runs for sftp. It has no effect: there is no proxy here.
    // Declared for the check of the body alone.
    #[allow(dead_code)]
    sftp_command: String,
    /// Lets ansible copy files by sftp. Left out: by scp.
    use_sftp: bool,
    /// Does not ask ansible-playbook for its version first.
    skip_version_check: bool,
    /// The directory that the inventory file is written to; beside it ansible looks for `group_vars` and `host_vars`.
    /// Left out: a temporary one.
    inventory_directory: String,
    /// The path of an inventory to use, in place of one that is made.
    inventory_file: String,
    /// One line of the inventory that is made, with `{{ .HostAlias }}`, `{{ .Host }}`, `{{ .User }}`, `{{ .Port }}`.
    /// Left out: a line of these four.
    #[config(late)]
    inventory_file_template: String,
    /// Keeps the inventory that was made.
    keep_inventory_file: bool,
    /// The path of a list of roles and collections (`requirements.yml`), which ansible-galaxy installs first.
    galaxy_file: String,
    /// The program that installs them: a name that is looked for in `PATH`, or a path.
    #[config(default = "ansible-galaxy")]
    galaxy_command: String,
    /// Installs roles and collections over what is there.
    galaxy_force_install: bool,
    /// Installs roles and collections over what is there, with all that they need.
    galaxy_force_with_deps: bool,
    /// The directory that roles are installed to. Left out: as ansible says.
    roles_path: String,
    /// The directory that collections are installed to. Left out: as ansible says.
    collections_path: String,
    /// For WinRM: speaks it without TLS.
    #[config(unsupported)]
    // Declared for the check of the body alone.
    #[allow(dead_code)]
    ansible_winrm_use_http: bool,
}

/// Makes it.
///
/// # Errors
/// A file or directory that is not there, a port that is none, a variable without a name; a program that is not there, unless
/// the template is only validated.
pub fn make(cx: &PrepareContext, body: &Block) -> std::result::Result<Box<dyn Provisioner>, Diagnostics> {
    let config = AnsibleConfig::decode(body);
    let mut checks = Checks::new(cx, body);
    if config.playbook_file.is_empty() {
        checks.push("playbook_file", "playbook_file must be specified", "", "name the playbook");
    } else {
        checks.is_file("playbook_file", &config.playbook_file);
    }
    for (option, path) in [
        ("galaxy_file", &config.galaxy_file),
        ("ssh_host_key_file", &config.ssh_host_key_file),
        ("ssh_authorized_key_file", &config.ssh_authorized_key_file),
    ] {
        if !path.is_empty() {
            checks.is_file(option, path);
        }
    }
    if !config.inventory_directory.is_empty() {
        checks.is_dir("inventory_directory", &config.inventory_directory);
    }
    if !(0..=65535).contains(&config.local_port) {
        let what = format!("local_port: {} must be a valid port", config.local_port);
        checks.push("local_port", what, "", "leave it out: there is no proxy here");
    }
    if !["ecdsa", "rsa", UNKNOWN_TEXT].contains(&config.ansible_proxy_key_type.to_lowercase().as_str()) {
        let what = format!("ansible_proxy_key_type \"{}\" is not known", config.ansible_proxy_key_type);
        checks.push("ansible_proxy_key_type", what, "", "it is ECDSA or RSA; here it can be left out");
    }
    for variable in config.ansible_env_vars.iter().filter(|v| *v != UNKNOWN_TEXT && !v.contains('=')) {
        let what = format!("ansible_env_vars: {variable} is not in the format NAME=value");
        checks.push("ansible_env_vars", what, "", "write NAME=value");
    }
    let programs = [
        ("command", &config.command, true),
        ("galaxy_command", &config.galaxy_command, !config.galaxy_file.is_empty()),
    ];
    for (option, name, used) in programs {
        // Who only validates is told by a lint rule: it may be there when the build runs.
        if cx.validating || !used || name == UNKNOWN_TEXT || local::find(name, &cx.env, &cx.cwd).is_some() {
            continue;
        }
        let what = format!("{name} is not there: neither at this path nor where PATH leads");
        checks.push(option, what, "", INSTALL);
    }
    checks.done(Box::new(Ansible(config)) as Box<dyn Provisioner>)
}

/// How to get ansible.
const INSTALL: &str = "install it (`python3 -m pip install ansible-core`, or `apt-get install ansible-core`), or give its path in `command`";

struct Ansible(AnsibleConfig);

/// One run, with everything it leaves behind only as long as it lasts.
struct Run<'a> {
    config: &'a AnsibleConfig,
    cx: &'a BuildContext,
    cancel: &'a CancellationToken,
    data: Data,
    /// Private: holds keys, passwords and sockets.
    dir: tempfile::TempDir,
    env: Vec<(String, String)>,
    mark: Mark,
}

#[async_trait]
impl Provisioner for Ansible {
    async fn provision(
        &self,
        cx: &BuildContext,
        communicator: &dyn Communicator,
        facts: &Facts,
        cancel: &CancellationToken,
    ) -> Result<()> {
        if cx.env().bounds().strange() {
            cx.say("ansible is left out: the template is that of a fork or of an untrusted event");
            return Ok(());
        }
        let connection = communicator.connection();
        if connection.kind != "ssh" {
            let what = format!("ansible needs ssh, and the communicator is \"{}\"", connection.kind);
            return Err(Error::new(ErrorKind::Invalid, what).hint("set communicator = \"ssh\""));
        }
        let failed = |e: std::io::Error| Error::failed(format!("no temporary directory can be made: {e}"));
        let dir = tempfile::Builder::new().prefix("ia").tempdir().map_err(failed)?;
        let mut run = Run { config: &self.0, cx, cancel, data: data(facts), dir, env: Vec::new(), mark: Mark::new() };
        run.environment()?;
        run.version().await?;
        let result = run.play(&connection).await;
        // ansible keeps ssh connections open for the next run: there is none, and the key is about to go.
        run.mark.end();
        if cancel.is_cancelled() {
            end_tasks(communicator).await;
        }
        result
    }
}

impl Run<'_> {
    fn path(&self, path: &str) -> PathBuf {
        self.cx.run.cwd.join(path)
    }

    fn program(&self, name: &str) -> Result<PathBuf> {
        local::find(name, self.cx.env(), &self.cx.run.cwd)
            .ok_or_else(|| Error::new(ErrorKind::Invalid, format!("{name} is not there")).hint(INSTALL))
    }

    /// The environment of all programs: the run's, the template's, then what Packer adds.
    fn environment(&mut self) -> Result<()> {
        self.env = self.cx.env().iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let sockets = self.dir.path().join("cp");
        if sockets.as_os_str().len() <= SOCKET_DIR_LIMIT {
            // Connections that ansible keeps open are found here, and ended with the run.
            self.env.push(("ANSIBLE_SSH_CONTROL_PATH_DIR".to_owned(), sockets.display().to_string()));
        }
        // ansible takes a connection that is lost for a machine that is gone, unless it is told to look again.
        if self.cx.env().get(SSH_RETRIES.0).is_none() {
            self.env.push((SSH_RETRIES.0.to_owned(), SSH_RETRIES.1.to_owned()));
        }
        for variable in &self.config.ansible_env_vars {
            let variable = render(self.cx, "ansible_env_vars", variable, &self.data)?;
            if let Some((name, value)) = variable.split_once('=') {
                self.env.push((name.to_owned(), value.to_owned()));
            }
        }
        if self.config.ssh_host_key_file.is_empty() {
            self.env.push(("ANSIBLE_HOST_KEY_CHECKING".to_owned(), "False".to_owned()));
        }
        if !self.config.use_sftp {
            self.env.push(("ANSIBLE_SCP_IF_SSH".to_owned(), "True".to_owned()));
        }
        Ok(())
    }

    async fn version(&self) -> Result<()> {
        if self.config.skip_version_check {
            return Ok(());
        }
        let program = self.program(&self.config.command)?;
        let arguments = ["--version".to_owned()];
        let mut capture = Capture::default();
        let code = self.run(&program, &arguments, &mut capture).await?;
        let text = String::from_utf8_lossy(&capture.stdout).into_owned();
        match text.lines().next().filter(|line| code == 0 && line.chars().any(|c| c.is_ascii_digit())) {
            Some(line) => {
                self.cx.message(line);
                Ok(())
            }
            None => {
                let detail = format!("{text}{}", String::from_utf8_lossy(&capture.stderr));
                let what = format!("{} --version ended with exit code {code}", self.config.command);
                Err(Error::new(ErrorKind::Invalid, what).detail(detail.trim().to_owned()).hint(INSTALL))
            }
        }
    }

    async fn run(
        &self,
        program: &Path,
        arguments: &[String],
        output: &mut dyn image_action_engine::Output,
    ) -> Result<local::Code> {
        let program = Program { program, arguments, env: self.env.clone(), cwd: &self.cx.run.cwd, mark: &self.mark };
        local::run(&program, output, self.cancel).await
    }

    async fn play(&self, connection: &Connection) -> Result<()> {
        let (inventory, _made) = self.inventory(connection)?;
        let arguments = self.arguments(connection, &inventory)?;
        if !self.config.galaxy_file.is_empty() {
            self.galaxy().await?;
        }
        let program = self.program(&self.config.command)?;
        self.cx.say(format!("Running {} {}", self.config.command, shown(&arguments)));
        let mut lines = Lines::new(self.cx).merged();
        let ended = self.run(&program, &arguments, &mut lines).await;
        let tail = lines.finish();
        match ended? {
            0 => Ok(()),
            code => Err(self.failed(code, tail)),
        }
    }

    fn failed(&self, code: local::Code, tail: String) -> Error {
        // Codes of ansible-playbook: 2 a task failed, 4 a machine could not be reached, 1 and 5 what it was given is wrong.
        let (kind, why) = match code {
            2 => (ErrorKind::Failed, " (a task failed)"),
            4 => (ErrorKind::Unreachable, " (it could not reach the machine)"),
            _ => (ErrorKind::Failed, ""),
        };
        let how =
            if code < 0 { "was ended by a signal".to_owned() } else { format!("ended with exit code {code}{why}") };
        Error::new(kind, format!("{} {how}", self.config.command)).detail(tail)
    }

    /// The inventory, and what removes it.
    fn inventory(&self, connection: &Connection) -> Result<(PathBuf, Option<tempfile::TempPath>)> {
        if !self.config.inventory_file.is_empty() {
            return Ok((self.path(&self.config.inventory_file), None));
        }
        let mut data = self.data.clone();
        // Packer's proxy lets the template's user in and works as the connection's.
        let user = if self.config.user.is_empty() || self.config.use_proxy != Some(false) {
            &connection.user
        } else {
            &self.config.user
        };
        data.insert("HostAlias".to_owned(), Node::from(self.config.host_alias.as_str()));
        data.insert("Host".to_owned(), Node::from(connection.host.as_str()));
        data.insert("User".to_owned(), Node::from(user.as_str()));
        data.insert("Port".to_owned(), Node::Int(i64::from(connection.port)));
        let template = &self.config.inventory_file_template;
        let template = if template.is_empty() { HOST_LINE } else { template };
        let line = render(self.cx, "inventory_file_template", template, &data)?;
        let mut text = line.clone();
        for group in &self.config.groups {
            text.push_str(&format!("[{group}]\n{line}"));
        }
        for group in &self.config.empty_groups {
            text.push_str(&format!("[{group}]\n"));
        }
        let dir = &self.config.inventory_directory;
        let dir = if dir.is_empty() { std::env::temp_dir() } else { self.path(dir) };
        let failed =
            |e: std::io::Error| Error::failed(format!("the inventory cannot be written to {}: {e}", dir.display()));
        let mut file =
            tempfile::Builder::new().prefix("packer-provisioner-ansible").tempfile_in(&dir).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        let path = file.into_temp_path();
        if self.config.keep_inventory_file {
            let kept = path.keep().map_err(|e| failed(e.error))?;
            return Ok((kept, None));
        }
        Ok((path.to_path_buf(), Some(path)))
    }

    /// Writes a private file into the directory of this run.
    fn private(&self, name: &str, text: &str) -> Result<PathBuf> {
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.dir.path().join(name);
        let written = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let end = if text.ends_with('\n') { "" } else { "\n" };
        written
            .and_then(|mut f| f.write_all(format!("{text}{end}").as_bytes()))
            .map_err(|e| Error::failed(format!("a temporary file cannot be written: {e}")))?;
        Ok(path)
    }

    /// The file of a connection's private key: the one it came from, or one that lasts as long as this run.
    fn key(&self, connection: &Connection, name: &str) -> Result<Option<PathBuf>> {
        match &connection.private_key_file {
            Some(file) => Ok(Some(file.clone())),
            None if connection.private_key.is_empty() => Ok(None),
            None => self.private(name, connection.private_key.expose()).map(Some),
        }
    }

    fn arguments(&self, connection: &Connection, inventory: &Path) -> Result<Vec<String>> {
        let mut extra = Vec::new();
        for argument in &self.config.extra_arguments {
            extra.push(render(self.cx, "extra_arguments", argument, &self.data)?);
        }
        let has = |name: &str| extra.iter().any(|a| a.split('=').any(|part| part == name));
        let mut all = Vec::new();
        let mut define = |text: String| all.extend(["-e".to_owned(), text]);
        if !self.cx.source_name.is_empty() {
            define(format!("packer_build_name=\"{}\"", self.cx.source_name));
        }
        define(format!("packer_builder_type={}", self.cx.source_type));
        let key = self.key(connection, "ansible-key")?;
        if key.is_some() {
            let given = &self.config.ansible_ssh_extra_args;
            let list = if given.is_empty() { vec!["-o IdentitiesOnly=yes".to_owned()] } else { given.clone() };
            let quoted: Vec<String> = list.iter().map(|a| format!("'{a}'")).collect();
            all.extend(["--ssh-extra-args".to_owned(), quoted.join(" ")]);
        }
        if let Some(way) = self.way(connection)? {
            all.extend(["--ssh-common-args".to_owned(), way]);
        }
        let password = has("ansible_password");
        all.extend(extra.iter().cloned());
        if let (Some(key), false) = (&key, password) {
            all.extend(["-e".to_owned(), format!("ansible_ssh_private_key_file={}", key.display())]);
        }
        if key.is_none() && !connection.agent && !connection.password.is_empty() && !password {
            let text = serde_json::json!({ "ansible_password": connection.password.expose() }).to_string();
            all.extend(["-e".to_owned(), format!("@{}", self.private("vars.json", &text)?.display())]);
        }
        let checked =
            has("ansible_host_key_checking") || self.env.iter().any(|(n, _)| n == "ANSIBLE_HOST_KEY_CHECKING");
        if password && !checked {
            all.extend(["-e".to_owned(), "ansible_host_key_checking=False".to_owned()]);
        }
        all.extend(["-i".to_owned(), inventory.display().to_string()]);
        all.push(self.path(&self.config.playbook_file).display().to_string());
        Ok(all)
    }

    /// How ssh gets to a machine behind a bastion.
    fn way(&self, connection: &Connection) -> Result<Option<String>> {
        if connection.proxied {
            return Err(Error::new(ErrorKind::Invalid, "ansible cannot go through ssh_proxy_host")
                .hint("use a bastion (ssh_bastion_host), or the provisioner ansible-local"));
        }
        let Some(bastion) = &connection.bastion else { return Ok(None) };
        let key = match self.key(bastion, "bastion-key")? {
            Some(key) => format!(" -i {} -o IdentitiesOnly=yes", key.display()),
            None if bastion.agent => String::new(),
            None => {
                return Err(Error::new(ErrorKind::Invalid, "ansible can go through a bastion only with a key")
                    .hint("set ssh_bastion_private_key_file or ssh_bastion_agent_auth"));
            }
        };
        let known = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null";
        let login = format!("{}@{}", bastion.user, bastion.host);
        Ok(Some(format!("-o ProxyCommand=\"ssh -q -W %h:%p {known}{key} -p {} {login}\"", bastion.port)))
    }

    /// Installs roles and collections.
    async fn galaxy(&self) -> Result<()> {
        let file = self.path(&self.config.galaxy_file);
        let text = std::fs::read_to_string(&file)
            .map_err(|e| Error::new(ErrorKind::Invalid, format!("galaxy_file {}: {e}", file.display())))?;
        let holds = |what: &str| text.lines().any(|line| line.starts_with(what));
        let program = self.program(&self.config.galaxy_command)?;
        let mut rounds: Vec<(&[&str], &str)> = Vec::new();
        if holds("roles:") || !holds("collections:") {
            rounds.push((&["install"], &self.config.roles_path));
        }
        if holds("collections:") {
            rounds.push((&["collection", "install"], &self.config.collections_path));
        }
        for (words, into) in rounds {
            let mut arguments: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            arguments.extend(["-r".to_owned(), file.display().to_string()]);
            if self.config.galaxy_force_install {
                arguments.push("-f".to_owned());
            }
            if self.config.galaxy_force_with_deps {
                arguments.push("--force-with-deps".to_owned());
            }
            if !into.is_empty() {
                arguments.extend(["-p".to_owned(), self.path(into).display().to_string()]);
            }
            self.cx.say(format!("Running {} {}", self.config.galaxy_command, arguments.join(" ")));
            let mut lines = Lines::new(self.cx).merged();
            let ended = self.run(&program, &arguments, &mut lines).await;
            let tail = lines.finish();
            match ended? {
                0 => {}
                code => {
                    let what = format!("{} ended with exit code {code}", self.config.galaxy_command);
                    return Err(Error::failed(what).detail(tail));
                }
            }
        }
        Ok(())
    }
}

/// Ends what ansible's tasks run on the machine: they do not end with the connection.
async fn end_tasks(machine: &dyn Communicator) {
    // The brackets keep the command from finding itself.
    let find = "$(grep -l 'ansible-tm[p]-' /proc/[0-9]*/cmdline 2>/dev/null | sed 's/[^0-9]//g')";
    let command = image_action_remote::ending(find);
    let never = CancellationToken::new();
    let mut nothing = image_action_engine::component::Discard;
    // Best effort: the machine may be gone.
    let _ = tokio::time::timeout(TASKS_LIMIT, machine.exec(&command, &mut nothing, &never)).await;
}

/// Arguments for people: values of passwords and secrets masked, as in Packer.
fn shown(arguments: &[String]) -> String {
    let one = |argument: &String| match argument.split_once('=') {
        Some((name, _)) if ["password", "secret"].iter().any(|w| name.to_lowercase().contains(w)) => {
            format!("{name}=*****")
        }
        _ => argument.clone(),
    };
    arguments.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn passwords_in_arguments_are_masked() {
        let arguments = ["-e", "db_password=hunter2", "x=1", "API_SECRET=a=b"].map(str::to_owned);
        assert_eq!(shown(&arguments), "-e db_password=***** x=1 API_SECRET=*****");
    }
}
