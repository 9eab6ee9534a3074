//! What takes an artifact further: one file each.

pub mod artifice;
pub mod checksum;
pub mod compress;
pub mod manifest;
pub mod shell_local;

use image_action_engine::{BuildContext, Error, Result};
use image_action_lang::gotemplate::{self, Data, functions};
use std::io::Write;
use std::path::Path;

/// The version of Packer whose templates are read: what `{{ packer_version }}` says.
pub const PACKER_VERSION: &str = "1.16.0";

/// Replaces a file at once: what reads it sees the old content or the new, whatever happens meanwhile.
///
/// # Errors
/// What the operating system said, with the path.
fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let failed = |e: std::io::Error| {
        Error::failed(format!("cannot write {}: {e}", path.display()))
            .hint("the folder must exist and be writable; relative paths start from the working directory")
    };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".image-action-").tempfile_in(folder).map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(mode).map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// Renders an option that the component renders itself, with data.
fn render_late(option: &str, text: &str, data: &Data, cx: &BuildContext) -> Result<String> {
    let known = functions::standard(&functions::Standard {
        started: cx.run.started.into(),
        cwd: cx.run.cwd.display().to_string(),
        build_name: Some(cx.source_name.clone()),
        build_type: Some(cx.source_type.clone()),
        packer_version: PACKER_VERSION.to_owned(),
    });
    gotemplate::render(text, data, &known).map_err(|e| Error::failed(format!("cannot render `{option}`: {e}")))
}
