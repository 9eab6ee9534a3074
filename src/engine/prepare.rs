//! What a component is given when it is made from its body: before anything runs, and without a connection to anything.

use crate::env::Env;
use crate::run::OnError;
use image_action_lang::gotemplate::Functions;
use image_action_lang::gotemplate::functions::{Standard, standard};
use image_action_lang::{Diagnostic, Diagnostics, Span};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Who a component is made for, and what it may look at. Making one checks everything that needs no network: ranges,
/// options that exclude each other, local files that must exist.
///
/// A provisioner and a post-processor are made twice: before the run, when facts of the machine read
/// [`crate::config::UNKNOWN_TEXT`], and right before they run.
#[derive(Clone)]
pub struct PrepareContext {
    /// The whole name of the build, `[BUILD.]TYPE.NAME`; empty for a data source.
    pub name: String,
    /// The `name` of the build block, or empty.
    pub build_name: String,
    /// The type of the source (`amazon-ebs`).
    pub source_type: String,
    /// The name of the source block (`{{ build_name }}`, `PACKER_BUILD_NAME`).
    pub source_name: String,
    /// The name in this build where it was given another one, else the source's.
    pub local_name: String,
    /// The working directory, which relative paths of options start from.
    pub cwd: PathBuf,
    /// The environment, read once.
    pub env: Env,
    /// Unique id of the run (`PACKER_RUN_UUID`).
    pub run_id: String,
    /// When the run began.
    pub started: SystemTime,
    /// Whether images and files of the same name are replaced.
    pub force: bool,
    /// What happens when a step fails.
    pub on_error: OnError,
    /// Whether the template is only validated: values may be unknown, and nothing will run.
    pub validating: bool,
    /// Suspicious things that are no reason to stop.
    pub warnings: Warnings,
}

/// Collects warnings of several components. Cheap to clone; all clones fill one list.
#[derive(Clone, Default)]
pub struct Warnings(Arc<Mutex<Diagnostics>>);

impl Warnings {
    /// One more.
    pub fn push(&self, warning: Diagnostic) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
    }
    /// All so far; the list is empty afterwards.
    pub fn take(&self) -> Diagnostics {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The version of Packer whose templates mean here what they mean there.
pub const PACKER_VERSION: &str = "1.16.0";

/// The functions of Go templates inside strings; `source` is the name and the type of the source, in a build.
pub fn go_functions(started: SystemTime, cwd: &Path, source: Option<(&str, &str)>) -> Functions {
    standard(&Standard {
        started: started.into(),
        cwd: cwd.to_string_lossy().into_owned(),
        build_name: source.map(|s| s.0.to_owned()),
        build_type: source.map(|s| s.1.to_owned()),
        packer_version: PACKER_VERSION.to_owned(),
    })
}

impl PrepareContext {
    /// A suspicious thing at a place of the template ([`crate::Block::span_of`] of the option).
    pub fn warn(&self, span: Option<Span>, summary: impl Into<String>, hint: impl Into<String>) {
        self.warnings.push(Diagnostic::warning(summary).at(span).hint(hint));
    }
    /// The functions of Go templates that this component's options may use (`{{ timestamp }}`, `{{ build_name }}`, …).
    pub fn functions(&self) -> Functions {
        go_functions(
            self.started,
            &self.cwd,
            Some((self.source_name.as_str(), self.source_type.as_str())).filter(|s| !s.0.is_empty()),
        )
    }
    /// A path of an option, which may be relative to the working directory.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.cwd.join(path)
    }
}
