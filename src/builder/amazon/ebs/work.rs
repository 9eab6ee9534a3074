//! One build at work: what all its steps share.

use crate::account::{Account, Ec2};
use crate::config::Ebs;
use crate::failure::Failure;
use crate::remove::{Note, resource};
use crate::tags::{self, Late};
use crate::waits::Waits;
use image_action_engine::ledger::Entry;
use image_action_engine::{BuildContext, CancellationToken, Result};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// How long a create call may still answer after a cancel: an answer tells the id of what has to go again.
const CREATE_GRACE: Duration = Duration::from_secs(2);

/// One build at work.
pub struct Work<'a> {
    /// Who the build is.
    pub cx: &'a BuildContext,
    /// What the template says.
    pub config: &'a Ebs,
    /// The account.
    pub account: &'a Account,
    /// EC2 in the region of the build; a cancel ends its calls.
    pub ec2: Ec2,
    /// How long AWS is waited for.
    pub waits: Waits,
    /// Ends create calls, a little after the build was cancelled.
    create_cancel: CancellationToken,
    /// Whether the build has failed and what it made was seen to.
    pub gave_up: AtomicBool,
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
    pub fn new(cx: &'a BuildContext, config: &'a Ebs, account: &'a Account) -> Work<'a> {
        let create_cancel = CancellationToken::new();
        let (cancelled, late) = (cx.cancel.clone(), create_cancel.clone());
        let watch = tokio::spawn(async move {
            cancelled.cancelled().await;
            tokio::time::sleep(CREATE_GRACE).await;
            late.cancel();
        });
        Work {
            cx,
            config,
            account,
            ec2: account.ec2(account.region(), &cx.cancel),
            waits: Waits::new(config.access.aws_polling.as_ref(), cx.env()),
            create_cancel,
            gave_up: AtomicBool::new(false),
            _watch: Watch(watch),
        }
    }
    /// EC2 of a region, for calls that only look or change.
    pub fn ec2_in(&self, region: &str) -> Ec2 {
        self.account.ec2(region, &self.cx.cancel)
    }
    /// EC2 of a region, for calls that create.
    pub fn creator_in(&self, region: &str) -> Ec2 {
        self.account.ec2(region, &self.create_cancel)
    }
    /// Notes that a create call is about to be made, unless the build was cancelled.
    ///
    /// # Errors
    /// Where the ledger cannot be written, or the build is cancelled: then nothing may be created.
    pub fn intent(&self, kind: &str, region: &str, name: &str) -> Result<Entry> {
        self.intent_with(kind, region, name, Vec::new())
    }
    /// As [`Work::intent`], for an instance with devices whose volumes stay.
    ///
    /// # Errors
    /// As [`Work::intent`].
    pub fn intent_with(&self, kind: &str, region: &str, name: &str, keep_devices: Vec<String>) -> Result<Entry> {
        self.cx.check_cancel()?;
        let note = Note { access: self.account.record(), keep_devices };
        self.cx.ledger().intent(&self.cx.name, resource(kind, region, name, &note))
    }
    /// The tags of everything that the build makes: `run_tags` and our own.
    ///
    /// # Errors
    /// A text that cannot be rendered.
    pub fn run_tags(&self, late: &Late) -> Result<BTreeMap<String, String>> {
        let mut all = late.tags("run_tags", &self.config.run.run_tags, &self.config.run.run_tag)?;
        all.extend(tags::own(self.cx));
        Ok(all)
    }
}

/// Notes how a create call ended: a refusal means that nothing is there.
///
/// # Errors
/// The refusal, or a ledger that cannot be written.
pub fn noted<T>(entry: &Entry, result: Result<T, Failure>) -> Result<T> {
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
