//! From the template to builds that can run: every selected source with its builder, provisioners and post-processors made
//! once, so that whatever is wrong with them is known beforehand. What they were made from is handed out too, for those who
//! look at a template without running it.

use crate::registry::{self, Component};
use crate::template::body;
use crate::template::build::{Build, SourceUse, Step};
use crate::template::packer_block;
use crate::template::select::Selection;
use crate::template::stranger;
use crate::template::syntax::{Content, Expr};
use crate::template::{Settings, Template};
use image_action_engine::PrepareContext;
use image_action_engine::config::check::{MISSING, deprecated, sensitive_texts, unsupported};
use image_action_engine::config::{Block, Schema, UNKNOWN_TEXT};
use image_action_engine::run::{PlannedBuild, PostProcessorStep, Prepare, ProvisionerStep};
use image_action_engine::{Facts, PostProcessor, Provisioner};
use image_action_lang::{Diagnostic, Diagnostics, Scope, Severity, Span, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The names of `build` that every build has.
const COMMON_FACTS: [&str; 13] = [
    "ConnType",
    "Host",
    "ID",
    "PackerHTTPAddr",
    "PackerHTTPIP",
    "PackerHTTPPort",
    "PackerRunUUID",
    "Password",
    "Port",
    "SSHPrivateKey",
    "SSHPublicKey",
    "User",
    "WinRMPassword",
];

/// What stands in for a fact that a builder does not give, as Packer has it; others are empty.
const NOT_GIVEN: [(&str, &str); 4] = [
    ("ID", "ERR_ID_NOT_IMPLEMENTED_BY_BUILDER"),
    ("PackerHTTPAddr", "ERR_HTTP_ADDR_NOT_IMPLEMENTED_BY_BUILDER"),
    ("PackerHTTPIP", "ERR_HTTP_IP_NOT_IMPLEMENTED_BY_BUILDER"),
    ("PackerHTTPPort", "ERR_HTTP_PORT_NOT_IMPLEMENTED_BY_BUILDER"),
];

/// A component of a build: as it is written, and as it was understood.
pub struct Part<'a> {
    /// Its own name (`amazon-ebs`), whatever the template calls it.
    pub component: &'static str,
    /// Its options.
    pub schema: fn() -> &'static Schema,
    /// The header of its block.
    pub header: Span,
    /// Its body, not evaluated; of a source with what the build adds to it.
    pub content: Content,
    /// Its body, evaluated and checked, its Go templates rendered. Facts of the machine read [`UNKNOWN_TEXT`].
    pub block: Block,
    /// What the build says about it, of a provisioner or post-processor.
    pub step: Option<&'a Step>,
}

/// What a selected build is made from. What is wrong in itself is left out.
pub struct BuildParts<'a> {
    /// The whole name of the build, `[BUILD.]TYPE.NAME`.
    pub name: String,
    /// The build block.
    pub build: &'a Build,
    /// The source, as the build uses it.
    pub used: &'a SourceUse,
    /// The builder.
    pub source: Option<Part<'a>>,
    /// In order.
    pub provisioners: Vec<Part<'a>>,
    /// What runs after a failure.
    pub error_cleanup: Option<Part<'a>>,
    /// Chains of post-processors.
    pub chains: Vec<Vec<Part<'a>>>,
}

/// What comes of planning.
pub struct Planned<'a> {
    /// The builds that were selected and are right, in the order of the template.
    pub builds: Vec<PlannedBuild>,
    /// What all selected builds are made from.
    pub parts: Vec<BuildParts<'a>>,
    /// Everything that was found.
    pub diagnostics: Diagnostics,
}

/// Makes every component of the selected builds.
pub fn plan<'a>(template: &'a Template, selection: &Selection, settings: &'a Settings) -> Planned<'a> {
    let mut diags = Diagnostics::new();
    let mut planned = Vec::new();
    let mut all_parts = Vec::new();
    let mut names = Vec::new();
    let mut post_processors = Vec::new();
    for build in &template.builds {
        post_processors.extend(build.chains.iter().flatten().map(|s| label(s).to_owned()));
        for source in &build.uses {
            let name = build_name(build, source);
            names.push(name.clone());
            if !selection.takes(&name) {
                continue;
            }
            let planner = Planner::new(template, build, source, settings);
            let mut found = Diagnostics::new();
            let mut parts = BuildParts {
                name,
                build,
                used: source,
                source: None,
                provisioners: Vec::new(),
                error_cleanup: None,
                chains: Vec::new(),
            };
            let ready = planner.plan(selection, &mut parts, &mut found);
            found.extend(planner.cx.warnings.take());
            let failed = found.has_errors();
            merge(&mut diags, found);
            planned.extend(ready.filter(|_| !failed));
            all_parts.push(parts);
        }
    }
    let warnings = selection.warnings(&names, &post_processors);
    warnings.into_iter().for_each(|w| diags.push(w));
    Planned { builds: planned, parts: all_parts, diagnostics: diags }
}

