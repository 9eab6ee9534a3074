//! `compress`: the artifact's files as one archive, or one file compressed.

use crate::postprocessor::render_late;
use async_trait::async_trait;
use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, Crc};
use image_action_engine::{
    Artifact, Block, BuildContext, CancellationToken, Config, Error, PostOutcome, PostProcessor, PrepareContext, Result,
};
use image_action_lang::gotemplate::{Data, Node};
use image_action_lang::{Diagnostic, Diagnostics};
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Who made the artifact, as Packer names it.
const BUILDER_ID: &str = "packer.post-processor.compress";

/// How much of a file is read at a time, in bytes.
const CHUNK: usize = 1 << 18;

/// Compresses the artifact's files into one.
#[derive(Clone, Debug, Config)]
pub struct CompressConfig {
    /// The path of the file, relative to the working directory. The endings of its name say what is made: `.zip`,
    /// `.tar`, `.tar.gz`, or `.gz` of a single file; `.tar.gz` where there is none of these.
    #[config(default = "packer_{{.BuildName}}_{{.BuilderType}}", late)]
    output: String,
    /// An ending that is added to the name, such as `zip`. Left out: none.
    format: String,
    /// How much is done to make it small: from 1, quick, to 9, small. Left out, or 0: the usual of the format.
    compression_level: i64,
    /// The kind of archive. It has no effect: that follows from the name.
    #[allow(dead_code)]
    archive: String,
    /// The kind of compression. It has no effect: that follows from the name.
    #[allow(dead_code)]
    algorithm: String,
}

/// What is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Zip,
    Tar,
    TarGz,
    Gz,
}

/// Compressions that Packer has besides.
const OTHERS: [&str; 5] = ["lz4", "bgzf", "xz", "bzip2", "bz2"];

/// What a name's endings say; `Err` carries one that is known and not supported.
fn kind(name: &str) -> std::result::Result<Kind, String> {
    let simple = |e: &&str| !e.is_empty() && e.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let mut endings = name.rsplit('.').take_while(simple);
    let (last, before) = (endings.next().unwrap_or_default(), endings.next().unwrap_or_default());
    match (before, last) {
        (_, "zip") => Ok(Kind::Zip),
        (_, "tar") => Ok(Kind::Tar),
        ("tar", "gz") => Ok(Kind::TarGz),
        (_, "gz") => Ok(Kind::Gz),
        (_, other) if OTHERS.contains(&other) => Err(other.to_owned()),
        _ => Ok(Kind::TarGz),
    }
}

impl CompressConfig {
    fn name(&self) -> String {
        if self.format.is_empty() { self.output.clone() } else { format!("{}.{}", self.output, self.format) }
    }
    fn level(&self) -> Compression {
        match self.compression_level {
            ..=0 => Compression::default(),
            level => Compression::new(u32::try_from(level).unwrap_or(9).min(9)),
        }
    }
}

/// Makes it.
///
/// # Errors
/// A compression that is not supported, a level that there is not.
pub fn make(_: &PrepareContext, body: &Block) -> std::result::Result<Box<dyn PostProcessor>, Diagnostics> {
    let config = CompressConfig::decode(body);
    let mut diags = Diagnostics::new();
    if let Err(other) = kind(&config.name()) {
        diags.push(
            Diagnostic::error(format!("The compression {other} is not supported"))
                .at(body.span_of(if config.format.is_empty() { "output" } else { "format" }))
                .hint("use .tar.gz, .zip, .tar or .gz"),
        );
    }
    if config.compression_level < -1 {
        diags.push(
            Diagnostic::error(format!("There is no compression level {}", config.compression_level))
                .at(body.span_of("compression_level"))
                .hint("levels go from 1, quick, to 9, small"),
        );
    }
    if diags.is_empty() { Ok(Box::new(config)) } else { Err(diags) }
}

