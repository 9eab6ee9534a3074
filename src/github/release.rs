//! The release of a tag: found or made as a draft, files uploaded and verified, then published.

use crate::github::Client;
use image_action_engine::{Error, ErrorKind, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// A file for the release.
#[derive(Clone, Debug)]
pub struct File {
    /// Where it lies.
    pub path: PathBuf,
    /// Its name in the release: letters, digits, `.`, `_`, `-` (GitHub renames anything else).
    pub name: String,
}

/// Uploads files to the release of `tag`; running it again changes nothing that is already right. Returns its page.
///
/// # Errors
/// What GitHub said; an asset whose digest is not that of the file.
pub async fn publish(client: &Client, tag: &str, files: &[File]) -> Result<String> {
    let release = find_or_draft(client, tag).await?;
    if release["immutable"] == true && release["draft"] == false {
        return Err(Error::failed(format!("the release of {tag} is published and immutable: no file can be added"))
            .hint("let this action make the release: push the tag without one"));
    }
    for file in files {
        upload(client, &release, file).await?;
    }
    let published = if release["draft"] == true {
        client.patch(&format!("releases/{}", release["id"]), &json!({"draft": false})).await?
    } else {
        release
    };
    Ok(published["html_url"].as_str().unwrap_or_default().to_owned())
}

/// A published release is found by its tag; a draft only in the list.
async fn find_or_draft(client: &Client, tag: &str) -> Result<Value> {
    match client.get(&format!("releases/tags/{}", urlencode(tag))).await {
        Err(e) if e.kind == ErrorKind::NotFound => {}
        answer => return answer,
    }
    let drafts = client.list("releases").await?;
    if let Some(draft) = drafts.into_iter().find(|r| r["tag_name"] == tag) {
        return Ok(draft);
    }
    client.post("releases", &json!({"tag_name": tag, "name": tag, "draft": true})).await
}

async fn upload(client: &Client, release: &Value, file: &File) -> Result<()> {
    let content = std::fs::read(&file.path)
        .map_err(|e| Error::failed(format!("cannot read {} for the release: {e}", file.path.display())))?;
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&content)));
    let assets = client.list(&format!("releases/{}/assets", release["id"])).await?;
    if let Some(old) = assets.iter().find(|a| a["name"] == file.name.as_str()) {
        if old["digest"] == digest.as_str() && old["state"] == "uploaded" {
            return Ok(());
        }
        // There is no way to overwrite.
        client.delete(&format!("releases/assets/{}", old["id"])).await?;
    }
    let url = release["upload_url"].as_str().unwrap_or_default();
    let asset = client.upload(url, &file.name, content_type(&file.name), content).await?;
    // Old servers have no digests.
    match asset["digest"].as_str() {
        Some(there) if there != digest => {
            Err(Error::failed(format!("{} arrived damaged: GitHub has {there}, the file is {digest}", file.name)))
        }
        _ => Ok(()),
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("json") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        Some("md") => "text/markdown; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn urlencode(text: &str) -> String {
    // A tag may hold slashes; in a path they have to be escaped.
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
