//! `artifice`: goes on with other files than those of the artifact.

use async_trait::async_trait;
use globset::GlobBuilder;
use image_action_engine::{
    Artifact, Block, BuildContext, Config, Error, PostOutcome, PostProcessor, PrepareContext, Result,
};
use image_action_lang::{Diagnostic, Diagnostics};
use std::path::{Path, PathBuf};

/// Who made the artifact, as Packer names it.
const BUILDER_ID: &str = "packer.post-processor.artifice";

/// Replaces the artifact by files that a provisioner or an earlier post-processor has made on this side.
#[derive(Config)]
pub struct ArtificeConfig {
    /// The paths of the files, relative to the working directory; `*`, `?` and `[…]` stand for parts of names. One at
    /// least.
    files: Vec<String>,
}

/// Makes it.
///
/// # Errors
/// No files, or a pattern that is none.
pub fn make(_: &PrepareContext, body: &Block) -> std::result::Result<Box<dyn PostProcessor>, Diagnostics> {
    let config = ArtificeConfig::decode(body);
    let mut diags = Diagnostics::new();
    if config.files.is_empty() {
        diags.push(
            Diagnostic::error("No files specified in artifice configuration")
                .detail("It would leave an artifact of nothing.")
                .at(body.span_of("files"))
                .hint("set files = [\"PATH\", …]"),
        );
    }
    for pattern in &config.files {
        if let Err(e) = glob(pattern) {
            diags.push(
                Diagnostic::error(format!("Invalid pattern {pattern:?}"))
                    .detail(format!("{e}."))
                    .at(body.span_of("files")),
            );
        }
    }
    if diags.is_empty() { Ok(Box::new(config)) } else { Err(diags) }
}

fn glob(pattern: &str) -> std::result::Result<globset::GlobMatcher, String> {
    // As Go matches them: a star takes no separator.
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    glob.map(|g| g.compile_matcher()).map_err(|e| e.kind().to_string())
}

/// The files that a pattern names, sorted; paths as the pattern has them.
fn matching(pattern: &str, cwd: &Path) -> Result<Vec<PathBuf>> {
    let matcher = glob(pattern).map_err(|e| Error::failed(format!("invalid pattern {pattern:?}: {e}")))?;
    let wild = |part: &str| part.contains(['*', '?', '[']);
    let mut found = vec![PathBuf::from(if pattern.starts_with('/') { "/" } else { "" })];
    for part in pattern.split('/').filter(|p| !p.is_empty()) {
        if !wild(part) {
            found.iter_mut().for_each(|p| p.push(part));
            continue;
        }
        let inside = found.iter().flat_map(|dir| {
            let entries = std::fs::read_dir(cwd.join(dir)).into_iter().flatten();
            entries.filter_map(|e| Some(dir.join(e.ok()?.file_name()))).collect::<Vec<_>>()
        });
        let depth = |p: &Path| p.components().count();
        let prefix: PathBuf = Path::new(pattern).components().take(found.first().map_or(0, |p| depth(p)) + 1).collect();
        let own = glob(&prefix.to_string_lossy()).unwrap_or_else(|_| matcher.clone());
        found = inside.filter(|p| own.is_match(p)).collect();
    }
    found.retain(|p| cwd.join(p).exists());
    found.sort();
    Ok(found)
}

#[async_trait]
impl PostProcessor for ArtificeConfig {
    async fn process(&self, cx: &BuildContext, artifact: &Artifact) -> Result<PostOutcome> {
        let names = |files: &[PathBuf]| files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ");
        if !artifact.files.is_empty() {
            cx.say(format!("Discarding files from artifact: {}", names(&artifact.files)));
        }
        let mut files = Vec::new();
        for pattern in &self.files {
            files.extend(matching(pattern, &cx.run.cwd)?);
        }
        for file in &files {
            cx.env().bounds().read(&cx.run.cwd.join(file))?;
        }
        cx.say(format!("Using these artifact files: {}", names(&files)));
        let made = Artifact {
            builder_id: BUILDER_ID.to_owned(),
            description: format!("Created artifact from files: {}", names(&files)),
            files,
            facts: artifact.facts.clone(),
            ..Artifact::default()
        };
        Ok(PostOutcome { artifact: Some(made), keep: true, keep_forced: false })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn patterns_name_files_at_their_depth() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.out", "b.out", "c.txt", "sub/d.out"] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = |pattern: &str| matching(pattern, dir.path()).unwrap();
        assert_eq!(found("*.out"), ["a.out", "b.out"].map(PathBuf::from));
        assert_eq!(found("*/d.out"), [PathBuf::from("sub/d.out")]);
        assert_eq!(found("c.txt"), [PathBuf::from("c.txt")]);
        assert_eq!(found("none*"), Vec::<PathBuf>::new());
        assert!(matching("[", dir.path()).is_err());
    }
}
