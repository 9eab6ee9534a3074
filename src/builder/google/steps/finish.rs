//! The end of a build: what was temporary goes, or is listed.

use super::{Build, Made};
use crate::oslogin;
use image_action_engine::ask::Choice;
use image_action_engine::{Artifact, CancellationToken, Event, Result};
use std::time::Duration;

/// How long the removal of one resource may take at least, however short `state_timeout` is.
const CLEANUP_PATIENCE: Duration = Duration::from_secs(5 * 60);

impl Build<'_> {
    /// Removes what was temporary, or lists it where the template's user wants to look at it.
    pub(super) async fn finish(mut self, result: Result<Option<Artifact>>) -> Result<Option<Artifact>> {
        let things = self.instance.iter().chain(&self.boot_disk).chain(&self.disks).chain(&self.image);
        let anything = self.login_key.is_some() || things.into_iter().any(|made| !made.keep);
        if let (Err(e), true) = (&result, anything) {
            if self.cx.choose("build", e, false).await == Choice::Abort {
                self.cx.error(format!("The build stopped, and what exists stays (-on-error): {}", e.summary));
                self.list_left();
                return result;
            }
            self.cx.phase("cleaning up");
            self.cx.say("Removing what this build made");
        }
        self.clean().await;
        result
    }

    fn list_left(&self) {
        let things = self.instance.iter().chain(&self.boot_disk).chain(&self.disks).chain(&self.image);
        for made in things.filter(|m| !m.keep) {
            self.leftover(&made.thing.to_string(), made.thing.command());
        }
        if let Some((key, _)) = &self.login_key {
            self.leftover(&key.to_string(), key.command());
        }
    }

    fn leftover(&self, what: &str, remove_with: String) {
        self.cx.events().send(Event::Leftover { build: self.cx.name.clone(), what: what.to_owned(), remove_with });
    }

    /// Removes everything that nobody wants; a disk goes after what uses it.
    async fn clean(&mut self) {
        let (instance, image, login_key) = (self.instance.take(), self.image.take(), self.login_key.take());
        let disks: Vec<Made> = self.boot_disk.take().into_iter().chain(self.disks.drain(..)).collect();
        let users = async { tokio::join!(self.remove(instance), self.remove(image.filter(|m| !m.keep))) };
        let machines = async {
            users.await;
            let all = disks.into_iter().map(|disk| self.remove_disk(disk));
            futures_util::future::join_all(all).await;
        };
        let key = async {
            let Some((key, entry)) = login_key else { return };
            match oslogin::forget(&self.api, &key, &CancellationToken::new()).await.and_then(|()| entry.gone()) {
                Ok(()) => {}
                Err(e) => {
                    self.cx.error(format!("{key} could not be removed: {e}"));
                    self.leftover(&key.to_string(), key.command());
                }
            }
        };
        tokio::join!(machines, key);
    }

    async fn remove_disk(&self, made: Made) {
        if made.keep {
            self.cx.say(format!("The disk {} stays, as asked", made.thing.name));
            if let Err(e) = made.entry.kept() {
                self.cx.error(e.to_string());
            }
            return;
        }
        self.remove(Some(made)).await;
    }

    async fn remove(&self, made: Option<Made>) {
        let Some(made) = made else { return };
        let patience = self.deadline().max(CLEANUP_PATIENCE);
        // The build's own token may be cancelled; what it made has to go all the same.
        let cancel = CancellationToken::new();
        self.cx.message(format!("Deleting {} {}", made.thing.kind.name(), made.thing.name));
        match made.thing.remove(&self.api, made.doubt, patience, &cancel).await.and_then(|()| made.entry.gone()) {
            Ok(()) => {}
            Err(e) => {
                self.cx.error(format!("The {} could not be removed: {e}", made.thing));
                self.leftover(&made.thing.to_string(), made.thing.command());
            }
        }
    }
}
