//! The files of a run: what is written into the workspace, and what goes to a release.

use super::REPORT_FILE;
use crate::cli::Session;
use crate::github::release::File;
use crate::postprocessor::manifest;
use image_action_engine::run::RunOutcome;
use image_action_engine::{Error, Result};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

/// What a release's manifest is called, whatever the template calls its own.
const MANIFEST: &str = "manifest.json";

/// What a release's checksums are called.
const CHECKSUMS: &str = "checksums.txt";

/// Writes a file of the working directory. It is given to whom the folder belongs: the container is root, and later steps of the
/// job are not.
///
/// # Errors
/// Where it cannot be written.
pub fn write(session: &Session, name: &str, content: &[u8]) -> Result<()> {
    let path = session.cwd.join(name);
    // A pull request may hold a link of this name.
    session.env.bounds().write(&path)?;
    std::fs::write(&path, content).map_err(|e| Error::failed(format!("cannot write {}: {e}", path.display())))?;
    give(&session.cwd, &path);
    Ok(())
}

/// Gives a file to the owner of a folder, where we may: only root can, and only there it matters.
fn give(folder: &Path, path: &Path) {
    if let Ok(owner) = std::fs::metadata(folder) {
        let _ = chown(path, Some(owner.uid()), Some(owner.gid()));
    }
}

fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Whether a file is a manifest of builds.
pub fn is_manifest(path: &Path) -> bool {
    json(path).is_some_and(|v| v["builds"].is_array() && v["last_run_uuid"].is_string())
}

/// Whether a file is one of checksums, by its name.
pub fn is_checksums(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    name.contains("checksum") || name.contains("sha256sum") || name.ends_with(".sha256")
}

/// Whether a file is a list of what an image contains, by the endings that SPDX and CycloneDX recommend.
pub fn is_sbom(name: &str) -> bool {
    [".spdx.json", ".cdx.json", ".spdx", "bom.json"].iter().any(|ending| name.ends_with(ending))
}

/// The files of a release: the manifest of this run, SBOMs, the report, and checksums of them all.
///
/// # Errors
/// A file that cannot be read.
pub fn of_release(session: &Session, outcome: &RunOutcome, report: &str) -> Result<Vec<File>> {
    let read = |path: &Path| {
        let path = session.cwd.join(path);
        std::fs::read(&path).map_err(|e| Error::failed(format!("cannot read {} for the release: {e}", path.display())))
    };
    let written = outcome.files.iter().find(|p| is_manifest(&session.cwd.join(p)));
    let manifest = match written {
        Some(path) => manifest::only_run(&read(path)?, &session.run_id)?,
        None => manifest::of_outcome(outcome, &session.run_id)?,
    };
    let mut files = vec![File { name: MANIFEST.to_owned(), content: manifest.into() }];
    let made = outcome.builds.iter().flat_map(|b| b.result.as_deref().unwrap_or(&b.kept)).flat_map(|a| &a.files);
    for path in outcome.files.iter().chain(made) {
        let Some(name) = path.file_name().map(|n| plain(&n.to_string_lossy())) else { continue };
        if is_sbom(&name) && files.iter().all(|f| f.name != name) {
            files.push(File { name, content: read(path)?.into() });
        }
    }
    files.push(File { name: REPORT_FILE.to_owned(), content: report.as_bytes().to_vec().into() });
    let own = outcome.files.iter().find(|p| is_checksums(p)).map(|p| read(p)).transpose()?;
    let sums = own.filter(|text| covers(text, &files)).unwrap_or_else(|| checksums(named(&files)));
    files.insert(1, File { name: CHECKSUMS.to_owned(), content: sums.into() });
    Ok(files)
}

/// GitHub renames anything else.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}

/// As coreutils writes and reads them.
pub fn checksums<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let line = |(name, content): (&str, &[u8])| format!("{}  {name}\n", hex::encode(Sha256::digest(content)));
    files.into_iter().map(line).collect::<String>().into_bytes()
}

fn named(files: &[File]) -> impl Iterator<Item = (&str, &[u8])> {
    files.iter().map(|f| (f.name.as_str(), f.content.as_ref()))
}

/// Whether the template's own checksums are right for the files of the release, and of no others: then they are taken as they are.
fn covers(text: &[u8], files: &[File]) -> bool {
    let text = String::from_utf8_lossy(text);
    let right = |line: &str| {
        let (sum, name) = line.split_once(['\t', ' ']).unwrap_or_default();
        let name = name.trim_start_matches([' ', '*']);
        files.iter().any(|f| f.name == name && hex::encode(Sha256::digest(&f.content)) == sum)
    };
    let mut lines = text.lines().peekable();
    lines.peek().is_some() && lines.all(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> File {
        File { name: name.to_owned(), content: name.as_bytes().to_vec().into() }
    }

    #[test]
    fn foreign_checksums_are_made_anew() {
        let files = [file("manifest.json"), file("image-action-report.md")];
        let own = checksums(named(&files));
        assert!(covers(&own, &files) && covers(&checksums(named(&files[..1])), &files));
        assert!(!covers(b"", &files) && !covers(&checksums(named(&[file("disk.img")])), &files));
        let other = String::from_utf8_lossy(&own).replacen(['a', 'b', 'c'], "0", 1);
        assert!(!covers(other.as_bytes(), &files));
    }

    #[test]
    fn boms_are_known_by_their_names() {
        for (name, is) in
            [("image.spdx.json", true), ("app.cdx.json", true), ("bom.json", true), ("manifest.json", false)]
        {
            assert_eq!(is_sbom(name), is, "{name}");
        }
    }
}
