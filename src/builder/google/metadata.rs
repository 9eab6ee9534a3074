//! The instance's metadata: who may log in, and what runs when it starts.

use crate::config::Googlecompute;
use google_cloud_compute_v1::model::{Metadata, metadata::Items};
use image_action_engine::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// Metadata key of the keys that may log in.
pub(crate) const SSH_KEYS: &str = "ssh-keys";
/// Metadata key of the script that runs at the start.
const STARTUP_SCRIPT: &str = "startup-script";
/// Metadata key of a script that [`WRAPPER`] runs.
const WRAPPED_SCRIPT: &str = "packer-wrapped-startup-script";
/// Metadata key of how far the script is.
pub(crate) const STATUS: &str = "startup-script-status";
/// Metadata key of where the log of the script is copied to, in Cloud Storage.
const LOG_DEST: &str = "startup-script-log-dest";
/// Metadata key that switches OS Login on or off.
pub(crate) const OS_LOGIN: &str = "enable-oslogin";

/// Runs the user's script and says on the instance's own metadata how it ended. Needs gcloud, and a service account that may
/// set metadata.
const WRAPPER: &str = r#"#!/usr/bin/env bash
# Runs the startup script of a build and tells its end in the metadata of this instance.
metadata() {
  curl -sS -f -H "Metadata-Flavor: Google" "http://metadata.google.internal/computeMetadata/v1/instance/$1"
}
zone=$(metadata zone)
name=$(metadata name)
script=/packer-wrapped-startup-script
metadata attributes/packer-wrapped-startup-script > "$script"
chmod +x "$script"
log=$(mktemp)
"$script" > >(tee -a "$log") 2>&1
code=$?
destination=$(metadata attributes/startup-script-log-dest 2> /dev/null)
if [ -n "$destination" ]; then
  gsutil cp "$log" "$destination"
fi
rm -f "$script" "$log"
if [ "$code" -eq 0 ]; then status=done; else status=error; fi
gcloud compute instances add-metadata "$name" --metadata "startup-script-status=$status" --zone "${zone##*/}"
exit "$code"
"#;

/// A bool as Go's strconv reads it, which Packer does.
pub(crate) fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// What the instance is told.
pub(crate) struct Told {
    pub items: BTreeMap<String, String>,
    /// Whether the end of the startup script is awaited.
    pub awaited: bool,
}

/// The metadata of a new instance, without the key that logs in ([`with_key`] adds it).
///
/// # Errors
/// A file that cannot be read any more.
pub(crate) fn items(config: &Googlecompute, os_login: Option<bool>, cwd: &Path) -> Result<Told> {
    let i = &config.instance;
    let read = |option: &str, path: &str| {
        let full = cwd.join(path);
        std::fs::read_to_string(&full)
            .map_err(|e| Error::new(ErrorKind::Invalid, format!("{option}: {} cannot be read: {e}", full.display())))
    };
    let mut items = i.metadata.clone();
    let script = if i.startup_script_file.is_empty() {
        items.remove(STARTUP_SCRIPT).unwrap_or_default()
    } else {
        read("startup_script_file", &i.startup_script_file)?
    };
    // A script that sets the status itself is awaited too; one that nobody wraps sets none, and nothing would ever come.
    let wrapped = i.wrap_startup_script.unwrap_or(!i.startup_script_file.is_empty());
    let awaited = !script.is_empty() && (wrapped || items.contains_key(STATUS)) && i.wrap_startup_script != Some(false);
    if !script.is_empty() && wrapped {
        items.insert(STARTUP_SCRIPT.to_owned(), WRAPPER.to_owned());
        items.insert(WRAPPED_SCRIPT.to_owned(), script);
        items.insert(STATUS.to_owned(), "notdone".to_owned());
    } else if !script.is_empty() {
        items.insert(STARTUP_SCRIPT.to_owned(), script);
    }
    if let Some(on) = os_login {
        items.insert(OS_LOGIN.to_owned(), if on { "TRUE" } else { "FALSE" }.to_owned());
    }
    for (key, path) in &i.metadata_files {
        items.insert(key.clone(), read("metadata_files", path)?);
    }
    debug_assert!(WRAPPER.contains(LOG_DEST) && WRAPPER.contains(WRAPPED_SCRIPT));
    Ok(Told { items, awaited })
}

/// Adds the key that logs in, before those that the template gives.
pub(crate) fn with_key(items: &mut BTreeMap<String, String>, user: &str, public_key: &str) {
    let line = format!("{user}:{} {user}", public_key.trim());
    let all = match items.get(SSH_KEYS).filter(|v| !v.is_empty()) {
        Some(more) => format!("{line}\n{more}"),
        None => line,
    };
    items.insert(SSH_KEYS.to_owned(), all);
}

/// As the API takes it.
pub(crate) fn model(items: &BTreeMap<String, String>) -> Metadata {
    Metadata::new().set_items(items.iter().map(|(k, v)| Items::new().set_key(k).set_value(v)))
}

/// The value of a key.
pub(crate) fn value<'a>(metadata: Option<&'a Metadata>, key: &str) -> Option<&'a str> {
    let item = metadata?.items.iter().find(|i| i.key.as_deref() == Some(key))?;
    item.value.as_deref()
}
