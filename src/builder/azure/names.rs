//! The names of what a build makes for itself.

use crate::config::Arm;
use image_action_engine::{Env, Secret};
use rand::Rng;

/// Longest prefix of a template's own.
pub const PREFIX: usize = 10;

/// Where the environment names a prefix.
const PREFIX_VARIABLE: &str = "PACKER_AZURE_CUSTOM_RESOURCE_BUILD_PREFIX";

/// How many random characters follow Packer's own prefix, and one of the template's.
const SUFFIXES: (usize, usize) = (10, 5);

/// Length of the password that Azure wants even where nobody uses it.
const PASSWORD: usize = 32;

/// Names of one build. All end in the same random characters.
#[derive(Clone, Debug)]
pub struct Names {
    /// The resource group that the build works in.
    pub group: String,
    /// The machine.
    pub machine: String,
    /// Its interface.
    pub interface: String,
    /// Its public address.
    pub address: String,
    /// Its security group.
    pub security: String,
    /// Its network.
    pub network: String,
    /// Its subnet.
    pub subnet: String,
    /// Its OS disk.
    pub os_disk: String,
    /// Further disks: `NAME-1`, `NAME-2`, …
    pub data_disk: String,
    /// What Packer calls its deployment; here it only serves `build.TempDeploymentName`.
    pub deployment: String,
    /// What Packer calls its vault; here it only serves `build.TempKeyVaultName`.
    pub vault: String,
}

fn random(length: usize) -> String {
    const SIGNS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut rng = rand::rng();
    (0..length).map(|_| char::from(SIGNS[rng.random_range(0..SIGNS.len())])).collect()
}

impl Names {
    /// New names, as the template and the environment want them.
    pub fn new(config: &Arm, env: &Env) -> Names {
        let own = Some(config.custom_resource_build_prefix.as_str()).filter(|p| !p.is_empty());
        let own = own.or_else(|| env.get(PREFIX_VARIABLE).filter(|p| p.len() <= PREFIX));
        let (prefix, suffix) = own.map_or(("pkr", random(SUFFIXES.0)), |p| (p, random(SUFFIXES.1)));
        let name = |tag: &str| format!("{prefix}{tag}{suffix}");
        let or = |given: &str, made: String| if given.is_empty() { made } else { given.to_owned() };
        let group = or(&config.temp_resource_group_name, format!("{prefix}-Resource-Group-{suffix}"));
        Names {
            group: or(&config.build_resource_group_name, group),
            machine: or(&config.temp_compute_name, name("vm").to_lowercase()),
            interface: or(&config.temp_nic_name, name("ni")),
            address: name("ip"),
            security: name("sg"),
            network: name("vn"),
            subnet: name("sn"),
            os_disk: or(&config.temp_os_disk_name, name("os")),
            data_disk: name("dd"),
            deployment: name("dp"),
            vault: name("kv"),
        }
    }
}

/// A password that satisfies Azure's rules, for a login that is switched off.
pub fn password() -> Secret {
    const SIGNS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut rng = rand::rng();
    let body: String = (0..PASSWORD - 3).map(|_| char::from(SIGNS[rng.random_range(0..SIGNS.len())])).collect();
    Secret::new(format!("{body}aA1"))
}

/// Whether this can be the name of a resource group.
pub fn is_group(name: &str) -> bool {
    let sign = |s: char| s.is_alphanumeric() || "-_.()".contains(s);
    name.chars().count() <= 90
        && name.chars().all(sign)
        && name.starts_with(char::is_alphanumeric)
        && !name.ends_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use image_action_engine::{Block, Config};

    #[test]
    fn all_names_of_a_build_end_alike() {
        let names = Names::new(&Arm::decode(&Block::default()), &Env::default());
        let suffix = names.group.strip_prefix("pkr-Resource-Group-").unwrap_or_default();
        assert_eq!(suffix.len(), 10);
        for (name, tag) in [(&names.machine, "vm"), (&names.interface, "ni"), (&names.os_disk, "os")] {
            assert_eq!(*name, format!("pkr{tag}{suffix}"));
        }
        let env = Env::from_pairs([(PREFIX_VARIABLE.to_owned(), "team".to_owned())]);
        let names = Names::new(&Arm::decode(&Block::default()), &env);
        assert_eq!(names.address.len(), "teamip".len() + 5);
    }
}
