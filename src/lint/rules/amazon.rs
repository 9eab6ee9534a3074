//! Traps of `amazon-ebs` and of the data source `amazon-ami`.

use crate::lint::fix::insert_argument;
use crate::lint::{Found, Rule, Subject, flag, known, says, text, texts};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image_action_lang::{Number, Value};

const SOURCE: &str = "amazon-ebs";

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
    for part in subject.sources_of(SOURCE) {
        let body = &part.block;
        let own = text(body, "region");
        let elsewhere = texts(body, "ami_regions").is_some_and(|all| all.iter().any(|r| Some(*r) != own));
        let encrypted = flag(body, "encrypt_boot") == Some(true);
        let Some(share) = SHARES.iter().find(|name| says(body, name)) else { continue };
        if encrypted && elsewhere && says(body, "kms_key_id") && !says(body, "region_kms_key_ids") {
            found.at(body.span_of(share));
        }
    }
}

/// What gives everybody access.
const PUBLIC: [&str; 2] = ["ami_groups", "snapshot_groups"];

/// AWS makes nothing public that is encrypted.
pub static PUBLIC_ENCRYPTED: Rule = Rule {
    id: "amazon-encrypted-image-for-all",
    on: "source `amazon-ebs`",
    summary: "An encrypted image cannot be made public",
    reason: "`encrypt_boot` encrypts the image's snapshots. AWS refuses to open such an image or snapshot to all, after \
             the whole build.",
    cure: "leave out `encrypt_boot`, or name the accounts in `ami_users`",
    fixes: false,
    check: |subject, found| {
        for part in subject.sources_of(SOURCE) {
            let body = &part.block;
            for option in PUBLIC {
                let all = texts(body, option).is_some_and(|groups| groups.contains(&"all"));
                if all && flag(body, "encrypt_boot") == Some(true) {
                    found.at(body.span_of(option));
                }
            }
        }
    },
};

/// A volume of the template is not deleted with the machine.
pub static VOLUME_KEPT: Rule = Rule {
    id: "amazon-volume-left-behind",
    on: "source `amazon-ebs`",
    summary: "This volume outlives its machines: delete_on_termination is not set",
    reason: "It is false unless it is set. Every machine that is started from the image leaves a volume that costs money; \
             with Packer every build leaves one too (here it is removed at the end).",
    cure: "set `delete_on_termination = true`, or false where volumes are to be kept",
    fixes: true,
    check: volume_kept,
};

fn volume_kept(subject: &Subject, found: &mut Found) {
    for part in subject.sources_of(SOURCE) {
        for device in part.block.blocks_named("launch_block_device_mappings") {
            let volume = flag(device, "no_device") != Some(true) && !says(device, "virtual_name");
            if volume && !device.is_set("delete_on_termination") {
                let edit = device
                    .span
                    .as_ref()
                    .and_then(|header| insert_argument(subject.sources, header, "delete_on_termination = true"));
                found.at(device.span.clone()).fix(edit);
            }
        }
    }
}

/// The old image goes, its snapshots stay.
pub static SNAPSHOTS_KEPT: Rule = Rule {
    id: "amazon-snapshots-left-behind",
    on: "source `amazon-ebs`",
    summary: "The snapshots of every image that is replaced stay, and cost money",
    reason: "`force_deregister` removes the old image and not its snapshots, which nothing points to afterwards.",
    cure: "set `force_delete_snapshot = true`, or false where they are to be kept",
    fixes: false,
    check: |subject, found| {
        for part in subject.sources_of(SOURCE) {
            let body = &part.block;
            if flag(body, "force_deregister") == Some(true) && !body.is_set("force_delete_snapshot") {
                found.at(body.span_of("force_deregister"));
            }
        }
    },
};

/// Snapshots are removed with an old image only.
pub static DELETE_ALONE: Rule = Rule {
    id: "amazon-force-delete-snapshot-alone",
    on: "source `amazon-ebs`",
    summary: "force_delete_snapshot has no effect without force_deregister",
    reason: "Snapshots are removed together with the image that is replaced, and only `force_deregister` replaces one.",
    cure: "set `force_deregister = true` as well, or leave it out",
    fixes: false,
    check: |subject, found| {
        for part in subject.sources_of(SOURCE) {
            let body = &part.block;
            let deletes = flag(body, "force_delete_snapshot") == Some(true);
            let replaces = body.value("force_deregister").is_some_and(|v| v.as_bool() != Some(false));
            if deletes && !replaces {
                found.at(body.span_of("force_delete_snapshot"));
            }
        }
    },
};

