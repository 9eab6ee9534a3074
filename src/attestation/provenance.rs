//! What is attested: an in-toto statement with SLSA provenance v1, as GitHub's own build type has it.
//!
//! Subjects are files, by their SHA-256. An image has no digest that anyone could compute again, so it is no subject: images are
//! by-products of the run, and the manifest, which is a subject, lists them.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>
const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// <https://slsa.dev/spec/v1.0/provenance>
pub const PREDICATE: &str = "https://slsa.dev/provenance/v1";

/// What the parameters mean: <https://actions.github.io/buildtypes/workflow/v1>.
const BUILD_TYPE: &str = "https://actions.github.io/buildtypes/workflow/v1";

/// An image that was built.
#[derive(Clone, Debug)]
pub struct Image {
    /// The build that made it.
    pub build: String,
    /// `aws`, `azure`, `gcp`
    pub provider: String,
    /// Where it is.
    pub region: String,
    /// As its cloud calls it.
    pub id: String,
}

/// The statement. `claims` are those of the job's identity token, which GitHub has signed: no variable of the environment, which
/// any step may set, says who the job is.
pub fn statement<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    images: &[Image],
    claims: &Value,
    server: &str,
) -> Value {
    let subject = |(name, content): (&str, &[u8])| json!({"name": name, "digest": {"sha256": hex::encode(Sha256::digest(content))}});
    let subjects: Vec<Value> = files.into_iter().map(subject).collect();
    let claim = |name: &str| match &claims[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let repository = format!("{server}/{}", claim("repository"));
    // OWNER/NAME/PATH@REF
    let workflow = claim("workflow_ref");
    let path = workflow.split('@').next().unwrap_or_default();
    let path = path.strip_prefix(&format!("{}/", claim("repository"))).unwrap_or(path);
    let reference = workflow.split_once('@').map_or_else(|| claim("ref"), |(_, r)| r.to_owned());
    let byproducts: Vec<Value> = images
        .iter()
        .map(|i| {
            json!({
                "name": i.build,
                "uri": format!("image:{}/{}/{}", i.provider, i.region, i.id),
                "annotations": {"provider": i.provider, "region": i.region, "id": i.id},
            })
        })
        .collect();
    json!({
        "_type": STATEMENT,
        "subject": subjects,
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"workflow": {"ref": reference, "repository": repository, "path": path}},
                "internalParameters": {"github": {
                    "event_name": claim("event_name"),
                    "repository_id": claim("repository_id"),
                    "repository_owner_id": claim("repository_owner_id"),
                    "runner_environment": claim("runner_environment"),
                }},
                "resolvedDependencies": [{
                    "uri": format!("git+{repository}@{}", claim("ref")),
                    "digest": {"gitCommit": claim("sha")},
                }],
            },
            "runDetails": {
                "builder": {"id": format!("{server}/{}", claim("job_workflow_ref"))},
                "metadata": {
                    "invocationId":
                        format!("{repository}/actions/runs/{}/attempts/{}", claim("run_id"), claim("run_attempt")),
                },
                "byproducts": byproducts,
            },
        },
    })
}
