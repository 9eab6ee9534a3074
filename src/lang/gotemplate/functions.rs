//! The functions that every option of a template may use.

use super::time::{go_layout, strftime};
use super::{Functions, Node};
use chrono::{DateTime, SecondsFormat, Utc};
use rand::RngCore;

/// What they know.
#[derive(Clone, Debug)]
pub struct Standard {
    /// When the run began.
    pub started: DateTime<Utc>,
    /// The working directory.
    pub cwd: String,
    /// The name of the source; `None` outside of a build, where `build_name` is refused.
    pub build_name: Option<String>,
    /// The type of the source.
    pub build_type: Option<String>,
    /// The version of Packer whose templates are read.
    pub packer_version: String,
}

/// Refused names, and what to use.
const REFUSED: &[(&str, &str)] = &[
    ("user", "user variables are not available in HCL templates; use var.NAME"),
    ("env", "env vars are not allowed here; give a variable the default env(\"NAME\") and use it"),
    ("consul_key", "consul_key is not allowed here; give a variable the default consul_key(\"KEY\") and use it"),
    ("vault", "vault is not allowed here; give a variable the default vault(\"PATH\", \"KEY\") and use it"),
    ("aws_secretsmanager", "aws_secretsmanager is not allowed here; give a variable its value and use it"),
    ("aws_secretsmanager_raw", "aws_secretsmanager_raw is not allowed here; give a variable its value and use it"),
    ("template_dir", "template path not available; use ${path.root}"),
    ("sed", "sed is not supported any more; use the HCL functions replace or regex_replace"),
];

/// Those functions. `build` looks into the data of the rendering.
pub fn standard(facts: &Standard) -> Functions {
    let mut all = Functions::new();
    for (name, why) in REFUSED {
        all.add(*name, |_, _| Err((*why).to_owned()));
    }
    let started = facts.started;
    all.add("timestamp", move |a, _| texts::<0>(a).map(|_| started.timestamp().to_string().into()));
    all.add("isotime", move |a, _| match a {
        [] => Ok(started.to_rfc3339_opts(SecondsFormat::Secs, true).into()),
        [_] => texts(a).map(|[layout]| go_layout(started, layout).into()),
        _ => Err(format!("too many values, 1 needed: {}", a.len())),
    });
    all.add("strftime", move |a, _| texts(a).and_then(|[format]| strftime(started, format)).map(Node::String));
    all.add("uuid", |a, _| texts::<0>(a).map(|_| time_ordered_uuid(Utc::now()).into()));
    constant(&mut all, "pwd", Some(facts.cwd.clone()));
    constant(&mut all, "build_name", facts.build_name.clone());
    constant(&mut all, "build_type", facts.build_type.clone());
    constant(&mut all, "packer_version", Some(facts.packer_version.clone()));
    all.add("upper", |a, _| texts(a).map(|[s]| s.to_uppercase().into()));
    all.add("lower", |a, _| texts(a).map(|[s]| s.to_lowercase().into()));
    all.add("split", |a, _| split(a));
    all.add("replace", |a, _| match a {
        [Node::String(old), Node::String(new), Node::Int(n), Node::String(source)] => Ok(match usize::try_from(*n) {
            Ok(n) => check_replaced(old, new, source).map(|()| source.replacen(old.as_str(), new, n).into())?,
            Err(_) => check_replaced(old, new, source).map(|()| source.replace(old.as_str(), new).into())?,
        }),
        _ => Err("replace takes the old text, the new text, how many times (-1: all), and the source".to_owned()),
    });
    all.add("replace_all", |a, _| {
        let [old, new, source] = texts(a)?;
        check_replaced(old, new, source)?;
        Ok(source.replace(old, new).into())
    });
    all.add("build", |a, data| {
        let [name] = texts(a)?;
        data.get(name).cloned().ok_or_else(|| {
            format!("loaded data, but couldn't find {name} in it; use ${{build.{name}}} in place of the function")
        })
    });
    all
}

/// Bytes of text that a replacement may make.
const MAX_REPLACED: usize = 16 << 20;

/// Refuses a replacement whose result would be too long.
fn check_replaced(old: &str, new: &str, source: &str) -> Result<(), String> {
    let added = source.matches(old).count().saturating_mul(new.len());
    if source.len().saturating_add(added) > MAX_REPLACED {
        return Err(format!("the result would have more than {} MiB", MAX_REPLACED >> 20));
    }
    Ok(())
}

fn constant(all: &mut Functions, name: &'static str, value: Option<String>) {
    all.add(name, move |a, _| {
        texts::<0>(a)?;
        value.clone().map(Node::String).ok_or_else(|| format!("{name} is known inside of a build only"))
    });
}

/// Exactly N arguments, all of them texts.
fn texts<const N: usize>(arguments: &[Node]) -> Result<[&str; N], String> {
    let mut found = [""; N];
    if arguments.len() != N {
        return Err(format!("wrong number of args: want {N} got {}", arguments.len()));
    }
    for (slot, argument) in found.iter_mut().zip(arguments) {
        match argument {
            Node::String(s) => *slot = s,
            other => return Err(format!("wrong type: expected string; found {}", other.type_name())),
        }
    }
    Ok(found)
}

fn split(arguments: &[Node]) -> Result<Node, String> {
    let [Node::String(text), Node::String(separator), Node::Int(n)] = arguments else {
        return Err("split takes a text, a separator and the number of the part".to_owned());
    };
    // Go cuts between all characters where the separator is empty.
    let parts: Vec<String> = if separator.is_empty() {
        text.chars().map(String::from).collect()
    } else {
        text.split(separator.as_str()).map(str::to_owned).collect()
    };
    let index = usize::try_from(*n).map_err(|_| "the number of the part is negative".to_owned())?;
    parts
        .get(index)
        .cloned()
        .map(Node::String)
        .ok_or_else(|| format!("the number of the part ({index}) is too large: {text:?} has {} parts", parts.len()))
}

/// A UUID that sorts by time: seconds since 1970, then random bits.
pub fn time_ordered_uuid(now: DateTime<Utc>) -> String {
    let mut random = [0_u8; 12];
    rand::rng().fill_bytes(&mut random);
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let seconds = u32::try_from(now.timestamp()).unwrap_or(u32::MAX);
    format!("{seconds:08x}-{}-{}-{}-{}", hex(&random[..2]), hex(&random[2..4]), hex(&random[4..6]), hex(&random[6..]))
}