/// An image is made of nothing, and the old one goes.
pub static DEREGISTERS_FOR_NOTHING: Rule = Rule {
    id: "amazon-deregister-without-image",
    on: "source `amazon-ebs`",
    summary: "Packer removes the existing image and makes none",
    reason: "`skip_create_ami` does not stop `force_deregister` in Packer: the image of that name is gone after the build. \
             Here it is kept.",
    cure: "leave out one of them",
    fixes: false,
    check: |subject, found| {
        for part in subject.sources_of(SOURCE) {
            let body = &part.block;
            if flag(body, "skip_create_ami") == Some(true) && flag(body, "force_deregister") == Some(true) {
                found.at(body.span_of("force_deregister"));
            }
        }
    },
};

/// A number of polls without the time between them.
pub static POLLS: Rule = Rule {
    id: "amazon-polling-attempts-without-delay",
    on: "source `amazon-ebs`",
    summary: "max_attempts alone makes the waits shorter than it looks",
    reason: "The time limit of a wait is attempts times delay. Without `delay_seconds` the delay is 2 s in Packer and 5 s \
             here, not the 15 s of AWS's own tools: 60 attempts are two minutes, or five.",
    cure: "set `delay_seconds` beside it",
    fixes: false,
    check: |subject, found| {
        let positive = |v: Option<&Value>| v.and_then(Value::as_number).and_then(Number::as_i64).is_some_and(|n| n > 0);
        for part in subject.sources_of(SOURCE) {
            for polling in part.block.blocks_named("aws_polling") {
                if positive(known(polling, "max_attempts")) && !polling.is_set("delay_seconds") {
                    found.at(polling.span_of("max_attempts"));
                }
            }
        }
    },
};

/// A data source has a region of its own.
pub static DATA_REGION: Rule = Rule {
    id: "amazon-data-source-without-region",
    on: "data source `amazon-ami`",
    summary: "The image may be looked up in another region than it is used in",
    reason: "A data source does not know the region of any source block: without `region` it takes AWS_REGION, \
             AWS_DEFAULT_REGION or the profile's. An image id of another region does not exist here.",
    cure: "set `region` to the same value as in the source block",
    fixes: false,
    check: |subject, found| {
        let used = subject.sources_of(SOURCE).any(|p| says(&p.block, "region"));
        for data in subject.template.data.iter().filter(|d| d.component == "amazon-ami") {
            if used && !data.block.is_set("region") {
                found.at(Some(data.header.clone()));
            }
        }
    },
};

/// Tags are read through the endpoint.
pub static METADATA_OFF: Rule = Rule {
    id: "amazon-metadata-tags-without-endpoint",
    on: "source `amazon-ebs`",
    summary: "The machine cannot read its tags: the metadata endpoint is disabled",
    reason: "`instance_metadata_tags` are served by the endpoint that `http_endpoint = \"disabled\"` switches off. \
             Packer crashes on the two together, and leaves the endpoint on with the first alone.",
    cure: "remove one of them",
    fixes: false,
    check: |subject, found| {
        for part in subject.sources_of(SOURCE) {
            for options in part.block.blocks_named("metadata_options") {
                let off = text(options, "http_endpoint") == Some("disabled");
                if off && text(options, "instance_metadata_tags") == Some("enabled") {
                    found.at(options.span_of("instance_metadata_tags"));
                }
            }
        }
    },
};

/// Text that happens to be base64.
pub static USER_DATA: Rule = Rule {
    id: "amazon-user-data-taken-for-base64",
    on: "source `amazon-ebs`",
    summary: "This user_data is taken for base64, and arrives as something else",
    reason: "What can be decoded as base64 is sent as it is, and the machine decodes it. A short word can be decoded too, \
             by accident.",
    cure: "write user_data = base64encode(\"…\")",
    fixes: false,
    check: |subject, found| {
        for part in subject.sources_of(SOURCE) {
            let given = text(&part.block, "user_data").map(str::trim).unwrap_or_default();
            // What decodes to text was encoded on purpose; so was what is compressed (gzip's two magic bytes).
            let accident = STANDARD.decode(given).is_ok_and(|bytes| {
                !bytes.is_empty() && std::str::from_utf8(&bytes).is_err() && !bytes.starts_with(&[0x1f, 0x8b])
            });
            if accident {
                found.at(part.block.span_of("user_data"));
            }
        }
    },
};
