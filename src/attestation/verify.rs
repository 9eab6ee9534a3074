//! Checking: what a bundle says of a file, and whether it may be believed.

use super::crypto;
use super::provenance::PREDICATE;
use image_action_engine::{Error, ErrorKind, Result};
use serde_json::Value;
use sigstore_verify::trust_root::{SIGSTORE_GITHUB_TRUSTED_ROOT, SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};
use sigstore_verify::types::{Bundle, SignatureContent};
use sigstore_verify::{Error as Wrong, VerificationPolicy, Verifier};

/// Who must have signed.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// The page of the repository (`https://github.com/OWNER/NAME`).
    pub repository: Option<String>,
    /// The workflow, as the certificate names it (`https://github.com/O/R/.github/workflows/W.yml@refs/tags/v1`).
    pub identity: Option<String>,
    /// Who vouched for the job.
    pub issuer: String,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The statement that was signed.
    pub statement: Value,
    /// The workflow.
    pub identity: String,
    /// The repository, as the certificate has it.
    pub repository: String,
    /// The commit, as the certificate has it.
    pub commit: String,
    /// Whether the public log has the signature.
    pub logged: bool,
}

fn untrusted(summary: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, summary)
}

/// A bundle.
///
/// # Errors
/// Where it is none.
pub fn bundle(text: &str) -> Result<Bundle> {
    crypto::install();
    Bundle::from_json(text).map_err(|e| untrusted(format!("this is no Sigstore bundle: {e}")))
}

/// The root that is trusted: the one that is given, else Sigstore's public one, or GitHub's own for what is in no log (private
/// repositories are signed for there).
///
/// # Errors
/// Where what is given is none.
pub fn root(given: Option<&str>, bundle: &Bundle) -> Result<TrustedRoot> {
    let logged = !bundle.verification_material.tlog_entries.is_empty();
    let text = given.unwrap_or(if logged { SIGSTORE_PRODUCTION_TRUSTED_ROOT } else { SIGSTORE_GITHUB_TRUSTED_ROOT });
    TrustedRoot::from_json(text).map_err(|e| untrusted(format!("this is no trusted root: {e}")))
}

/// Checks that the bundle attests a file of this content, and was signed by whom it must be.
///
/// A root that has logs asks for an entry in them; one that has logs of certificates asks for their stamp.
///
/// # Errors
/// Whatever does not hold.
pub fn check(content: &[u8], bundle: &Bundle, root: &TrustedRoot, expected: &Expected) -> Result<Found> {
    crypto::install();
    let mut policy = VerificationPolicy::any_identity().require_issuer(&expected.issuer);
    if let Some(identity) = &expected.identity {
        policy = policy.require_identity(identity);
    }
    if root.tlogs.is_empty() {
        policy = policy.skip_tlog_unsafe();
    }
    if root.ctlogs.is_empty() {
        policy = policy.skip_sct();
    }
    let verifier = Verifier::new(root).map_err(|e| explain(&e))?;
    let result = verifier.verify(content, bundle, &policy).map_err(|e| explain(&e))?;
    // The crate promises as much; it is what everything else rests on.
    if !result.certificate_verified() {
        return Err(untrusted("the certificate was not checked"));
    }
    let claims = result.certificate().map(|c| c.ci_claims.clone()).unwrap_or_default();
    let repository = claims.source_repository_uri.unwrap_or_default();
    if let Some(wanted) = &expected.repository
        && !repository.eq_ignore_ascii_case(wanted)
    {
        let found = if repository.is_empty() { "no repository".to_owned() } else { repository };
        return Err(untrusted(format!("it was signed for {found}, not for {wanted}"))
            .hint("name the repository whose workflow built it with --repo"));
    }
    let SignatureContent::DsseEnvelope(envelope) = &bundle.content else {
        return Err(untrusted("the bundle signs a file itself and attests nothing"));
    };
    let statement = serde_json::from_slice(envelope.payload.as_bytes())
        .map_err(|e| untrusted(format!("the statement is no JSON: {e}")))?;
    is_provenance(&statement)?;
    Ok(Found {
        statement,
        identity: result.identity().map(ToString::to_string).unwrap_or_default(),
        repository,
        commit: claims.source_repository_digest.unwrap_or_default(),
        logged: result.tlog_verified(),
    })
}

/// The same workflow may attest other things of a file, such as its SBOM: they do not say how it was built.
fn is_provenance(statement: &Value) -> Result<()> {
    let kind = &statement["predicateType"];
    if kind == PREDICATE {
        return Ok(());
    }
    Err(untrusted(format!("it attests {kind}, not how the file was built ({PREDICATE})"))
        .hint("name the bundle of the provenance with --bundle"))
}

fn explain(e: &Wrong) -> Error {
    let hint = match e {
        Wrong::IdentityMismatch { .. } => "name the workflow that built it with --certificate-identity",
        Wrong::IssuerMismatch { .. } => {
            "name who vouches for its jobs with --certificate-oidc-issuer: a GitHub Enterprise Server has an issuer of its own"
        }
        Wrong::ArtifactMismatch(_) => "the file is not one that was attested, or it was changed since: get it anew",
        Wrong::Certificate(_) | Wrong::TransparencyLog(_) | Wrong::Timestamp(_) => {
            "the bundle was changed, or it belongs to an instance of Sigstore's that is not trusted here: name its root with \
             --trusted-root"
        }
        _ => "the bundle was changed: get it anew",
    };
    untrusted(format!("not to be trusted: {e}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn another_attestation_is_no_provenance() {
        assert!(is_provenance(&json!({ "predicateType": PREDICATE })).is_ok());
        for other in [json!({ "predicateType": "https://spdx.dev/Document" }), json!({}), json!(null)] {
            assert!(is_provenance(&other).is_err(), "{other}");
        }
    }
}
