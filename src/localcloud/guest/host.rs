//! The host of a local cloud's guests: one root file system, many guests, nothing left behind.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::control::locked;
use super::machine::{Folders, Guest};
use super::space::Helper;
use super::{BootSpec, GuestError, GuestState, HostOptions, Rung, RungCheck, check, layer, root};

/// Makes guests. One for a local cloud; clones are the same host.
#[derive(Clone)]
pub struct GuestHost {
    inner: Arc<Inner>,
}

struct Inner {
    options: HostOptions,
    helper: Helper,
    root: PathBuf,
    guests: Mutex<HashMap<String, Guest>>,
    next: AtomicU32,
    /// Held as long as the state folder is ours; the kernel lets go of it however we end.
    _lock: File,
}

impl GuestHost {
    /// What this machine needs for guests, and what of it is there, for each way in which they can run. Changes nothing.
    pub fn check(options: &HostOptions) -> Vec<RungCheck> {
        check::check(options)
    }

    /// Prepares this machine: makes the root file system if the cache has none, and removes what an earlier run left in the state
    /// folder. Images (layers) are kept.
    ///
    /// # Errors
    /// [`GuestError::Missing`] where guests cannot run, [`GuestError::Root`] when the root file system cannot be had.
    pub async fn new(mut options: HostOptions) -> Result<Self, GuestError> {
        let rungs = Self::check(&options);
        let Some(rung) = rungs.iter().find(|r| r.ok()).map(|r| r.rung) else {
            return Err(GuestError::Missing(rungs));
        };
        let helper = match rung {
            Rung::Root => Helper::root(&options.helper),
            Rung::User => Helper::user(&options.helper).map_err(GuestError::Root)?,
        };
        let failed = |e: std::io::Error| GuestError::Root(format!("state folder: {e}"));
        for dir in [&mut options.state_dir, &mut options.cache_dir] {
            fs::create_dir_all(&dir).map_err(failed)?;
            *dir = dir.canonicalize().map_err(failed)?;
        }
        let lock = File::create(options.state_dir.join("guests.lock")).map_err(failed)?;
        lock.try_lock().map_err(|_| {
            GuestError::Root(format!(
                "{} is used by another local cloud; each needs its own",
                options.state_dir.display()
            ))
        })?;
        let left = options.state_dir.join("guests");
        let sweeper = helper.clone();
        tokio::task::spawn_blocking(move || sweeper.remove_tree(&left).and_then(|()| layer::private_folder(&left)))
            .await
            .map_err(|e| GuestError::Root(e.to_string()))?
            .map_err(failed)?;
        let root = root::prepare(&options, &helper).await?;
        let inner = Inner { options, helper, root, guests: Mutex::default(), next: AtomicU32::new(0), _lock: lock };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Boots a guest; returns when SSH answers.
    ///
    /// # Errors
    /// When the guest cannot be started, a layer is damaged, or an account is not valid.
    pub async fn boot(&self, spec: BootSpec) -> Result<Guest, GuestError> {
        let inner = &self.inner;
        let name = spec.name.clone();
        if self.guest(&name).is_some() {
            return Err(GuestError::Guest { name, reason: "a guest of this name is there already".into() });
        }
        let (layers, helper) = (spec.layers.clone(), inner.helper.clone());
        let unpacking = tokio::task::spawn_blocking(move || {
            layers.iter().rev().map(|l| layer::unpacked(l, &helper)).collect::<Result<Vec<_>, _>>()
        });
        let mut lowers = unpacking.await.map_err(|e| GuestError::Layer(e.to_string()))??;
        lowers.push(inner.root.clone());
        // A number, not the name: names come from templates.
        let number = inner.next.fetch_add(1, Ordering::Relaxed);
        let folders = Folders {
            own: inner.options.state_dir.join("guests").join(number.to_string()),
            layers: inner.options.state_dir.join("layers"),
            lowers,
        };
        let guest = Guest::boot(spec, folders, inner.helper.clone(), inner.options.network).await?;
        locked(&inner.guests).insert(name, guest.clone());
        Ok(guest)
    }

    /// The guest of this name, unless it has been destroyed.
    pub fn guest(&self, name: &str) -> Option<Guest> {
        let mut guests = locked(&self.inner.guests);
        guests.retain(|_, g| g.state() != GuestState::Gone);
        guests.get(name).cloned()
    }

    /// Ends and removes every guest. Layers of images are kept as tars; what was unpacked of them goes.
    pub async fn shutdown(&self) {
        let guests: Vec<_> = locked(&self.inner.guests).drain().map(|(_, g)| g).collect();
        let mut ends = tokio::task::JoinSet::new();
        for guest in guests {
            ends.spawn(async move { guest.destroy().await });
        }
        // What could not be removed is swept by the next run on this folder.
        while ends.join_next().await.is_some() {}
        let inner = self.inner.clone();
        let _ = tokio::task::spawn_blocking(move || inner.remove_unpacked()).await;
    }
}

impl Inner {
    /// The folders of layers hold files of the guests' users, which whoever removes the state folder may not be able to remove.
    fn remove_unpacked(&self) {
        for entry in fs::read_dir(self.options.state_dir.join("layers")).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                // What cannot be removed is unpacked anew or stays.
                let _ = self.helper.remove_tree(&entry.path());
            }
        }
    }
}
