//! What an identity has to be allowed, as custom roles: one for each scope, so that nothing is allowed where it is not needed.

use image_action_engine::outline::{Document, Grant};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Roles, the widest scope first. What a scope allows its resource groups need not allow again.
pub fn roles(grants: &[Grant]) -> Vec<Document> {
    let mut scopes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for g in grants {
        scopes.entry(&g.on).or_default().insert(g.action);
    }
    let around = |scope: &str| -> BTreeSet<&str> {
        let outer = scopes.iter().filter(|(other, _)| scope.starts_with(&format!("{other}/")));
        outer.flat_map(|(_, actions)| actions.iter().copied()).collect()
    };
    let mut all = Vec::new();
    for (scope, actions) in &scopes {
        let actions: Vec<&str> = actions.difference(&around(scope)).copied().collect();
        if !actions.is_empty() {
            all.push(role(scope, &actions));
        }
    }
    all
}

fn role(scope: &str, actions: &[&str]) -> Document {
    let group = scope.split_once("/resourceGroups/").map(|(_, group)| group);
    // The name of a custom role is unique in its tenant.
    let (name, file) = match group {
        Some(group) => (format!("image-action in {group}"), format!("image-action-role-{group}.json")),
        None => ("image-action".to_owned(), "image-action-role.json".to_owned()),
    };
    let document = json!({
        "Name": name,
        "IsCustom": true,
        "Description": "Builds images with image-action",
        "Actions": actions,
        "NotActions": [],
        "DataActions": [],
        "NotDataActions": [],
        "AssignableScopes": [scope],
    });
    Document {
        provider: crate::work::PROVIDER,
        title: format!(
            "Azure role for {}",
            group.map_or("the subscription".to_owned(), |g| format!("resource group {g}"))
        ),
        command: format!(
            "az role definition create --role-definition @{file} && az role assignment create --role \"{name}\" --scope {scope} --assignee APPLICATION"
        ),
        file,
        // A document of texts always has a JSON form.
        text: serde_json::to_string_pretty(&document).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use image_action_engine::outline::Grants;

    #[test]
    fn a_role_for_each_scope_and_nothing_twice() {
        let mut grants = Grants::default();
        grants.on("Build", "/subscriptions/s", &["Microsoft.Compute/disks/read"]);
        let group = "/subscriptions/s/resourceGroups/g";
        grants.on("Build", group, &["Microsoft.Compute/disks/read", "Microsoft.Compute/images/write"]);
        let roles = roles(&grants.done());
        let texts: Vec<serde_json::Value> = roles.iter().map(|r| serde_json::from_str(&r.text).unwrap()).collect();
        assert_eq!(texts[0]["AssignableScopes"], json!(["/subscriptions/s"]));
        assert_eq!(texts[1]["Actions"], json!(["Microsoft.Compute/images/write"]));
        assert_eq!(texts[1]["AssignableScopes"], json!([group]));
    }
}
