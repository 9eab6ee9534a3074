//! Names, labels, references and the small values that every resource carries.

use super::error::{ApiError, ApiResult};
use base64::Engine;
use regex::Regex;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// What every link in an answer begins with, whatever address the client used.
pub(super) const BASE: &str = "https://www.googleapis.com/compute/v1/";

/// The pattern of resource names, as the discovery document has it.
const NAME_PATTERN: &str = "(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)";

/// How far Google's clocks are from UTC, in seconds: answers carry Pacific time.
const PACIFIC_OFFSET: i32 = -8 * 3600;

// Constant patterns: they compile, as every test shows.
static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!("^{NAME_PATTERN}$")).ok());
static LABEL_KEY: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\p{Ll}[\p{Ll}\p{Lo}\p{N}_-]{0,62}$").ok());
static LABEL_VALUE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$").ok());

fn fits(pattern: &Option<Regex>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|p| p.is_match(text))
}

/// Checks a resource's name.
pub(super) fn check_name(field: &str, name: &str) -> ApiResult<()> {
    if fits(&NAME, name) {
        return Ok(());
    }
    Err(ApiError::field(field, name, format!("Must be a match of regex '{NAME_PATTERN}'")))
}

/// Checks labels.
pub(super) fn check_labels(labels: Option<&Value>) -> ApiResult<()> {
    for (key, value) in labels.and_then(Value::as_object).into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        if !fits(&LABEL_KEY, key) {
            return Err(ApiError::field(
                "resource.labels",
                key,
                "Label key must start with a lowercase letter, and contain only lowercase letters, digits, dashes and underscores, at most 63 in all.",
            ));
        }
        if !fits(&LABEL_VALUE, text) {
            return Err(ApiError::field(
                "resource.labels",
                text,
                "Label value must contain only lowercase letters, digits, dashes and underscores, at most 63 in all.",
            ));
        }
    }
    Ok(())
}

/// Refuses properties that the API does not have.
pub(super) fn check_fields(body: &Map<String, Value>, known: &[&str]) -> ApiResult<()> {
    match body.keys().find(|k| !known.contains(&k.as_str())) {
        None => Ok(()),
        Some(key) => Err(ApiError::new(
            400,
            "invalid",
            format!("Invalid JSON payload received. Unknown name \"{key}\" at 'resource': Cannot find field."),
        )),
    }
}

/// The canonical path (`projects/P/zones/Z/disks/D`) of a reference in any of the forms that the API takes.
pub(super) fn reference(text: &str, project: &str) -> String {
    let path = match text.find("/projects/") {
        Some(at) => &text[at + 1..],
        None => text.trim_start_matches('/'),
    };
    if path.starts_with("projects/") { path.to_owned() } else { format!("projects/{project}/{path}") }
}

/// The last segment.
pub(super) fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A full link.
pub(super) fn link(path: impl std::fmt::Display) -> String {
    format!("{BASE}{path}")
}

/// Now, as Google writes it.
pub(super) fn now() -> String {
    let pacific = chrono::FixedOffset::east_opt(PACIFIC_OFFSET);
    let now = chrono::Utc::now();
    match pacific {
        Some(zone) => now.with_timezone(&zone).format("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(),
        None => now.to_rfc3339(),
    }
}

/// A new numeric id; they travel as text.
pub(super) fn new_id() -> String {
    // 19 digits, as the real ones have; below 2^63.
    (1_000_000_000_000_000_000 + rand::random::<u64>() % 8_000_000_000_000_000_000).to_string()
}

/// What changes whenever `value` does; in the URL's alphabet, as the real ones are.
pub(super) fn fingerprint(value: &Value) -> String {
    let digest = Sha256::digest(value.to_string().as_bytes());
    base64::engine::general_purpose::URL_SAFE.encode(&digest[..8])
}

/// A fingerprint as a client sends it back: either base64 alphabet, padded or not.
pub(super) fn same_fingerprint(ours: &str, theirs: &str) -> bool {
    let plain = |t: &str| t.trim_end_matches('=').replace('-', "+").replace('_', "/");
    plain(ours) == plain(theirs)
}

/// An int64 of a body: text, as the API wants it, or a number, which it takes too.
pub(super) fn int64(field: &str, value: Option<&Value>) -> ApiResult<Option<i64>> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(n)) if n.as_i64().is_some() => Ok(n.as_i64()),
        Some(Value::String(s)) => {
            s.parse().map(Some).map_err(|_| ApiError::field(field, s, "Value must be a 64-bit integer."))
        }
        Some(other) => Err(ApiError::field(field, other, "Value must be a 64-bit integer.")),
    }
}

/// A text of a body.
pub(super) fn text<'a>(body: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    body.get(field).and_then(Value::as_str).filter(|s| !s.is_empty())
}

/// Checks metadata and gives it its fingerprint.
pub(super) fn metadata(body: Option<&Value>) -> ApiResult<Value> {
    let items = body.and_then(|m| m.get("items")).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut seen = std::collections::BTreeSet::new();
    for item in &items {
        let key = item.get("key").and_then(Value::as_str).unwrap_or_default();
        if key.is_empty() || key.len() > 128 || !key.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
            return Err(ApiError::field(
                "resource.metadata.items.key",
                key,
                "Metadata key must be 1-128 characters of [a-zA-Z0-9-_].",
            ));
        }
        if !seen.insert(key.to_owned()) {
            return Err(ApiError::field("resource.metadata", key, format!("Metadata has duplicate keys: {key}")));
        }
        // 256 KiB a value: the limit that Google documents.
        if item.get("value").and_then(Value::as_str).is_some_and(|v| v.len() > 262_144) {
            return Err(ApiError::field(
                "resource.metadata.items.value",
                key,
                "Metadata value is longer than 262144 bytes.",
            ));
        }
    }
    let items = Value::Array(items);
    let mut metadata = json!({ "kind": "compute#metadata", "fingerprint": fingerprint(&items) });
    if items.as_array().is_some_and(|i| !i.is_empty()) {
        metadata["items"] = items;
    }
    Ok(metadata)
}

/// The value of a metadata key.
pub(super) fn metadata_value<'a>(metadata: &'a Value, key: &str) -> Option<&'a str> {
    let items = metadata.get("items")?.as_array()?;
    items.iter().find(|i| i.get("key").and_then(Value::as_str) == Some(key))?.get("value")?.as_str()
}

/// The key of the disk that a full link leads to.
pub(super) fn zonal_disk(link: &str) -> Option<super::store::Zonal> {
    super::store::zonal_key(link.strip_prefix(BASE)?, "disks")
}

/// A text inside a value; empty where there is none.
pub(super) fn text_in<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_reference_is_one_resource() {
        for form in [
            "https://www.googleapis.com/compute/v1/projects/p/zones/z/disks/d",
            "http://127.0.0.1:9/compute/v1/projects/p/zones/z/disks/d",
            "/compute/v1/projects/p/zones/z/disks/d",
            "projects/p/zones/z/disks/d",
            "zones/z/disks/d",
        ] {
            assert_eq!(reference(form, "p"), "projects/p/zones/z/disks/d", "{form}");
        }
    }

    #[test]
    fn names_are_checked_as_the_api_does() {
        for good in ["a", "company-ubuntu-1-0-0-20260101-101010"] {
            assert!(check_name("resource.name", good).is_ok(), "{good}");
        }
        for bad in ["", "A", "a.b", "a-", "1a", &"a".repeat(64)] {
            assert!(check_name("resource.name", bad).is_err(), "{bad}");
        }
    }
}
