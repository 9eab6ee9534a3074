//! `manifest`: a JSON file of everything that was built. One writer at the end of the run, in build order, replaced at once.

use crate::postprocessor::write_atomically;
use async_trait::async_trait;
use image_action_engine::run::{BuildOutcome, Finisher, RunContext, RunOutcome};
use image_action_engine::{
    Artifact, Block, BuildContext, Config, Error, PostOutcome, PostProcessor, PrepareContext, Result,
};
use image_action_lang::Diagnostics;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Before the checksums, which cover this file.
pub const FINISH_ORDER: u8 = 10;

/// Writes a JSON file of all artifacts, which keeps the entries of earlier runs.
#[derive(Clone, Debug, Config)]
pub struct ManifestConfig {
    /// The path of the file, relative to the working directory.
    #[config(default = "packer-manifest.json")]
    pub output: String,
    /// Lists files by their last name only.
    pub strip_path: bool,
    /// Leaves the time of the build out.
    pub strip_time: bool,
    /// Anything else to note with each build.
    pub custom_data: Option<BTreeMap<String, String>>,
}

/// Makes a `manifest` from its checked body.
///
/// # Errors
/// None: every checked body will do.
pub fn make(_cx: &PrepareContext, body: &Block) -> std::result::Result<Box<dyn PostProcessor>, Diagnostics> {
    Ok(Box::new(ManifestConfig::decode(body)))
}

/// The file, in the field order of Packer's.
#[derive(Debug, Default, Serialize, Deserialize)]
struct ManifestFile {
    builds: Vec<Entry>,
    last_run_uuid: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    name: String,
    builder_type: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    build_time: u64,
    files: Option<Vec<FileEntry>>,
    artifact_id: String,
    packer_run_uuid: String,
    custom_data: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct FileEntry {
    name: String,
    size: u64,
}

// serde hands a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Entry {
    fn of(config: &ManifestConfig, cx: &BuildContext, artifact: &Artifact) -> Entry {
        let entry = |path: &PathBuf| FileEntry {
            name: if config.strip_path { base_name(path) } else { path.display().to_string() },
            size: std::fs::metadata(cx.run.cwd.join(path)).map_or(0, |m| m.len()),
        };
        let files: Vec<_> = artifact.files.iter().map(entry).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Entry {
            name: cx.source_name.clone(),
            builder_type: cx.source_type.clone(),
            build_time: if config.strip_time { 0 } else { now },
            files: (!files.is_empty()).then_some(files),
            artifact_id: artifact.id.clone(),
            packer_run_uuid: cx.run.id.clone(),
            custom_data: config.custom_data.clone(),
        }
    }
}

fn base_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

#[async_trait]
impl PostProcessor for ManifestConfig {
    async fn process(&self, cx: &BuildContext, artifact: &Artifact) -> Result<PostOutcome> {
        let entry = Entry::of(self, cx, artifact);
        cx.run.with_finisher(
            FINISH_ORDER,
            &self.output,
            || Writer { output: self.output.clone(), entries: Vec::new() },
            |writer| writer.entries.push((cx.position, entry)),
        )?;
        Ok(PostOutcome { artifact: Some(artifact.clone()), keep: true, keep_forced: true })
    }
}

/// The one writer of a manifest.
struct Writer {
    output: String,
    entries: Vec<(usize, Entry)>,
}

#[async_trait]
impl Finisher for Writer {
    async fn finish(mut self: Box<Self>, run: &RunContext, _written: &[PathBuf]) -> Result<Vec<PathBuf>> {
        let path = run.cwd.join(&self.output);
        run.env.bounds().write(&path)?;
        let mut file = read(&path)?;
        // As Packer: -force starts anew.
        if run.force {
            file.builds.clear();
        }
        self.entries.sort_by_key(|(position, _)| *position);
        file.builds.extend(self.entries.into_iter().map(|(_, entry)| entry));
        file.last_run_uuid.clone_from(&run.id);
        write_atomically(&path, render(&file)?.as_bytes())?;
        Ok(vec![PathBuf::from(self.output)])
    }
}

fn read(path: &Path) -> Result<ManifestFile> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(ManifestFile::default()),
        Err(e) => return Err(Error::failed(format!("cannot read the manifest {}: {e}", path.display()))),
    };
    if text.trim().is_empty() {
        return Ok(ManifestFile::default());
    }
    serde_json::from_str(&text).map_err(|e| {
        Error::failed(format!("{} is there and is no manifest: {e}", path.display()))
            .hint("move it away, or give `output` another name; it was not changed")
    })
}

/// A manifest with the entries of one run only, as a release has it; a file that has no others stays byte for byte.
///
/// # Errors
/// A file that is no manifest.
pub fn only_run(text: &[u8], run_id: &str) -> Result<Vec<u8>> {
    let mut file: ManifestFile =
        serde_json::from_slice(text).map_err(|e| Error::failed(format!("the manifest cannot be read again: {e}")))?;
    if file.builds.iter().all(|b| b.packer_run_uuid == run_id) {
        return Ok(text.to_vec());
    }
    file.builds.retain(|b| b.packer_run_uuid == run_id);
    Ok(render(&file)?.into_bytes())
}

/// Several manifests as one of this run, in their order.
///
/// # Errors
/// A text that is no manifest, with its place in the list.
pub fn joined(texts: &[Vec<u8>], run_id: &str) -> Result<Vec<u8>> {
    let mut all = ManifestFile { builds: Vec::new(), last_run_uuid: run_id.to_owned() };
    for (n, text) in texts.iter().enumerate() {
        let file: ManifestFile = serde_json::from_slice(text)
            .map_err(|e| Error::failed(format!("manifest {} of {} is none: {e}", n + 1, texts.len())))?;
        all.builds.extend(file.builds);
    }
    for build in &mut all.builds {
        run_id.clone_into(&mut build.packer_run_uuid);
    }
    Ok(render(&all)?.into_bytes())
}

/// The manifest of a run whose template writes none.
///
/// # Errors
/// None in practice: it is plain JSON.
pub fn of_outcome(outcome: &RunOutcome, run_id: &str) -> Result<Vec<u8>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let made = outcome.builds.iter().filter_map(|b| Some((b, b.result.as_ref().ok()?.first()?)));
    let entry = |(build, artifact): (&BuildOutcome, &Artifact)| Entry {
        name: build.name.rsplit_once(&format!("{}.", build.source_type)).map_or(&*build.name, |(_, n)| n).to_owned(),
        builder_type: build.source_type.clone(),
        build_time: now,
        files: None,
        artifact_id: artifact.id.clone(),
        packer_run_uuid: run_id.to_owned(),
        custom_data: None,
    };
    let file = ManifestFile { builds: made.map(entry).collect(), last_run_uuid: run_id.to_owned() };
    Ok(render(&file)?.into_bytes())
}

/// JSON with two blanks, and `<`, `>`, `&` escaped, as Packer's file has them.
fn render(file: &ManifestFile) -> Result<String> {
    let text =
        serde_json::to_string_pretty(file).map_err(|e| Error::failed(format!("cannot write the manifest: {e}")))?;
    Ok(text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"))
}
