//! Traps of the provisioner `shell` and of both `shell-local`.

use crate::lint::{Found, Rule, Subject, says, text};

/// The script's variables reach it through `{{ .Vars }}` (or the file of `{{ .EnvVarFile }}`) only.
pub static WITHOUT_VARS: Rule = Rule {
    id: "shell-execute-command-without-vars",
    on: "provisioner `shell`, provisioner and post-processor `shell-local`",
    summary: "The script sees none of its variables: execute_command does not use {{ .Vars }}",
    reason: "`environment_vars` and `env` reach the script through {{ .Vars }} only (or {{ .EnvVarFile }} with \
             `use_env_var_file`). Without it they are dropped, `PACKER_BUILD_NAME` and `PACKER_BUILDER_TYPE` too.",
    cure: "put {{ .Vars }} in front of what runs {{ .Path }}, behind sudo and `env` if there is a sudo: \
           `sudo env {{ .Vars }} {{ .Path }}`",
    fixes: false,
    check: without_vars,
};

fn without_vars(subject: &Subject, found: &mut Found) {
    let local = subject.provisioners_of("shell-local").chain(subject.post_processors_of("shell-local"));
    for part in subject.provisioners_of("shell").chain(local) {
        let body = &part.block;
        let command = match text(body, "execute_command") {
            Some(command) => command.to_owned(),
            None => match crate::lint::texts(body, "execute_command") {
                Some(words) => words.join(" "),
                None => continue,
            },
        };
        let uses = command.contains(".Vars") || command.contains(".EnvVarFile");
        if (says(body, "environment_vars") || says(body, "env")) && !uses {
            found.at(body.span_of("execute_command"));
        }
    }
}
