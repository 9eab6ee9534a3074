//! Traps of `amazon-ebs` and of the data source `amazon-ami`.

use crate::lint::{Found, Rule, Subject, flag, known, says, texts};

/// What gives other accounts access to the image or its snapshots.
const SHARES: [&str; 4] = ["ami_users", "ami_org_arns", "ami_ou_arns", "snapshot_users"];

/// `kms_key_id` is used in the build's own region only.
pub static SHARED_COPIES: Rule = Rule {
    id: "amazon-shared-copies-with-default-key",
    on: "source `amazon-ebs`",
    summary: "The copies in other regions are encrypted with a key that cannot be shared",
    reason: "`kms_key_id` holds for the region of the build only. The copies in `ami_regions` are encrypted with the \
             default key of their region; unless that is a customer key, AWS refuses to share them, after the whole \
             build.",
    cure: "set `region_kms_key_ids` with a key of your own for each region of `ami_regions`",
    fixes: false,
    check: shared_copies,
};

fn shared_copies(subject: &Subject, found: &mut Found) {
    for part in subject.sources_of("amazon-ebs") {
        let body = &part.block;
        let own = known(body, "region").and_then(|v| v.as_str());
        let elsewhere = texts(body, "ami_regions").is_some_and(|all| all.iter().any(|r| Some(*r) != own));
        let encrypted = flag(body, "encrypt_boot") == Some(true);
        let Some(share) = SHARES.iter().find(|name| says(body, name)) else { continue };
        if encrypted && elsewhere && says(body, "kms_key_id") && !says(body, "region_kms_key_ids") {
            found.at(body.span_of(share));
        }
    }
}

/// A volume of the template is not deleted with the machine.
pub static VOLUME_KEPT: Rule = Rule {
    id: "amazon-volume-left-behind",
    on: "source `amazon-ebs`",
    summary: "The volume of this device outlives the build",
    reason: "`delete_on_termination` is false unless it is set, and it is always sent: every build leaves a volume \
             that costs money, and every machine that is started from the image will do the same.",
    cure: "set `delete_on_termination = true`, or false where the volume is to be kept",
    fixes: false,
    check: volume_kept,
};

fn volume_kept(subject: &Subject, found: &mut Found) {
    for part in subject.sources_of("amazon-ebs") {
        for device in part.block.blocks_named("launch_block_device_mappings") {
            let volume = flag(device, "no_device") != Some(true) && !says(device, "virtual_name");
            if volume && !device.is_set("delete_on_termination") {
                found.at(device.span.clone());
            }
        }
    }
}
