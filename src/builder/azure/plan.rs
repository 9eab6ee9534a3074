//! What a build would do: its calls in order, and what the identity has to be allowed. It stands beside the code that makes the
//! calls (`preflight.rs`, `machine.rs`, `image.rs`, `remove.rs`) and changes with it; `tests/it/plan/` compares both with what
//! the local Resource Manager was asked.

use crate::config::{Arm, GallerySource};
use crate::preflight::normal;
use image_action_engine::outline::{Grants, Outline, Question, Stage, Step, Steps};

/// Stands for a subscription that only the login knows.
const SOME_SUBSCRIPTION: &str = "SUBSCRIPTION";

const GROUPS: &str = "Microsoft.Resources/resourceGroups";
const ADDRESS: &str = "Microsoft.Network/publicIPAddresses";
const SECURITY: &str = "Microsoft.Network/networkSecurityGroups";
const NETWORK: &str = "Microsoft.Network/virtualNetworks";
const INTERFACE: &str = "Microsoft.Network/networkInterfaces";
const MACHINE: &str = "Microsoft.Compute/virtualMachines";
const DISK: &str = "Microsoft.Compute/disks";
const SNAPSHOT: &str = "Microsoft.Compute/snapshots";
const IMAGE: &str = "Microsoft.Compute/images";
const VERSION: &str = "Microsoft.Compute/galleries/images/versions";

/// What is asked of one template.
struct Plan<'a> {
    config: &'a Arm,
    asked: &'a Question<'a>,
    subscription: String,
    /// The resource group that is built in.
    group: String,
}

/// What a build of this template would do.
pub fn outline(config: &Arm, asked: &Question<'_>) -> Outline {
    let from_env = || asked.env.get("ARM_SUBSCRIPTION_ID").or_else(|| asked.env.get("AZURE_SUBSCRIPTION_ID"));
    let own = Some(config.access.subscription_id.as_str()).filter(|s| !s.is_empty());
    let subscription = own.or_else(from_env).unwrap_or(SOME_SUBSCRIPTION).to_owned();
    let group = [&config.build_resource_group_name, &config.temp_resource_group_name];
    let group = group.into_iter().find(|g| !g.is_empty()).map_or("a temporary group", String::as_str).to_owned();
    let plan = Plan { config, asked, subscription, group };
    let mut notes = Vec::new();
    if plan.subscription == SOME_SUBSCRIPTION {
        notes.push(format!("The subscription is the login's: put its id in the place of {SOME_SUBSCRIPTION}."));
    }
    Outline {
        provider: crate::work::PROVIDER,
        place: if config.location.is_empty() { plan.group.clone() } else { normal(&config.location) },
        source: plan.source(),
        source_option: if config.custom_managed_image_name.is_empty() {
            "image_version"
        } else {
            "custom_managed_image_name"
        },
        makes: plan.makes(),
        decisive: &["vm_size", "managed_image_storage_account_type"],
        steps: plan.steps(),
        grants: plan.grants(),
        notes,
    }
}

/// The image of a gallery, as it is named.
fn gallery_source(gallery: &GallerySource) -> String {
    let ids = [&gallery.community_gallery_image_id, &gallery.direct_shared_gallery_image_id, &gallery.id];
    if let Some(id) = ids.into_iter().find(|id| !id.is_empty()) {
        return id.clone();
    }
    let version = if gallery.image_version.is_empty() { "the latest version" } else { &gallery.image_version };
    let (name, image, group) = (&gallery.gallery_name, &gallery.image_name, &gallery.resource_group);
    format!("{version} of {name}/{image} in {group}")
}

