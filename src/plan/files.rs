//! Local files that a step takes with it, by fingerprint: a script that was changed is another image.
//!
//! Only what lies in the repository is looked at: a template may name any file of the machine, and even a fingerprint tells
//! something of it.

use crate::template::plan::Part;
use image_action_lang::Value;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Most files of one option: a folder may hold a whole repository.
const FILES: usize = 2000;

/// The largest file that is looked at, in bytes.
const SIZE: u64 = 64 << 20;

/// How deep folders are gone into.
const DEPTH: usize = 16;

/// A local file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileMark {
    /// As the template names it; below a folder with the rest of the path.
    pub path: String,
    /// Of its content, in hexadecimal digits.
    pub sha256: String,
}

/// Options that name local files or folders, by component.
const OPTIONS: [(&str, &[&str]); 9] = [
    ("amazon-ebs", &["user_data_file"]),
    ("ansible", &["playbook_file", "galaxy_file", "inventory_file", "inventory_directory", "roles_path"]),
    ("azure-arm", &["custom_data_file", "user_data_file"]),
    ("file", &["source", "sources"]),
    ("googlecompute", &["startup_script_file", "metadata_files"]),
    ("shell", &["script", "scripts"]),
    ("shell-local", &["script", "scripts"]),
    ("compress", &[]),
    ("checksum", &[]),
];

/// Folders beside a playbook that Ansible reads by itself.
const BESIDE_PLAYBOOK: [&str; 7] = ["roles", "group_vars", "host_vars", "vars", "files", "templates", "tasks"];

/// The files of a component; `cwd` is where relative paths begin, and nothing outside of `root` is looked at.
pub fn of(part: &Part<'_>, cwd: &Path, root: &Path) -> Vec<FileMark> {
    let Ok(root) = root.canonicalize() else { return Vec::new() };
    let options = OPTIONS.iter().find(|(name, _)| *name == part.component).map_or(&[][..], |(_, options)| options);
    let mut named: Vec<String> = Vec::new();
    for value in options.iter().filter_map(|option| part.block.value(option)) {
        texts(value, &mut named);
    }
    if part.component == "ansible"
        && let Some(playbook) = named.first().cloned()
    {
        let folder = Path::new(&playbook).parent().unwrap_or(Path::new(""));
        named.extend(BESIDE_PLAYBOOK.map(|name| folder.join(name).to_string_lossy().into_owned()));
    }
    let mut all = Vec::new();
    for name in named {
        let mut found = Vec::new();
        walk(&cwd.join(&name), &name, &root, DEPTH, &mut found);
        all.extend(found);
    }
    all.sort_by(|a: &FileMark, b| a.path.cmp(&b.path));
    all.dedup();
    all
}

/// The texts of a value that are known and no secret.
fn texts(value: &Value, all: &mut Vec<String>) {
    if value.is_sensitive() {
        return;
    }
    if let Some(text) = value.as_str().filter(|t| !t.is_empty() && !t.contains('<')) {
        all.push(text.to_owned());
    }
    value.elements().into_iter().flatten().for_each(|v| texts(v, all));
    value.entries().into_iter().flatten().for_each(|(_, v)| texts(v, all));
}

fn walk(path: &Path, name: &str, root: &Path, depth: usize, all: &mut Vec<FileMark>) {
    // Links are followed as long as they stay in the repository.
    let Ok(real) = path.canonicalize() else { return };
    if !real.starts_with(root) || all.len() >= FILES {
        return;
    }
    let Ok(about) = real.metadata() else { return };
    if about.is_file() && about.len() <= SIZE {
        all.extend(digest(&real).map(|sha256| FileMark { path: name.to_owned(), sha256 }));
        return;
    }
    if !about.is_dir() || depth == 0 {
        return;
    }
    let entries = std::fs::read_dir(&real).into_iter().flatten().flatten();
    let mut entries: Vec<PathBuf> = entries.map(|e| e.path()).collect();
    entries.sort();
    for entry in entries {
        let last = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if last != ".git" {
            walk(&entry, &format!("{}/{last}", name.trim_end_matches('/')), root, depth - 1, all);
        }
    }
}

fn digest(path: &Path) -> Option<String> {
    let mut file = std::fs::File::open(path).ok()?.take(SIZE);
    let mut sum = Sha256::new();
    std::io::copy(&mut file, &mut sum).ok()?;
    Some(hex::encode(sum.finalize()))
}
