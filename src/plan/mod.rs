//! What would happen, without doing it: every selected build with its options as they were understood, the calls that it would
//! make, and the permissions for them. [`crate::report::plan`] draws it.
//!
//! The calls are each cloud's own knowledge ([`image_action_engine::outline`]); this room puts them beside the template. Nothing
//! here asks a cloud.

pub mod changes;
mod files;
pub mod revision;
mod settings;

pub use files::FileMark;
pub use settings::Setting;

use crate::registry;
use crate::secrets;
use crate::template::plan::{BuildParts, Part, Planned};
use crate::template::{Settings, Template};
use image_action_engine::config::check::unsupported;
use image_action_engine::duration;
use image_action_engine::outline::{Document, Grant, Outline, Question, Step};
use image_action_lang::Diagnostics;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// The version of the JSON form: another one where a field changes its meaning or goes.
pub const FORMAT: u32 = 1;

/// What would happen.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// [`FORMAT`]
    pub format: u32,
    /// Directory or file.
    pub template: String,
    /// Whether data sources were asked.
    pub data_sources_read: bool,
    /// Those that ask a cloud, functions that do so too, whichever builds are selected: all are read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_sources: Vec<DataPlan>,
    /// In the order of the template.
    pub builds: Vec<BuildPlan>,
}

/// A data source or a function that asks a cloud.
#[derive(Clone, Debug, Serialize)]
pub struct DataPlan {
    /// Its type, or the function's name.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `aws`, `azure`, `gcp`
    pub provider: &'static str,
    /// What whoever reads it has to be allowed to do.
    pub permissions: Vec<Grant>,
}

/// One build.
#[derive(Clone, Debug, Serialize)]
pub struct BuildPlan {
    /// The whole name, `[BUILD.]TYPE.NAME`.
    pub name: String,
    /// The source's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `aws`, `azure`, `gcp`; empty for a build without a cloud.
    pub provider: &'static str,
    /// Where it runs.
    pub place: String,
    /// What the machine is made from.
    pub source: String,
    /// The data source that finds it, where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_found_by: Option<String>,
    /// What is made and stays.
    pub makes: Vec<String>,
    /// Its options.
    pub settings: Vec<Setting>,
    /// Local files that the source takes with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileMark>,
    /// The calls that change something, in order.
    pub steps: Vec<Step>,
    /// In order.
    pub provisioners: Vec<StepPlan>,
    /// What runs after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_cleanup: Option<StepPlan>,
    /// Chains of post-processors.
    pub post_processors: Vec<Vec<StepPlan>>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
    /// What whoever builds has to be allowed to do.
    pub permissions: Vec<Grant>,
}

/// A provisioner or a post-processor.
#[derive(Clone, Debug, Serialize)]
pub struct StepPlan {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name, or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its options, and what the block says besides them.
    pub settings: Vec<Setting>,
    /// Local files that it takes with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileMark>,
    /// The local file that it writes, and what becomes of one that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writes: Option<String>,
}

impl BuildPlan {
    /// The calls that take away what this build has not made.
    pub fn destroys(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|s| s.destroys)
    }
}

/// What a plan is made with, beside the template.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The template's path, as it was named.
    pub path: &'a str,
    /// Whether data sources were read.
    pub read: bool,
    /// The folder outside of which no file is looked at.
    pub root: &'a Path,
}

/// Puts everything together.
pub fn assemble(template: &Template, planned: &Planned<'_>, settings: &Settings, about: About<'_>) -> Plan {
    let question = Question { env: &settings.env, force: settings.force, skip_image: false };
    let builds = planned.builds.iter().filter_map(|build| {
        let parts = planned.parts.iter().find(|p| p.name == build.name)?;
        Some(one(template, parts, build.builder.outline(&question), settings, about.root))
    });
    Plan {
        format: FORMAT,
        template: about.path.to_owned(),
        data_sources_read: about.read,
        data_sources: asks(template, settings),
        builds: builds.collect(),
    }
}

fn asks(template: &Template, settings: &Settings) -> Vec<DataPlan> {
    let data = template.data.iter().filter_map(|part| data_plan(part, settings));
    let functions = template.scope.world().asked();
    let functions = functions.iter().filter_map(|kept| {
        let (kind, provider, permissions) = secrets::grants(&settings.env, kept)?;
        Some(DataPlan { kind, provider, permissions })
    });
    data.chain(functions).collect()
}

