//! What a stranger's template (a fork's pull request, an untrusted event) may not ask of our side: files that are not its own,
//! connections to places of its choice, programs. Everything of that is refused with its place, or left out with a notice.

use image_action_engine::config::UNKNOWN_TEXT;
use image_action_engine::{Block, PrepareContext};
use image_action_lang::functions::FunctionError;
use image_action_lang::scope::{Keeper, Kept};
use image_action_lang::{Diagnostic, Diagnostics, Value};
use std::path::PathBuf;

/// Components that run programs on our side: they are left out.
const PROGRAMS: [&str; 2] = ["ansible", "shell-local"];

/// Data sources that ask whom the template names, or for secrets.
const ASKING: [&str; 4] = ["amazon-parameterstore", "amazon-secretsmanager", "googlecompute-secretsmanager", "http"];

/// Options that name files of our side which are read or written. What may change until it is read is looked at once more by whoever reads it.
pub(crate) const READ: [&str; 19] = [
    "custom_data_file",
    "files",
    "image_forbidden_signatures_db",
    "image_key_exchange_key",
    "image_platform_key",
    "image_signatures_db",
    "metadata_files",
    "output",
    "script",
    "scripts",
    "source",
    "sources",
    "ssh_bastion_certificate_file",
    "ssh_bastion_private_key_file",
    "ssh_certificate_file",
    "ssh_private_key_file",
    "startup_script_file",
    "target",
    "user_data_file",
];

/// Options that lead our side to a place or an identity of the template's choice. Files of credentials are among them: they may name
/// programs to run (`credential_process`) and addresses to send tokens to.
pub(crate) const REFUSED: [&str; 19] = [
    "account_file",
    "client_cert_path",
    "credentials_file",
    "custom_endpoint_ec2",
    "custom_endpoints",
    "metadata_host",
    "oidc_request_url",
    "profile",
    "shared_credentials_file",
    "ssh_agent_auth",
    "ssh_bastion_agent_auth",
    "ssh_bastion_host",
    "ssh_host",
    "ssh_local_tunnels",
    "ssh_proxy_host",
    "ssh_remote_tunnels",
    "vault_aws_engine",
    "vault_gcp_oauth_engine",
    "winrm_host",
];

/// Who is asked for secrets by a stranger's template.
pub(super) struct NoSecrets;

impl Keeper for NoSecrets {
    fn read(&self, _: &Kept) -> Result<String, FunctionError> {
        Err(FunctionError::new("a template of a fork or of an untrusted event is given no secret"))
    }
}

/// Whether a component is left out of a stranger's build.
pub(super) fn left_out(component: &str, cx: &PrepareContext) -> bool {
    cx.env.bounds().strange() && PROGRAMS.contains(&component)
}

/// Looks at the body of a component; warns of one that is left out.
pub(super) fn check(component: &str, block: &Block, cx: &PrepareContext) -> Diagnostics {
    let mut found = Diagnostics::new();
    if !cx.env.bounds().strange() {
        return found;
    }
    if left_out(component, cx) {
        cx.warnings.push(
            Diagnostic::warning(format!("{component} is left out of this build"))
                .detail("It runs programs on the runner, and the template is that of a fork or of an untrusted event.")
                .at(block.span.clone())
                .hint("it runs once somebody of the repository builds these changes, from a branch of its own"),
        );
        return found;
    }
    if ASKING.contains(&component) {
        found.push(refusal(&format!("the data source {component}"), block.span.clone()));
    }
    options(block, cx, &mut found);
    found
}

fn refusal(what: &str, place: Option<image_action_lang::Span>) -> Diagnostic {
    Diagnostic::error(format!("{what} cannot be used in a template of a fork or of an untrusted event"))
        .detail("It would lead the runner to a place of the template's choice, or to a secret.")
        .at(place)
        .hint("somebody of the repository can build these changes, from a branch of its own")
}