impl Plan<'_> {
    fn own_group(&self) -> bool {
        self.config.build_resource_group_name.is_empty()
    }
    fn own_network(&self) -> bool {
        self.config.virtual_network_name.is_empty()
    }
    fn standard(&self) -> bool {
        !self.config.public_ip_sku.eq_ignore_ascii_case("basic")
    }
    fn makes_security(&self) -> bool {
        self.own_network() && (self.standard() || !self.config.allowed_inbound_ip_addresses.is_empty())
    }
    fn makes_image(&self) -> bool {
        !(self.config.skip_create_image || self.asked.skip_image)
    }
    fn specialized(&self) -> bool {
        self.config.destination().is_some_and(|d| d.specialized)
    }
    /// Names of snapshots, as `preflight.rs` makes them.
    fn snapshots(&self) -> Vec<String> {
        let config = self.config;
        if !config.makes_image() {
            return Vec::new();
        }
        let os = Some(&config.managed_image_os_disk_snapshot_name).filter(|n| !n.is_empty()).cloned();
        let prefix = &config.managed_image_data_disk_snapshot_prefix;
        let count = if prefix.is_empty() { 0 } else { config.disk_additional_size.len() };
        os.into_iter().chain((0..count).map(|n| format!("{prefix}{n}"))).collect()
    }
    fn regions(&self) -> Vec<String> {
        let Some(gallery) = self.config.destination() else { return Vec::new() };
        let own = normal(&self.config.location);
        let mut all: Vec<String> = if gallery.target_region.is_empty() {
            gallery.replication_regions.iter().map(|r| normal(r)).chain([own]).collect()
        } else {
            gallery.target_region.iter().map(|r| normal(&r.name)).collect()
        };
        let mut seen = std::collections::BTreeSet::new();
        all.retain(|r| !r.is_empty() && seen.insert(r.clone()));
        all
    }
    fn source(&self) -> String {
        let c = self.config;
        if let Some(gallery) = &c.shared_image_gallery {
            return gallery_source(gallery);
        }
        if !c.custom_managed_image_name.is_empty() {
            let (name, group) = (&c.custom_managed_image_name, &c.custom_managed_image_resource_group_name);
            return format!("the managed image {name} in {group}");
        }
        let version = if c.image_version.is_empty() { "latest" } else { &c.image_version };
        format!("{}:{}:{}:{version}", c.image_publisher, c.image_offer, c.image_sku)
    }
    fn makes(&self) -> Vec<String> {
        let c = self.config;
        let mut all = Vec::new();
        if !self.makes_image() {
            return all;
        }
        let group = &c.managed_image_resource_group_name;
        if c.makes_image() {
            all.push(format!("managed image {} in {group}", c.managed_image_name));
        }
        all.extend(self.snapshots().into_iter().map(|name| format!("snapshot {name} in {group}")));
        if let Some(g) = c.destination() {
            let regions = self.regions().join(", ");
            let (name, image, version) = (&g.gallery_name, &g.image_name, &g.image_version);
            all.push(format!("version {version} of {name}/{image} in {regions}"));
        }
        all
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Steps::at(&self.group);
        self.clear(&mut steps);
        self.machine(&mut steps);
        if self.makes_image() {
            self.image(&mut steps);
        }
        self.clean_up(&mut steps);
        steps.done()
    }

    /// What is in the way goes before anything is made.
    fn clear(&self, steps: &mut Steps) {
        let c = self.config;
        if !self.asked.force {
            return;
        }
        steps.stage(Stage::Clear);
        let group = &c.managed_image_resource_group_name;
        let mut delete = |kind: &str, place: &str, about: String| {
            steps.place(place);
            steps.call(&format!("DELETE {kind}"), about).when("it exists already").destroys();
        };
        if c.makes_image() {
            delete(IMAGE, group, format!("the managed image {}", c.managed_image_name));
        }
        self.snapshots().into_iter().for_each(|name| delete(SNAPSHOT, group, format!("the snapshot {name}")));
        if let Some(g) = c.destination() {
            let about = format!("version {} of {}/{}", g.image_version, g.gallery_name, g.image_name);
            delete(VERSION, &g.resource_group, about);
        }
        steps.stage(Stage::Machine);
        steps.place(&self.group);
    }

    fn machine(&self, steps: &mut Steps) {
        let c = self.config;
        let mut put = |wanted: bool, kind: &str, about: String| {
            if wanted {
                steps.call(&format!("PUT {kind}"), about);
            }
        };
        put(self.own_group(), GROUPS, format!("{} in {}", self.group, normal(&c.location)));
        let sku = if self.standard() { "Standard" } else { "Basic" };
        put(c.has_public_address(), ADDRESS, format!("a temporary public address ({sku})"));
        let from = &c.allowed_inbound_ip_addresses;
        let from = if from.is_empty() { "everybody".to_owned() } else { from.join(", ") };
        put(self.makes_security(), SECURITY, format!("lets {from} in at port {}", c.communicator.port()));
        put(self.own_network(), NETWORK, "a temporary network with a subnet".to_owned());
        let network = if self.own_network() {
            String::new()
        } else {
            let subnet = &c.virtual_network_subnet_name;
            let subnet = if subnet.is_empty() { String::new() } else { format!("/{subnet}") };
            format!(" in {}{subnet}", c.virtual_network_name)
        };
        put(true, INTERFACE, format!("a network interface{network}"));
        let disks = match c.disk_additional_size.len() {
            0 => "its disk".to_owned(),
            n => format!("its {} disks", n + 1),
        };
        put(true, MACHINE, format!("one {} of the source image, with {disks}", c.vm_size));
    }

    fn image(&self, steps: &mut Steps) {
        let c = self.config;
        steps.call(&format!("POST {MACHINE}/deallocate"), "stops the machine, for its image");
        steps.stage(Stage::Image);
        steps.place(&c.managed_image_resource_group_name);
        for name in self.snapshots() {
            steps.call(&format!("PUT {SNAPSHOT}"), format!("the snapshot {name}"));
        }
        if !self.specialized() {
            steps.place(&self.group);
            steps.call(&format!("POST {MACHINE}/generalize"), "the machine cannot start again");
        }
        if c.makes_image() {
            steps.place(&c.managed_image_resource_group_name);
            steps.call(&format!("PUT {IMAGE}"), format!("the managed image {}", c.managed_image_name));
        }
        if let Some(g) = c.destination() {
            steps.place(&g.resource_group);
            let regions = self.regions().join(", ");
            let (name, image, version) = (&g.gallery_name, &g.image_name, &g.image_version);
            steps.call(&format!("PUT {VERSION}"), format!("{version} of {name}/{image}, in {regions}"));
        }
    }

    fn clean_up(&self, steps: &mut Steps) {
        let c = self.config;
        steps.stage(Stage::CleanUp);
        steps.place(&self.group);
        if self.own_group() {
            let waits = if c.async_resourcegroup_delete { ", without waiting for the end" } else { "" };
            steps.call(&format!("DELETE {GROUPS}"), format!("{} with all that is in it{waits}", self.group));
            return;
        }
        let mut delete = |wanted: bool, kind: &str, about: &str| {
            if wanted {
                steps.call(&format!("DELETE {kind}"), about);
            }
        };
        delete(true, MACHINE, "the machine");
        delete(true, INTERFACE, "its network interface");
        let stays = c.keep_os_disk && self.makes_image();
        let further = !c.disk_additional_size.is_empty();
        delete(!stays || further, DISK, if stays { "its disks, except the OS disk" } else { "its disks" });
        delete(c.has_public_address(), ADDRESS, "the temporary public address");
        delete(self.makes_security(), SECURITY, "the temporary security group");
        delete(self.own_network(), NETWORK, "the temporary network");
    }

    /// A resource group, as a scope.
    fn scope(&self, subscription: &str, group: &str) -> String {
        let own = if subscription.is_empty() { &self.subscription } else { subscription };
        if group.is_empty() {
            format!("/subscriptions/{own}")
        } else {
            format!("/subscriptions/{own}/resourceGroups/{group}")
        }
    }

    fn grants(&self) -> Vec<image_action_engine::outline::Grant> {
        let c = self.config;
        let mut grants = Grants::default();
        // Operations are read below the subscription, wherever what they change lies.
        let around = self.scope("", "");
        grants.on("Build", &around, &OPERATIONS);
        if !self.own_group() || !self.snapshots().is_empty() {
            grants.on("Build", &around, &["Microsoft.Compute/locations/diskOperations/read"]);
        }
        // A group that does not exist yet is no scope: the subscription around it is.
        let here = self.scope("", &c.build_resource_group_name);
        let mut on = |scope: &str, actions: &[&'static str]| grants.on("Build", scope, actions);
        on(&here, &["Microsoft.Resources/subscriptions/resourceGroups/read"]);
        if self.own_group() {
            on(
                &here,
                &[
                    "Microsoft.Resources/subscriptions/operationresults/read",
                    "Microsoft.Resources/subscriptions/resourceGroups/delete",
                    "Microsoft.Resources/subscriptions/resourceGroups/write",
                ],
            );
        }
        on(&here, &MACHINE_ACTIONS);
        if self.makes_image() {
            on(&here, &["Microsoft.Compute/virtualMachines/deallocate/action"]);
            if !self.specialized() {
                on(&here, &["Microsoft.Compute/virtualMachines/generalize/action"]);
            }
        }
        if c.has_public_address() {
            on(&here, &ADDRESS_ACTIONS);
        }
        if self.makes_security() {
            on(&here, &SECURITY_ACTIONS);
        }
        if self.own_network() {
            on(&here, &NETWORK_ACTIONS);
        } else {
            // Without its group the network is looked for in the whole subscription.
            let group = self.scope("", &c.virtual_network_resource_group_name);
            on(&group, &["Microsoft.Network/virtualNetworks/subnets/join/action"]);
            on(&group, &["Microsoft.Network/virtualNetworks/subnets/read"]);
            if c.virtual_network_resource_group_name.is_empty() {
                on(&group, &["Microsoft.Network/virtualNetworks/read"]);
            }
        }
        if !c.disk_encryption_set_id.is_empty() {
            on(group_of(&c.disk_encryption_set_id), &["Microsoft.Compute/diskEncryptionSets/read"]);
        }
        for id in &c.user_assigned_managed_identities {
            on(group_of(id), &["Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"]);
        }
        self.source_grants(&mut grants);
        self.image_grants(&mut grants, &here);
        grants.done()
    }

    fn source_grants(&self, grants: &mut Grants) {
        let c = self.config;
        if !c.custom_managed_image_name.is_empty() {
            let scope = self.scope("", &c.custom_managed_image_resource_group_name);
            grants.on("Build", &scope, &["Microsoft.Compute/images/read"]);
        }
        let Some(gallery) = &c.shared_image_gallery else { return };
        let shared = [&gallery.community_gallery_image_id, &gallery.direct_shared_gallery_image_id];
        if shared.into_iter().any(|id| !id.is_empty()) {
            return;
        }
        let scope = if gallery.id.is_empty() {
            self.scope(&gallery.subscription, &gallery.resource_group)
        } else {
            group_of(&gallery.id).to_owned()
        };
        let read = ["Microsoft.Compute/galleries/images/read", "Microsoft.Compute/galleries/images/versions/read"];
        grants.on("Build", &scope, &read);
    }

    /// Names are looked at in any case. What is made is removed again after a failure: hence the permissions to delete.
    fn image_grants(&self, grants: &mut Grants, here: &str) {
        let c = self.config;
        let (makes, deletes) = (self.makes_image(), self.makes_image() || self.asked.force);
        let mut on = |scope: &str, wanted: bool, actions: &[&'static str]| {
            if wanted {
                grants.on("Build", scope, actions);
            }
        };
        if c.makes_image() {
            let (scope, around) = (self.scope("", &c.managed_image_resource_group_name), self.scope("", ""));
            on(&around, deletes, &["Microsoft.Compute/locations/capsOperations/read"]);
            on(
                &scope,
                true,
                &["Microsoft.Compute/images/read", "Microsoft.Resources/subscriptions/resourceGroups/read"],
            );
            on(&scope, makes, &["Microsoft.Compute/images/write"]);
            on(&scope, deletes, &["Microsoft.Compute/images/delete"]);
            let any = !self.snapshots().is_empty();
            on(&scope, any, &["Microsoft.Compute/snapshots/read"]);
            on(&scope, any && makes, &["Microsoft.Compute/snapshots/write"]);
            on(&scope, any && deletes, &["Microsoft.Compute/snapshots/delete"]);
            on(here, any && makes, &["Microsoft.Compute/disks/beginGetAccess/action"]);
        }
        if let Some(gallery) = c.destination() {
            let scope = self.scope(&gallery.subscription, &gallery.resource_group);
            let around = self.scope(&gallery.subscription, "");
            let read = ["Microsoft.Compute/galleries/images/read", "Microsoft.Compute/galleries/images/versions/read"];
            on(&scope, true, &read);
            on(&scope, makes, &["Microsoft.Compute/galleries/images/versions/write"]);
            on(&scope, deletes, &["Microsoft.Compute/galleries/images/versions/delete"]);
            on(&around, deletes, &["Microsoft.Compute/locations/capsOperations/read"]);
            for region in gallery.target_region.iter().filter(|r| makes && !r.disk_encryption_set_id.is_empty()) {
                on(group_of(&region.disk_encryption_set_id), true, &["Microsoft.Compute/diskEncryptionSets/read"]);
            }
        }
    }
}

