//! Attestations: what was built, by whom and from what (SLSA provenance v1), signed by the job's own identity and checked again.
//!
//! Signing is keyless, as Sigstore does it: a key that lives for one signature, a certificate of Fulcio's that ties it to the
//! job, and an entry in Rekor's public log. The `sigstore-*` crates speak these protocols; [`crypto`] gives them their
//! primitives, so that no second library of cryptography is linked.

mod crypto;
pub mod provenance;
pub mod sign;
pub mod verify;

/// The name under which a bundle is written beside what it attests, and looked for.
pub const BUNDLE_FILE: &str = "attestation.sigstore.json";

/// Who vouches for jobs on GitHub's own server.
pub const GITHUB_ISSUER: &str = "https://token.actions.githubusercontent.com";
