//! Versions and constraints on them, as `required_version` and `required_plugins` write them.

use std::cmp::Ordering;

/// A version: numbers, and what follows a dash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// As many as were written, three at least.
    segments: Vec<u64>,
    /// How many were written.
    written: usize,
    /// `beta1` of `1.0.0-beta1`, or empty.
    prerelease: String,
}

impl Version {
    /// Reads `1.2.3`, `v1.2`, `1.0.0-dev+build`.
    pub fn parse(text: &str) -> Option<Version> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text.split_once('+').map_or(text, |(version, _)| version);
        let (numbers, prerelease) = text.split_once('-').unwrap_or((text, ""));
        let segments: Option<Vec<u64>> =
            numbers.split('.').map(|n| n.parse().ok().filter(|_| n.bytes().all(|b| b.is_ascii_digit()))).collect();
        let mut segments = segments?;
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '~');
        if !prerelease.chars().all(valid) || (text.contains('-') && prerelease.is_empty()) {
            return None;
        }
        let written = segments.len();
        segments.resize(written.max(3), 0);
        Some(Version { segments, written, prerelease: prerelease.to_owned() })
    }

    /// What follows the dash, or empty.
    pub fn prerelease(&self) -> &str {
        &self.prerelease
    }

    fn compare(&self, other: &Version) -> Ordering {
        let longest = self.segments.len().max(other.segments.len());
        let at = |v: &Version, i: usize| v.segments.get(i).copied().unwrap_or(0);
        let numbers = (0..longest).map(|i| at(self, i).cmp(&at(other, i))).find(|o| o.is_ne());
        numbers.unwrap_or_else(|| match (self.prerelease.is_empty(), other.prerelease.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => self.prerelease.cmp(&other.prerelease),
        })
    }
}

/// Several conditions that must all hold: `>= 1.2, < 2.0`.
#[derive(Clone, Debug)]
pub struct Constraints(Vec<(&'static str, Version)>);

/// Longer operators first where one begins another.
const OPERATORS: [&str; 8] = ["!=", ">=", "<=", "~>", "=", ">", "<", ""];

impl Constraints {
    /// Reads them.
    ///
    /// # Errors
    /// A sentence that names the part that is no constraint.
    pub fn parse(text: &str) -> Result<Constraints, String> {
        let mut all = Vec::new();
        for part in text.split(',') {
            let part = part.trim();
            // The empty operator begins everything.
            let operator = OPERATORS.iter().copied().find(|o| part.starts_with(o)).unwrap_or_default();
            let version = Version::parse(&part[operator.len()..])
                .ok_or_else(|| format!("{part:?} is not a version constraint; write \">= 1.2.0\", say"))?;
            all.push((operator, version));
        }
        Ok(Constraints(all))
    }

    /// The versions that the conditions name.
    pub fn versions(&self) -> impl Iterator<Item = &Version> {
        self.0.iter().map(|(_, v)| v)
    }

    /// Whether a version fulfils all of them.
    pub fn allow(&self, version: &Version) -> bool {
        self.0.iter().all(|(operator, wanted)| holds(operator, version, wanted))
    }
}

fn holds(operator: &str, v: &Version, c: &Version) -> bool {
    // A pre-release only fulfils a condition that names a pre-release of the same numbers.
    let comparable = v.prerelease.is_empty() || (!c.prerelease.is_empty() && c.segments == v.segments);
    let order = v.compare(c);
    match operator {
        "!=" => order.is_ne(),
        ">" => comparable && order.is_gt(),
        "<" => comparable && order.is_lt(),
        ">=" => comparable && order.is_ge(),
        "<=" => comparable && order.is_le(),
        "~>" => {
            let fixed = c.written.saturating_sub(1).max(usize::from(c.written == 1));
            comparable
                && (c.prerelease.is_empty() || !v.prerelease.is_empty())
                && order.is_ge()
                && (0..fixed).all(|i| v.segments.get(i) == c.segments.get(i))
        }
        _ => order.is_eq(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn constraints_hold_as_go_version_has_them() {
        let v = Version::parse("1.16.0").unwrap();
        for (text, expected) in [
            (">= 1.10.0", true),
            (">= v1.0", true),
            ("1.16", true),
            ("= 1.16.1", false),
            ("!= 1.16.0", false),
            ("~> 1.2", true),
            ("~> 1.15.3", false),
            ("~> 1.16.0", true),
            ("> 1.15, < 2", true),
            ("> 1.15, < 1.16", false),
            (">= 1.17.0-dev", false),
        ] {
            assert_eq!(Constraints::parse(text).unwrap().allow(&v), expected, "{text}");
        }
        for bad in ["", "x", ">= ", "=> 1", "1.x", "1,,2", "1.0-"] {
            assert!(Constraints::parse(bad).is_err(), "{bad}");
        }
        assert!(!Constraints::parse(">= 1.0").unwrap().allow(&Version::parse("1.16.0-dev").unwrap()));
    }
}
