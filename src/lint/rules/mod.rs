//! The rules, one file for each kind of component.

mod amazon;
mod shell;

use super::Rule;

/// All rules, in the order of the documentation.
pub const RULES: &[&Rule] = &[&shell::WITHOUT_VARS, &amazon::SHARED_COPIES, &amazon::VOLUME_KEPT];
