//! The release of a tag: found or made as a draft, files uploaded and verified, then published with the images in its text.
//!
//! Run again, it changes nothing that is already right.

use crate::github::Client;
use image_action_engine::{Error, ErrorKind, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// How often an upload is tried: a 502 may leave half an asset behind.
const UPLOADS: usize = 3;

/// Longest text of a release that GitHub takes, in characters.
const BODY_LIMIT: usize = 125_000;

/// A file for the release.
#[derive(Clone, Debug)]
pub struct File {
    /// Its name in the release: letters, digits, `.`, `_`, `-` (GitHub renames anything else).
    pub name: String,
    /// What it holds.
    pub content: bytes::Bytes,
}

impl File {
    fn digest(&self) -> String {
        format!("sha256:{}", hex::encode(Sha256::digest(&self.content)))
    }
}

/// What goes into a release.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The tag.
    pub tag: String,
    /// The files.
    pub files: Vec<File>,
    /// The section of the text that is ours, in Markdown.
    pub section: String,
    /// Tells our section from that of another job; a hash of anything.
    pub key: String,
    /// Whether the release stays a draft.
    pub draft: bool,
}

/// Says, before anything is built, whether the release of a tag can take files.
///
/// # Errors
/// Where it is published and immutable; what GitHub said.
pub async fn check(client: &Client, tag: &str) -> Result<()> {
    match find(client, tag).await? {
        Some(release) if sealed(&release) => Err(immutable(tag)),
        _ => Ok(()),
    }
}

fn sealed(release: &Value) -> bool {
    release["immutable"] == true && release["draft"] == false
}

fn immutable(tag: &str) -> Error {
    Error::failed(format!("the release of {tag} is published and immutable: no file can be added to it"))
        .hint("let this action make the release: push the tag without one, and with a new tag for a new build; or set `release: false`")
}

/// Fills the release of a tag, and publishes it. Returns its page.
///
/// # Errors
/// What GitHub said; an asset whose digest is not that of its file.
pub async fn publish(client: &Client, contents: &Contents) -> Result<String> {
    let mut release = match find(client, &contents.tag).await? {
        Some(release) => release,
        None => make(client, &contents.tag).await?,
    };
    let id = release["id"].clone();
    if sealed(&release) {
        // An attempt that was made again after its work was done.
        let assets = assets(client, &id).await?;
        return match contents.files.iter().all(|f| assets.iter().any(|a| is(a, f) == Some(true))) {
            true => Ok(page(&release)),
            false => Err(immutable(&contents.tag)),
        };
    }
    for file in &contents.files {
        upload(client, &release, file).await?;
    }
    let mut change = json!({});
    let old = release["body"].as_str().unwrap_or_default();
    let body = merged(old, &contents.key, &contents.section);
    if body != old {
        change["body"] = json!(body);
    }
    if release["draft"] == true && !contents.draft {
        change["draft"] = json!(false);
    }
    if change.as_object().is_some_and(|c| !c.is_empty()) {
        release = client.patch(&format!("releases/{id}"), &change).await?;
    }
    Ok(page(&release))
}

fn page(release: &Value) -> String {
    release["html_url"].as_str().unwrap_or_default().to_owned()
}

/// The release of a tag: a published one is found by it, a draft only in the list.
async fn find(client: &Client, tag: &str) -> Result<Option<Value>> {
    // A tag may hold slashes; in a path they have to be escaped.
    let escaped: String = url::form_urlencoded::byte_serialize(tag.as_bytes()).collect();
    match client.get(&format!("releases/tags/{}", escaped.replace('+', "%20"))).await {
        Err(e) if e.kind == ErrorKind::NotFound => {}
        answer => return answer.map(Some),
    }
    let mut all = client.list("releases", None).await?;
    all.retain(|r| r["tag_name"] == tag);
    // The oldest, where two jobs have made one at the same time.
    all.sort_by_key(|r| r["id"].as_u64());
    Ok(all.into_iter().next())
}

async fn make(client: &Client, tag: &str) -> Result<Value> {
    let body = json!({"tag_name": tag, "name": tag, "draft": true, "prerelease": is_prerelease(tag)});
    let made = match client.post("releases", &body).await {
        // No answer, or another job was faster.
        Err(e) if matches!(e.kind, ErrorKind::Unreachable | ErrorKind::Invalid) => match find(client, tag).await? {
            Some(release) => return Ok(release),
            None if e.kind == ErrorKind::Unreachable => client.post("releases", &body).await?,
            None => return Err(e),
        },
        answer => answer?,
    };
    // Another job of the same tag may have made one at the same moment: the older one stays.
    match find(client, tag).await? {
        Some(first) if first["id"] != made["id"] => {
            client.delete(&format!("releases/{}", made["id"])).await?;
            Ok(first)
        }
        _ => Ok(made),
    }
}