/// The name of every build, selected or not.
pub fn build_names(template: &Template) -> Vec<String> {
    template.builds.iter().flat_map(|b| b.uses.iter().map(move |s| build_name(b, s))).collect()
}

fn build_name(build: &Build, source: &SourceUse) -> String {
    let prefix = if build.name.is_empty() { String::new() } else { format!("{}.", build.name) };
    format!("{prefix}{}.{}", source.kind, source.local_name)
}

fn label(step: &Step) -> &str {
    if step.name.is_empty() { &step.kind } else { &step.name }
}

/// Adds what is not there yet: one mistake in a provisioner of three builds is one mistake.
fn merge(all: &mut Diagnostics, more: Diagnostics) {
    for d in more {
        if !all.iter().any(|known| *known == d) {
            all.push(d);
        }
    }
}

struct Planner<'a> {
    template: &'a Template,
    build: &'a Build,
    source: &'a SourceUse,
    settings: &'a Settings,
    cx: PrepareContext,
    /// Everything but `build`.
    scope: Scope,
}

impl<'a> Planner<'a> {
    fn new(template: &'a Template, build: &'a Build, source: &'a SourceUse, settings: &'a Settings) -> Planner<'a> {
        let cx = PrepareContext {
            name: build_name(build, source),
            build_name: build.name.clone(),
            source_type: source.kind.to_string(),
            source_name: source.name.to_string(),
            local_name: source.local_name.to_string(),
            ..settings.prepare_context()
        };
        let own = BTreeMap::from([
            (Arc::from("type"), Value::string(&source.kind)),
            (Arc::from("name"), Value::string(&source.local_name)),
        ]);
        let scope = template.scope.with("source", Value::object(own));
        Planner { template, build, source, settings, cx, scope }
    }

    fn plan(&self, selection: &Selection, parts: &mut BuildParts<'a>, diags: &mut Diagnostics) -> Option<PlannedBuild> {
        let component = packer_block::find(registry::BUILDERS, &self.source.kind, &self.template.plugins)?;
        let schema = (component.schema)();
        let content = self.source_content(&body::labels_of(schema, true), diags);
        let header = self.template.source_span(self.source).unwrap_or_else(|| self.source.span.clone());
        let recipe = self.recipe(component, content, header, Arc::new([]));
        let (builder, block) = recipe.try_out(diags);
        parts.source = block.map(|block| recipe.part(block, None));
        let mut fact_names: Vec<String> = COMMON_FACTS.iter().map(|n| (*n).to_owned()).collect();
        if let Some(builder) = &builder {
            fact_names.extend(builder.fact_names().iter().map(|n| (*n).to_owned()));
        }
        let facts: Arc<[String]> = fact_names.into();
        let mine = |step: &&Step| step.is_for(self.source);
        let mut provisioners = Vec::new();
        for step in self.build.provisioners.iter().filter(mine) {
            let (provisioner, part) = self.provisioner(step, &facts, diags);
            provisioners.extend(provisioner);
            parts.provisioners.extend(part);
        }
        let mut chains = Vec::new();
        for chain in &self.build.chains {
            let kept = chain.iter().take_while(|s| !selection.cuts(label(s)));
            let (mut steps, mut its_parts) = (Vec::new(), Vec::new());
            for step in kept.filter(mine) {
                let (post_processor, part) = self.post_processor(step, &facts, diags);
                steps.extend(post_processor);
                its_parts.extend(part);
            }
            parts.chains.push(its_parts);
            if !steps.is_empty() {
                chains.push(steps);
            }
        }
        let mut error_cleanup = None;
        if let Some(step) = self.build.error_cleanup.iter().find(mine) {
            (error_cleanup, parts.error_cleanup) = self.provisioner(step, &facts, diags);
        }
        Some(PlannedBuild {
            name: self.cx.name.clone(),
            build_name: self.build.name.clone(),
            source_type: self.cx.source_type.clone(),
            source_name: self.cx.source_name.clone(),
            local_name: self.cx.local_name.clone(),
            builder: builder?,
            provisioners,
            error_cleanup,
            chains,
        })
    }

    /// The body of the source block and what the build adds to it.
    fn source_content(&self, labels_of: &dyn Fn(&str) -> Option<usize>, diags: &mut Diagnostics) -> Content {
        let mut content = match self.template.source_body(self.source) {
            Some(body) => body.content(labels_of, diags),
            None => Content::default(),
        };
        let Some(nested) = &self.source.nested else { return content };
        let mut more = nested.body.content(labels_of, diags);
        more.take("name");
        for attribute in more.attributes {
            match content.attribute(&attribute.name) {
                Some(first) => diags.push(
                    Diagnostic::error("Duplicate argument")
                        .detail(format!(
                            "The source block itself sets {:?}, in {}; a build can add options and not change them.",
                            attribute.name, first.name_span.file
                        ))
                        .at(attribute.name_span)
                        .hint("remove it from the source block, and set it in every build"),
                ),
                None => content.attributes.push(attribute),
            }
        }
        for mut block in more.blocks {
            block.frame = nested.frame.iter().cloned().chain(block.frame).collect();
            content.blocks.push(block);
        }
        content
    }

    fn recipe<T: ?Sized>(
        &self,
        component: &'static Component<T>,
        content: Content,
        header: Span,
        facts: Arc<[String]>,
    ) -> Recipe<T> {
        Recipe {
            component,
            content,
            header,
            frame: Vec::new(),
            over: None,
            scope: self.scope.clone(),
            build_name: self.build.name.clone(),
            facts,
            cx: self.cx.clone(),
            settings: self.settings.clone(),
        }
    }

    /// How a step is made when its turn comes, and what it is made from; tried once with nothing known.
    fn step<T: ?Sized + 'static>(
        &self,
        components: &'static [Component<T>],
        step: &'a Step,
        facts: &Arc<[String]>,
        diags: &mut Diagnostics,
    ) -> Option<(Prepare<T>, Option<Part<'a>>)> {
        let component = packer_block::find(components, &step.kind, &self.template.plugins)?;
        let mut recipe = self.recipe(component, step.content.clone(), step.header.clone(), facts.clone());
        recipe.frame = step.frame.clone();
        recipe.over = step.overrides.as_ref().and_then(|(value, expr)| {
            let own = value.entries()?.get(&self.source.local_name)?.clone();
            Some((own.tainted(value.is_sensitive()), expr.clone()))
        });
        let (_, block) = recipe.try_out(diags);
        let part = block.map(|block| recipe.part(block, Some(step)));
        let prepare: Prepare<T> = Arc::new(move |facts: &Facts| match recipe.make(facts) {
            (Some(made), _) => Ok(made),
            (None, diags) => Err(diags),
        });
        Some((prepare, part))
    }

    fn provisioner(
        &self,
        step: &'a Step,
        facts: &Arc<[String]>,
        diags: &mut Diagnostics,
    ) -> (Option<ProvisionerStep>, Option<Part<'a>>) {
        let Some((prepare, part)) = self.step::<dyn Provisioner>(registry::PROVISIONERS, step, facts, diags) else {
            return (None, None);
        };
        let made = ProvisionerStep {
            kind: step.kind.to_string(),
            name: step.name.clone(),
            pause_before: step.pause_before,
            timeout: step.timeout,
            max_retries: step.max_retries,
            continue_on_error: step.continue_on_error,
            prepare,
        };
        (Some(made), part)
    }

    fn post_processor(
        &self,
        step: &'a Step,
        facts: &Arc<[String]>,
        diags: &mut Diagnostics,
    ) -> (Option<PostProcessorStep>, Option<Part<'a>>) {
        let found = self.step::<dyn PostProcessor>(registry::POST_PROCESSORS, step, facts, diags);
        let Some((prepare, part)) = found else { return (None, None) };
        let made = PostProcessorStep {
            kind: step.kind.to_string(),
            name: step.name.clone(),
            keep_input_artifact: step.keep_input_artifact,
            prepare,
        };
        (Some(made), part)
    }
}

