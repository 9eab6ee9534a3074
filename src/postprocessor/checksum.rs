//! `checksum`: the sums of the artifacts' files, or of the run's own where an artifact has none. One writer at the end of the
//! run, after the manifest; each output file is written once, sorted, replaced at once, so that `sha256sum -c` accepts it.

use crate::postprocessor::{render_late, write_atomically};
use async_trait::async_trait;
use image_action_engine::run::{Finisher, RunContext};
use image_action_engine::{
    Artifact, Block, BuildContext, Config, Error, PostOutcome, PostProcessor, PrepareContext, Result,
};
use image_action_lang::diag::suggest;
use image_action_lang::gotemplate::{self, Data, Node};
use image_action_lang::{Diagnostic, Diagnostics};
use sha2::digest::DynDigest;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

/// After the manifest.
pub const FINISH_ORDER: u8 = 20;

/// How much of a file is read at a time, in bytes.
const CHUNK: usize = 1 << 16;

/// What this kind of artifact is called.
const BUILDER_ID: &str = "packer.post-processor.checksum";

/// Writes checksums of the artifact's files; of an artifact without files (a cloud image), of those that were written for the
/// whole run (the manifest).
#[derive(Clone, Debug, Config)]
pub struct ChecksumConfig {
    /// The kinds of sums: `md5`, `sha1`, `sha224`, `sha256`, `sha384`, `sha512`. Left out: `md5`.
    pub checksum_types: Option<Vec<String>>,
    /// The path of the file, relative to the working directory; `{{.BuildName}}`, `{{.BuilderType}}` and
    /// `{{.ChecksumType}}` stand for the build's.
    #[config(default = "packer_{{.BuildName}}_{{.BuilderType}}_{{.ChecksumType}}.checksum", late)]
    pub output: String,
}

/// Makes a `checksum` from its checked body.
///
/// # Errors
/// Every type that does not exist, and an `output` that is no template.
pub fn make(_cx: &PrepareContext, body: &Block) -> std::result::Result<Box<dyn PostProcessor>, Diagnostics> {
    let config = ChecksumConfig::decode(body);
    let mut wrong = Diagnostics::new();
    for kind in config.types().iter().filter(|t| hasher(t).is_none()) {
        let near = suggest(kind, TYPES).map_or_else(|| TYPES.join(", "), |n| format!("did you mean \"{n}\"?"));
        wrong.push(
            Diagnostic::error(format!("unknown checksum type \"{kind}\""))
                .at(body.span_of("checksum_types"))
                .hint(near),
        );
    }
    if let Err(e) = gotemplate::check(&config.output) {
        wrong.push(Diagnostic::error(format!("`output` is no template: {e}")).at(body.span_of("output")));
    }
    if wrong.is_empty() { Ok(Box::new(config)) } else { Err(wrong) }
}

/// What [`ChecksumConfig::checksum_types`] takes.
const TYPES: [&str; 6] = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];

/// An algorithm by its name; `None` for an unknown name.
fn hasher(name: &str) -> Option<Box<dyn DynDigest>> {
    Some(match name {
        "md5" => Box::new(md5::Md5::default()),
        "sha1" => Box::new(sha1::Sha1::default()),
        "sha224" => Box::new(Sha224::default()),
        "sha256" => Box::new(Sha256::default()),
        "sha384" => Box::new(Sha384::default()),
        "sha512" => Box::new(Sha512::default()),
        _ => return None,
    })
}

impl ChecksumConfig {
    /// The types that apply: md5 where none are named.
    fn types(&self) -> Vec<String> {
        self.checksum_types.clone().unwrap_or_else(|| vec!["md5".to_owned()])
    }
    fn output_for(&self, cx: &BuildContext, kind: &str) -> Result<String> {
        let text = |t: &str| Node::String(t.to_owned());
        let data = Data::from([
            ("BuildName".to_owned(), text(&cx.source_name)),
            ("BuilderType".to_owned(), text(&cx.source_type)),
            ("ChecksumType".to_owned(), text(kind)),
        ]);
        render_late("output", &self.output, &data, cx)
    }
}

#[async_trait]
impl PostProcessor for ChecksumConfig {
    async fn process(&self, cx: &BuildContext, artifact: &Artifact) -> Result<PostOutcome> {
        let mut files = artifact.files.clone();
        for kind in self.types() {
            let output = self.output_for(cx, &kind)?;
            let wanted = artifact.files.iter().cloned();
            cx.run.with_finisher(
                FINISH_ORDER,
                &output,
                || Writer { output: output.clone(), kinds: BTreeMap::new() },
                |writer| writer.kinds.entry(kind).or_default().extend(wanted),
            )?;
            if !files.iter().any(|f| f.as_os_str() == output.as_str()) {
                files.push(PathBuf::from(output));
            }
        }
        let names: Vec<_> = files.iter().map(|f| f.display().to_string()).collect();
        let made = Artifact {
            builder_id: BUILDER_ID.to_owned(),
            description: format!("Created artifact from files: {}", names.join(", ")),
            files,
            ..Artifact::default()
        };
        Ok(PostOutcome { artifact: Some(made), keep: true, keep_forced: true })
    }
}

/// The one writer of a file of checksums.
struct Writer {
    output: String,
    kinds: BTreeMap<String, BTreeSet<PathBuf>>,
}

#[async_trait]
impl Finisher for Writer {
    async fn finish(self: Box<Self>, run: &RunContext, written: &[PathBuf]) -> Result<Vec<PathBuf>> {
        let path = run.cwd.join(&self.output);
        run.env.bounds().write(&path)?;
        let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
        std::fs::create_dir_all(&folder)
            .map_err(|e| Error::failed(format!("cannot make the folder {}: {e}", folder.display())))?;
        let mixed = self.kinds.len() > 1;
        let mut lines = String::new();
        for (kind, wanted) in &self.kinds {
            let own: BTreeSet<PathBuf> =
                if wanted.is_empty() { written.iter().cloned().collect() } else { wanted.clone() };
            for file in own.iter().map(|f| run.cwd.join(f)).filter(|f| *f != path) {
                let name = file.strip_prefix(&folder).unwrap_or(&file).display().to_string();
                lines.push_str(&line(kind, &sum(kind, &file)?, &name, mixed));
            }
        }
        write_atomically(&path, lines.as_bytes())?;
        Ok(vec![PathBuf::from(self.output)])
    }
}

/// Packer's line: sum, TAB, name. coreutils reads it too (as its BSD form). Where several algorithms share a file, the tagged
/// form says which is which, and each tool checks its own lines.
fn line(kind: &str, sum: &str, name: &str, mixed: bool) -> String {
    if mixed { format!("{} ({name}) = {sum}\n", kind.to_uppercase()) } else { format!("{sum}\t{name}\n") }
}

fn sum(kind: &str, path: &Path) -> Result<String> {
    let failed = |e: std::io::Error| Error::failed(format!("cannot read {} for its checksum: {e}", path.display()));
    let Some(mut hasher) = hasher(kind) else {
        return Err(Error::failed(format!("unknown checksum type \"{kind}\"")));
    };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk).map_err(failed)?;
        if read == 0 {
            return Ok(hex::encode(hasher.finalize()));
        }
        hasher.update(&chunk[..read]);
    }
}
