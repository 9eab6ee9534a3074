//! What a build would do: its calls in order, and what the account has to be allowed. It stands beside the code that makes the
//! calls (`steps/`, `remove.rs`, `oslogin.rs`) and changes with it; `tests/it/plan/` compares both with what the local Compute
//! Engine was asked.

use crate::config::Googlecompute;
use crate::source;
use crate::steps::Names;
use image_action_engine::outline::{Grant, Grants, Outline, Question, Stage, Step, Steps};

/// What is asked of one template.
struct Plan<'a> {
    config: &'a Googlecompute,
    names: &'a Names,
    asked: &'a Question<'a>,
}

/// What a build of this template would do.
pub(crate) fn outline(config: &Googlecompute, names: &Names, asked: &Question<'_>) -> Outline {
    let plan = Plan { config, names, asked };
    let mut notes = Vec::new();
    if plan.os_login().is_none() {
        notes.push(
            "Where the project's metadata says enable-oslogin, the account also needs roles/compute.osAdminLogin."
                .to_owned(),
        );
    }
    if plan.kms() {
        notes.push(
            "The project's Compute Engine service agent needs roles/cloudkms.cryptoKeyEncrypterDecrypter on the keys."
                .to_owned(),
        );
    }
    Outline {
        provider: crate::PROVIDER,
        place: format!("{} in project {}", config.instance.zone, config.image.project_id),
        source: plan.source(),
        source_option: if config.image.source_image.is_empty() { "source_image_family" } else { "source_image" },
        makes: plan.makes(),
        decisive: &["machine_type", "disk_size", "disk_type"],
        steps: plan.steps(),
        grants: plan.grants(),
        notes,
    }
}

