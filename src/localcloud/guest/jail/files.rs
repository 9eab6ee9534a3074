//! Work on the files of guests that needs the guests' own ids: packing a layer, removing a disk. Each is a process of its own, so
//! that it is done in the same user namespace as the guest, where there is one.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::super::GuestError;
use super::super::layer::{self, Skip};
use super::super::wire::JailFile;
use super::{Doing, Refused, Step};

/// What to pack; JSON on standard input.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct Pack {
    /// The folder that took every change.
    pub upper: PathBuf,
    /// Files of ours, which are left out.
    pub files: Vec<JailFile>,
    /// Lower folders, topmost first.
    pub lowers: Vec<PathBuf>,
    /// Folder of the layer.
    pub into: PathBuf,
}

/// Packs a layer and writes what it is, as JSON, to standard output.
pub fn pack() -> Step<ExitCode> {
    let asked: Pack = serde_json::from_reader(io::stdin().lock()).doing("reading what to pack")?;
    let skip = Skip { files: &asked.files, lowers: &asked.lowers };
    let made = layer::pack(&asked.upper, &skip, &asked.into).map_err(|e| match e {
        GuestError::Layer(why) => Refused(why),
        other => Refused(other.to_string()),
    })?;
    let text = serde_json::to_vec(&made).doing("describing the layer")?;
    io::stdout().write_all(&text).doing("describing the layer")?;
    Ok(ExitCode::SUCCESS)
}

/// Removes a folder and all in it.
pub fn remove(folder: &OsStr) -> Step<ExitCode> {
    layer::remove_tree(Path::new(folder)).doing(&Path::new(folder).display().to_string())?;
    Ok(ExitCode::SUCCESS)
}
