//! Packer's files and blocks: from a path on the command line to builds that can run.
//!
//! [`parse`] reads the files and gives the variables their values; [`Parsed::initialize`] evaluates locals and data sources
//! and decodes the builds; [`plan::plan`] makes every component of the selected ones. Each step reports all that it finds.

mod body;
pub mod build;
pub mod discover;
mod dynamic;
mod files;
mod hcp;
mod json;
pub mod locals;
pub mod packer_block;
pub mod plan;
pub mod select;
mod stranger;
pub mod syntax;
pub mod variables;
mod version;

use crate::registry;
use crate::secrets::Keepers;
use crate::template::build::{Build, Decoder, Source, SourceUse};
pub use crate::template::hcp::HcpRegistry;
use crate::template::locals::{Data, Node, Values};
use crate::template::packer_block::RequiredPlugin;
use crate::template::plan::Part;
use crate::template::syntax::{Attribute, Block, Body};
use crate::template::variables::Variables;
use image_action_engine::Env;
use image_action_engine::config::check::{deprecated, sensitive_texts, unsupported};
use image_action_engine::prepare::{PACKER_VERSION, PrepareContext, Warnings, go_functions};
use image_action_engine::run::{OnError, RunContext};
use image_action_lang::diag::name_hint;
use image_action_lang::scope::Keeper;
use image_action_lang::{Diagnostic, Diagnostics, Scope, SourceMap, Span, Type, Value, World};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// What the command line says about a template.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A directory or a file.
    pub path: String,
    /// `-var NAME=VALUE`, in order.
    pub vars: Vec<(String, String)>,
    /// `-var-file PATH`, in order.
    pub var_files: Vec<String>,
    /// Whether names in variable files that no variable has are warned of.
    pub warn_undeclared: bool,
    /// Whether data sources come before all locals, as in older releases of Packer.
    pub sequential: bool,
}

/// What the whole run is made with.
#[derive(Clone)]
pub struct Settings {
    /// The environment, read once.
    pub env: Env,
    /// The working directory.
    pub cwd: PathBuf,
    /// Unique id of the run.
    pub run_id: String,
    /// When the run began.
    pub started: SystemTime,
    /// Whether images and files of the same name are replaced.
    pub force: bool,
    /// What happens when a step fails.
    pub on_error: OnError,
    /// Whether nothing will run.
    pub validating: bool,
    /// Where texts go that must not be shown.
    pub secrets: Secrets,
}

/// Where texts go that must not be shown.
#[derive(Clone)]
pub struct Secrets(Arc<dyn Fn(&str) + Send + Sync>);

impl Secrets {
    /// Hands every text to `take`.
    pub fn new(take: impl Fn(&str) + Send + Sync + 'static) -> Secrets {
        Secrets(Arc::new(take))
    }
    /// What takes one text, for whoever learns of secrets later.
    fn taker(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let take = self.0.clone();
        move |text| take(text)
    }
    fn add(&self, texts: &[String]) {
        texts.iter().for_each(|t| (self.0)(t));
    }
}

impl Settings {
    /// For a component that belongs to no build yet.
    pub(crate) fn prepare_context(&self) -> PrepareContext {
        PrepareContext {
            name: String::new(),
            build_name: String::new(),
            source_type: String::new(),
            source_name: String::new(),
            local_name: String::new(),
            cwd: self.cwd.clone(),
            env: self.env.clone(),
            run_id: self.run_id.clone(),
            started: self.started,
            force: self.force,
            on_error: self.on_error,
            validating: self.validating,
            warnings: Warnings::default(),
        }
    }
}

/// A template whose files are read and whose variables have their values.
pub struct Parsed {
    /// The variables.
    pub variables: Variables,
    /// The plugins that it asks for.
    pub plugins: Vec<RequiredPlugin>,
    nodes: Vec<Node>,
    blocks: Vec<Block>,
    world: Arc<World>,
    sources: SourceMap,
    root: String,
    directory: Option<String>,
    sequential: bool,
}

/// A template that is evaluated.
pub struct Template {
    /// The variables.
    pub variables: Variables,
    /// Locals and data sources.
    pub values: Values,
    /// The plugins that it asks for.
    pub plugins: Vec<RequiredPlugin>,
    /// In order.
    pub builds: Vec<Build>,
    /// What the data sources are made from; what is wrong in itself is left out.
    pub data: Vec<Part<'static>>,
    /// The top-level blocks, in the order of the files.
    pub blocks: Vec<Block>,
    /// The directory that the template is; `None` where it is one file.
    pub directory: Option<String>,
    sources: Vec<Source>,
    /// Variables, locals, data, path, packer; source is unknown and build is empty.
    pub scope: Scope,
}

