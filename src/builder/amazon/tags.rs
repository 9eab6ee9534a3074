//! Tags and other texts that are rendered with what is known of the source image.

use crate::account::Ec2;
use crate::config::ami::Tag as TagBlock;
use crate::images::tags;
use aws_sdk_ec2::types::{Image, ResourceType, Tag, TagSpecification};
use image_action_engine::ledger::{EXPIRES_TAG, RUN_TAG};
use image_action_engine::{BuildContext, Error, ErrorKind, Facts, Result};
use image_action_lang::Value;
use image_action_lang::gotemplate::functions::{Standard, standard};
use image_action_lang::gotemplate::{Data, Functions, Node, render};
use std::collections::BTreeMap;

/// The version of Packer whose templates are read (`{{ packer_version }}`).
const PACKER_VERSION: &str = "1.16.0";

/// What a late text may use.
pub struct Late {
    data: Data,
    functions: Functions,
}

/// The names that `build.NAME` has of this builder.
pub const FACT_NAMES: [&str; 6] =
    ["BuildRegion", "SourceAMI", "SourceAMIName", "SourceAMICreationDate", "SourceAMIOwner", "SourceAMIOwnerName"];

/// What is known of the source image, by the names of templates.
pub fn facts(region: &str, source: &Image) -> Facts {
    let values = [
        Some(region),
        source.image_id(),
        source.name(),
        source.creation_date(),
        source.owner_id(),
        source.image_owner_alias(),
    ];
    FACT_NAMES.iter().zip(values).map(|(n, v)| ((*n).to_owned(), Value::string(v.unwrap_or_default()))).collect()
}

impl Late {
    /// With what is known of the source image.
    pub fn new(cx: &BuildContext, region: &str, source: &Image) -> Late {
        let mut data: Data = facts(region, source)
            .into_iter()
            .map(|(name, value)| (name, Node::from(value.as_str().unwrap_or_default())))
            .collect();
        let source_tags = tags(source).into_iter().map(|(k, v)| (k, Node::String(v))).collect();
        data.insert("SourceAMITags".to_owned(), Node::Map(source_tags));
        let functions = standard(&Standard {
            started: cx.run.started.into(),
            cwd: cx.run.cwd.display().to_string(),
            build_name: Some(cx.source_name.clone()),
            build_type: Some(cx.source_type.clone()),
            packer_version: PACKER_VERSION.to_owned(),
        });
        Late { data, functions }
    }
    /// One text of `option`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn text(&self, option: &str, text: &str) -> Result<String> {
        // A map of texts in Go has the empty text for what is not in it.
        let rendered = render(text, &self.data, &self.functions).map(|t| t.replace("<no value>", ""));
        rendered.map_err(|e| {
            Error::new(ErrorKind::Invalid, format!("{option} cannot be rendered: {e}")).hint(format!(
                "{{{{ .{} }}}} and {{{{ .SourceAMITags.NAME }}}} are known there",
                FACT_NAMES.join(" }}, {{ .")
            ))
        })
    }
    /// Tags of a map and of blocks; a block goes before an entry of the same key.
    ///
    /// # Errors
    /// What is wrong with one of the texts.
    pub fn tags(
        &self,
        option: &str,
        map: &BTreeMap<String, String>,
        blocks: &[TagBlock],
    ) -> Result<BTreeMap<String, String>> {
        let blocks = blocks.iter().map(|b| (&b.key, &b.value));
        let mut all = BTreeMap::new();
        for (key, value) in map.iter().chain(blocks) {
            all.insert(self.text(option, key)?, self.text(option, value)?);
        }
        Ok(all)
    }
}

/// The tags that everything temporary carries: whose it is, and when nobody needs it any more.
pub fn own(cx: &BuildContext) -> BTreeMap<String, String> {
    BTreeMap::from([(RUN_TAG.to_owned(), cx.run.id.clone()), (EXPIRES_TAG.to_owned(), cx.run.expires())])
}

/// As the SDK wants them.
pub fn sdk(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().map(|(k, v)| Tag::builder().key(k).value(v).build()).collect()
}

/// Tags of one kind of resource that a call creates.
pub fn specification(kind: ResourceType, tags: &BTreeMap<String, String>) -> TagSpecification {
    TagSpecification::builder().resource_type(kind).set_tags(Some(sdk(tags))).build()
}

/// Tags for people: `a=b, c=d`.
pub fn show(tags: &BTreeMap<String, String>) -> String {
    tags.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(", ")
}

/// Takes our own tags off what is kept: it never expires.
///
/// # Errors
/// Where the tags can neither be removed nor changed.
pub async fn keep_for_ever(ec2: &Ec2, resources: Vec<String>) -> Result<()> {
    let what = resources.join(", ");
    let keys = [RUN_TAG, EXPIRES_TAG].map(|k| Tag::builder().key(k).build()).to_vec();
    let request = ec2.client.delete_tags().set_resources(Some(resources.clone())).set_tags(Some(keys));
    match ec2.call("DeleteTags", &what, || request.clone().send()).await {
        // Policies written for Packer allow CreateTags only.
        Err(failure) if failure.error.kind == ErrorKind::Permission => {
            let never = Tag::builder().key(EXPIRES_TAG).value("never").build();
            let request = ec2.client.create_tags().set_resources(Some(resources)).tags(never);
            ec2.call("CreateTags", &what, || request.clone().send()).await?;
            Ok(())
        }
        answer => Ok(answer.map(drop)?),
    }
}