#[async_trait]
impl PostProcessor for CompressConfig {
    async fn process(&self, cx: &BuildContext, artifact: &Artifact) -> Result<PostOutcome> {
        let text = |t: &str| Node::String(t.to_owned());
        let data = Data::from([
            ("BuildName".to_owned(), text(&cx.source_name)),
            ("BuilderType".to_owned(), text(&cx.source_type)),
        ]);
        let output = render_late("output", &self.name(), &data, cx)?;
        // The template's own text decides, as in Packer: what a name brings in does not.
        let kind = kind(&self.name()).map_err(|other| Error::failed(format!("{other} is not supported")))?;
        if artifact.files.is_empty() {
            return Err(Error::failed("there is nothing to compress: the artifact has no local files")
                .hint("an image in a cloud has none; remove the post-processor"));
        }
        if kind == Kind::Gz && artifact.files.len() != 1 {
            return Err(Error::failed(format!(
                "{} files do not fit into the one that {output} is",
                artifact.files.len()
            ))
            .hint("name it .tar.gz or .zip"));
        }
        cx.env().bounds().write(&cx.run.cwd.join(&output))?;
        cx.say(format!("Compressing {} files into {output}", artifact.files.len()));
        let job = Job {
            kind,
            level: self.level(),
            cwd: cx.run.cwd.clone(),
            files: artifact.files.clone(),
            output: output.clone(),
            cancel: cx.cancel.clone(),
        };
        let done = tokio::task::spawn_blocking(move || job.run()).await;
        done.map_err(|e| Error::failed(format!("a fault of this program ended the compression: {e}")))??;
        let made = Artifact {
            builder_id: BUILDER_ID.to_owned(),
            description: format!("compressed artifacts in: {output}"),
            files: vec![output.into()],
            facts: artifact.facts.clone(),
            ..Artifact::default()
        };
        Ok(PostOutcome { artifact: Some(made), keep: false, keep_forced: false })
    }
}

/// What is done beside the other builds.
struct Job {
    kind: Kind,
    level: Compression,
    cwd: PathBuf,
    files: Vec<PathBuf>,
    output: String,
    cancel: CancellationToken,
}

impl Job {
    /// Writes the file; half of one does not stay.
    fn run(&self) -> Result<()> {
        let path = self.cwd.join(&self.output);
        let failed = |e: std::io::Error| {
            if self.cancel.is_cancelled() {
                return Error::cancelled();
            }
            Error::failed(format!("cannot write {}: {e}", self.output))
        };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        let result = self.write(&path);
        if result.is_err() {
            // What is wrong has been said; a file that is not there needs no removing.
            let _ = std::fs::remove_file(&path);
        }
        result.map_err(failed)
    }

    fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        match self.kind {
            Kind::Tar => self.tar(&mut out)?,
            Kind::TarGz => {
                let mut gz = GzEncoder::new(&mut out, self.level);
                self.tar(&mut gz)?;
                gz.finish()?;
            }
            Kind::Gz => {
                let mut gz = GzEncoder::new(&mut out, self.level);
                for file in &self.files {
                    std::io::copy(&mut self.open(file)?, &mut gz)?;
                }
                gz.finish()?;
            }
            Kind::Zip => self.zip(&mut out)?,
        }
        out.flush()
    }

    /// A file that stops being read when the build is cancelled.
    fn open(&self, file: &Path) -> std::io::Result<Cancellable> {
        Ok(Cancellable { file: File::open(self.cwd.join(file))?, cancel: self.cancel.clone() })
    }

    fn tar(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let mut tar = tar::Builder::new(out);
        for file in &self.files {
            let metadata = std::fs::metadata(self.cwd.join(file))?;
            let mut header = tar::Header::new_gnu();
            header.set_metadata(&metadata);
            let name = file.file_name().map_or(file.as_path(), Path::new);
            tar.append_data(&mut header, name, self.open(file)?)?;
        }
        tar.finish()
    }

    fn zip(&self, out: &mut (impl Write + Seek)) -> std::io::Result<()> {
        let mut entries = Vec::new();
        for file in &self.files {
            entries.push(self.zip_entry(file, out)?);
        }
        let start = out.stream_position()?;
        for entry in &entries {
            out.write_all(&0x0201_4b50_u32.to_le_bytes())?;
            out.write_all(&ZIP_VERSION.to_le_bytes())?;
            out.write_all(&entry.common())?;
            // No extra field, no comment, first disk, no attributes.
            out.write_all(&[0; 2 + 2 + 2 + 2 + 4])?;
            out.write_all(&entry.offset.to_le_bytes())?;
            out.write_all(entry.name.as_bytes())?;
        }
        let size = small(out.stream_position()? - start)?;
        let count = u16::try_from(entries.len()).map_err(|_| too_large())?;
        out.write_all(&0x0605_4b50_u32.to_le_bytes())?;
        out.write_all(&[0; 4])?;
        out.write_all(&count.to_le_bytes())?;
        out.write_all(&count.to_le_bytes())?;
        out.write_all(&size.to_le_bytes())?;
        out.write_all(&small(start)?.to_le_bytes())?;
        out.write_all(&[0; 2])
    }

    fn zip_entry(&self, file: &Path, out: &mut (impl Write + Seek)) -> std::io::Result<ZipEntry> {
        let mut entry = ZipEntry {
            name: file.to_string_lossy().trim_start_matches('/').to_owned(),
            offset: small(out.stream_position()?)?,
            crc: 0,
            compressed: 0,
            size: 0,
        };
        entry.write_header(out)?;
        let start = out.stream_position()?;
        let mut deflate = DeflateEncoder::new(&mut *out, self.level);
        let (mut crc, mut chunk, mut input) = (Crc::new(), vec![0; CHUNK], self.open(file)?);
        loop {
            let read = input.read(&mut chunk)?;
            if read == 0 {
                break;
            }
            crc.update(&chunk[..read]);
            deflate.write_all(&chunk[..read])?;
            entry.size = small(u64::from(entry.size) + read as u64)?;
        }
        deflate.finish()?;
        let end = out.stream_position()?;
        entry.compressed = small(end - start)?;
        entry.crc = crc.sum();
        out.seek(SeekFrom::Start(entry.offset.into()))?;
        entry.write_header(out)?;
        out.seek(SeekFrom::Start(end))?;
        Ok(entry)
    }
}