/// The names of top-level blocks.
const BLOCKS: [&str; 10] = [
    "packer",
    "variable",
    "variables",
    "local",
    "locals",
    "data",
    "source",
    "build",
    "hcp_packer_registry",
    "communicator",
];

fn labels_of(name: &str) -> Option<usize> {
    match name {
        "packer" | "variables" | "locals" | "build" | "hcp_packer_registry" => Some(0),
        "variable" | "local" => Some(1),
        "data" | "source" | "communicator" => Some(2),
        _ => None,
    }
}

/// Reads the template and gives the variables their values. The sources are there for showing what is wrong.
pub fn parse(options: &Options, settings: &Settings) -> (Option<Parsed>, SourceMap, Diagnostics) {
    let mut sources = SourceMap::default();
    let mut diags = Diagnostics::new();
    let parsed = parse_into(options, settings, &mut sources, &mut diags);
    (parsed, sources, diags)
}

fn parse_into(
    options: &Options,
    settings: &Settings,
    sources: &mut SourceMap,
    diags: &mut Diagnostics,
) -> Option<Parsed> {
    let files = match discover::discover(&options.path, &settings.cwd) {
        Ok(files) => files,
        Err(d) => {
            diags.push(d);
            return None;
        }
    };
    let bodies: Vec<Body> =
        files.config.iter().filter_map(|path| files::read(path, settings, sources, diags)).collect();
    if diags.has_errors() {
        return None;
    }
    let mut ignored = Diagnostics::new();
    let everything = bodies.iter().flat_map(|b| b.content(&labels_of, &mut ignored).blocks);
    let packer: Vec<Block> = everything.filter(|b| &*b.kind == "packer").collect();
    let versions = packer_block::required_versions(&packer);
    if versions.has_errors() {
        diags.extend(versions);
        return None;
    }
    let blocks = top_level(&bodies, diags);
    let of = |kinds: &[&str]| blocks.iter().filter(|b| kinds.contains(&&*b.kind)).collect::<Vec<_>>();
    let world = World::new(&settings.cwd, environment(&settings.env), settings.started.into());
    let bounds = settings.env.bounds().clone();
    let keeper: Arc<dyn Keeper> = if bounds.strange() {
        Arc::new(stranger::NoSecrets)
    } else {
        Arc::new(Keepers::new(&settings.env, settings.secrets.taker()))
    };
    let guard = Arc::new(move |path: &Path| bounds.read(path).map_err(|e| e.summary));
    let world = Arc::new(world.with_base_dir(&files.root).with_keeper(keeper).with_guard(guard));
    let plugins = packer_block::decode(&packer, diags);
    let mut variables = variables::declare(&of(&["variable", "variables"]), &world, diags);
    let mut nodes = Vec::new();
    locals::declare_data(&of(&["data"]), &mut nodes, diags);
    locals::declare_locals(&of(&["local", "locals"]), &mut nodes, diags);
    let environment = environment(&settings.env);
    let inputs = variables::Inputs {
        environment: &environment,
        files: files::variables(&files.auto_vars, options, settings, sources, diags),
        arguments: &options.vars,
        warn_undeclared: options.warn_undeclared,
    };
    variables::collect(&mut variables, &inputs, sources, diags);
    let mut secret = Vec::new();
    variables::values(&variables).values().for_each(|v| v.sensitive_texts(false, &mut secret));
    settings.secrets.add(&secret);
    if diags.has_errors() {
        return None;
    }
    Some(Parsed {
        variables,
        plugins,
        nodes,
        blocks,
        world,
        sources: sources.clone(),
        directory: settings.cwd.join(&options.path).is_dir().then(|| files.root.clone()),
        root: files.root,
        sequential: options.sequential,
    })
}