fn data_plan(part: &Part<'_>, settings: &Settings) -> Option<DataPlan> {
    let component = registry::DATA_SOURCES.iter().find(|c| c.name == part.component)?;
    let source = (component.make)(&settings.prepare_context(), &part.block).ok()?;
    let (provider, permissions) = source.grants()?;
    Some(DataPlan { kind: part.component, provider, permissions })
}

fn one(template: &Template, parts: &BuildParts<'_>, outline: Outline, settings: &Settings, root: &Path) -> BuildPlan {
    let (source, source_found_by) = source(template, parts.source.as_ref(), &outline, settings);
    let files = |part: &Part<'_>| files::of(part, &settings.cwd, root);
    let step = |part: &Part<'_>| step(part, files(part));
    BuildPlan {
        name: parts.name.clone(),
        kind: parts.used.kind.to_string(),
        provider: outline.provider,
        place: outline.place,
        source,
        source_found_by,
        makes: outline.makes,
        settings: parts
            .source
            .as_ref()
            .map(|p| settings::of(&p.block, (p.schema)(), outline.decisive))
            .unwrap_or_default(),
        files: parts.source.as_ref().map(files).unwrap_or_default(),
        steps: outline.steps,
        provisioners: parts.provisioners.iter().map(step).collect(),
        error_cleanup: parts.error_cleanup.as_ref().map(step),
        post_processors: parts.chains.iter().filter(|c| !c.is_empty()).map(|c| c.iter().map(step).collect()).collect(),
        notes: outline.notes,
        permissions: outline.grants,
    }
}

/// What the machine is made from; where a data source finds it, what that looks for.
fn source(
    template: &Template,
    part: Option<&Part<'_>>,
    outline: &Outline,
    settings: &Settings,
) -> (String, Option<String>) {
    let as_said = || (outline.source.clone(), None);
    let Some(part) = part else { return as_said() };
    let Some(attribute) = part.content.attribute(outline.source_option) else { return as_said() };
    let Some((kind, name)) = data_source(template, &attribute.expr.references()) else { return as_said() };
    let found_by = format!("data.{kind}.{name}");
    let known = part.block.value(outline.source_option).is_some_and(image_action_lang::Value::is_wholly_known);
    if known {
        return (outline.source.clone(), Some(found_by));
    }
    let written = template.blocks.iter().find(|b| &*b.kind == "data" && b.label(0) == kind && b.label(1) == name);
    let looked_for = written.and_then(|b| template.data.iter().find(|d| d.header == b.header));
    let described = looked_for.and_then(|d| {
        let component = registry::DATA_SOURCES.iter().find(|c| c.name == d.component)?;
        (component.make)(&settings.prepare_context(), &d.block).ok()?.describe()
    });
    (described.unwrap_or_else(|| "what the data source finds".to_owned()), Some(found_by))
}

/// The data source that an expression takes its value from, by way of locals too.
fn data_source(template: &Template, references: &[image_action_lang::Traversal]) -> Option<(String, String)> {
    let direct = references.iter().find(|t| &*t.root == "data");
    if let Some(t) = direct {
        return Some((t.attribute(0)?.to_owned(), t.attribute(1)?.to_owned()));
    }
    // One step is what templates do; a chain of locals is left to its reader.
    let local = references.iter().find(|t| &*t.root == "local")?.attribute(0)?.to_owned();
    let mut ignored = Diagnostics::new();
    let blocks = template.blocks.iter().filter(|b| matches!(&*b.kind, "locals" | "local"));
    let expressions = blocks.flat_map(|b| {
        let single = &*b.kind == "local" && b.label(0) == local;
        let wanted = if single { "expression" } else { local.as_str() };
        let attributes = b.body.content(&|_| None, &mut ignored).attributes;
        attributes.into_iter().filter(|a| &*a.name == wanted).collect::<Vec<_>>()
    });
    let found: Vec<image_action_lang::Traversal> = expressions.flat_map(|a| a.expr.references()).collect();
    let t = found.iter().find(|t| &*t.root == "data")?;
    Some((t.attribute(0)?.to_owned(), t.attribute(1)?.to_owned()))
}