impl Plan<'_> {
    /// What the template says of OS Login; `None` where the project's metadata decides.
    fn os_login(&self) -> Option<bool> {
        if self.config.communicator.needs_temporary_key() { crate::said_os_login(self.config) } else { Some(false) }
    }
    fn makes_image(&self) -> bool {
        !(self.config.image.skip_create_image || self.asked.skip_image)
    }
    fn kms(&self) -> bool {
        let i = &self.config.instance;
        let keys = [&i.disk_encryption_key, &self.config.image.image_encryption_key];
        let keys = keys.into_iter().chain(i.disk_attachment.iter().map(|d| &d.disk_encryption_key)).flatten();
        keys.into_iter().any(|k| !k.kms_key_name.is_empty())
    }
    fn deprecates(&self) -> bool {
        let i = &self.config.image;
        !(i.deprecate_at.is_empty() && i.obsolete_at.is_empty() && i.delete_at.is_empty())
    }
    fn source(&self) -> String {
        let i = &self.config.image;
        let what = if i.source_image.is_empty() {
            format!("the newest image of the family {}", i.source_image_family)
        } else {
            format!("the image {}", i.source_image)
        };
        let projects = &i.source_image_project_id;
        let from = if projects.is_empty() {
            format!("{}, else Google's public projects", i.project_id)
        } else {
            projects.join(", else ")
        };
        format!("{what} in {from}")
    }
    fn makes(&self) -> Vec<String> {
        let i = &self.config.image;
        let mut all = Vec::new();
        if self.makes_image() {
            let family = if i.image_family.is_empty() { String::new() } else { format!(", family {}", i.image_family) };
            let stored = &i.image_storage_locations;
            let stored = if stored.is_empty() { String::new() } else { format!(", stored in {}", stored.join(", ")) };
            all.push(format!("image {} in project {}{family}{stored}", self.names.image, self.names.image_project));
        }
        let disks = self.config.instance.disk_attachment.iter().zip(&self.names.disks);
        let kept = disks.filter(|(d, name)| d.keep_device && name.is_some());
        let zone = &self.config.instance.zone;
        all.extend(
            kept.map(|(d, name)| format!("disk{} in {zone}", known(&d.disk_name, name.as_deref().unwrap_or_default()))),
        );
        all
    }

    fn steps(&self) -> Vec<Step> {
        let c = self.config;
        let mut steps = Steps::at(&c.instance.zone);
        for (disk, name) in c.instance.disk_attachment.iter().zip(&self.names.disks) {
            if let Some(name) = name {
                let name = known(&disk.disk_name, name);
                steps.call("disks.insert", format!("a disk{name} ({})", disk.volume_type));
            }
        }
        if self.os_login() != Some(false) {
            let import = steps.call("users.importSshPublicKey", "the temporary key, at OS Login");
            if self.os_login().is_none() {
                import.when("the project's metadata says enable-oslogin");
            }
        }
        let (machine, disk) = (&c.instance.machine_type, &c.instance.disk_type);
        steps.call(
            "instances.insert",
            format!("one {machine} of the source image, with a {disk} disk of {} GB", c.instance.disk_size),
        );
        if c.communicator.needs_temporary_key() && !c.login.wait_to_add_ssh_keys.is_zero() {
            steps.call("instances.setMetadata", "the temporary key");
        }
        if self.makes_image() {
            self.image(&mut steps);
        }
        self.clean_up(&mut steps);
        steps.done()
    }

    fn image(&self, steps: &mut Steps) {
        steps.call("instances.delete", "the instance; its disk stays for the image");
        steps.stage(Stage::Image);
        steps.place(&self.names.image_project);
        let name = &self.names.image;
        if self.asked.force {
            let about = format!("the image that is named {name} now");
            steps.call("images.delete", about).when("it exists already").destroys();
        }
        let of = self.config.instance.disk_attachment.iter().any(|d| d.create_image);
        let of = if of { "the attached disk" } else { "the boot disk" };
        steps.call("images.insert", format!("the image {name} of {of}"));
        if self.deprecates() {
            let i = &self.config.image;
            let dates =
                [("deprecated", &i.deprecate_at), ("obsolete", &i.obsolete_at), ("to be deleted", &i.delete_at)];
            let dates = dates.iter().filter(|(_, d)| !d.is_empty()).map(|(what, at)| format!("{what} at {at}"));
            steps.call("images.deprecate", dates.collect::<Vec<_>>().join(", "));
        }
    }

    fn clean_up(&self, steps: &mut Steps) {
        let c = self.config;
        steps.stage(Stage::CleanUp);
        steps.place(&c.instance.zone);
        if !self.makes_image() {
            steps.call("instances.delete", "the instance");
        }
        let given = [&c.instance.disk_name, &c.instance.instance_name].into_iter().find(|n| !n.is_empty());
        steps.call(
            "disks.delete",
            format!("the boot disk{}", known(given.map_or("", String::as_str), &self.names.disk)),
        );
        for (disk, name) in c.instance.disk_attachment.iter().zip(&self.names.disks) {
            if let (Some(name), false) = (name, disk.keep_device) {
                steps.call("disks.delete", format!("the disk{}", known(&disk.disk_name, name)));
            }
        }
        if self.os_login() != Some(false) {
            let forget = steps.call("users.sshPublicKeys.delete", "the temporary key, at OS Login");
            if self.os_login().is_none() {
                forget.when("the project's metadata says enable-oslogin");
            }
        }
    }

    fn grants(&self) -> Vec<Grant> {
        let (c, i) = (self.config, &self.config.instance);
        let mut grants = Grants::default();
        let own = c.image.project_id.as_str();
        grants.on("Build", own, &ALWAYS);
        let mut when = |wanted: bool, project: &str, actions: &[&'static str]| {
            if wanted {
                grants.on("Build", project, actions);
            }
        };
        // Everything carries labels of the run.
        when(true, own, &["compute.instances.setLabels"]);
        when(!i.tags.is_empty(), own, &["compute.instances.setTags"]);
        let account = !i.disable_default_service_account;
        when(account, own, &["compute.instances.setServiceAccount", "iam.serviceAccounts.actAs"]);
        when(crate::said_os_login(c).is_none(), own, &["compute.projects.get"]);
        when(self.os_login() == Some(true), own, &["compute.instances.osAdminLogin"]);
        when(!i.disk_name.is_empty() || !i.instance_name.is_empty(), own, &["compute.disks.get"]);
        when(!i.resource_manager_tags.is_empty(), own, &["compute.instances.createTagBinding"]);
        let further = self.names.disks.iter().any(Option::is_some);
        let attached = i.disk_attachment.iter().any(|d| !d.source_volume.is_empty());
        when(further || attached, own, &["compute.disks.use"]);
        when(further, own, &["compute.disks.setLabels"]);
        when(!i.address.is_empty(), own, &["compute.addresses.get", "compute.addresses.use"]);
        let host = if i.network_project_id.is_empty() { own } else { i.network_project_id.as_str() };
        when(true, host, &["compute.subnetworks.use"]);
        when(!i.omit_external_ip, host, &["compute.subnetworks.useExternalIp"]);
        // Google's public images may be used by everybody.
        let by_name = !c.image.source_image.is_empty();
        let find = if by_name { "compute.images.get" } else { "compute.images.getFromFamily" };
        let from: Vec<&str> = if c.image.source_image_project_id.is_empty() {
            vec![own]
        } else {
            c.image.source_image_project_id.iter().map(String::as_str).collect()
        };
        for project in from.into_iter().filter(|p| !source::PUBLIC_PROJECTS.contains(p)) {
            when(true, project, &["compute.images.useReadOnly", find]);
        }
        let target = self.names.image_project.as_str();
        when(true, target, &["compute.images.get"]);
        if self.makes_image() {
            when(true, own, &["compute.disks.useReadOnly"]);
            // What a failed build has made goes again.
            when(
                true,
                target,
                &[
                    "compute.globalOperations.get",
                    "compute.images.create",
                    "compute.images.delete",
                    "compute.images.setLabels",
                ],
            );
            when(self.deprecates(), target, &["compute.images.deprecate"]);
        }
        grants.done()
    }
}

/// A name, with a blank before it; one that is made up anew for each run says nothing.
fn known(given: &str, name: &str) -> String {
    if given.is_empty() { String::new() } else { format!(" {name}") }
}

/// An instance with its boot disk; the serial port is read where nobody can log in.
const ALWAYS: [&str; 10] = [
    "compute.disks.create",
    "compute.disks.delete",
    "compute.instances.create",
    "compute.instances.delete",
    "compute.instances.get",
    "compute.instances.getSerialPortOutput",
    "compute.instances.setMetadata",
    "compute.machineTypes.get",
    "compute.zoneOperations.get",
    "compute.zones.get",
];