fn environment(env: &Env) -> BTreeMap<String, String> {
    let shown = env.iter().filter(|(name, _)| env.bounds().shows(name));
    shown.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn top_level(bodies: &[Body], diags: &mut Diagnostics) -> Vec<Block> {
    let mut blocks = Vec::new();
    for body in bodies {
        let content = body.content(&labels_of, diags);
        for attribute in &content.attributes {
            diags.push(match body {
                Body::Native(..) => Diagnostic::error("Unsupported argument")
                    .detail(format!("An argument named {:?} is not expected at the top of a file.", attribute.name))
                    .at(attribute.name_span.clone())
                    .hint("values that are used in several places belong into a locals block"),
                Body::Json(..) => {
                    let d = Diagnostic::error("Extraneous JSON object property")
                        .detail(format!("No property named {:?} is expected here.", attribute.name))
                        .at(attribute.name_span.clone());
                    if matches!(&*attribute.name, "builders" | "provisioners" | "post-processors") {
                        d.hint("this is a JSON template of before Packer 1.7; `packer hcl2_upgrade` makes HCL2 of it")
                    } else {
                        d
                    }
                }
            });
        }
        for block in content.blocks {
            if !BLOCKS.contains(&&*block.kind) {
                let d = unknown_block(&block, &BLOCKS);
                diags.push(match &*block.kind {
                    "provisioner" | "post-processor" | "post-processors" | "error-cleanup-provisioner" => {
                        d.hint(format!("{} blocks stand inside of a build block", block.kind))
                    }
                    _ => d,
                });
                continue;
            }
            blocks.push(block);
        }
    }
    blocks
}

/// Which data sources are read.
#[derive(Clone, Copy)]
pub enum ReadData<'a> {
    /// None: their values are unknown.
    No,
    /// Those that ask nobody.
    Local(&'a RunContext),
    /// All.
    All(&'a RunContext),
}

impl Parsed {
    /// Evaluates locals and data sources, and decodes sources and builds. The template is there even where something is
    /// wrong, with what is right of it.
    pub async fn initialize(self, data: ReadData<'_>, settings: &Settings) -> (Template, Diagnostics) {
        let mut diags = packer_block::check(&self.plugins);
        let scope = self.scope(settings);
        let mut parts = Vec::new();
        let values = self.evaluate(&scope, data, settings, &mut parts, &mut diags).await;
        let mut secret = Vec::new();
        values.locals().values().for_each(|v| v.sensitive_texts(false, &mut secret));
        values.data().sensitive_texts(false, &mut secret);
        settings.secrets.add(&secret);
        let scope = scope.child([(Arc::from("local"), values.local()), (Arc::from("data"), values.data())]);
        let of = |kind: &str| self.blocks.iter().filter(|b| &*b.kind == kind).collect::<Vec<_>>();
        let sources = build::sources(&of("source"), &mut diags);
        let mut builds = Vec::new();
        let mut registries: Vec<Block> = of("hcp_packer_registry").into_iter().cloned().collect();
        let decoder = Decoder { scope: &scope, sources: &sources, plugins: &self.plugins };
        let blocks = of("build");
        if blocks.is_empty() {
            diags.push(
                Diagnostic::error("Missing build block")
                    .detail("A template builds nothing without one.")
                    .hint("write build { sources = [\"source.TYPE.NAME\"] }"),
            );
        }
        for block in blocks {
            let Some((build, more)) = decoder.build(block, &mut diags) else { continue };
            builds.push(build);
            for registry in more {
                diags.push(
                    Diagnostic::warning("hcp_packer_registry inside of a build block is deprecated")
                        .at(registry.header.clone())
                        .hint("write it at the top of a file"),
                );
                registries.push(registry);
            }
        }
        hcp::check(&registries, &scope, settings, &mut diags);
        let template = Template {
            variables: self.variables,
            values,
            plugins: self.plugins,
            builds,
            data: parts,
            blocks: self.blocks,
            directory: self.directory,
            sources,
            scope,
        };
        (template, diags)
    }

    /// The names that expressions may use, before locals and data sources are known.
    fn scope(&self, settings: &Settings) -> Scope {
        let object =
            |pairs: Vec<(&str, Value)>| Value::object(pairs.into_iter().map(|(k, v)| (Arc::from(k), v)).collect());
        let cwd = settings.cwd.to_string_lossy();
        Scope::new(self.world.clone()).child([
            (Arc::from("var"), Value::object(variables::values(&self.variables))),
            (Arc::from("path"), object(vec![("root", Value::string(&self.root)), ("cwd", Value::string(cwd))])),
            (
                Arc::from("packer"),
                object(vec![
                    ("version", Value::string(PACKER_VERSION)),
                    ("versionFingerprint", Value::unknown(Type::String)),
                    ("iterationID", Value::unknown(Type::String)),
                ]),
            ),
            (
                Arc::from("source"),
                object(vec![("type", Value::unknown(Type::String)), ("name", Value::unknown(Type::String))]),
            ),
            (Arc::from("build"), object(Vec::new())),
        ])
    }

    /// Checks the variables' values, then evaluates locals and data sources, each after those that it refers to.
    async fn evaluate(
        &self,
        scope: &Scope,
        data: ReadData<'_>,
        settings: &Settings,
        parts: &mut Vec<Part<'static>>,
        diags: &mut Diagnostics,
    ) -> Values {
        let mut values = Values::unknown(&self.nodes);
        variables::check(&self.variables, &self.world, &self.sources, diags);
        for n in locals::order(&self.nodes, self.sequential, diags) {
            let node = &self.nodes[n];
            let value = match node {
                Node::Local(local) => {
                    let (locals, data) = values.seen_by(node);
                    let scope = scope.child([(Arc::from("local"), locals), (Arc::from("data"), data)]);
                    local.expr.eval(&scope, diags).tainted(local.sensitive)
                }
                Node::Data(block) => {
                    let (local, seen) = values.seen_by(node);
                    let local = if self.sequential { Value::object(BTreeMap::new()) } else { local };
                    let scope = scope.child([(Arc::from("local"), local), (Arc::from("data"), seen)]);
                    self.data(block, &scope, data, settings, parts, diags).await
                }
            };
            values.set(node, value);
        }
        values
    }

    /// The value of a data source; unknown where it is not read, or cannot be.
    async fn data(
        &self,
        data: &Data,
        scope: &Scope,
        read: ReadData<'_>,
        settings: &Settings,
        parts: &mut Vec<Part<'static>>,
        diags: &mut Diagnostics,
    ) -> Value {
        let Some(component) = packer_block::find(registry::DATA_SOURCES, &data.kind, &self.plugins) else {
            let names = registry::names(registry::DATA_SOURCES);
            diags.push(build::unknown_type("data source", &data.kind, &names, data.block.label_span(0)));
            return Value::dynamic();
        };
        let schema = (component.schema)();
        let mut found = Diagnostics::new();
        let content = data.block.body.content(&body::labels_of(schema, false), &mut found);
        let block = body::evaluate(&content, &data.block.header, schema, scope, false, &mut found);
        let functions = go_functions(settings.started, &settings.cwd, None);
        let block = body::finish(block, schema, &functions, |_, _| {}, &mut found);
        settings.secrets.add(&sensitive_texts(&block, schema));
        found.extend(deprecated(&block, schema));
        if matches!(read, ReadData::All(_)) {
            found.extend(unsupported(&block, schema));
        }
        let failed = found.has_errors();
        diags.extend(found);
        if failed {
            return Value::dynamic();
        }
        let cx = settings.prepare_context();
        let forbidden = stranger::check(component.name, &block, &cx);
        let made = if forbidden.has_errors() { Err(forbidden) } else { (component.make)(&cx, &block) };
        parts.push(Part {
            component: component.name,
            schema: component.schema,
            header: data.block.header.clone(),
            content,
            block,
            step: None,
        });
        diags.extend(cx.warnings.take());
        let source = match made {
            Ok(source) => source,
            Err(more) => {
                diags.extend(more);
                return Value::dynamic();
            }
        };
        let run = match read {
            ReadData::All(run) => run,
            ReadData::Local(run) if registry::LOCAL_DATA_SOURCES.contains(&component.name) => run,
            _ => return Value::unknown(source.output_type()),
        };
        match source.read(run).await {
            Ok(value) => value,
            Err(e) => {
                let name = format!("data.{}.{}", data.kind, data.name);
                let span = e.span.clone().unwrap_or_else(|| data.block.header.clone());
                diags.push(Diagnostic::from(e.context(name)).at(span));
                Value::unknown(source.output_type())
            }
        }
    }
}

impl Template {
    fn source(&self, used: &SourceUse) -> Option<&Source> {
        self.sources.iter().find(|s| s.kind == used.kind && s.name == used.name)
    }
    /// The body of the source block that a build uses.
    fn source_body(&self, used: &SourceUse) -> Option<&Body> {
        self.source(used).map(|s| &s.block.body)
    }
    /// The header of the source block that a build uses.
    fn source_span(&self, used: &SourceUse) -> Option<Span> {
        self.source(used).map(|s| s.block.header.clone())
    }
}

/// The complaint about an argument that does not exist.
fn unknown_argument(attribute: &Attribute, known: &[&str]) -> Diagnostic {
    let d = Diagnostic::error("Unsupported argument")
        .detail(format!("An argument named {:?} is not expected here.", attribute.name))
        .at(attribute.name_span.clone());
    d.hint(name_hint(&attribute.name, known).unwrap_or_else(|| "nothing can be set here: remove it".to_owned()))
}

/// The complaint about a block that does not exist.
fn unknown_block(block: &Block, known: &[&str]) -> Diagnostic {
    let d = Diagnostic::error("Unsupported block type")
        .detail(format!("Blocks of type {:?} are not expected here.", block.kind))
        .at(block.header.clone());
    d.hint(name_hint(&block.kind, known).unwrap_or_else(|| "no blocks can stand here: remove it".to_owned()))
}

/// The complaint about an argument that is not there.
fn missing_argument(name: &str, header: &Span) -> Diagnostic {
    Diagnostic::error("Missing required argument")
        .detail(format!("The argument {name:?} is required, but no definition was found."))
        .at(header.clone())
}

/// The complaint about a value of the wrong type.
fn unsuitable(attribute: &Attribute, why: &str) -> Diagnostic {
    Diagnostic::error("Unsuitable value type")
        .detail(format!("Unsuitable value for {:?}: {why}.", attribute.name))
        .at(attribute.expr.span())
}
