//! The one comment of a pull request: found again by marker and author, edited in place, by the newest run only.

use crate::github::Client;
use image_action_engine::{ErrorKind, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// First words of a comment of ours.
const MARKER: &str = "<!-- image-action ";

/// Who writes a comment: which one, and for which run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// What tells the comments of several jobs apart; anything.
    pub key: String,
    /// Id of the run; later runs have higher ones.
    pub run: u64,
    /// Number of its attempt.
    pub attempt: u64,
    /// The commit.
    pub sha: String,
}

/// What became of a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It stands there, with its page.
    Written(String),
    /// A newer run has written it; this one's says nothing new.
    Outdated,
}

impl Author {
    /// The key as it stands in a comment: a hash, so that no workflow's name can end the marker.
    fn key(&self) -> String {
        hex::encode(Sha256::digest(self.key.as_bytes()))[..16].to_owned()
    }
    /// The first line of the comment.
    fn marker(&self) -> String {
        let sha: String = self.sha.chars().filter(char::is_ascii_hexdigit).collect();
        let facts = json!({"v": 1, "key": self.key(), "run": self.run, "attempt": self.attempt, "sha": sha});
        format!("{MARKER}{facts} -->")
    }
    /// Run and attempt of a comment with our key; `None` for any other comment.
    fn of(&self, comment: &Value) -> Option<(u64, u64)> {
        let facts = comment["body"].as_str()?.strip_prefix(MARKER)?.split(" -->").next()?;
        let facts: Value = serde_json::from_str(facts).ok()?;
        (facts["key"] == self.key().as_str())
            .then(|| (facts["run"].as_u64().unwrap_or_default(), facts["attempt"].as_u64().unwrap_or_default()))
    }
}

/// Writes the comment: edits the one that is there, or makes it.
///
/// # Errors
/// What GitHub said.
pub async fn upsert(client: &Client, number: u64, author: &Author, body: &str) -> Result<Outcome> {
    let text = json!({ "body": format!("{}\n{body}", author.marker()) });
    let login = login(client).await;
    // Twice: where the answer to a POST is lost, the comment may be there.
    let mut lost = false;
    loop {
        let comments = client.list(&format!("issues/{number}/comments"), None).await?;
        let mut own = comments.iter().filter(|c| is_by(c, login.as_deref())).filter_map(|c| Some((c, author.of(c)?)));
        let Some((comment, run)) = own.next_back() else {
            return match client.post(&format!("issues/{number}/comments"), &text).await {
                Err(e) if e.kind == ErrorKind::Unreachable && !lost => {
                    lost = true;
                    continue;
                }
                answer => Ok(Outcome::Written(page(&answer?))),
            };
        };
        if run > (author.run, author.attempt) {
            return Ok(Outcome::Outdated);
        }
        return Ok(Outcome::Written(page(&client.patch(&format!("issues/comments/{}", comment["id"]), &text).await?)));
    }
}

fn page(comment: &Value) -> String {
    comment["html_url"].as_str().unwrap_or_default().to_owned()
}

/// The login behind a person's token; an app's token is not told its own.
async fn login(client: &Client) -> Option<String> {
    if client.is_app() {
        return None;
    }
    client.user().await.ok()?["login"].as_str().map(str::to_owned)
}

/// A person who quotes the marker does not get their comment overwritten: only the token's own counts, which is a bot's where the
/// token is an app's.
fn is_by(comment: &Value, login: Option<&str>) -> bool {
    match login {
        Some(login) => comment["user"]["login"] == login,
        None => comment["user"]["type"] == "Bot",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author(key: &str, run: u64) -> Author {
        Author { key: key.into(), run, attempt: 1, sha: "abc-->".into() }
    }

    #[test]
    fn a_comment_is_known_by_its_marker_only_at_its_beginning() {
        let ours = author("images/build --> x", 42);
        let body = format!("{}\ntext", ours.marker());
        assert_eq!(ours.marker().matches("-->").count(), 1, "{}", ours.marker());
        assert_eq!(ours.of(&json!({ "body": body })), Some((42, 1)));
        assert_eq!(author("another job", 42).of(&json!({ "body": body })), None);
        assert_eq!(ours.of(&json!({ "body": format!("> {body}") })), None);
        assert_eq!(ours.of(&json!({ "body": "<!-- image-action {\"key\": -->" })), None);
        assert_eq!(ours.of(&json!({ "body": null })), None);
    }

    #[test]
    fn a_quoted_marker_is_not_ours() {
        let by = |login: &str, kind: &str| json!({"user": {"login": login, "type": kind}});
        assert!(is_by(&by("github-actions[bot]", "Bot"), None) && !is_by(&by("octocat", "User"), None));
        assert!(
            is_by(&by("octocat", "User"), Some("octocat"))
                && !is_by(&by("github-actions[bot]", "Bot"), Some("octocat"))
        );
    }
}
