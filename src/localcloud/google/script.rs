//! Startup scripts: they run as root in the guest, beside stand-ins of the two things they expect of a machine of Google's,
//! the metadata server (asked with curl) and `gcloud compute instances add-metadata`.

use super::life::write_file;
use super::names::{fingerprint, text_in};
use super::store::Zonal;
use crate::cloud::Cloud;
use crate::guest::{Guest, GuestError, Output};
use serde_json::{Value, json};
use std::sync::Arc;

/// Where script, attributes and stand-ins lie in the guest; `/run` is no part of an image.
const DIR: &str = "/run/google-startup";

/// Answers for the metadata server's attributes, and hands everything else to the real curl.
const CURL: &str = r#"#!/bin/sh
for argument; do
  case $argument in
    http://metadata.google.internal/computeMetadata/v1/instance/attributes/*|http://metadata/computeMetadata/v1/instance/attributes/*)
      key=${argument##*/attributes/}; key=${key%%\?*}
      exec cat "/run/google-startup/attributes/$key" ;;
    http://metadata.google.internal/computeMetadata/v1/instance/name)
      exec hostname ;;
    http://metadata.google.internal/computeMetadata/v1/instance/zone)
      exec cat /run/google-startup/zone ;;
  esac
done
PATH=${PATH#*:} exec curl "$@"
"#;

/// Notes what `gcloud compute instances add-metadata NAME --metadata KEY=VALUE` sets.
const GCLOUD: &str = r#"#!/bin/sh
case "$1 $2 $3" in
  "compute instances add-metadata") ;;
  *) echo "gcloud: the local cloud's guest has 'compute instances add-metadata' only" >&2; exit 1 ;;
esac
shift 4
while [ $# -gt 0 ]; do
  case $1 in
    --metadata) shift; echo "$1" >> /run/google-startup/set ;;
    --metadata=*) echo "${1#--metadata=}" >> /run/google-startup/set ;;
  esac
  shift
done
echo "Updated [local]."
"#;

/// Runs the script to its end, and takes over the metadata that it set.
///
/// # Errors
/// The guest's own.
pub(super) async fn run(cloud: &Arc<Cloud>, key: &Zonal, guest: &Guest, script: &str) -> Result<Output, GuestError> {
    guest.run_as_root(&format!("mkdir -p {DIR}/bin {DIR}/attributes")).await?;
    write_file(guest, &format!("{DIR}/bin/curl"), CURL).await?;
    write_file(guest, &format!("{DIR}/bin/gcloud"), GCLOUD).await?;
    write_file(guest, &format!("{DIR}/script"), script).await?;
    write_file(guest, &format!("{DIR}/zone"), &format!("projects/{}/zones/{}", key.0, key.1)).await?;
    let items = {
        let store = cloud.google.store();
        let items = store.instances.get(key).map(|i| i.doc["metadata"]["items"].clone());
        items.as_ref().and_then(Value::as_array).cloned().unwrap_or_default()
    };
    for item in &items {
        // Keys are of [a-zA-Z0-9-_]: checked when they came in.
        if let (Some(name), Some(value)) = (item["key"].as_str(), item["value"].as_str()) {
            write_file(guest, &format!("{DIR}/attributes/{name}"), value).await?;
        }
    }
    let output = guest
        .run_as_root(&format!("chmod -R u+rwX,go-rwx {DIR}; chmod +x {DIR}/bin/* {DIR}/script; cd /; PATH={DIR}/bin:$PATH {DIR}/script 2>&1"))
        .await?;
    let set = guest.run_as_root(&format!("cat {DIR}/set 2>/dev/null; rm -rf {DIR}")).await?;
    for line in String::from_utf8_lossy(&set.stdout).lines() {
        if let Some((name, value)) = line.split_once('=') {
            add(cloud, key, name, value);
        }
    }
    Ok(output)
}

fn add(cloud: &Cloud, key: &Zonal, name: &str, value: &str) {
    let mut store = cloud.google.store();
    let Some(instance) = store.instances.get_mut(key) else { return };
    let mut items = instance.doc["metadata"]["items"].as_array().cloned().unwrap_or_default();
    items.retain(|i| text_in(i, "key") != name);
    items.push(json!({ "key": name, "value": value }));
    let items = Value::Array(items);
    instance.doc["metadata"]["fingerprint"] = json!(fingerprint(&items));
    instance.doc["metadata"]["items"] = items;
}
