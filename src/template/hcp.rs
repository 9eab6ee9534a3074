//! The block `hcp_packer_registry`: checked, then passed over.

use super::syntax::Block;
use super::{Settings, body};
use image_action_engine::Config;
use image_action_engine::prepare::go_functions;
use image_action_lang::{Diagnostic, Diagnostics, Scope};
use std::collections::BTreeMap;

/// Publishes the build to HCP Packer's registry of images.
#[derive(Config)]
#[allow(dead_code, reason = "the block is checked and not acted on")]
pub struct HcpRegistry {
    /// The bucket, 3 to 36 letters, digits and dashes.
    bucket_name: Option<String>,
    /// What the bucket is for.
    description: Option<String>,
    /// Labels of the bucket.
    #[config(deprecated = "bucket_labels")]
    labels: BTreeMap<String, String>,
    /// Labels of the bucket.
    bucket_labels: BTreeMap<String, String>,
    /// Labels of the build.
    build_labels: BTreeMap<String, String>,
    /// Channels that the version is assigned to.
    channels: Vec<String>,
}

/// The longest description of a bucket, in bytes.
const MAX_DESCRIPTION: usize = 255;

/// Checks the block, and says that nothing is published.
pub(super) fn check(blocks: &[Block], scope: &Scope, settings: &Settings, diags: &mut Diagnostics) {
    let schema = HcpRegistry::schema();
    for (n, block) in blocks.iter().enumerate() {
        if n > 0 {
            diags.push(
                Diagnostic::error("Only one hcp_packer_registry is allowed")
                    .detail("The template has one already.")
                    .at(block.header.clone()),
            );
            continue;
        }
        let content = block.body.content(&body::labels_of(schema, false), diags);
        let evaluated = body::evaluate(&content, &block.header, schema, scope, false, diags);
        let functions = go_functions(settings.started, &settings.cwd, None);
        let checked = body::finish(evaluated, schema, &functions, |_, _| {}, diags);
        let config = HcpRegistry::decode(&checked);
        let name = config.bucket_name.unwrap_or_default();
        let fits = (3..=36).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if !name.is_empty() && !fits {
            diags.push(
                Diagnostic::error("Invalid bucket_name")
                    .detail("The name of a bucket has 3 to 36 letters, digits and dashes.")
                    .at(checked.span_of("bucket_name")),
            );
        }
        if config.description.unwrap_or_default().len() > MAX_DESCRIPTION {
            diags.push(
                Diagnostic::error("Invalid description")
                    .detail(format!("The description of a bucket has {MAX_DESCRIPTION} bytes at most."))
                    .at(checked.span_of("description")),
            );
        }
        diags.push(
            Diagnostic::warning("Nothing is published to HCP Packer")
                .detail("The block is checked, and then passed over.")
                .at(block.header.clone()),
        );
    }
}
