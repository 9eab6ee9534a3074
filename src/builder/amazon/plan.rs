//! What a build would do: its calls in order, and what the role has to allow. It stands beside the code that makes the calls
//! (`ebs/`, `remove.rs`, `tags.rs`) and changes with it; `tests/it/plan/` compares both with what the local EC2 was asked.

use crate::config::{BlockDevice, Ebs};
use crate::policy::{self, Arns};
use image_action_engine::outline::{Grants, Outline, Question, Stage, Steps};
use std::collections::BTreeMap;

/// Where the template leaves the region to a profile, nobody knows it before.
const SOME_REGION: &str = "the profile's region";

/// What is asked of one template.
struct Plan<'a> {
    config: &'a Ebs,
    asked: &'a Question<'a>,
    /// Empty where only a profile knows it.
    region: String,
}

/// What a build of this template would do.
pub fn outline(config: &Ebs, asked: &Question<'_>) -> Outline {
    let from_env = || asked.env.get("AWS_REGION").or_else(|| asked.env.get("AWS_DEFAULT_REGION")).unwrap_or_default();
    let own = config.access.region.as_str();
    let region = if own.is_empty() { from_env() } else { own }.to_owned();
    let plan = Plan { config, asked, region };
    let mut notes = Vec::new();
    if plan.region.is_empty() {
        notes.push("The region is the profile's: permissions cannot be narrowed to it.".to_owned());
    }
    let ami = &config.ami;
    if plan.forced() && !ami.force_delete_snapshot && plan.makes_image() {
        notes.push("The snapshots of images that are replaced stay, and cost money: force_delete_snapshot.".to_owned());
    }
    if let Some(role) = config.access.assume_role.as_ref().filter(|r| !r.role_arn.is_empty()) {
        notes.push(format!(
            "sts:AssumeRole is for whoever starts the build, all other permissions are for the role {}.",
            role.role_arn
        ));
    }
    if !config.run.iam_instance_profile.is_empty() {
        notes.push(format!(
            "iam:PassRole names a role {0}: correct it where the role of the instance profile {0} has another name.",
            config.run.iam_instance_profile
        ));
    }
    Outline {
        provider: crate::remove::PROVIDER,
        place: plan.here().to_owned(),
        source: plan.source(),
        source_option: "source_ami",
        makes: plan.makes(),
        decisive: &[],
        steps: plan.steps(),
        grants: plan.grants(),
        notes,
    }
}

/// Filters for people: `name = ubuntu-*, architecture = arm64`.
pub fn show_filters(filters: &BTreeMap<String, String>) -> String {
    filters.iter().map(|(k, v)| format!("{k} = {v}")).collect::<Vec<_>>().join(", ")
}

/// What a look for an image means, for people.
pub fn show_search(filters: &BTreeMap<String, String>, owners: &[String], newest: bool, deprecated: bool) -> String {
    let which = if newest { "the newest image" } else { "the one image" };
    let owners = if owners.is_empty() { String::new() } else { format!(" of {}", owners.join(", ")) };
    let filters = if filters.is_empty() { String::new() } else { format!(" with {}", show_filters(filters)) };
    let deprecated = if deprecated { ", deprecated ones too" } else { "" };
    format!("{which}{owners}{filters}{deprecated}")
}

