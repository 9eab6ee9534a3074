//! Paths, files, templates in files, the environment.

use super::args::text;
use super::{Function, FunctionError, Outcome, Takes, deep, param};
use crate::diag::{Diagnostics, Source};
use crate::parse::parse_template;
use crate::references::template_references;
use crate::scope::{FunctionSet, Scope, World};
use crate::template::eval_template;
use crate::value::{Type, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use globset::GlobBuilder;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Directories inside of each other that `fileset` goes into; links may make a circle.
const MAX_FILESET_DEPTH: usize = 32;
/// Bytes of a file that is read: devices and the like never end.
const MAX_FILE: u64 = 64 << 20;
/// Entries that `fileset` looks at before it gives up.
const MAX_FILESET_ENTRIES: usize = 200_000;

const PATH: super::Param = param("path", Takes::String);

/// Their table.
pub(super) const FUNCTIONS: &[Function] = &[
    deep("abspath", &[PATH], Takes::String, |world, a| {
        let joined = world.working_dir.join(text(&a[0]));
        Ok(Value::string(clean(&joined.to_string_lossy())))
    }),
    deep("basename", &[PATH], Takes::String, |_, a| Ok(Value::string(basename(text(&a[0]))))),
    deep("dirname", &[PATH], Takes::String, |_, a| Ok(Value::string(dirname(text(&a[0]))))),
    deep("pathexpand", &[PATH], Takes::String, |world, a| Ok(Value::string(expand_home(world, text(&a[0]))?))),
    deep("file", &[PATH], Takes::String, |world, a| read(world, text(&a[0])).map(Value::string)),
    deep("filebase64", &[PATH], Takes::String, |world, a| {
        // As in Packer: from the working directory, and `~` is a plain character.
        let given = text(&a[0]);
        let bytes = read_bytes(&allowed(world, world.working_dir.join(given))?, given)?;
        Ok(Value::string(STANDARD.encode(bytes)))
    }),
    deep("fileexists", &[PATH], Takes::Bool, fileexists),
    deep("fileset", &[PATH, param("pattern", Takes::String)], Takes::Set, fileset),
    deep("templatefile", &[PATH, param("vars", Takes::Any)], Takes::Any, templatefile),
    deep("env", &[param("key", Takes::String)], Takes::String, |world, a| {
        Ok(Value::string(world.environment.get(text(&a[0])).map_or("", String::as_str)))
    }),
];

/// A path without `.`, `..` where it can go, and repeated slashes, as Go cleans it.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

fn basename(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return "/".to_owned();
    }
    trimmed.rsplit('/').next().unwrap_or(trimmed).to_owned()
}

fn dirname(path: &str) -> String {
    clean(path.rfind('/').map_or("", |i| &path[..=i]))
}

fn expand_home(world: &World, path: &str) -> Result<String, FunctionError> {
    let Some(rest) = path.strip_prefix('~') else {
        return Ok(path.to_owned());
    };
    if !rest.is_empty() && !rest.starts_with('/') {
        return Err(FunctionError::new("cannot expand the home directory of another user"));
    }
    let home = world.environment.get("HOME").filter(|h| !h.is_empty());
    let home = home.ok_or_else(|| FunctionError::new("cannot expand ~: HOME is not set"))?;
    Ok(if rest.is_empty() { home.clone() } else { clean(&format!("{home}{rest}")) })
}

fn resolve(world: &World, path: &str) -> Result<PathBuf, FunctionError> {
    allowed(world, world.base_dir.join(expand_home(world, path)?))
}

/// The path, where this world lets functions look at it.
fn allowed(world: &World, path: PathBuf) -> Result<PathBuf, FunctionError> {
    world.may_read(&path).map_err(|why| FunctionError::at(0, why))?;
    Ok(path)
}

fn cannot_read(path: &str, error: &std::io::Error) -> FunctionError {
    let why = match error.kind() {
        std::io::ErrorKind::NotFound => format!("no file exists at {path:?}"),
        _ => format!("failed to read {path:?}: {error}"),
    };
    FunctionError::at(0, why)
}

fn read_bytes(path: &Path, given: &str) -> Result<Vec<u8>, FunctionError> {
    // A pipe or a device that nobody writes to is an error rather than a wait without end.
    let mut options = std::fs::OpenOptions::new();
    let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(|e| cannot_read(given, &e))?;
    let pipe = file.metadata().is_ok_and(|m| m.file_type().is_fifo());
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|e| cannot_read(given, &e))?;
    if pipe && bytes.is_empty() {
        return Err(FunctionError::at(0, format!("{given:?} is a pipe that nobody writes to")));
    }
    if bytes.len() as u64 > MAX_FILE {
        return Err(FunctionError::at(0, format!("{given:?} has more than {} MiB", MAX_FILE >> 20)));
    }
    Ok(bytes)
}

fn read(world: &World, path: &str) -> Result<String, FunctionError> {
    let resolved = resolve(world, path)?;
    let bytes = read_bytes(&resolved, path)?;
    String::from_utf8(bytes).map_err(|_| {
        FunctionError::at(0, format!("contents of {path:?} are not valid UTF-8; use filebase64 to read binary files"))
    })
}

