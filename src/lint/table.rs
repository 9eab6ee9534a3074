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
    use std::path::Path;

    /// With this variable set, the page is written anew.
    const UPDATE: &str = "LINT_DOCS_UPDATE";

    #[test]
    fn the_page_has_all_rules_as_they_are() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
        let page = std::fs::read_to_string(&path).unwrap();
        let (before, _) = page.split_once(BEGIN).unwrap();
        let fresh = format!("{before}{}", markdown());
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&path, &fresh).unwrap();
            return;
        }
        assert!(page == fresh, "{PAGE} is stale: run this test with {UPDATE}=1");
    }

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
