//! Attestations of a repository: a bundle in, its id out, and found again by the digest of a subject.

use super::{Record, Store, body, error, invalid};
use crate::http::{Request, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// `POST /attestations`, `GET /attestations/DIGEST`
pub fn handle(store: &mut Store, repo: &str, rest: &[&str], request: &Request) -> Result<Response, Response> {
    match (request.method.as_str(), rest) {
        ("POST", ["attestations"]) => create(store, repo, request),
        ("GET", ["attestations", digest]) => {
            let of_subject = |r: &&Record| r.repo == repo && digests(&r.value["bundle"]).iter().any(|d| d == digest);
            let found: Vec<_> = store.attestations.iter().filter(of_subject).map(|r| r.value.clone()).collect();
            Ok(Response::json(200, &json!({"attestations": found})))
        }
        _ => Err(error(404, "Not Found")),
    }
}

fn create(store: &mut Store, repo: &str, request: &Request) -> Result<Response, Response> {
    let bundle = body(request)?.get("bundle").cloned().unwrap_or_default();
    for field in ["mediaType", "verificationMaterial", "dsseEnvelope"] {
        if bundle[field].is_null() {
            return Err(invalid("Attestation", field, "missing_field"));
        }
    }
    if digests(&bundle).is_empty() {
        return Err(invalid("Attestation", "bundle", "invalid"));
    }
    let id = store.id();
    store.attestations.push(Record { repo: repo.to_owned(), value: json!({"bundle": bundle, "repository_id": 1}) });
    Ok(Response::json(201, &json!({"id": id})))
}

/// `sha256:HEX` of each subject.
fn digests(bundle: &Value) -> Vec<String> {
    let payload = bundle["dsseEnvelope"]["payload"].as_str().and_then(|text| STANDARD.decode(text).ok());
    let statement: Value = payload.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let subjects = statement["subject"].as_array().cloned().unwrap_or_default();
    subjects.iter().filter_map(|s| s["digest"]["sha256"].as_str()).map(|hex| format!("sha256:{hex}")).collect()
}