fn fileexists(world: &World, a: &[Value]) -> Outcome {
    let path = text(&a[0]);
    match std::fs::metadata(resolve(world, path)?) {
        Ok(found) if found.is_file() => Ok(Value::bool(true)),
        Ok(_) => Err(FunctionError::at(0, format!("{path:?} is not a regular file"))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Value::bool(false)),
        Err(e) => Err(FunctionError::at(0, format!("failed to look at {path:?}: {e}"))),
    }
}

fn fileset(world: &World, a: &[Value]) -> Outcome {
    let (path, pattern) = (text(&a[0]), text(&a[1]));
    // Leading parts of the pattern without anything special in them only say where to begin.
    let parts: Vec<&str> = pattern.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    let special = |p: &&&str| !p.contains(['*', '?', '[', '{', '\\']);
    let fixed = parts.iter().take_while(special).count().min(parts.len().saturating_sub(1));
    let (prefix, rest) = (parts[..fixed].join("/"), parts[fixed..].join("/"));
    let glob = GlobBuilder::new(&rest).literal_separator(true).backslash_escape(true).build();
    let matcher = glob
        .map_err(|e| FunctionError::new(format!("failed to glob pattern {pattern:?}: {}", e.kind())))?
        .compile_matcher();
    let start = allowed(world, world.base_dir.join(path).join(&prefix))?;
    let mut found = BTreeSet::new();
    let mut looked_at = 0;
    walk(&start, "", MAX_FILESET_DEPTH, &mut looked_at, &mut |relative| {
        if matcher.is_match(relative) {
            let full = if prefix.is_empty() { relative.to_owned() } else { format!("{prefix}/{relative}") };
            found.insert(clean(&full));
        }
    })?;
    Ok(Value::set(Type::String, found.iter().map(Value::string).collect()))
}

/// Calls `see` with the path of every regular file below `dir`, relative to it. What cannot be read is left out.
fn walk(
    dir: &Path,
    relative: &str,
    depth: usize,
    looked_at: &mut usize,
    see: &mut dyn FnMut(&str),
) -> Result<(), FunctionError> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Ok(()) };
    for entry in entries.flatten() {
        *looked_at += 1;
        if *looked_at > MAX_FILESET_ENTRIES {
            return Err(FunctionError::new(format!("there are more than {MAX_FILESET_ENTRIES} files to look at")));
        }
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let path = if relative.is_empty() { name.to_owned() } else { format!("{relative}/{name}") };
        // Follows links, as Packer does.
        match std::fs::metadata(entry.path()) {
            Ok(m) if m.is_file() => see(&path),
            Ok(m) if m.is_dir() && depth > 1 => walk(&entry.path(), &path, depth - 1, looked_at, see)?,
            _ => {}
        }
    }
    Ok(())
}

fn is_identifier(name: &str) -> bool {
    hcl::edit::Ident::try_new(name).is_ok()
}

fn templatefile(world: &World, a: &[Value]) -> Outcome {
    let Some(vars) = a[1].entries() else {
        return Err(FunctionError::at(1, "invalid vars value: must be a map"));
    };
    if let Some(name) = vars.keys().find(|n| !is_identifier(n)) {
        return Err(FunctionError::at(
            1,
            format!(
                "invalid template variable name {name:?}: must start with a letter, followed by zero or more letters, digits, and underscores"
            ),
        ));
    }
    let path = text(&a[0]);
    let content = read(world, path)?;
    let source = Source::new(path, content);
    let describe = |diags: &Diagnostics| {
        let mut sources = crate::diag::SourceMap::default();
        sources.add_source(&source);
        let all: Vec<String> = diags
            .iter()
            .map(|d| {
                let at = d.span.as_ref().and_then(|s| sources.position(&s.file, s.start));
                let at = at.map_or_else(|| path.to_owned(), |p| format!("{path}:{}:{}", p.line, p.column));
                format!("{at}: {d}")
            })
            .collect();
        FunctionError::new(all.join("; ").trim_end_matches('.').to_owned())
    };
    let template = parse_template(&source.name, &source.text).map_err(|d| describe(&d))?;
    for reference in template_references(&template, &source) {
        if !vars.contains_key(&reference.root) {
            return Err(FunctionError::at(
                1,
                format!("vars map does not contain key {:?}, referenced at {path}", reference.root),
            ));
        }
    }
    let scope = Scope::new(Arc::new(world.clone()))
        .with_functions(FunctionSet::InTemplateFile)
        .child(vars.iter().map(|(k, v)| (k.clone(), v.clone())));
    let mut diags = Diagnostics::new();
    let value = eval_template(&template, &scope, &source, &mut diags);
    if diags.has_errors() { Err(describe(&diags)) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_as_go_cleans_them() {
        for (path, want) in
            [("", "."), ("a/../..", ".."), ("/..", "/"), ("a//b/./c/", "a/b/c"), ("../x", "../x"), ("/", "/")]
        {
            assert_eq!(clean(path), want, "{path}");
        }
    }
}
