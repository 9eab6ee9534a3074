//! The one comment of a pull request: found again by marker and author, edited in place.

use crate::github::Client;
use image_action_engine::Result;
use serde_json::{Value, json};

/// First words of a comment of ours.
const MARKER: &str = "<!-- image-action ";

/// The marker of one job's comment; the key is a hash, so that no workflow name can end it.
pub fn marker(key: &str) -> String {
    use sha2::Digest;
    let digest = hex::encode(sha2::Sha256::digest(key.as_bytes()));
    format!("{MARKER}v1 {} -->", &digest[..16])
}

/// Writes the comment: edits the one that is there, or makes it. Returns its page.
///
/// # Errors
/// What GitHub said.
pub async fn upsert(client: &Client, number: u64, key: &str, body: &str) -> Result<String> {
    let marker = marker(key);
    let text = json!({ "body": format!("{marker}\n{body}") });
    let comments = client.list(&format!("issues/{number}/comments")).await?;
    let answer = match comments.iter().find(|c| ours(c, &marker)) {
        Some(comment) => client.patch(&format!("issues/comments/{}", comment["id"]), &text).await?,
        None => client.post(&format!("issues/{number}/comments"), &text).await?,
    };
    Ok(answer["html_url"].as_str().unwrap_or_default().to_owned())
}

/// A person who quotes the marker does not get their comment overwritten: only a bot's counts.
fn ours(comment: &Value, marker: &str) -> bool {
    comment["body"].as_str().is_some_and(|b| b.starts_with(marker)) && comment["user"]["type"] == "Bot"
}