fn options(block: &Block, cx: &PrepareContext, found: &mut Diagnostics) {
    for name in REFUSED.iter().filter(|name| block.is_set(name)) {
        found.push(refusal(&format!("the option {name}"), block.span_of(name)));
    }
    // What is downloaded lies on the machine; nothing is, the provisioner says so.
    let download = block.value("direction").and_then(Value::as_str) == Some("download");
    for name in READ.into_iter().filter(|name| !(download && name.starts_with("source"))) {
        for path in block.value(name).map(texts).unwrap_or_default() {
            if path == UNKNOWN_TEXT {
                continue;
            }
            // A home directory is nobody's but ours.
            let full = if path.starts_with('~') { PathBuf::from(&path) } else { cx.path(&path) };
            if let Err(e) = cx.env.bounds().read(&full) {
                let d = Diagnostic::error(format!("{name}: {}", e.summary)).detail(e.detail);
                found.push(d.at(block.span_of(name)).hint(e.hint.unwrap_or_default()));
            }
        }
    }
    block.blocks.values().flatten().for_each(|inner| options(inner, cx, found));
}

/// All texts in a value.
fn texts(value: &Value) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(text) = value.as_str() {
        all.push(text.to_owned());
    }
    value.elements().into_iter().flatten().for_each(|inner| all.extend(texts(inner)));
    value.entries().into_iter().flatten().for_each(|(_, inner)| all.extend(texts(inner)));
    all
}

#[cfg(test)]
mod tests {
    use super::{ASKING, PROGRAMS, READ, REFUSED};
    use crate::registry::{BUILDERS, Component, DATA_SOURCES, POST_PROCESSORS, PROVISIONERS};
    use image_action_engine::config::{Schema, Shape};
    use std::collections::BTreeSet;

    /// Parts of names that files and places of our side have.
    const SUSPICIOUS: [&str; 13] = [
        "file", "path", "script", "source", "dir", "folder", "output", "target", "host", "proxy", "url", "endpoint",
        "tunnel",
    ];

    /// Names like that which mean something on the machine, in the cloud, or in a text.
    const ELSEWHERE: [&str; 36] = [
        "direct_shared_gallery_image_id",
        "target_region",
        "custom_script",
        "destination",
        "direction",
        "encryption_at_host",
        "host_id",
        "host_resource_group_arn",
        "http_endpoint",
        "iam_instance_profile",
        "iap_localhost_port",
        "iap_tunnel_launch_wait",
        "image_url",
        "on_host_maintenance",
        "remote_file",
        "remote_folder",
        "remote_path",
        "skip_profile_validation",
        "source_ami",
        "source_ami_filter",
        "source_image",
        "source_image_family",
        "source_image_project_id",
        "source_volume",
        "ssh_file_transfer_method",
        "ssh_proxy_password",
        "ssh_proxy_port",
        "ssh_proxy_username",
        "strip_path",
        "target_resource_count",
        "temporary_iam_instance_profile_policy_document",
        "temporary_security_group_source_cidrs",
        "temporary_security_group_source_public_ip",
        "use_env_var_file",
        "winrm_no_proxy",
        "wrap_startup_script",
    ];

    fn names(schema: &Schema, all: &mut BTreeSet<&'static str>) {
        for field in &schema.fields {
            all.insert(field.name);
            if let Shape::Block { schema, .. } = &field.shape {
                names(schema(), all);
            }
        }
    }

    fn of<T: ?Sized>(components: &[Component<T>], all: &mut BTreeSet<&'static str>) {
        let open = |c: &&Component<T>| !PROGRAMS.contains(&c.name) && !ASKING.contains(&c.name);
        components.iter().filter(open).for_each(|c| names((c.schema)(), all));
    }

    #[test]
    fn every_option_that_may_name_a_file_or_a_place_has_been_judged() {
        let mut all = BTreeSet::new();
        of(BUILDERS, &mut all);
        of(PROVISIONERS, &mut all);
        of(POST_PROCESSORS, &mut all);
        of(DATA_SOURCES, &mut all);
        for name in READ.iter().chain(&REFUSED) {
            assert!(all.contains(name), "{name} is no option");
        }
        let judged = |name: &&str| READ.contains(name) || REFUSED.contains(name) || ELSEWHERE.contains(name);
        // Words that only look like one of them.
        let plain = |n: &str| {
            ["resource", "Resource", "description", "subscription"].iter().fold(n.to_owned(), |n, w| n.replace(w, ""))
        };
        let open: Vec<_> =
            all.iter().filter(|n| SUSPICIOUS.iter().any(|s| plain(n).contains(s)) && !judged(n)).collect();
        assert!(open.is_empty(), "say in this file what each of these is: {open:?}");
    }
}
