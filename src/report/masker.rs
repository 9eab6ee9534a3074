//! Takes secrets out of text: the second line of defence behind values that carry their sensitivity.

use base64::Engine as _;
use image_action_engine::secret::MASK;
use std::collections::BTreeSet;
use std::sync::{Arc, RwLock};

/// Shorter secrets are not searched for inside other text: masking every `a` helps nobody. A whole line that equals one is
/// masked all the same.
const SHORTEST: usize = 3;

/// Every secret of the run, in the forms in which it may show up. Cheap to clone; clones share.
#[derive(Clone, Default)]
pub struct Masker(Arc<RwLock<Vec<String>>>);

impl Masker {
    /// No secrets yet.
    pub fn new() -> Masker {
        Masker::default()
    }
    /// One more secret: as it is, per line, and as JSON, URL and base64 encoders write it.
    pub fn add(&self, secret: &str) {
        let mut forms: BTreeSet<String> = BTreeSet::new();
        for text in std::iter::once(secret).chain(secret.lines()) {
            let text = text.trim_end_matches(['\r', '\n']);
            if text.is_empty() {
                continue;
            }
            forms.insert(text.to_owned());
            forms.insert(text.replace("\r\n", "\n"));
            let json = serde_json::Value::from(text).to_string();
            forms.insert(json[1..json.len() - 1].to_owned());
            forms.insert(url::form_urlencoded::byte_serialize(text.as_bytes()).collect());
            forms.insert(text.replace('\'', r#"'"'"'"#));
            for engine in
                [&base64::engine::general_purpose::STANDARD, &base64::engine::general_purpose::URL_SAFE_NO_PAD]
            {
                if text.len() >= SHORTEST {
                    forms.insert(engine.encode(text).trim_end_matches('=').to_owned());
                }
            }
        }
        // A panic in another thread does not make the list wrong.
        let mut all = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        all.extend(forms);
        all.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        all.dedup();
    }
    /// The text without secrets; longest first, so that one inside another leaves no rest.
    pub fn mask(&self, text: &str) -> String {
        let all = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut masked = text.to_owned();
        for secret in all.iter() {
            if secret.len() < SHORTEST {
                if masked == *secret {
                    MASK.clone_into(&mut masked);
                }
            } else if masked.contains(secret.as_str()) {
                masked = masked.replace(secret.as_str(), MASK);
            }
        }
        masked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form() {
        let masker = Masker::new();
        masker.add("p\"ss w'rd\nsecond line");
        for text in [
            "x p\"ss w'rd y",
            "only second line here",
            r#"{"a":"p\"ss w'rd"}"#,
            "q=p%22ss+w%27rd",
            "cCJzcyB3J3Jk",
            r#"A='p"ss w'"'"'rd'"#,
        ] {
            let masked = masker.mask(text);
            assert!(masked.contains(MASK), "{text} -> {masked}");
        }
    }

    #[test]
    fn the_longest_goes_first() {
        let masker = Masker::new();
        masker.add("abc");
        masker.add("abcdef");
        assert_eq!(masker.mask("-abcdef-abc-"), format!("-{MASK}-{MASK}-"));
    }

    #[test]
    fn a_tiny_secret_does_not_eat_the_text() {
        let masker = Masker::new();
        masker.add("a");
        assert_eq!(masker.mask("banana"), "banana");
        assert_eq!(masker.mask("a"), MASK);
    }
}