/// The version of the zip format that is needed to read ours: 2.0, deflate.
const ZIP_VERSION: u16 = 20;

struct ZipEntry {
    name: String,
    offset: u32,
    crc: u32,
    compressed: u32,
    size: u32,
}

impl ZipEntry {
    fn write_header(&self, out: &mut impl Write) -> std::io::Result<()> {
        out.write_all(&0x0403_4b50_u32.to_le_bytes())?;
        out.write_all(&self.common())?;
        out.write_all(&[0; 2])?;
        out.write_all(self.name.as_bytes())
    }
    /// What both headers have: version, flags (UTF-8), method (deflate), time, sums, length of the name.
    fn common(&self) -> Vec<u8> {
        // 1980-01-01, the first day of zip: an archive of the same files has the same bytes.
        let (flags, method, time, date) = (0x0800_u16, 8_u16, 0_u16, 0x0021_u16);
        let mut bytes = Vec::new();
        for half in [ZIP_VERSION, flags, method, time, date] {
            bytes.extend(half.to_le_bytes());
        }
        for word in [self.crc, self.compressed, self.size] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend((self.name.len() as u16).to_le_bytes());
        bytes
    }
}

fn too_large() -> std::io::Error {
    std::io::Error::other("a zip file holds 4 GiB at most; name it .tar.gz")
}

fn small(n: u64) -> std::io::Result<u32> {
    u32::try_from(n).map_err(|_| too_large())
}

struct Cancellable {
    file: File,
    cancel: CancellationToken,
}

impl Read for Cancellable {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(std::io::Error::other("cancelled"));
        }
        self.file.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::Command;

    #[test]
    fn endings_say_what_is_made() {
        for (name, expected) in [
            ("a.zip", Ok(Kind::Zip)),
            ("a.tar", Ok(Kind::Tar)),
            ("a.tar.gz", Ok(Kind::TarGz)),
            ("a.box.gz", Ok(Kind::Gz)),
            ("packer_{{.BuildName}}", Ok(Kind::TarGz)),
            ("a.tar.xz", Err("xz".to_owned())),
            ("a", Ok(Kind::TarGz)),
        ] {
            assert_eq!(kind(name), expected, "{name}");
        }
    }

    /// Reads archives with the programs that others use for that.
    #[test]
    fn other_programs_read_the_archives() {
        let dir = tempfile::tempdir().unwrap();
        let content = "x".repeat(100_000);
        std::fs::write(dir.path().join("one.txt"), &content).unwrap();
        std::fs::write(dir.path().join("zwei ü.txt"), "2").unwrap();
        for (output, kind) in [("o.zip", Kind::Zip), ("o.tar.gz", Kind::TarGz)] {
            let job = Job {
                kind,
                level: Compression::default(),
                cwd: dir.path().to_owned(),
                files: vec!["one.txt".into(), "zwei ü.txt".into()],
                output: output.into(),
                cancel: CancellationToken::new(),
            };
            job.run().unwrap();
            let script = "import sys, zipfile, tarfile\n\
                          p = sys.argv[1]\n\
                          z = zipfile.ZipFile(p) if p.endswith('zip') else None\n\
                          assert z is None or z.testzip() is None\n\
                          read = (lambda n: z.read(n)) if z else (lambda n: tarfile.open(p).extractfile(n).read())\n\
                          print(len(read('one.txt')), read('zwei ü.txt').decode())";
            let out = Command::new("python3").args(["-c", script, output]).current_dir(dir.path()).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&out.stdout), "100000 2\n", "{}", String::from_utf8_lossy(&out.stderr));
        }
    }

    #[test]
    fn a_cancelled_job_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "a").unwrap();
        let cancel = CancellationToken::new();
        cancel.cancel();
        let job = Job {
            kind: Kind::Gz,
            level: Compression::default(),
            cwd: dir.path().to_owned(),
            files: vec!["a".into()],
            output: "a.gz".into(),
            cancel,
        };
        assert!(job.run().unwrap_err().is_cancelled());
        assert!(!dir.path().join("a.gz").exists());
    }
}
