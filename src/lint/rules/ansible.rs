//! Traps of the provisioner `ansible`.

use crate::lint::{Found, Rule, Subject, says, text, texts};
use crate::provisioner::local;
use image_action_engine::config::UNKNOWN_TEXT;

/// Names of play variables that Ansible keeps for itself: what is given for them is not seen.
const RESERVED: [&str; 1] = ["environment"];

/// An extra variable whose name is a keyword of plays.
pub static RESERVED_NAME: Rule = Rule {
    id: "ansible-reserved-variable",
    on: "provisioner `ansible`",
    summary: "The playbook does not see this variable: its name is Ansible's own",
    reason: "`environment` is a keyword of plays. A playbook that reads `{{ environment }}` gets an empty list, \
             whatever is given with --extra-vars; conditions on it never hold.",
    cure: "choose another name, such as image_environment, here and in the playbook",
    fixes: false,
    check: reserved,
};

fn reserved(subject: &Subject, found: &mut Found) {
    for part in subject.provisioners_of("ansible") {
        let arguments = texts(&part.block, "extra_arguments").unwrap_or_default();
        let places = part.content.attribute("extra_arguments").and_then(|a| a.expr.elements()).unwrap_or_default();
        for (n, argument) in arguments.iter().enumerate() {
            // `-e name=value`, in one word or in two; `--extra-vars=name=value`.
            let before = n.checked_sub(1).and_then(|n| arguments.get(n)).copied().unwrap_or_default();
            let given = ["--extra-vars=", "--extra-vars ", "-e "].iter().find_map(|p| argument.strip_prefix(p));
            let given = given.or_else(|| matches!(before, "--extra-vars" | "-e").then_some(argument));
            let names = given.into_iter().flat_map(str::split_whitespace).filter_map(|w| w.split_once('='));
            if let Some((name, _)) =
                names.into_iter().find(|(name, _)| RESERVED.contains(&name.trim_matches(['"', '\''])))
            {
                let place = places.get(n).map(|e| e.span());
                found
                    .at(place.or_else(|| part.block.span_of("extra_arguments")))
                    .summary(format!("The playbook does not see the variable {name}: the name is Ansible's own"));
            }
        }
    }
}

/// Options of Packer's proxy.
const PROXY: [&str; 5] =
    ["local_port", "ssh_host_key_file", "ssh_authorized_key_file", "ansible_proxy_key_type", "sftp_command"];

/// There is no proxy here.
pub static PROXY_OPTION: Rule = Rule {
    id: "ansible-proxy-option-without-effect",
    on: "provisioner `ansible`",
    summary: "This option of Packer's proxy has no effect: ansible connects to the machine directly",
    reason: "Packer plays an SSH server that ansible connects to. Here there is no such hop.",
    cure: "remove it, unless the template is built with Packer too",
    fixes: false,
    check: proxy_option,
};

fn proxy_option(subject: &Subject, found: &mut Found) {
    for part in subject.provisioners_of("ansible") {
        for option in PROXY.into_iter().filter(|o| part.block.is_set(o)) {
            let place = part.content.attribute(option).map(|a| a.name_span.clone());
            found
                .at(place.or_else(|| part.block.span_of(option)))
                .summary(format!("{option} has no effect: ansible connects to the machine directly, without a proxy"));
        }
    }
}

/// A program that is not there now may be there when the build runs.
pub static NOT_THERE: Rule = Rule {
    id: "ansible-not-installed",
    on: "provisioner `ansible`",
    summary: "The program is not there: neither at this path nor where PATH leads",
    reason: "ansible runs on the machine that runs the build. The build will stop here.",
    cure: "install ansible-core (`pip install ansible-core`), or set `command` to where ansible-playbook is",
    fixes: false,
    check: not_there,
};

fn not_there(subject: &Subject, found: &mut Found) {
    let settings = subject.settings;
    if !settings.validating {
        return; // A build stops with an error.
    }
    for part in subject.provisioners_of("ansible") {
        let body = &part.block;
        let galaxy = says(body, "galaxy_file").then_some(("galaxy_command", "ansible-galaxy"));
        for (option, usual) in std::iter::once(("command", "ansible-playbook")).chain(galaxy) {
            let name = text(body, option).unwrap_or(usual);
            if name != UNKNOWN_TEXT && local::find(name, &settings.env, &settings.cwd).is_none() {
                found
                    .at(body.span_of(option))
                    .summary(format!("{name} is not there: neither at this path nor where PATH leads"));
            }
        }
    }
}