/// How a component of one build is made out of its body, as often as needed.
struct Recipe<T: ?Sized + 'static> {
    component: &'static Component<T>,
    content: Content,
    header: Span,
    frame: Vec<(Arc<str>, Value)>,
    /// What `override` says for this source.
    over: Option<(Value, Expr)>,
    /// Everything but `build`.
    scope: Scope,
    build_name: String,
    /// The names that `build` has besides `name`.
    facts: Arc<[String]>,
    cx: PrepareContext,
    settings: Settings,
}

impl<T: ?Sized> Recipe<T> {
    /// Its body, evaluated and checked, with the facts of a machine that runs, or with none.
    fn body(&self, facts: Option<&Facts>) -> (Block, Diagnostics) {
        let mut diags = Diagnostics::new();
        let scope = self.scope.with("build", self.build_object(facts)).child(self.frame.iter().cloned());
        let schema = (self.component.schema)();
        let block = body::evaluate(&self.content, &self.header, schema, &scope, true, &mut diags);
        let change = |block: &mut _, diags: &mut Diagnostics| {
            if let Some((over, expr)) = &self.over {
                body::overlay(block, schema, over, expr, diags);
            }
        };
        let block = body::finish(block, schema, &self.cx.functions(), change, &mut diags);
        self.settings.secrets.add(&sensitive_texts(&block, schema));
        if facts.is_none() {
            diags.extend(deprecated(&block, schema));
        }
        (block, diags)
    }

