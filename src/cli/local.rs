//! `--local` and `image-action localcloud`: the local cloud, in this process.

use image_action_engine::{Env, Error, ErrorKind, Result};
use image_action_localcloud::guest::{CheckItem, GuestHost, GuestNetwork, HostOptions, RootSource, Rung, RungCheck};
use image_action_localcloud::{Options, Running, StartError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Prefixes of variables that lead to a real account. Under `--local` none of them is seen: whatever a shell has exported, a
/// local run reaches nothing but the local cloud.
const CLOUD_PREFIXES: [&str; 10] =
    ["AWS_", "ARM_", "AZURE_", "GOOGLE_", "CLOUDSDK_", "GCE_", "GCLOUD_", "ACTIONS_ID_TOKEN_", "CONSUL_", "VAULT_"];

/// What the user may say of the local cloud.
#[derive(Clone, Debug, Default)]
pub struct LocalOptions {
    /// In which way machines are played; `None`: the first that works here.
    pub guest: Option<Rung>,
    /// `none`, `user` or `host`.
    pub guest_network: GuestNetwork,
    /// A folder or tar to use as the guests' root.
    pub guest_root: Option<PathBuf>,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// How long transitional states last.
    pub step: Option<Duration>,
    /// Whether machines have no guests behind them.
    pub without_guests: bool,
}

impl LocalOptions {
    fn guests(&self, env: &Env, state_dir: &Path, progress: Progress) -> HostOptions {
        let mut options = HostOptions::new(state_dir.join("guests"), cache_dir(env));
        options.rung = self.guest;
        options.network = self.guest_network;
        options.root = match &self.guest_root {
            None => RootSource::Auto,
            Some(path) if path.is_dir() => RootSource::Dir(path.clone()),
            Some(path) => RootSource::Tar(path.clone()),
        };
        options.progress = progress;
        options
    }
}

/// Told, a line at a time, what takes long.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// Where root file systems of guests are kept between runs: `IMAGE_ACTION_CACHE`, else `$XDG_CACHE_HOME/image-action`, else
/// `~/.cache/image-action`.
pub fn cache_dir(env: &Env) -> PathBuf {
    if let Some(own) = env.get("IMAGE_ACTION_CACHE") {
        return PathBuf::from(own);
    }
    let base = env.get("XDG_CACHE_HOME").map(PathBuf::from);
    base.or_else(|| env.get("HOME").map(|h| Path::new(h).join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("image-action")
}

/// A local cloud of this process, with a state folder that goes with it.
pub struct Local {
    running: Running,
    // Dropped last: the folder is removed.
    _state: tempfile::TempDir,
}

impl Local {
    /// Brings it up.
    ///
    /// # Errors
    /// What this machine lacks, with the line that installs it.
    pub async fn start(options: &LocalOptions, env: &Env, progress: Progress) -> Result<Local> {
        let state = tempfile::Builder::new()
            .prefix("image-action-local-")
            .tempdir()
            .map_err(|e| Error::failed(format!("cannot make a folder for the local cloud: {e}")))?;
        let guests = (!options.without_guests).then(|| options.guests(env, state.path(), progress));
        let running = image_action_localcloud::start(Options {
            port: options.port,
            state_dir: state.path().to_owned(),
            step: options.step.unwrap_or(image_action_localcloud::cloud::DEFAULT_STEP),
            guests,
        })
        .await
        .map_err(|e| explain(&e))?;
        Ok(Local { running, _state: state })
    }
    /// The environment of a run against it: no variable of a real account, all of the local one, and nobody who vouches for it.
    /// GitHub stays as it is: reports of a local run go where reports go.
    pub fn lay_over(&self, env: &Env) -> Env {
        let kept = env.iter().filter(|(k, _)| !CLOUD_PREFIXES.iter().any(|p| k.starts_with(p)));
        let kept = Env::from_pairs(kept.map(|(k, v)| (k.to_owned(), v.to_owned())));
        kept.with(self.running.env().into_iter().filter(|(k, _)| !k.starts_with("GITHUB_")))
    }
    /// The server.
    pub fn running(&self) -> &Running {
        &self.running
    }
    /// Ends every guest and the server.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

fn explain(e: &StartError) -> Error {
    Error::new(ErrorKind::Failed, format!("the local cloud did not come up: {e}"))
        .hint("`image-action localcloud --check` says what this machine has and what it lacks")
}

/// What guests need here, and what of it is there, for each way to play them: the lines of `localcloud --check`, and whether
/// one of them will do.
pub fn check(options: &LocalOptions, env: &Env) -> (Vec<String>, bool) {
    // Where the state folder of a run will be.
    let rungs = GuestHost::check(&options.guests(env, &std::env::temp_dir(), Arc::new(|_| {})));
    let line = |item: &CheckItem| {
        let cure = item.cure.as_deref().filter(|_| !item.ok).map(|c| format!("\n          {c}")).unwrap_or_default();
        format!("  {} {}: {}{cure}", if item.ok { "ok     " } else { "missing" }, item.name, item.detail)
    };
    let mut lines = Vec::new();
    for RungCheck { rung, items } in &rungs {
        lines.push(format!("{}: {}", rung.name(), rung.what()));
        lines.extend(items.iter().map(line));
    }
    let first = rungs.iter().find(|r| r.ok());
    lines.push(match first {
        Some(first) => format!("Machines are played in {} (--guest {}).", first.rung.what(), first.rung.name()),
        None => "No machine can be played here: each way lacks something.".to_owned(),
    });
    (lines, first.is_some())
}

/// The env file: `KEY=VALUE` lines that a shell can read (`set -a; . FILE`), values quoted where they need it.
pub fn env_file(env: &std::collections::BTreeMap<String, String>) -> String {
    let plain = |v: &str| v.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=@+,".contains(c));
    let quoted = |v: &str| if plain(v) { v.to_owned() } else { format!("'{}'", v.replace('\'', r"'\''")) };
    env.iter().map(|(k, v)| format!("{k}={}\n", quoted(v))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_env_file_can_be_sourced() {
        let env = [("A".to_owned(), "x y'z".to_owned()), ("B".to_owned(), "http://127.0.0.1:1/".to_owned())];
        assert_eq!(env_file(&env.into()), "A='x y'\\''z'\nB=http://127.0.0.1:1/\n");
    }
}