impl Plan<'_> {
    fn here(&self) -> &str {
        if self.region.is_empty() { SOME_REGION } else { &self.region }
    }
    fn forced(&self) -> bool {
        self.config.ami.force_deregister || self.asked.force
    }
    fn makes_image(&self) -> bool {
        !(self.config.ami.skip_create_ami || self.asked.skip_image)
    }
    /// As `ebs/image.rs` has it.
    fn needs_intermediate(&self) -> bool {
        self.config.ami.encrypt_boot == Some(true) || self.config.ami.skip_save_build_region
    }
    /// The regions of finished images, that of the build first.
    fn targets(&self) -> Vec<String> {
        let mut others = self.config.ami.ami_regions.clone();
        others.sort();
        others.dedup();
        others.retain(|r| *r != self.region);
        let own = (!self.config.ami.skip_save_build_region).then(|| self.here().to_owned());
        own.into_iter().chain(others).collect()
    }
    /// The key of a copy.
    fn key_in(&self, region: &str) -> Option<&str> {
        let ami = &self.config.ami;
        let own = (region == self.here()).then_some(&ami.kms_key_id);
        let key = ami.region_kms_key_ids.get(region).or(own);
        key.map(String::as_str).filter(|k| !k.is_empty())
    }
    /// Whether a key pair is made, as `ebs/machine.rs` decides it.
    fn makes_key(&self) -> bool {
        let login = &self.config.communicator;
        let own_key = !login.ssh_private_key_file.is_empty() || login.ssh_agent_auth;
        let named = !login.ssh_keypair_name.is_empty() || !login.ssh_password.is_empty();
        !(own_key || login.temporary_key_pair_name.is_empty() && named)
    }
    fn makes_group(&self) -> bool {
        let run = &self.config.run;
        run.security_group_ids.is_empty() && run.security_group_id.is_empty() && run.security_group_filter.is_none()
    }
    /// Volumes of the template's own that outlive the instance.
    fn volumes(&self) -> impl Iterator<Item = &BlockDevice> {
        let all = self.config.run.launch_block_device_mappings.iter();
        all.filter(|d| !d.no_device && d.virtual_name.is_empty() && d.delete_on_termination != Some(true))
    }
    fn keeps_volumes(&self) -> bool {
        self.volumes().any(|d| d.delete_on_termination == Some(false))
    }
    fn source(&self) -> String {
        let run = &self.config.run;
        if !run.source_ami.is_empty() {
            return run.source_ami.clone();
        }
        let Some(f) = &run.source_ami_filter else { return String::new() };
        show_search(&f.filters, &f.owners, f.most_recent, f.include_deprecated)
    }
    fn makes(&self) -> Vec<String> {
        let ami = &self.config.ami;
        if !self.makes_image() {
            return Vec::new();
        }
        let with = [
            ("account", ami.ami_users.len()),
            ("organization", ami.ami_org_arns.len()),
            ("organizational unit", ami.ami_ou_arns.len()),
        ];
        let with = with.into_iter().filter(|(_, n)| *n > 0);
        let mut shared: Vec<String> =
            with.map(|(what, n)| format!("{n} {what}{}", if n == 1 { "" } else { "s" })).collect();
        if ami.ami_groups.iter().any(|g| g == "all") {
            shared.push("everybody".to_owned());
        }
        let shared = if shared.is_empty() { String::new() } else { format!(", shared with {}", shared.join(" and ")) };
        let encrypted = |region: &str| match (ami.encrypt_boot, self.key_in(region)) {
            (Some(true), Some(key)) => format!(", encrypted with {key}"),
            (Some(true), None) => ", encrypted with the account's default key".to_owned(),
            _ => String::new(),
        };
        let mut alike: Vec<(String, Vec<String>)> = Vec::new();
        for region in self.targets() {
            let how = encrypted(&region);
            match alike.iter_mut().find(|(known, _)| *known == how) {
                Some((_, regions)) => regions.push(region),
                None => alike.push((how, vec![region])),
            }
        }
        let name = &ami.ami_name;
        alike.iter().map(|(how, regions)| format!("AMI {name} in {}{how}{shared}", regions.join(", "))).collect()
    }

    fn steps(&self) -> Vec<image_action_engine::outline::Step> {
        let mut steps = Steps::at(self.here());
        self.machine(&mut steps);
        if self.makes_image() {
            self.image(&mut steps);
        }
        self.clean_up(&mut steps);
        steps.done()
    }

    fn machine(&self, steps: &mut Steps) {
        let (run, login) = (&self.config.run, &self.config.communicator);
        if self.makes_key() {
            let kind = &login.temporary_key_pair_type;
            let kind = if kind.eq_ignore_ascii_case("ed25519") { "ED25519" } else { "RSA" };
            steps.call("CreateKeyPair", format!("a temporary {kind} key pair"));
        }
        if self.makes_group() {
            let cidrs = &run.temporary_security_group_source_cidrs;
            let everybody = if run.ssh_interface == "ipv6" { "::/0" } else { "0.0.0.0/0" };
            let from = if cidrs.is_empty() { everybody.to_owned() } else { cidrs.join(", ") };
            steps.call("CreateSecurityGroup", "a temporary security group");
            steps.call("AuthorizeSecurityGroupIngress", format!("lets {from} in at port {}", login.port()));
        }
        steps.call("RunInstances", format!("one {} of the source image", run.instance_type));
    }

    fn image(&self, steps: &mut Steps) {
        let ami = &self.config.ami;
        let name = &ami.ami_name;
        if !self.config.run.disable_stop_instance {
            steps.call("StopInstances", "the instance, for its image");
        }
        steps.stage(Stage::Image);
        if ami.sriov_support {
            steps.call("ModifyInstanceAttribute", "enhanced networking (SR-IOV) on");
        }
        if let Some(on) = ami.ena_support {
            let on = if on { "on" } else { "off" };
            steps.call("ModifyInstanceAttribute", format!("enhanced networking (ENA) {on}"));
        }
        if self.needs_intermediate() {
            steps.call("CreateImage", "an intermediate image, for the copies");
        } else {
            self.free_name(steps);
            steps.call("CreateImage", format!("the image {name}"));
        }
        for region in self.targets() {
            if region == self.here() && !self.needs_intermediate() {
                continue;
            }
            steps.place(&region);
            self.free_name(steps);
            let encrypted = if ami.encrypt_boot == Some(true) { ", encrypted" } else { "" };
            let key = self.key_in(&region).map(|k| format!(" with {k}")).unwrap_or_default();
            steps.call("CopyImage", format!("the image {name} from {}{encrypted}{key}", self.here()));
        }
        if self.needs_intermediate() {
            steps.place(self.here());
            steps.call("DeregisterImage", "the intermediate image");
            steps.call("DeleteSnapshot", "its snapshots");
        }
        for region in self.targets() {
            steps.place(&region);
            self.finish(steps);
        }
    }

    /// What has the name goes first, where that is asked for.
    fn free_name(&self, steps: &mut Steps) {
        if !self.forced() {
            return;
        }
        let exists = "an image of that name exists";
        let name = &self.config.ami.ami_name;
        steps.call("DeregisterImage", format!("the image that is named {name} now")).when(exists).destroys();
        if self.config.ami.force_delete_snapshot {
            steps.call("DeleteSnapshot", "the snapshots of that image").when(exists).destroys();
        }
    }

    /// What finished images of one region are given, in the order of `ebs/image.rs`.
    fn finish(&self, steps: &mut Steps) {
        let ami = &self.config.ami;
        if !ami.deprecate_at.is_empty() {
            steps.call("EnableImageDeprecation", format!("at {}", ami.deprecate_at));
        }
        if let Some(protection) = ami.deregistration_protection.as_ref().filter(|p| p.enabled || p.with_cooldown) {
            let cooldown = if protection.with_cooldown { ", with a cooldown of 24 hours" } else { "" };
            steps.call("EnableImageDeregistrationProtection", format!("no one can deregister the image{cooldown}"));
        }
        let mut modify = |what: &str, values: &[String]| {
            if !values.is_empty() {
                steps.call("ModifyImageAttribute", format!("{what} {}", values.join(", ")));
            }
        };
        let one = |text: &String| Some(text.clone()).filter(|t| !t.is_empty()).into_iter().collect::<Vec<_>>();
        modify("description:", &one(&ami.ami_description));
        modify("launch permission of the groups", &ami.ami_groups);
        modify("launch permission of the accounts", &ami.ami_users);
        modify("launch permission of the organizations", &ami.ami_org_arns);
        modify("launch permission of the organizational units", &ami.ami_ou_arns);
        modify("product codes", &ami.ami_product_codes);
        modify("IMDS support", &one(&ami.imds_support));
        let mut share = |what: &str, values: &[String]| {
            if !values.is_empty() {
                let about = format!("each snapshot: volumes by the {what} {}", values.join(", "));
                steps.call("ModifySnapshotAttribute", about);
            }
        };
        share("groups", &ami.snapshot_groups);
        share("accounts", &ami.snapshot_users);
        let keys = |map: &BTreeMap<String, String>, blocks: &[crate::config::ami::Tag]| {
            let mut all: Vec<String> = map.keys().chain(blocks.iter().map(|b| &b.key)).cloned().collect();
            all.sort();
            all.dedup();
            all
        };
        let (tags, snapshot_tags) = (keys(&ami.tags, &ami.tag), keys(&ami.snapshot_tags, &ami.snapshot_tag));
        if !tags.is_empty() {
            steps.call("CreateTags", format!("of image and snapshots: {}", tags.join(", ")));
        }
        if !snapshot_tags.is_empty() {
            steps.call("CreateTags", format!("of snapshots: {}", snapshot_tags.join(", ")));
        }
        steps.call("DeleteTags", "the run's own tags, off what stays");
    }

    fn clean_up(&self, steps: &mut Steps) {
        steps.stage(Stage::CleanUp);
        steps.place(self.here());
        if self.keeps_volumes() {
            steps.call("DeleteTags", "the run's own tags, off volumes that the template keeps");
        }
        steps.call("TerminateInstances", "the instance");
        let delete = steps.call("DeleteVolume", "volumes that outlive the instance");
        if !self.volumes().any(|d| d.delete_on_termination.is_none()) {
            delete.when("the source image has volumes that do");
        }
        if self.makes_group() {
            steps.call("DeleteSecurityGroup", "the temporary security group");
        }
        if self.makes_key() {
            steps.call("DeleteKeyPair", "the temporary key pair");
        }
    }

    fn grants(&self) -> Vec<image_action_engine::outline::Grant> {
        let mut grants = Grants::default();
        let here = Arns::of(&self.region);
        self.looks(&mut grants);
        self.launches(&mut grants, &here);
        grants.only("Stop", &here.any("instance"), policy::OURS, &["ec2:TerminateInstances"]);
        grants.only("CleanUp", &here.any("volume"), policy::OURS, &["ec2:DeleteVolume"]);
        if self.keeps_volumes() {
            grants.only("Finish", &here.any("volume"), policy::OURS, &["ec2:DeleteTags"]);
        }
        if self.makes_image() {
            self.images(&mut grants, &here);
        }
        for (region, key) in self.keys() {
            policy::kms(&mut grants, &region, &key);
        }
        grants.done()
    }

    fn looks(&self, grants: &mut Grants) {
        let (run, access, ami) = (&self.config.run, &self.config.access, &self.config.ami);
        let mut look = |needed: bool, action: &'static str| {
            if needed {
                grants.on("Look", "*", &[action]);
            }
        };
        look(true, "ec2:DescribeImages");
        look(true, "ec2:DescribeInstances");
        look(!ami.skip_region_validation, "ec2:DescribeRegions");
        // To find again what a lost answer has made.
        look(self.makes_group() || run.security_group_filter.is_some(), "ec2:DescribeSecurityGroups");
        look(self.makes_image(), "ec2:DescribeSnapshots");
        // As `network.rs` decides it.
        let (named, filtered) = (!run.subnet_id.is_empty(), run.subnet_filter.is_some());
        let guesses = run.associate_public_ip_address.is_some() && !named && !filtered;
        let vpc = !run.vpc_id.is_empty();
        let of_filter = run.vpc_filter.is_some() && !vpc;
        let checked = vpc && !named && !filtered;
        look(of_filter || guesses && !vpc || checked, "ec2:DescribeVpcs");
        let whole = (vpc || of_filter) && !run.availability_zone.is_empty();
        look(filtered && !named || guesses || named && !whole, "ec2:DescribeSubnets");
        look(guesses, "ec2:DescribeInstanceTypeOfferings");
        look(access.decode_authorization_messages, "sts:DecodeAuthorizationMessage");
        policy::access(grants, access);
    }

    fn launches(&self, grants: &mut Grants, here: &Arns) {
        let run = &self.config.run;
        if self.makes_key() {
            let given = &self.config.communicator.temporary_key_pair_name;
            let name = if given.is_empty() { "packer_*" } else { given };
            grants.on("Launch", &here.own("key-pair", name), &["ec2:CreateKeyPair", "ec2:DeleteKeyPair"]);
        }
        if self.makes_group() {
            let vpc = Some(run.vpc_id.as_str()).filter(|v| !v.is_empty()).unwrap_or("*");
            grants.on("Launch", &here.any("security-group"), &["ec2:CreateSecurityGroup"]);
            grants.on("Launch", &here.own("vpc", vpc), &["ec2:CreateSecurityGroup"]);
            let door = ["ec2:AuthorizeSecurityGroupIngress", "ec2:DeleteSecurityGroup"];
            grants.only("Door", &here.any("security-group"), policy::OURS, &door);
        }
        let mut launch = |on: String| grants.on("Launch", &on, &["ec2:RunInstances"]);
        for kind in ["instance", "network-interface", "volume"] {
            launch(here.any(kind));
        }
        let known = |text: &str| if text.is_empty() || text.contains('<') { "*".to_owned() } else { text.to_owned() };
        launch(here.public("image", &known(&run.source_ami)));
        launch(here.own("subnet", &known(&run.subnet_id)));
        let groups: Vec<String> = match (run.security_group_ids.is_empty(), run.security_group_id.is_empty()) {
            (false, _) => run.security_group_ids.clone(),
            (true, false) => vec![run.security_group_id.clone()],
            (true, true) => vec![String::new()],
        };
        groups.iter().for_each(|g| launch(here.own("security-group", &known(g))));
        let login = &self.config.communicator;
        let key = if self.makes_key() { &login.temporary_key_pair_name } else { &login.ssh_keypair_name };
        match (key.is_empty(), self.makes_key()) {
            (false, _) => launch(here.own("key-pair", &known(key))),
            (true, true) => launch(here.own("key-pair", "packer_*")),
            (true, false) => {}
        }
        for device in run.launch_block_device_mappings.iter().filter(|d| !d.snapshot_id.is_empty()) {
            launch(here.public("snapshot", &known(&device.snapshot_id)));
        }
        if !run.capacity_reservation_id.is_empty() {
            launch(here.own("capacity-reservation", &known(&run.capacity_reservation_id)));
        }
        let licences = run.license_specifications.iter().filter_map(|l| l.license_configuration_request.as_ref());
        let named = licences.map(|l| l.license_configuration_arn.as_str());
        let named = named.chain([run.capacity_reservation_group_arn.as_str()]);
        let named = named.chain(run.placement.iter().map(|p| p.host_resource_group_arn.as_str()));
        named.filter(|arn| !arn.is_empty()).for_each(|arn| launch(arn.to_owned()));
        for kind in ["instance", "network-interface", "volume", "key-pair", "security-group"] {
            let made = match kind {
                "key-pair" => self.makes_key(),
                "security-group" => self.makes_group(),
                _ => true,
            };
            if made {
                grants.only("TagNew", &here.any(kind), policy::CREATING, &["ec2:CreateTags"]);
            }
        }
        if !run.iam_instance_profile.is_empty() {
            let role = format!("arn:{}:iam::*:role/{}", here.partition, run.iam_instance_profile);
            grants.only("PassRole", &role, policy::TO_EC2, &["iam:PassRole"]);
        }
    }

    fn images(&self, grants: &mut Grants, here: &Arns) {
        let ami = &self.config.ami;
        let instance = here.any("instance");
        if !self.config.run.disable_stop_instance {
            grants.only("Stop", &instance, policy::OURS, &["ec2:StopInstances"]);
        }
        if ami.sriov_support || ami.ena_support.is_some() {
            grants.only("Stop", &instance, policy::OURS, &["ec2:ModifyInstanceAttribute"]);
        }
        grants.only("Stop", &instance, policy::OURS, &["ec2:CreateImage"]);
        let copies: Vec<String> = self.targets().into_iter().filter(|r| r != self.here()).collect();
        let copied = !copies.is_empty() || self.needs_intermediate();
        let mut finish = vec!["ec2:DeleteTags"];
        let mut set = |wanted: bool, action| {
            if wanted {
                finish.push(action);
            }
        };
        let modifies = !(ami.ami_description.is_empty()
            && ami.ami_groups.is_empty()
            && ami.ami_users.is_empty()
            && ami.ami_org_arns.is_empty()
            && ami.ami_ou_arns.is_empty()
            && ami.ami_product_codes.is_empty()
            && ami.imds_support.is_empty());
        let protects = ami.deregistration_protection.as_ref().is_some_and(|p| p.enabled || p.with_cooldown);
        set(modifies, "ec2:ModifyImageAttribute");
        set(!ami.deprecate_at.is_empty(), "ec2:EnableImageDeprecation");
        set(protects, "ec2:EnableImageDeregistrationProtection");
        let tags = !(ami.tags.is_empty() && ami.tag.is_empty());
        let snapshot_tags = !(ami.snapshot_tags.is_empty() && ami.snapshot_tag.is_empty());
        let shares = !(ami.snapshot_groups.is_empty() && ami.snapshot_users.is_empty());
        let own = std::iter::once(here.clone());
        for (n, arns) in own.chain(copies.iter().map(|r| Arns::of(r))).enumerate() {
            let (image, snapshot) = (arns.public("image", "*"), arns.public("snapshot", "*"));
            let made: &[&'static str] = match (n, copied) {
                (0, true) => &["ec2:CopyImage", "ec2:CreateImage"],
                (0, false) => &["ec2:CreateImage"],
                _ => &["ec2:CopyImage"],
            };
            for on in [&image, &snapshot] {
                grants.on("Image", on, made);
                grants.only("TagNew", on, policy::CREATING, &["ec2:CreateTags"]);
            }
            grants.only("Finish", &image, policy::OURS, &finish);
            grants.only("Finish", &snapshot, policy::OURS, &["ec2:DeleteTags"]);
            if shares {
                grants.only("Finish", &snapshot, policy::OURS, &["ec2:ModifySnapshotAttribute"]);
            }
            if tags {
                grants.only("Finish", &image, policy::OURS, &["ec2:CreateTags"]);
            }
            if tags || snapshot_tags {
                grants.only("Finish", &snapshot, policy::OURS, &["ec2:CreateTags"]);
            }
            self.removes_images(grants, &image, &snapshot);
        }
    }

    /// What a failed build has made goes again; what has the name goes only where that is asked for.
    fn removes_images(&self, grants: &mut Grants, image: &str, snapshot: &str) {
        if self.forced() {
            grants.on("Replace", image, &["ec2:DeregisterImage"]);
        } else {
            grants.only("CleanUp", image, policy::OURS, &["ec2:DeregisterImage"]);
        }
        if self.forced() && self.config.ami.force_delete_snapshot {
            grants.on("Replace", snapshot, &["ec2:DeleteSnapshot"]);
        } else {
            grants.only("CleanUp", snapshot, policy::OURS, &["ec2:DeleteSnapshot"]);
        }
    }

    /// The keys of KMS that the template names, by region.
    fn keys(&self) -> Vec<(String, String)> {
        let devices = self.config.run.launch_block_device_mappings.iter();
        let devices = devices.chain(&self.config.ami.ami_block_device_mappings).map(|d| d.kms_key_id.clone());
        let mut all: Vec<(String, String)> = devices.map(|k| (self.region.clone(), k)).collect();
        if self.makes_image() {
            let key = |r: &String| Some((r.clone(), self.key_in(r)?.to_owned()));
            all.extend(self.targets().iter().filter_map(key));
        }
        all.retain(|(_, key)| !key.is_empty());
        all.sort();
        all.dedup();
        all
    }
}