fn step(part: &Part<'_>, files: Vec<FileMark>) -> StepPlan {
    let mut all = settings::of(&part.block, (part.schema)(), &[]);
    if let Some(step) = part.step {
        let mut common = |name: &str, value: Option<String>| {
            all.extend(value.map(|value| Setting::plain(name, value)));
        };
        let time = |t: Duration| (!t.is_zero()).then(|| format!("{:?}", duration::show(t)));
        common("pause_before", time(step.pause_before));
        common("timeout", time(step.timeout));
        common("max_retries", (step.max_retries > 0).then(|| step.max_retries.to_string()));
        common("continue_on_error", step.continue_on_error.then(|| "true".to_owned()));
        common("keep_input_artifact", step.keep_input_artifact.map(|k| k.to_string()));
    }
    StepPlan {
        kind: part.component.to_owned(),
        name: part.step.map(|s| s.name.clone()).unwrap_or_default(),
        files,
        writes: writes(part),
        settings: all,
    }
}

/// What a post-processor writes here, and what becomes of what is there.
fn writes(part: &Part<'_>) -> Option<String> {
    let becomes = match part.component {
        "manifest" => "entries of earlier runs stay in it",
        "checksum" | "compress" => "in the place of one that is there",
        _ => return None,
    };
    let output = part.block.value("output").and_then(|v| v.as_str().map(str::to_owned));
    let default = (part.schema)().field("output").and_then(|f| f.default).unwrap_or_default();
    Some(format!("{}, {becomes}", output.unwrap_or_else(|| default.to_owned())))
}

impl Plan {
    /// Every permission with its provider.
    pub fn grants(&self) -> impl Iterator<Item = (&'static str, &Grant)> {
        let of_builds = self.builds.iter().flat_map(|b| b.permissions.iter().map(|g| (b.provider, g)));
        of_builds.chain(self.data_sources.iter().flat_map(|d| d.permissions.iter().map(|g| (d.provider, g))))
    }
    /// Puts one text in the place of another everywhere: a plan of files that lie elsewhere for the moment speaks of where they
    /// belong.
    pub fn replace(&mut self, from: &str, to: &str) {
        let change = |text: &mut String| {
            if text.contains(from) {
                *text = text.replace(from, to);
            }
        };
        for build in &mut self.builds {
            change(&mut build.source);
            build.makes.iter_mut().for_each(change);
            build.steps.iter_mut().for_each(|s| change(&mut s.about));
            build.settings.iter_mut().for_each(|s| s.replace(from, to));
            let parts = build.provisioners.iter_mut().chain(&mut build.error_cleanup);
            for part in parts.chain(build.post_processors.iter_mut().flatten()) {
                part.settings.iter_mut().for_each(|s| s.replace(from, to));
                part.files.iter_mut().for_each(|f| change(&mut f.path));
            }
        }
    }
}

/// Options that nobody acts on: a plan with them would be of another image.
pub fn refusals(template: &Template, planned: &Planned<'_>) -> Diagnostics {
    let mut all: Vec<image_action_lang::Diagnostic> = Vec::new();
    let of_build = |b: &'_ BuildParts<'_>| -> Vec<Diagnostics> {
        let parts = b.source.iter().chain(&b.provisioners).chain(&b.error_cleanup).chain(b.chains.iter().flatten());
        parts.map(|p| unsupported(&p.block, (p.schema)())).collect()
    };
    let found = planned.parts.iter().flat_map(of_build);
    let data = template.data.iter().map(|p| unsupported(&p.block, (p.schema)()));
    for d in found.chain(data).flatten() {
        if !all.contains(&d) {
            all.push(d);
        }
    }
    let mut diags = Diagnostics::new();
    all.into_iter().for_each(|d| diags.push(d));
    diags
}

/// The documents that allow what all builds of a plan need, cloud by cloud.
pub fn permissions(plan: &Plan) -> Vec<Document> {
    let mut all = Vec::new();
    for (provider, documents) in registry::PERMISSIONS {
        let mut grants: Vec<Grant> = plan.grants().filter(|(p, _)| p == provider).map(|(_, g)| g.clone()).collect();
        grants.sort();
        grants.dedup();
        if !grants.is_empty() {
            all.extend(documents(&grants));
        }
    }
    all
}
