//! What exists in the local subscription from the start (`docs/localcloud.md` lists it).

use super::store::{Resource, Store};
use super::{GROUP, galleries, login, network};
use serde_json::json;

/// The group that holds everything below.
pub const GROUP_NAME: &str = "packer-images-rg";
/// Where it all is.
const LOCATION: &str = "westus2";

/// A group with a network (`packer-vnet`, subnet `packer-subnet`) and a gallery (`company_images`) with one definition
/// (`ubuntu-22.04`, Linux, generalized, generation V2).
pub fn fill(store: &mut Store) {
    let group = format!("/subscriptions/{}/resourceGroups/{GROUP_NAME}", login::SUBSCRIPTION);
    let mut add = |id: &str, ty: &'static str, properties: serde_json::Value| {
        let mut resource = Resource::new(id, ty, json!({ "location": LOCATION, "properties": properties }));
        resource.fixture = true;
        resource.set("provisioningState", "Succeeded");
        store.put(resource);
    };
    add(&group, GROUP, json!({}));
    let vnet = format!("{group}/providers/{}/packer-vnet", network::NETWORK);
    add(&vnet, network::NETWORK, json!({ "addressSpace": { "addressPrefixes": ["10.10.0.0/16"] } }));
    add(&format!("{vnet}/subnets/packer-subnet"), network::SUBNET, json!({ "addressPrefix": "10.10.1.0/24" }));
    let gallery = format!("{group}/providers/{}/company_images", galleries::GALLERY);
    add(&gallery, galleries::GALLERY, json!({ "description": "Images of the company" }));
    add(
        &format!("{gallery}/images/ubuntu-22.04"),
        galleries::DEFINITION,
        json!({
            "osType": "Linux", "osState": "Generalized", "hyperVGeneration": "V2", "architecture": "x64",
            "identifier": { "publisher": "company", "offer": "ubuntu", "sku": "22.04" },
        }),
    );
    network::synchronise(store, &vnet);
}
