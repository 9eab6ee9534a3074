//! YAML, for `.github/image-action.yml` and for reading `action.yml` in tests.
//!
//! serde_yaml has no maintainer any more. It is used here and nowhere else, on small files of the repository itself, so that another
//! reader can take its place in one file.

use serde_json::Value;

/// Reads one document.
///
/// # Errors
/// What is wrong, with line and column.
pub fn parse(text: &str) -> Result<Value, String> {
    // Its own value first: that one refuses a key that stands twice.
    let value: serde_yaml::Value = serde_yaml::from_str(text).map_err(|e| e.to_string())?;
    serde_json::to_value(value).map_err(|e| e.to_string())
}