    /// Makes it from its body. Of a component with errors there is nothing.
    fn make_from(&self, block: &Block, diags: &mut Diagnostics) -> Option<Box<T>> {
        if !self.cx.validating {
            diags.extend(unsupported(block, (self.component.schema)()));
        }
        // With a part left out the component would complain about what is there.
        if diags.iter().any(|d| d.severity == Severity::Error && d.summary != MISSING) {
            return None;
        }
        let forbidden = stranger::check(self.component.name, block, &self.cx);
        if forbidden.has_errors() {
            diags.extend(forbidden);
            return None;
        }
        // What was never there leaves nothing out: the rest is complained about in the same run, each of it once.
        let schema = (self.component.schema)();
        let required = schema.fields.iter().filter(|f| f.required).map(|f| f.name);
        let absent: Vec<&str> = required.filter(|name| !block.is_set(name)).collect();
        match (self.component.make)(&self.cx, block) {
            Ok(made) => Some(made).filter(|_| !diags.has_errors()),
            Err(more) => {
                let said_already = |d: &Diagnostic| absent.iter().any(|name| d.summary.contains(name));
                more.into_iter().filter(|d| !said_already(d)).for_each(|d| diags.push(d));
                None
            }
        }
    }

    /// Makes it with the facts of a machine that runs.
    fn make(&self, facts: &Facts) -> (Option<Box<T>>, Diagnostics) {
        let (block, mut diags) = self.body(Some(facts));
        (self.make_from(&block, &mut diags), diags)
    }

    /// Makes it with no facts, before anything runs; also its body, where that is right in itself.
    fn try_out(&self, all: &mut Diagnostics) -> (Option<Box<T>>, Option<Block>) {
        let (block, mut diags) = self.body(None);
        let sound = !diags.has_errors();
        let made = self.make_from(&block, &mut diags);
        all.extend(diags);
        (made, sound.then_some(block))
    }

    fn part<'a>(&self, block: Block, step: Option<&'a Step>) -> Part<'a> {
        Part {
            component: self.component.name,
            schema: self.component.schema,
            header: self.header.clone(),
            content: self.content.clone(),
            block,
            step,
        }
    }

    /// The object `build`.
    fn build_object(&self, facts: Option<&Facts>) -> Value {
        let mut all: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        for name in self.facts.iter() {
            let stand_in = match facts {
                None => UNKNOWN_TEXT,
                Some(_) => NOT_GIVEN.iter().find(|(n, _)| n == name).map_or("", |(_, text)| text),
            };
            all.insert(Arc::from(name.as_str()), Value::string(stand_in));
        }
        if let Some(facts) = facts {
            all.extend(facts.iter().map(|(name, value)| (Arc::from(name.as_str()), value.clone())));
            all.insert(Arc::from("PackerRunUUID"), Value::string(&self.cx.run_id));
        }
        // A builder may use the name, and no builder has a member of the block.
        if !self.facts.is_empty() {
            all.insert(Arc::from("name"), Value::string(&self.build_name));
        }
        Value::object(all)
    }
}
