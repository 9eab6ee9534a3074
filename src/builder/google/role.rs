//! What an account has to be allowed, as custom roles: one for each project.

use image_action_engine::outline::{Document, Grant};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The name of the role.
const ROLE: &str = "imageAction";

/// A role for each project, as `gcloud iam roles create` takes it.
pub fn roles(grants: &[Grant]) -> Vec<Document> {
    let mut projects: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for g in grants {
        projects.entry(&g.on).or_default().insert(g.action);
    }
    projects.into_iter().map(|(project, permissions)| role(project, &permissions)).collect()
}

fn role(project: &str, permissions: &BTreeSet<&str>) -> Document {
    let mut text =
        "title: image-action\ndescription: Builds images with image-action\nstage: GA\nincludedPermissions:\n"
            .to_owned();
    for permission in permissions {
        // Writing into a text cannot fail.
        let _ = writeln!(text, "- {permission}");
    }
    let file = format!("image-action-role-{project}.yaml");
    Document {
        provider: crate::PROVIDER,
        title: format!("Google role for project {project}"),
        command: format!("gcloud iam roles create {ROLE} --project={project} --file={file}"),
        file,
        text,
    }
}
