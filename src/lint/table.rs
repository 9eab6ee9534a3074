//! The rules as a page of the documentation.

use super::{RULES, Rule};
use std::fmt::Write as _;

/// Where the page is.
pub const PAGE: &str = "docs/lint.md";

/// What stands around the table of rules on the page.
const BEGIN: &str = "<!-- rules: made by `image-action lint -list=markdown` -->";

/// One rule, as `explain lint:ID` prints it.
pub fn explain(rule: &Rule) -> String {
    let fix = if rule.fixes { "\n\n`image-action lint -fix` writes it." } else { "" };
    format!(
        "lint:{}\n\n{} ({}).\n\n{}\n\nCure: {}.{fix}\n\nSilence it at one line with the comment `# lint:ignore {}`, everywhere with -W off={}.\n",
        rule.id, rule.summary, rule.on, rule.reason, rule.cure, rule.id, rule.id
    )
}

/// All rules, in Markdown.
pub fn markdown() -> String {
    let mut text = format!("{BEGIN}\n");
    for rule in RULES {
        let fix = if rule.fixes { " (`lint -fix` writes it)" } else { "" };
        let _ = write!(
            text,
            "\n### `{}`\n\nOn {}: {}.\n\n{}\n\nCure: {}{fix}.\n",
            rule.id, rule.on, rule.summary, rule.reason, rule.cure
        );
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_unique_kebab_case_and_every_rule_speaks_in_sentences() {
        let mut seen = BTreeSet::new();
        for rule in RULES {
            assert!(seen.insert(rule.id), "{} twice", rule.id);
            assert!(rule.id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{}", rule.id);
            assert!(!rule.summary.ends_with('.') && !rule.cure.ends_with('.'), "{}", rule.id);
            assert!(rule.reason.ends_with('.'), "{}", rule.id);
        }
    }
}
