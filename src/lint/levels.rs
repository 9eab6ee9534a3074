//! What `-W` says about warnings: `-W error`, `-W error=ID`, `-W off=ID`.

use super::{rule, unknown_rule};
use image_action_lang::{Diagnostic, Diagnostics, Severity};

/// What becomes of a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Off,
    Warn,
    Error,
}

/// What was asked for, in order. What names a rule goes before what holds for all; of two that say the same, the last holds.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    all: Option<Level>,
    rules: Vec<(&'static str, Level)>,
}

impl Levels {
    /// Reads the values of all `-W` flags, in order.
    ///
    /// # Errors
    /// A word that is no level, or an id that no rule has.
    pub fn parse<S: AsRef<str>>(flags: &[S]) -> Result<Levels, Diagnostic> {
        let mut levels = Levels::default();
        for flag in flags {
            let flag = flag.as_ref();
            let (word, ids) = flag.split_once('=').map_or((flag, None), |(w, ids)| (w, Some(ids)));
            let level = match word {
                "off" => Level::Off,
                "warn" => Level::Warn,
                "error" => Level::Error,
                _ => {
                    return Err(Diagnostic::error(format!("-W {flag} says nothing"))
                        .detail("A level is off, warn or error.")
                        .hint("write -W error for all warnings, -W error=ID or -W off=ID for one rule"));
                }
            };
            let Some(ids) = ids else {
                levels.all = Some(level);
                continue;
            };
            for id in ids.split(',').map(str::trim) {
                levels.rules.push((rule(id).ok_or_else(|| unknown_rule(id))?.id, level));
            }
        }
        Ok(levels)
    }

    fn of(&self, id: Option<&str>) -> Level {
        let own = id.and_then(|id| self.rules.iter().rfind(|(rule, _)| *rule == id));
        own.map(|(_, level)| *level).or(self.all).unwrap_or(Level::Warn)
    }

    /// Whether the findings of a rule are shown at all.
    pub fn show(&self, id: &str) -> bool {
        self.of(Some(id)) != Level::Off
    }

    /// The diagnostics with every warning at its level. Errors stay what they are.
    pub fn apply(&self, diags: Diagnostics) -> Diagnostics {
        let mut all = Diagnostics::new();
        for mut d in diags {
            if d.severity == Severity::Warning {
                match self.of(d.id) {
                    Level::Off => continue,
                    Level::Warn => {}
                    Level::Error => d.severity = Severity::Error,
                }
            }
            all.push(d);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ID: &str = "shell-execute-command-without-vars";

    fn shown(flags: &[&str]) -> Vec<(Severity, Option<&'static str>)> {
        let diags = [Diagnostic::warning("of Packer's"), Diagnostic::warning("of a rule").rule(ID)];
        let all = Levels::parse(flags).unwrap().apply(diags.into_iter().collect());
        all.iter().map(|d| (d.severity, d.id)).collect()
    }

    #[test]
    fn a_rule_goes_before_all_and_the_last_word_holds() {
        use Severity::{Error, Warning};
        assert_eq!(shown(&[]), [(Warning, None), (Warning, Some(ID))]);
        assert_eq!(shown(&["error"]), [(Error, None), (Error, Some(ID))]);
        let off = format!("off={ID}");
        assert_eq!(shown(&[&off, "error"]), [(Error, None)]);
        assert_eq!(shown(&["off", &format!("error={ID}")]), [(Error, Some(ID))]);
        assert_eq!(shown(&[&off, &format!("warn={ID}")]), [(Warning, None), (Warning, Some(ID))]);
    }

    #[test]
    fn what_says_nothing_is_refused() {
        assert!(Levels::parse(&["eror"]).is_err());
        let d = Levels::parse(&["off=shell-execute-command-without-var"]).unwrap_err();
        assert_eq!(d.hint.as_deref(), Some("did you mean \"shell-execute-command-without-vars\"?"));
    }
}
