//! Variables for scripts, as one text in front of a command.

use super::Checks;
use image_action_engine::BuildContext;
use image_action_engine::config::UNKNOWN_TEXT;
use std::collections::BTreeMap;

/// Checks variables written as `NAME=value`.
pub(super) fn check(checks: &mut Checks<'_>, variables: &[String]) {
    for variable in variables.iter().filter(|v| *v != UNKNOWN_TEXT) {
        if variable.split_once('=').is_none_or(|(name, _)| name.is_empty()) {
            let what = format!("Environment variable not in format 'key=value': {variable}");
            checks.push("environment_vars", what, "", "write NAME=value, or use the map `env`");
        }
    }
}

/// Checks the format of one variable.
pub(super) fn check_format(checks: &mut Checks<'_>, format: &str) {
    if !format.is_empty() && format != UNKNOWN_TEXT && apply(format, "", "").is_none() {
        let what = format!("env_var_format does not take a name and a value: {format:?}");
        checks.push("env_var_format", what, "The format must hold %s twice.", "for example \"%s='%s' \"");
    }
}

/// The variables of a script: those of the build, then `environment_vars`, then `env`; later ones win.
pub(super) fn variables(
    cx: &BuildContext,
    variables: &[String],
    env: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([
        ("PACKER_BUILD_NAME".to_owned(), cx.source_name.clone()),
        ("PACKER_BUILDER_TYPE".to_owned(), cx.source_type.clone()),
    ]);
    all.extend(variables.iter().filter_map(|v| v.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())));
    all.extend(env.iter().map(|(n, v)| (n.clone(), v.clone())));
    all
}

/// All variables in one text, by name.
pub(super) fn format(format: &str, variables: &BTreeMap<String, String>) -> String {
    let quoted = |v: &str| v.replace('\'', "'\"'\"'");
    variables.iter().filter_map(|(name, value)| apply(format, name, &quoted(value))).collect()
}

/// One variable in its format; `None` where the format does not take two texts.
fn apply(format: &str, name: &str, value: &str) -> Option<String> {
    let mut out = String::new();
    let mut values = [name, value].into_iter();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            's' => out.push_str(values.next()?),
            '%' => out.push('%'),
            _ => return None,
        }
    }
    values.next().is_none().then_some(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_reach_the_shell_as_they_are() {
        let vars = BTreeMap::from([("B".to_owned(), "it's $x \"q\"".to_owned()), ("A".to_owned(), String::new())]);
        assert_eq!(format("%s='%s' ", &vars), "A='' B='it'\"'\"'s $x \"q\"' ");
        assert_eq!(apply("set \"%s=%s\" && ", "A", "1").unwrap(), "set \"A=1\" && ");
        assert_eq!(apply("100%% %s %s", "A", "1").unwrap(), "100% A 1");
        for bad in ["%s", "%s %s %s", "%d %s", "%s=%s%", ""] {
            assert!(apply(bad, "A", "1").is_none(), "{bad}");
        }
    }
}
