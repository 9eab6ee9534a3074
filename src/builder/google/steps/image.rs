//! The image: made of the disk, deprecated as asked, told of.

use super::{Build, created, noted};
use crate::body;
use crate::remove::Kind;
use google_cloud_compute_v1::model::{DeprecationStatus, Image, deprecation_status};
use image_action_engine::ledger::RUN_TAG;
use image_action_engine::{Artifact, ErrorKind, Facts, Result, component};
use image_action_lang::Value;
use std::collections::BTreeMap;

/// Who made the artifact, in Packer's words.
const BUILDER_ID: &str = "packer.googlecompute";

impl Build<'_> {
    pub(super) async fn replace_image(&self) -> Result<()> {
        self.cx.say(format!("Deleting the image {} that is replaced", self.names.image));
        let old = self.thing(Kind::Image, &self.names.image);
        old.remove(&self.api, false, self.deadline(), self.cancel()).await
    }

    pub(super) async fn make_image(&mut self) -> Result<Option<Image>> {
        let name = self.names.image.as_str();
        self.cx.phase("creating the image");
        self.cx.say(format!("Creating the image {name}"));
        let with_image = self.config.instance.disk_attachment.iter().position(|d| d.create_image);
        let disk = with_image.and_then(|n| self.names.disks.get(n)?.as_deref()).unwrap_or(&self.names.disk);
        let source = format!("projects/{}/zones/{}/disks/{disk}", self.project(), self.zone());
        let run = BTreeMap::from_iter(self.labels.get_key_value(RUN_TAG).map(|(k, v)| (k.clone(), v.clone())));
        let body = body::image(self.config, name, &source, &run, &self.cx.run.cwd)?;
        let project = self.names.image_project.as_str();
        let mut made = self.intend(self.thing(Kind::Image, name), false)?;
        let started = self.api.global(project, self.cancel()).insert_image(&body).await;
        let started = noted(&mut made, started);
        if started.is_err() && !made.doubt {
            made.entry.gone()?;
        } else {
            self.image = Some(made);
        }
        let started = started?;
        let done = self.api.wait(&started, self.deadline(), self.cancel()).await;
        let Some(made) = &mut self.image else { return Ok(None) };
        created(made, done).map_err(|e| {
            if e.kind == ErrorKind::TimedOut {
                e.hint("the image of a big disk takes longer: raise state_timeout")
            } else {
                e
            }
        })?;
        // From here on the image is what was asked for, whatever else goes wrong.
        made.keep = true;
        made.entry.kept()?;
        let image = match self.api.global(project, self.cancel()).image(name).await {
            Ok(image) => Some(image),
            Err(e) => {
                self.cx.warn(format!("The image {name} exists, but could not be looked at: {}", e.error.summary));
                None
            }
        };
        self.deprecate().await;
        Ok(image)
    }

    /// Sets when the image is deprecated, obsolete, to be deleted; a refusal is told, and the image stays.
    async fn deprecate(&self) {
        let i = &self.config.image;
        if i.deprecate_at.is_empty() && i.obsolete_at.is_empty() && i.delete_at.is_empty() {
            return;
        }
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let body = DeprecationStatus::new()
            .set_state(deprecation_status::State::Active)
            .set_or_clear_deprecated(some(&i.deprecate_at))
            .set_or_clear_obsolete(some(&i.obsolete_at))
            .set_or_clear_deleted(some(&i.delete_at));
        let (project, name) = (self.names.image_project.as_str(), self.names.image.as_str());
        let result = async {
            let started = self.api.global(project, self.cancel()).deprecate(name, &body).await?;
            self.api.wait(&started, self.deadline(), self.cancel()).await
        };
        match result.await {
            Ok(_) => self.cx.say("The image's deprecation is set"),
            Err(e) => self
                .cx
                .error(format!("The image {name} exists, but its deprecation could not be set: {}", e.error.summary)),
        }
    }

    pub(super) fn artifact(&self, image: &Option<Image>, mut facts: Facts) -> Artifact {
        let (project, name) = (&self.names.image_project, &self.names.image);
        let size = image.as_ref().and_then(|i| i.disk_size_gb).unwrap_or_default();
        for (key, value) in [
            ("ImageName", name),
            ("ProjectId", &self.config.image.project_id),
            ("BuildZone", &self.config.instance.zone),
        ] {
            facts.insert(key.to_owned(), Value::string(value));
        }
        facts.insert("ImageSizeGb".to_owned(), Value::int(size));
        let place = image.as_ref().and_then(|i| i.storage_locations.first().cloned());
        let resources = self.image.iter().map(|m| m.entry.key.clone()).collect();
        Artifact {
            builder_id: BUILDER_ID.to_owned(),
            id: name.clone(),
            description: format!("A disk image was created in the project {project}: {name}"),
            files: Vec::new(),
            images: vec![component::Image {
                provider: crate::PROVIDER.to_owned(),
                region: place.unwrap_or_else(|| "global".to_owned()),
                id: format!("projects/{project}/global/images/{name}"),
                name: name.clone(),
            }],
            facts,
            resources,
        }
    }
}
