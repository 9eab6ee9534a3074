//! The rules, one file for each kind of component.

mod amazon;
mod ansible;
mod azure;
mod file;
mod google;
mod shell;
mod steps;
mod template;

use super::{Rule, ignore};

/// All rules, in the order of the documentation.
pub const RULES: &[&Rule] = &[
    &template::DUPLICATE_KEY,
    &template::DROPPED,
    &template::MISSPELT_ENV,
    &template::MISSPELT_FILE,
    &template::IGNORED_BLOCK,
    &steps::NO_FIELD,
    &steps::ONLY,
    &steps::OVERRIDE,
    &steps::KEEP,
    &steps::LOST_VALUE,
    &steps::NO_CHECKSUM,
    &ignore::UNKNOWN,
    &template::NO_TIMEOUT,
    &shell::WITHOUT_VARS,
    &shell::WITHOUT_PATH,
    &shell::REBOOT,
    &shell::REBOOT_PAUSE,
    &shell::NO_ZERO,
    &shell::DISCONNECT_CODE,
    &shell::BLANK,
    &shell::NOT_EXECUTABLE,
    &file::NOTHING,
    &file::OVERWRITE,
    &ansible::RESERVED_NAME,
    &ansible::PROXY_OPTION,
    &ansible::NOT_THERE,
    &amazon::SHARED_COPIES,
    &amazon::PUBLIC_ENCRYPTED,
    &amazon::VOLUME_KEPT,
    &amazon::SNAPSHOTS_KEPT,
    &amazon::DELETE_ALONE,
    &amazon::DEREGISTERS_FOR_NOTHING,
    &amazon::POLLS,
    &amazon::DATA_REGION,
    &amazon::METADATA_OFF,
    &amazon::USER_DATA,
    &azure::SIZE,
    &azure::BASIC_ADDRESS,
    &azure::PRIVATE,
    &azure::KEPT_DISK,
    &azure::NO_MEANING,
    &google::FAMILY,
    &google::OVERRIDDEN,
    &google::STARTUP,
];
