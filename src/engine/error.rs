//! Why something did not work, and what to do about it.

use image_action_lang::Span;
use std::fmt;

/// What kind of failure it is: decides retries, exit codes and hints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It was tried and did not work.
    Failed,
    /// The user (or the runner) stopped it.
    Cancelled,
    /// A wait reached its deadline.
    TimedOut,
    /// No credential, or one that is refused.
    Credentials,
    /// The credential is good and lacks a permission.
    Permission,
    /// What was named does not exist.
    NotFound,
    /// Nothing answers at the address.
    Unreachable,
    /// What the template says cannot be.
    Invalid,
}

/// One failure: a line, its reason, its cure.
#[derive(Clone, Debug)]
pub struct Error {
    /// What kind.
    pub kind: ErrorKind,
    /// One line: the call, the resource, what happened.
    pub summary: String,
    /// More lines: the cloud's own words, the last output of a script.
    pub detail: String,
    /// What to do.
    pub hint: Option<String>,
    /// The place in the template that asked for it.
    pub span: Option<Span>,
}

/// The result of anything that may fail while a build runs.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure of this kind.
    pub fn new(kind: ErrorKind, summary: impl Into<String>) -> Error {
        Error { kind, summary: summary.into(), detail: String::new(), hint: None, span: None }
    }
    /// An ordinary failure.
    pub fn failed(summary: impl Into<String>) -> Error {
        Error::new(ErrorKind::Failed, summary)
    }
    /// The run was stopped.
    pub fn cancelled() -> Error {
        Error::new(ErrorKind::Cancelled, "the run was cancelled")
    }
    /// With more lines.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Error {
        self.detail = detail.into();
        self
    }
    /// With the cure.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }
    /// With the place.
    #[must_use]
    pub fn at(mut self, span: impl Into<Option<Span>>) -> Error {
        self.span = span.into();
        self
    }
    /// The same failure, its line led by what was being done.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Error {
        self.summary = format!("{doing}: {}", self.summary);
        self
    }
    /// Whether the user stopped it.
    pub fn is_cancelled(&self) -> bool {
        self.kind == ErrorKind::Cancelled
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)?;
        if !self.detail.is_empty() {
            write!(f, "\n{}", self.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<Error> for image_action_lang::Diagnostic {
    fn from(e: Error) -> Self {
        let d = image_action_lang::Diagnostic::error(e.summary).detail(e.detail).at(e.span);
        match e.hint {
            Some(hint) => d.hint(hint),
            None => d,
        }
    }
}
