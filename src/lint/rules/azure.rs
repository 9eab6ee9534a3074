//! Traps of `azure-arm`.

use crate::lint::fix::{Edit, remove_argument};
use crate::lint::{Found, Rule, Subject, flag, says, text};
use crate::template::syntax::Expr;

const SOURCE: &str = "azure-arm";

/// The default size is gone.
pub static SIZE: Rule = Rule {
    id: "azure-vm-size-not-set",
    on: "source `azure-arm`",
    summary: "vm_size is not set, and its default is retired",
    reason: "The default, Standard_A1, cannot be started in most regions any more.",
    cure: "set one that exists, such as Standard_B2s or Standard_D2s_v5",
    fixes: false,
    check: |subject, found| {
        for part in subject.sources_of(SOURCE) {
            if !part.block.is_set("vm_size") {
                found.at(Some(part.header.clone()));
            }
        }
    },
};

/// Basic addresses are gone.
pub static BASIC_ADDRESS: Rule = Rule {
    id: "azure-basic-public-ip",
    on: "source `azure-arm`",
    summary: "Basic public addresses are retired",
    reason: "Azure makes no new ones since September 2025.",
    cure: "write \"Standard\"",
    fixes: true,
    check: basic_address,
};

fn basic_address(subject: &Subject, found: &mut Found) {
    for part in subject.sources_of(SOURCE) {
        if text(&part.block, "public_ip_sku").is_some_and(|s| s.eq_ignore_ascii_case("basic")) {
            let expr = part.content.attribute("public_ip_sku").map(|a| &a.expr);
            let span = expr.filter(|e| matches!(e, Expr::Native(..))).map(Expr::span);
            let literal =
                span.filter(|s| subject.sources.slice(s).is_some_and(|t| t.eq_ignore_ascii_case("\"basic\"")));
            found.at(part.block.span_of("public_ip_sku")).fix(literal.map(|s| Edit::replace(&s, "\"Standard\"")));
        }
    }
}

/// In an existing network there is no public address.
pub static PRIVATE: Rule = Rule {
    id: "azure-private-address",
    on: "source `azure-arm`",
    summary: "The machine has a private address only, which runners of GitHub's cannot reach",
    reason: "In an existing network (`virtual_network_name`) the machine gets no public address unless \
             `private_virtual_network_with_public_ip` is set. From outside of the network the build waits for the \
             connection until its time is over.",
    cure: "set `private_virtual_network_with_public_ip = true`, `ssh_bastion_host`, or build from inside of the network",
    fixes: false,
    check: |subject, found| {
        for part in subject.sources_of(SOURCE) {
            let body = &part.block;
            let reachable = flag(body, "private_virtual_network_with_public_ip") != Some(false)
                && body.is_set("private_virtual_network_with_public_ip");
            if says(body, "virtual_network_name") && !reachable && !says(body, "ssh_bastion_host") {
                found.at(body.span_of("virtual_network_name"));
            }
        }
    },
};

/// The disk goes with its group.
pub static KEPT_DISK: Rule = Rule {
    id: "azure-kept-disk-in-temporary-group",
    on: "source `azure-arm`",
    summary: "The disk is not kept: the temporary resource group is deleted, and the disk with it",
    reason: "`keep_os_disk` spares the disk itself. Without `build_resource_group_name` it is in a group that is \
             deleted at the end.",
    cure: "build in an existing group: `build_resource_group_name`",
    fixes: false,
    check: |subject, found| {
        for part in subject.sources_of(SOURCE) {
            let body = &part.block;
            if flag(body, "keep_os_disk") == Some(true) && !says(body, "build_resource_group_name") {
                found.at(body.span_of("keep_os_disk"));
            }
        }
    },
};

/// Options of the common groups that say nothing to Azure.
const MEANINGLESS: [&str; 3] = ["object_id", "ssh_keypair_name", "temporary_key_pair_name"];

/// Options that are accepted and not looked at.
pub static NO_MEANING: Rule = Rule {
    id: "azure-option-without-meaning",
    on: "source `azure-arm`",
    summary: "This option has no meaning for azure-arm",
    reason: "It is accepted, and nothing looks at it.",
    cure: "remove it",
    fixes: true,
    check: no_meaning,
};

fn no_meaning(subject: &Subject, found: &mut Found) {
    for part in subject.sources_of(SOURCE) {
        for name in MEANINGLESS.into_iter().filter(|n| says(&part.block, n)) {
            let attribute = part.content.attribute(name);
            let edit = attribute.and_then(|a| remove_argument(subject.sources, a));
            let place = attribute.map(|a| a.name_span.clone());
            found
                .at(place.or_else(|| part.block.span_of(name)))
                .summary(format!("{name} has no meaning for azure-arm"))
                .fix(edit);
        }
    }
}