/// The resource group of an id, as a scope.
fn group_of(id: &str) -> &str {
    let lower = id.to_ascii_lowercase();
    lower.find("/providers/").map_or(id, |at| &id[..at])
}

/// What follows calls that are not done at once.
const OPERATIONS: [&str; 2] =
    ["Microsoft.Compute/locations/operations/read", "Microsoft.Network/locations/operations/read"];

/// A machine, its disks and its interface. `join` is asked for of what something else is tied to.
const MACHINE_ACTIONS: [&str; 10] = [
    "Microsoft.Compute/disks/delete",
    "Microsoft.Compute/disks/read",
    "Microsoft.Compute/disks/write",
    "Microsoft.Compute/virtualMachines/delete",
    "Microsoft.Compute/virtualMachines/read",
    "Microsoft.Compute/virtualMachines/write",
    "Microsoft.Network/networkInterfaces/delete",
    "Microsoft.Network/networkInterfaces/join/action",
    "Microsoft.Network/networkInterfaces/read",
    "Microsoft.Network/networkInterfaces/write",
];

const ADDRESS_ACTIONS: [&str; 4] = [
    "Microsoft.Network/publicIPAddresses/delete",
    "Microsoft.Network/publicIPAddresses/join/action",
    "Microsoft.Network/publicIPAddresses/read",
    "Microsoft.Network/publicIPAddresses/write",
];

const SECURITY_ACTIONS: [&str; 4] = [
    "Microsoft.Network/networkSecurityGroups/delete",
    "Microsoft.Network/networkSecurityGroups/join/action",
    "Microsoft.Network/networkSecurityGroups/read",
    "Microsoft.Network/networkSecurityGroups/write",
];

const NETWORK_ACTIONS: [&str; 4] = [
    "Microsoft.Network/virtualNetworks/delete",
    "Microsoft.Network/virtualNetworks/read",
    "Microsoft.Network/virtualNetworks/subnets/join/action",
    "Microsoft.Network/virtualNetworks/write",
];
