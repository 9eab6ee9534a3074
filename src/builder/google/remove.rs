//! Removing what a build made, in whatever state it is: still being made, in use, gone already.

use crate::client::{Api, At, Started};
use crate::failure::Failure;
use image_action_engine::wait::{pause, scaled};
use image_action_engine::{CancellationToken, Error, ErrorKind, Result, duration};
use std::time::Duration;
use tokio::time::Instant;

/// The pause before a resource that is in use is asked for again.
const BUSY_PAUSE: Duration = Duration::from_secs(2);

/// How long a resource that is not there is looked for again where its create call got no answer.
const DOUBT: Duration = Duration::from_secs(10);

/// The kinds that this room makes; the names are those of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Instance,
    Disk,
    Image,
}

impl Kind {
    /// As the ledger has it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Instance => "instance",
            Kind::Disk => "disk",
            Kind::Image => "image",
        }
    }
    pub fn parse(name: &str) -> Option<Kind> {
        [Kind::Instance, Kind::Disk, Kind::Image].into_iter().find(|k| k.name() == name)
    }
}

/// One resource.
#[derive(Clone, Debug)]
pub(crate) struct Thing {
    pub kind: Kind,
    pub project: String,
    /// Empty for an image.
    pub zone: String,
    pub name: String,
}

impl std::fmt::Display for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = if self.zone.is_empty() { "" } else { " in " };
        write!(f, "{} {}{at}{} (project {})", self.kind.name(), self.name, self.zone, self.project)
    }
}

impl Thing {
    /// What a person types to remove it.
    pub fn command(&self) -> String {
        let zone = if self.zone.is_empty() { String::new() } else { format!(" --zone {}", self.zone) };
        format!("gcloud compute {}s delete {}{zone} --project {} --quiet", self.kind.name(), self.name, self.project)
    }
    fn at<'a>(&'a self, api: &'a Api, cancel: &'a CancellationToken) -> At<'a> {
        match self.kind {
            Kind::Image => api.global(&self.project, cancel),
            Kind::Instance | Kind::Disk => api.zonal(&self.project, &self.zone, cancel),
        }
    }
    async fn delete(&self, api: &Api, cancel: &CancellationToken) -> Result<Started, Failure> {
        let at = self.at(api, cancel);
        match self.kind {
            Kind::Instance => at.delete_instance(&self.name).await,
            Kind::Disk => at.delete_disk(&self.name).await,
            Kind::Image => at.delete_image(&self.name).await,
        }
    }
    /// Waits for what is going on with it; says whether something was.
    async fn settle(&self, api: &Api, patience: Duration, cancel: &CancellationToken) -> Result<bool> {
        let path = format!("{}s/{}", self.kind.name(), self.name);
        // Without the permission to list, the resource itself says when it is ready.
        let Ok(pending) = self.at(api, cancel).pending(&path).await else { return Ok(false) };
        let any = !pending.is_empty();
        for started in pending {
            match api.wait(&started, patience, cancel).await {
                Err(e) if e.error.is_cancelled() || e.error.kind == ErrorKind::TimedOut => return Err(e.error),
                // It failed: then there is less to remove.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(any)
    }
    /// Removes it and waits until it is gone. `doubt`: its create call got no answer, so it may still appear.
    ///
    /// # Errors
    /// Why it is still there.
    pub async fn remove(&self, api: &Api, doubt: bool, patience: Duration, cancel: &CancellationToken) -> Result<()> {
        let begin = Instant::now();
        let mut seen = false;
        loop {
            match self.delete(api, cancel).await {
                Ok(started) => match api.wait(&started, patience, cancel).await {
                    Ok(_) => return Ok(()),
                    Err(e) if e.is_not_found() => return Ok(()),
                    Err(e) => return Err(e.error),
                },
                Err(e) if e.is_not_found() => {
                    let working = self.settle(api, patience, cancel).await?;
                    if !working && (seen || !doubt || begin.elapsed() > scaled(DOUBT)) {
                        return Ok(());
                    }
                    if !working {
                        pause(scaled(BUSY_PAUSE), cancel).await?;
                    }
                }
                Err(e) if e.busy => {
                    seen = true;
                    if !self.settle(api, patience, cancel).await? {
                        pause(scaled(BUSY_PAUSE), cancel).await?;
                    }
                    if begin.elapsed() > patience {
                        let what = format!("the {self} is still in use after {}", duration::show(patience));
                        return Err(Error::new(ErrorKind::TimedOut, what).detail(e.error.summary));
                    }
                }
                Err(e) => return Err(e.error),
            }
        }
    }
}
