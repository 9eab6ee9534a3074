//! One build at work: what all its steps share.

use crate::account::Account;
use crate::config::Arm;
use crate::failure::Failure;
use crate::http::Answer;
use crate::names::Names;
use crate::operation;
use image_action_engine::ledger::{EXPIRES_TAG, Entry, RUN_TAG};
use image_action_engine::wait::{NOT_FOUND_GRACE, POLL_PAUSES, pause, scaled};
use image_action_engine::{BuildContext, CancellationToken, Resource, Result};
use reqwest::Method;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// The `provider` of our lines in the ledger.
pub const PROVIDER: &str = "azure";

/// How long a create call may still answer after a cancel: one that arrives after the clean-up would leave something behind.
const CREATE_GRACE: Duration = Duration::from_secs(2);

/// Most tags that Azure takes.
const TAGS: usize = 50;

/// One build at work.
pub struct Work<'a> {
    /// Who the build is.
    pub cx: &'a BuildContext,
    /// What the template says.
    pub config: &'a Arm,
    /// The account; a cancel ends its calls.
    pub account: &'a Account,
    /// The same account for calls that create: a cancel ends them a little later.
    pub creator: Account,
    /// What is made has these names.
    pub names: Names,
    /// The tags of the template.
    pub tags: BTreeMap<String, String>,
    _watch: Watch,
}

/// A task that ends with the build.
struct Watch(tokio::task::JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<'a> Work<'a> {
    /// A build that has found its account.
    ///
    /// # Errors
    /// Where the SDK refuses its options.
    pub fn new(cx: &'a BuildContext, config: &'a Arm, account: &'a Account) -> Result<Work<'a>> {
        let late = CancellationToken::new();
        let creator = account.with_cancel(&late)?;
        let cancelled = cx.cancel.clone();
        let watch = tokio::spawn(async move {
            cancelled.cancelled().await;
            tokio::time::sleep(CREATE_GRACE).await;
            late.cancel();
        });
        let names = Names::new(config, cx.env());
        Ok(Work { cx, config, account, creator, names, tags: config.tags(), _watch: Watch(watch) })
    }
    /// Whether the resource group is the build's own.
    pub fn own_group(&self) -> bool {
        self.config.build_resource_group_name.is_empty()
    }
    /// The id of something in the resource group of the build: `Microsoft.Network/networkInterfaces`, name.
    pub fn id(&self, ty: &str, name: &str) -> String {
        self.account.arm.id(&self.names.group, ty, name)
    }
    /// The id of the machine.
    pub fn machine(&self) -> String {
        self.id("Microsoft.Compute/virtualMachines", &self.names.machine)
    }
    /// The tags of what is temporary: the template's, and whose it is and for how long. Where there is no room for ours the
    /// ledger has to do.
    pub fn temporary_tags(&self) -> BTreeMap<String, String> {
        let mut all = self.tags.clone();
        all.insert(RUN_TAG.to_owned(), self.cx.run.id.clone());
        all.insert(EXPIRES_TAG.to_owned(), self.cx.run.expires());
        if all.len() > TAGS { self.tags.clone() } else { all }
    }
    /// Notes that a create call is about to be made, unless the build was cancelled.
    ///
    /// # Errors
    /// Where the ledger cannot be written, or the build is cancelled: then nothing may be created.
    pub fn intent(&self, kind: &str, id: &str) -> Result<Entry> {
        self.cx.check_cancel()?;
        let resource = Resource {
            provider: PROVIDER.to_owned(),
            kind: kind.to_owned(),
            place: place(id),
            name: id.to_owned(),
            // A struct of texts always has a JSON form.
            access: serde_json::to_value(&self.account.record).unwrap_or_default(),
        };
        self.cx.ledger().intent(&self.cx.name, resource)
    }
    /// Creates something: its line in the ledger, the call, and what the call begins.
    ///
    /// # Errors
    /// What was refused, or failed later; the ledger knows what is there.
    pub async fn create<F>(&self, kind: &str, id: &str, call: impl Fn() -> F) -> Result<Entry>
    where
        F: Future<Output = std::result::Result<Answer, Failure>>,
    {
        self.create_within(kind, id, self.config.polling_duration_timeout, call).await
    }
    /// As [`Work::create`], for what goes again with the build: the ledger alone remembers it.
    ///
    /// # Errors
    /// As [`Work::create`].
    pub async fn temporary<F>(&self, kind: &str, id: &str, call: impl Fn() -> F) -> Result<()>
    where
        F: Future<Output = std::result::Result<Answer, Failure>>,
    {
        self.create(kind, id, call).await.map(drop)
    }
    /// Makes a call again while it does not find what we have just made ourselves: news take a while to be known everywhere.
    ///
    /// # Errors
    /// The call's own.
    pub async fn soon<T, F>(&self, call: impl Fn() -> F) -> std::result::Result<T, Failure>
    where
        F: Future<Output = std::result::Result<T, Failure>>,
    {
        let end = Instant::now() + NOT_FOUND_GRACE;
        for round in 0.. {
            let failure = match call().await {
                Err(failure) if self.misses_our_own(&failure) => failure,
                answer => return answer,
            };
            let next = scaled(POLL_PAUSES[usize::min(round, POLL_PAUSES.len() - 1)]);
            if Instant::now() + next > end || pause(next, &self.cx.cancel).await.is_err() {
                return Err(failure);
            }
        }
        call().await
    }
    /// Whether a call failed because something of ours is not found.
    fn misses_our_own(&self, failure: &Failure) -> bool {
        const CODES: [&str; 4] = ["ResourceGroupNotFound", "ResourceNotFound", "NotFound", "InvalidResourceReference"];
        let names = &self.names;
        let own = [&names.machine, &names.interface, &names.address, &names.security, &names.network];
        let group = self.own_group() && failure.message.contains(&names.group);
        CODES.contains(&failure.code.as_str()) && (group || own.iter().any(|name| failure.message.contains(*name)))
    }
    /// As [`Work::create`], within another time.
    ///
    /// # Errors
    /// As [`Work::create`].
    pub async fn create_within<F>(
        &self,
        kind: &str,
        id: &str,
        deadline: Duration,
        call: impl Fn() -> F,
    ) -> Result<Entry>
    where
        F: Future<Output = std::result::Result<Answer, Failure>>,
    {
        let entry = self.intent(kind, id)?;
        let answer = noted(&entry, self.soon(call).await)?;
        entry.created(id)?;
        let what = format!("{} {} to be made", kind.replace('-', " "), last(id));
        operation::finish(&self.account.arm, &Method::PUT, id, answer, &what, deadline).await?;
        Ok(entry)
    }
}

/// Notes how a create call ended: a refusal means that nothing is there.
///
/// # Errors
/// The refusal, or a ledger that cannot be written.
pub fn noted<T>(entry: &Entry, result: std::result::Result<T, Failure>) -> Result<T> {
    match result {
        Ok(value) => Ok(value),
        Err(failure) => {
            if !failure.uncertain {
                entry.gone()?;
            }
            Err(failure.into())
        }
    }
}

/// The resource group of an id.
pub fn place(id: &str) -> String {
    id.split('/').nth(4).unwrap_or_default().to_owned()
}

/// The name at the end of an id.
pub fn last(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}
