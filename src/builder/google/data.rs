//! The data source `googlecompute-image`.

use crate::client::{Api, endpoint};
use crate::config::ImageData;
use crate::credentials;
use crate::source::PUBLIC_PROJECTS;
use async_trait::async_trait;
use google_cloud_compute_v1::model::Image;
use image_action_engine::outline::{Grant, Grants};
use image_action_engine::run::RunContext;
use image_action_engine::{DataSource, Error, ErrorKind, Result};
use image_action_lang::{ObjectType, Type, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(crate) struct ImageSource(pub ImageData);

/// When an image was made; Google writes it with an offset that changes with daylight saving, so texts do not compare.
fn made(image: &Image) -> i64 {
    let text = image.creation_timestamp.as_deref().unwrap_or_default();
    chrono::DateTime::parse_from_rfc3339(text).map_or(0, |t| t.timestamp_millis())
}

fn choose(mut images: Vec<Image>, options: &ImageData) -> Result<Image> {
    let (project, filters) = (&options.project_id, &options.filters);
    if images.len() > 1 && !options.most_recent {
        let some: Vec<_> = images.iter().take(5).filter_map(|i| i.name.clone()).collect();
        let what = format!("{} images of project {project} match the filter {filters}", images.len());
        return Err(Error::new(ErrorKind::Invalid, what)
            .detail(format!("among them {}", some.join(", ")))
            .hint("narrow the filter, or set most_recent = true"));
    }
    images.sort_by_key(|i| std::cmp::Reverse(made(i)));
    images.into_iter().next().ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("no image of project {project} matches the filter {filters}"))
            .hint("try the filter with gcloud compute images list --filter")
    })
}

#[async_trait]
impl DataSource for ImageSource {
    fn output_type(&self) -> Type {
        let attributes = BTreeMap::from([
            (Arc::from("id"), Type::String),
            (Arc::from("name"), Type::String),
            (Arc::from("creation_date"), Type::String),
            (Arc::from("labels"), Type::map(Type::String)),
        ]);
        Type::Object(Arc::new(ObjectType { attributes, optional: BTreeSet::new() }))
    }
    fn describe(&self) -> Option<String> {
        let which = if self.0.most_recent { "the newest image" } else { "the one image" };
        Some(format!("{which} of project {} with {}", self.0.project_id, self.0.filters))
    }
    fn grants(&self) -> Option<(&'static str, Vec<Grant>)> {
        let mut grants = Grants::default();
        // Google's public images are there for everybody.
        if !PUBLIC_PROJECTS.contains(&self.0.project_id.as_str()) {
            grants.on("Read", &self.0.project_id, &["compute.images.list"]);
        }
        Some((crate::PROVIDER, grants.done()))
    }
    async fn read(&self, run: &RunContext) -> Result<Value> {
        let options = &self.0;
        let identity = credentials::environment(&run.cwd, &run.env).await?;
        let custom = options.access.custom_endpoints.get("compute").map(String::as_str);
        let custom = custom.or_else(|| run.env.get(crate::ENDPOINT_VARIABLE));
        let universe = &options.access.universe_domain;
        let api = Api::new(identity, &endpoint(custom, universe), universe).await?;
        let images = api.global(&options.project_id, &run.cancel).first().images(&options.filters).await?;
        let image = choose(images, options)?;
        let text = |t: Option<String>| Value::string(t.unwrap_or_default());
        let labels = image.labels.iter().map(|(k, v)| (Arc::from(k.as_str()), Value::string(v))).collect();
        Ok(Value::object(BTreeMap::from([
            (Arc::from("id"), text(image.id.map(|id| id.to_string()))),
            (Arc::from("name"), text(image.name.clone())),
            (Arc::from("creation_date"), text(image.creation_timestamp.clone())),
            (Arc::from("labels"), Value::map(Type::String, labels)),
        ])))
    }
}
