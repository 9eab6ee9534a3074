//! `-only` and `-except`: which builds run.

use globset::{GlobBuilder, GlobMatcher};
use image_action_lang::Diagnostic;

/// The patterns of the command line.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    only: Vec<Pattern>,
    except: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    matcher: GlobMatcher,
}

fn patterns(flag: &str, texts: &[String]) -> Result<Vec<Pattern>, Diagnostic> {
    let one = |text: &String| {
        // Names have no separators: a star takes dots and slashes too.
        let glob = GlobBuilder::new(text).literal_separator(false).backslash_escape(true).build();
        glob.map(|g| Pattern { matcher: g.compile_matcher() }).map_err(|e| {
            Diagnostic::error(format!("Invalid -{flag} pattern {text}: {}", e.kind()))
                .hint("a pattern is made of names with * ? [abc] [!abc]")
        })
    };
    texts.iter().map(one).collect()
}

impl Selection {
    /// Reads the patterns.
    ///
    /// # Errors
    /// The first that is none.
    pub fn new(only: &[String], except: &[String]) -> Result<Selection, Diagnostic> {
        Ok(Selection { only: patterns("only", only)?, except: patterns("except", except)? })
    }

    /// Whether a build runs.
    pub fn takes(&self, build: &str) -> bool {
        let among = |patterns: &[Pattern]| patterns.iter().any(|p| p.matcher.is_match(build));
        (self.only.is_empty() || among(&self.only)) && !among(&self.except)
    }

    /// Whether a post-processor of this name (or, without one, type) ends its chain before it runs.
    pub fn cuts(&self, post_processor: &str) -> bool {
        self.except.iter().any(|p| p.matcher.is_match(post_processor))
    }

    /// What is suspicious about the patterns, given the names of all builds and of all post-processors.
    pub fn warnings(&self, builds: &[String], post_processors: &[String]) -> Vec<Diagnostic> {
        let matched = |patterns: &[Pattern], names: &[String]| {
            names.iter().filter(|n| patterns.iter().any(|p| p.matcher.is_match(n))).count()
        };
        let names = format!("Possible build names: [{}].", builds.join(" "));
        let hint = "a pattern is matched against the whole name: '*' stands for any part of it, also across dots";
        let mut warnings = Vec::new();
        if self.only.len() > matched(&self.only, builds) {
            warnings.push(
                Diagnostic::warning("an 'only' option was passed, but not all matches were found for the given build")
                    .detail(names.clone())
                    .hint(hint),
            );
        }
        let left: Vec<String> = builds.iter().filter(|b| self.only.is_empty() || self.takes(b)).cloned().collect();
        let found =
            matched(&self.except, &left) + matched(&self.except, builds) + matched(&self.except, post_processors);
        if !self.except.is_empty() && found == 0 {
            warnings.push(
                Diagnostic::warning("an 'except' option was passed, but did not match any build")
                    .detail(names)
                    .hint(hint),
            );
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|t| (*t).to_owned()).collect()
    }

    #[test]
    fn patterns_match_whole_names() {
        let takes = |only: &[&str], except: &[&str], name: &str| {
            Selection::new(&strings(only), &strings(except)).unwrap().takes(name)
        };
        assert!(takes(&[], &[], "null.a"));
        assert!(takes(&["*.a"], &[], "web.null.a"));
        assert!(!takes(&["null.a"], &[], "web.null.a"));
        assert!(takes(&["n?ll.[a-c]"], &[], "null.b"));
        assert!(!takes(&["null.*"], &["*.b"], "null.b"));
        assert!(!takes(&["Null.*"], &[], "null.b"));
        assert!(Selection::new(&strings(&["null.["]), &[]).is_err());
        assert!(Selection::new(&strings(&["foo[]bar"]), &[]).is_err());
    }

    #[test]
    fn what_matches_nothing_is_warned_of() {
        let builds = strings(&["null.a", "null.b"]);
        let count = |only: &[&str], except: &[&str]| {
            Selection::new(&strings(only), &strings(except)).unwrap().warnings(&builds, &strings(&["manifest"])).len()
        };
        assert_eq!(count(&["null.*"], &[]), 0);
        assert_eq!(count(&["null.a", "null.c", "null.d"], &[]), 1);
        assert_eq!(count(&[], &["manifest"]), 0);
        assert_eq!(count(&[], &["x"]), 1);
    }
}