/// Whether a tag is a version before a release, as semantic versions have it (`v1.2.3-rc.1`).
fn is_prerelease(tag: &str) -> bool {
    let version = tag.rsplit('/').next().unwrap_or(tag).trim_start_matches('v');
    let version = version.split('+').next().unwrap_or(version);
    let Some((numbers, rest)) = version.split_once('-') else { return false };
    let numbers: Vec<&str> = numbers.split('.').collect();
    numbers.len() == 3
        && !rest.is_empty()
        && numbers.iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

async fn assets(client: &Client, release: &Value) -> Result<Vec<Value>> {
    client.list(&format!("releases/{release}/assets"), None).await
}

/// Whether an asset is this file, byte by byte; `None` where it has another name.
fn is(asset: &Value, file: &File) -> Option<bool> {
    if asset["name"] != file.name.as_str() {
        return None;
    }
    let same = match asset["digest"].as_str() {
        Some(digest) => digest == file.digest(),
        // Assets from before digests, and older servers.
        None => asset["size"].as_u64() == u64::try_from(file.content.len()).ok(),
    };
    Some(same && asset["state"] == "uploaded")
}

async fn upload(client: &Client, release: &Value, file: &File) -> Result<()> {
    let url = release["upload_url"].as_str().unwrap_or_default();
    let mut refusal = None;
    for _ in 0..UPLOADS {
        for asset in assets(client, &release["id"]).await? {
            match is(&asset, file) {
                None => {}
                Some(true) => return Ok(()),
                // Of an earlier attempt, or half an upload. There is no way to overwrite.
                Some(false) => client.delete(&format!("releases/assets/{}", asset["id"])).await?,
            }
        }
        match client.upload(url, &file.name, content_type(&file.name), &file.content).await {
            Ok(asset) if is(&asset, file) == Some(true) => return Ok(()),
            Ok(asset) => {
                refusal = Some(Error::failed(format!(
                    "{} arrived damaged: GitHub has {} {}, the file is {}",
                    file.name,
                    asset["name"],
                    asset["digest"],
                    file.digest()
                )));
            }
            // No answer, or another job has uploaded one of this name meanwhile: look again.
            Err(e) if matches!(e.kind, ErrorKind::Unreachable | ErrorKind::Invalid) => refusal = Some(e),
            Err(e) => return Err(e),
        }
    }
    Err(refusal.unwrap_or_else(|| Error::failed(format!("{} could not be uploaded", file.name))))
}

fn content_type(name: &str) -> &'static str {
    if name.ends_with(".spdx.json") {
        return "application/spdx+json";
    }
    if name.ends_with(".cdx.json") {
        return "application/vnd.cyclonedx+json";
    }
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("json") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        Some("md") => "text/markdown; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// A text with our section in it: in place of the old one, or behind everything else, which stays as it is.
fn merged(body: &str, key: &str, section: &str) -> String {
    let begin = format!("<!-- image-action {key} begin: this part is replaced -->");
    let end = format!("<!-- image-action {key} end -->");
    let (before, after) = match body.split_once(&begin) {
        Some((before, rest)) => (before, rest.split_once(&end).map_or("", |(_, after)| after)),
        None if body.trim().is_empty() => ("", ""),
        None => (body, ""),
    };
    let gap = if before.is_empty() || before.ends_with("\n\n") { "" } else { "\n\n" };
    let whole = format!("{before}{gap}{begin}\n{}\n{end}{after}", section.trim_end());
    // A text that is full keeps what people wrote.
    if whole.chars().count() > BODY_LIMIT { body.to_owned() } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_marked_section_changes() {
        let first = merged("Notes by people.", "k", "| a |");
        assert!(first.starts_with("Notes by people.\n\n<!-- image-action k begin"), "{first}");
        assert_eq!(merged(&first, "k", "| a |"), first, "again: the same");
        let edited = format!("{first}\nMore notes.");
        let second = merged(&edited, "k", "| b |");
        assert!(second.contains("Notes by people.") && second.ends_with("\nMore notes.") && second.contains("| b |"));
        assert!(!second.contains("| a |"));
        let other = merged(&second, "other", "| c |");
        assert!(other.contains("| b |") && other.contains("| c |"), "another job has a section of its own");
        assert_eq!(merged(&"x".repeat(124_990), "k", "| a |").len(), 124_990);
    }

    #[test]
    fn a_version_before_a_release_is_none() {
        for (tag, pre) in [
            ("v1.2.3", false),
            ("v1.2.3-rc.1", true),
            ("image/v2.0.0-beta", true),
            ("1.0.0+5-x", false),
            ("2026-11-26", false),
        ] {
            assert_eq!(is_prerelease(tag), pre, "{tag}");
        }
    }
}
