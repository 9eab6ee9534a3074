//! The servers that `consul_key`, `vault` and `aws_secretsmanager` ask, as the environment names them.

mod consul;
mod server;
mod vault;

use image_action_amazon::{Entry, read_secret, secret_grants};
use image_action_engine::outline::Grant;
use image_action_engine::{CancellationToken, Env, Error, ErrorKind, Result};
use image_action_lang::functions::FunctionError;
use image_action_lang::scope::{Keeper, Kept};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Set in every local run, and in the file of `image-action localcloud`: names the local cloud.
const LOCAL: &str = "IMAGE_ACTION_LOCAL_URL";

/// Takes texts that must not be shown.
type Conceal = Arc<dyn Fn(&str) + Send + Sync>;

/// Asks the servers of one environment. What was read is kept for the run: expressions are evaluated more than once.
pub struct Keepers {
    env: Env,
    conceal: Conceal,
    read: Mutex<BTreeMap<Kept, String>>,
    asked: Mutex<BTreeSet<Kept>>,
}

impl Keepers {
    /// Those of an environment; every text that is read is handed to `conceal` too.
    pub fn new(env: &Env, conceal: impl Fn(&str) + Send + Sync + 'static) -> Keepers {
        Keepers { env: env.clone(), conceal: Arc::new(conceal), read: Mutex::default(), asked: Mutex::default() }
    }
    fn known(&self, kept: &Kept) -> Option<String> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).get(kept).cloned()
    }
}

impl Keeper for Keepers {
    fn read(&self, kept: &Kept) -> std::result::Result<String, FunctionError> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(kept.clone());
        if let Some(text) = self.known(kept) {
            return Ok(text);
        }
        if self.env.get(LOCAL).is_some() {
            return Err(FunctionError::new("a local run asks no server for secrets").hint(
                "give a value for local runs: try(vault(…), \"stand-in\"); or hand it over as a variable, PKR_VAR_…",
            ));
        }
        let text = wait_for(ask(&self.env, kept)).map_err(|e| {
            let detail = if e.detail.is_empty() { String::new() } else { format!(": {}", e.detail.trim()) };
            let error = FunctionError::new(format!("{}{detail}", e.summary));
            match e.hint {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })?;
        (self.conceal)(&text);
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(kept.clone(), text.clone());
        Ok(text)
    }
    fn asked(&self) -> Vec<Kept> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// The function that asks for a secret of a cloud, the cloud, and what has to be allowed there; `None` for other servers.
pub fn grants(env: &Env, kept: &Kept) -> Option<(&'static str, &'static str, Vec<Grant>)> {
    let (function, name) = match kept {
        Kept::AwsValue { name, .. } => ("aws_secretsmanager", name),
        Kept::AwsText { name } => ("aws_secretsmanager_raw", name),
        Kept::Consul { .. } | Kept::Vault { .. } => return None,
    };
    let (provider, grants) = secret_grants(env, name)?;
    Some((function, provider, grants))
}

async fn ask(env: &Env, kept: &Kept) -> Result<String> {
    let never = CancellationToken::new();
    match kept {
        Kept::Consul { key } => consul::read(env, key).await,
        Kept::Vault { path, key } => vault::read(env, path, key).await,
        Kept::AwsValue { name, key } => read_secret(env, name, Entry::Named(key), &never).await,
        Kept::AwsText { name } => read_secret(env, name, Entry::Whole, &never).await,
    }
}

/// Waits for an answer in the middle of an expression, whose evaluation does not know how to wait: in a runtime of its own, so
/// that the one that evaluates may stand still meanwhile.
fn wait_for(answer: impl Future<Output = Result<String>> + Send) -> Result<String> {
    let failed =
        |e: &dyn std::fmt::Display| Error::new(ErrorKind::Failed, format!("there is no runtime to ask with: {e}"));
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| failed(&e))?;
            runtime.block_on(answer)
        });
        asking.join().unwrap_or_else(|_| Err(failed(&"it ended unexpectedly")))
    })
}
