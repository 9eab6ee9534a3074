//! Who builds, in a workflow: the runner vouches for the job, and the inputs say what each cloud knows it as.
//!
//! What an input says goes into the run's environment under the name that the cloud's own tools read, so that templates see it
//! as well (`env("AWS_REGION")`), and so that the same names work in the `env:` of a step. A template that names credentials
//! itself is not asked to give them up.

use crate::cli::Session;
use crate::github::inputs::Inputs;
use crate::github::oidc::{self, Runner};
use crate::github::{Job, runner};
use image_action_engine::{Env, Error, ErrorKind, Result};
use regex::Regex;
use std::io::Write;
use std::sync::Arc;

/// Longest name of a session of AWS (`sts:AssumeRoleWithWebIdentity`).
const SESSION_NAME: usize = 64;

/// What the environment may hold of other credentials for AWS; an input that names a role takes their place.
const OTHERS_OF_AWS: [&str; 7] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
];

/// One input: its name, the variables that it becomes, what it has to look like, and how it is written.
struct Setting {
    input: &'static str,
    variables: &'static [&'static str],
    shape: &'static str,
    example: &'static str,
}

const UUID: &str = r"(?i)^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$";

/// The inputs that say what the clouds know a job as.
const SETTINGS: [Setting; 7] = [
    Setting {
        input: "aws-role-to-assume",
        variables: &["AWS_ROLE_ARN"],
        shape: r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+$",
        example: "write the role's ARN, as arn:aws:iam::123456789012:role/image-builder",
    },
    Setting {
        input: "aws-region",
        variables: &["AWS_REGION", "AWS_DEFAULT_REGION"],
        shape: r"^[a-z]{2}(-[a-z]+)+-[0-9]+$",
        example: "write the region's code, as eu-west-1",
    },
    Setting {
        input: "azure-client-id",
        variables: &["AZURE_CLIENT_ID", "ARM_CLIENT_ID"],
        shape: UUID,
        example: "write the application's (client) id, as 00000000-0000-0000-0000-000000000000",
    },
    Setting {
        input: "azure-tenant-id",
        variables: &["AZURE_TENANT_ID", "ARM_TENANT_ID"],
        shape: UUID,
        example: "write the directory's (tenant) id, as 00000000-0000-0000-0000-000000000000",
    },
    Setting {
        input: "azure-subscription-id",
        variables: &["AZURE_SUBSCRIPTION_ID", "ARM_SUBSCRIPTION_ID"],
        shape: UUID,
        example: "write the subscription's id, as 00000000-0000-0000-0000-000000000000",
    },
    Setting {
        input: "gcp-workload-identity-provider",
        variables: &["GOOGLE_WORKLOAD_IDENTITY_PROVIDER"],
        shape: r"^projects/[0-9]+/locations/global/workloadIdentityPools/[a-z0-9-]+/providers/[a-z0-9-]+$",
        example: "write projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER, with the number of the project (not its id)",
    },
    Setting {
        input: "gcp-service-account",
        variables: &["GOOGLE_SERVICE_ACCOUNT"],
        shape: r"^[^@\s]+@[^@\s]+\.gserviceaccount\.com$",
        example: "write the account's email, as builder@PROJECT.iam.gserviceaccount.com",
    },
];

/// An environment that the runner vouches for, where the job may ask it; every token of it is masked.
pub fn vouched(session: &Session) -> Env {
    let env = session.env.clone();
    if env.get(oidc::URL_VARIABLE).is_none() { env } else { env.with_identity(Arc::new(runner(session, false))) }
}

/// The same for the action, with what its inputs say. A job that needs a token and may not ask for one learns that when a cloud
/// is called: a template is validated without.
///
/// # Errors
/// An input that is not what its cloud takes, or one that is useless without another.
pub fn lay(session: &Session, inputs: &Inputs, job: &Job) -> Result<Env> {
    let mut pairs = Vec::new();
    for setting in &SETTINGS {
        let Some(value) = inputs.get(setting.input) else { continue };
        let value = value.strip_prefix("https:").unwrap_or(value);
        let value = value.strip_prefix("//iam.googleapis.com/").unwrap_or(value);
        let wrong = |e: regex::Error| Error::failed(format!("the shape of {} cannot be read: {e}", setting.input));
        if !Regex::new(setting.shape).map_err(wrong)?.is_match(value) {
            return Err(Error::new(ErrorKind::Invalid, format!("the input `{}` is `{value}`", setting.input))
                .hint(setting.example));
        }
        pairs.extend(setting.variables.iter().map(|name| ((*name).to_owned(), value.to_owned())));
    }
    together(inputs, &["azure-client-id", "azure-tenant-id"])?;
    if inputs.get("gcp-service-account").is_some() && inputs.get("gcp-workload-identity-provider").is_none() {
        return Err(Error::new(
            ErrorKind::Invalid,
            "the input `gcp-service-account` needs `gcp-workload-identity-provider`",
        )
        .hint("give both, or leave out both"));
    }
    let mut env = session.env.clone();
    if inputs.get("aws-role-to-assume").is_some() {
        env = env.without(&OTHERS_OF_AWS);
        pairs.push(("AWS_ROLE_SESSION_NAME".to_owned(), session_name(job)));
    }
    let asks = ["aws-role-to-assume", "azure-client-id", "gcp-workload-identity-provider"];
    let asks = asks.iter().any(|name| inputs.get(name).is_some()) || env.get(oidc::URL_VARIABLE).is_some();
    let env = env.with(pairs);
    let commands = env.get("GITHUB_ACTIONS").is_some() && !session.machine_readable;
    Ok(if asks { env.with_identity(Arc::new(runner(session, commands))) } else { env })
}

/// An environment that nobody vouches for, whatever the runner has set: what a stranger's template gets.
pub fn stripped(env: &Env) -> Env {
    env.without(&[oidc::URL_VARIABLE, oidc::TOKEN_VARIABLE]).without_identity()
}

fn together(inputs: &Inputs, names: &[&str]) -> Result<()> {
    let (given, missing): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| inputs.get(name).is_some());
    match (given.first(), missing.first()) {
        (Some(given), Some(missing)) => {
            Err(Error::new(ErrorKind::Invalid, format!("the input `{given}` needs `{missing}`"))
                .hint("give both, or leave out both"))
        }
        _ => Ok(()),
    }
}

/// What CloudTrail shows: repository, run and attempt, in the characters that AWS takes.
fn session_name(job: &Job) -> String {
    let fine = |c: char| if c.is_ascii_alphanumeric() || "_+=,.@-".contains(c) { c } else { '-' };
    let run: String = job.run.chars().map(fine).collect();
    let room = SESSION_NAME.saturating_sub(run.len() + 1);
    let repository: String = job.repository.chars().map(fine).take(room).collect();
    let name = format!("{repository}-{run}");
    name.chars().take(SESSION_NAME).collect()
}

/// The runner. With `commands` its own log masks tokens as well: only where it reads our standard output, as a file that this
/// went to would hold the token.
fn runner(session: &Session, commands: bool) -> Runner {
    let masker = session.masker.clone();
    Runner::new(
        &session.env,
        Arc::new(move |secret| {
            if commands {
                let mut out = std::io::stdout().lock();
                // The command is what hides it: our own masker would hide it from the runner too.
                let lines: String = runner::mask(secret).into_iter().map(|line| line + "\n").collect();
                // A reader that has gone away does not want to know.
                let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
            }
            masker.add(secret);
        }),
    )
}
