//! From the template to builds that can run: every selected source with its builder, provisioners and post-processors made
//! once, so that whatever is wrong with them is known beforehand.

use crate::registry::{self, Component};
use crate::template::body;
use crate::template::build::{Build, SourceUse, Step};
use crate::template::select::Selection;
use crate::template::syntax::{Content, Expr};
use crate::template::{Settings, Template};
use image_action_engine::PrepareContext;
use image_action_engine::config::UNKNOWN_TEXT;
use image_action_engine::config::check::{deprecated, sensitive_texts, unsupported};
use image_action_engine::run::{PlannedBuild, PostProcessorStep, Prepare, ProvisionerStep};
use image_action_engine::{Facts, PostProcessor, Provisioner};
use image_action_lang::{Diagnostic, Diagnostics, Scope, Span, Value};
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

/// The builds that were selected and are right, in the order of the template, and everything that was found.
pub fn plan(template: &Template, selection: &Selection, settings: &Settings) -> (Vec<PlannedBuild>, Diagnostics) {
    let mut diags = Diagnostics::new();
    let mut planned = Vec::new();
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
            let ready = planner.plan(selection, &mut found);
            found.extend(planner.cx.warnings.take());
            let failed = found.has_errors();
            merge(&mut diags, found);
            planned.extend(ready.filter(|_| !failed));
        }
    }
    let warnings = selection.warnings(&names, &post_processors);
    warnings.into_iter().for_each(|w| diags.push(w));
    (planned, diags)
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

    fn plan(&self, selection: &Selection, diags: &mut Diagnostics) -> Option<PlannedBuild> {
        let component = registry::find(registry::BUILDERS, &self.source.kind, &self.template.plugins)?;
        let schema = (component.schema)();
        let content = self.source_content(&body::labels_of(&schema, true), diags);
        let header = self.template.source_span(self.source).unwrap_or_else(|| self.source.span.clone());
        let recipe = self.recipe(component, content, header, Arc::new([]));
        let (builder, found) = recipe.make(None);
        diags.extend(found);
        let mut fact_names: Vec<String> = COMMON_FACTS.iter().map(|n| (*n).to_owned()).collect();
        if let Some(builder) = &builder {
            fact_names.extend(builder.fact_names().iter().map(|n| (*n).to_owned()));
        }
        let facts: Arc<[String]> = fact_names.into();
        let mine = |step: &&Step| step.is_for(self.source);
        let provisioners: Vec<_> =
            self.build.provisioners.iter().filter(mine).filter_map(|s| self.provisioner(s, &facts, diags)).collect();
        let mut chains = Vec::new();
        for chain in &self.build.chains {
            let kept = chain.iter().take_while(|s| !selection.cuts(label(s)));
            let chain: Vec<_> = kept.filter(mine).filter_map(|s| self.post_processor(s, &facts, diags)).collect();
            if !chain.is_empty() {
                chains.push(chain);
            }
        }
        let cleanup = self.build.error_cleanup.iter().find(mine);
        let error_cleanup = cleanup.and_then(|s| self.provisioner(s, &facts, diags));
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

    /// The recipe of a step, tried once with nothing known; and how it is made when its turn comes.
    fn step<T: ?Sized + 'static>(
        &self,
        components: &'static [Component<T>],
        step: &Step,
        facts: &Arc<[String]>,
        diags: &mut Diagnostics,
    ) -> Option<Prepare<T>> {
        let component = registry::find(components, &step.kind, &self.template.plugins)?;
        let mut recipe = self.recipe(component, step.content.clone(), step.header.clone(), facts.clone());
        recipe.frame = step.frame.clone();
        recipe.over = step.overrides.as_ref().and_then(|(value, expr)| {
            let own = value.entries()?.get(&self.source.local_name)?.clone();
            Some((own.tainted(value.is_sensitive()), expr.clone()))
        });
        let (_, found) = recipe.make(None);
        diags.extend(found);
        Some(Arc::new(move |facts: &Facts| match recipe.make(Some(facts)) {
            (Some(made), _) => Ok(made),
            (None, diags) => Err(diags),
        }))
    }

    fn provisioner(&self, step: &Step, facts: &Arc<[String]>, diags: &mut Diagnostics) -> Option<ProvisionerStep> {
        let prepare: Prepare<dyn Provisioner> = self.step(registry::PROVISIONERS, step, facts, diags)?;
        Some(ProvisionerStep {
            kind: step.kind.to_string(),
            name: step.name.clone(),
            pause_before: step.pause_before,
            timeout: step.timeout,
            max_retries: step.max_retries,
            continue_on_error: step.continue_on_error,
            prepare,
        })
    }

    fn post_processor(&self, step: &Step, facts: &Arc<[String]>, diags: &mut Diagnostics) -> Option<PostProcessorStep> {
        let prepare: Prepare<dyn PostProcessor> = self.step(registry::POST_PROCESSORS, step, facts, diags)?;
        Some(PostProcessorStep {
            kind: step.kind.to_string(),
            name: step.name.clone(),
            keep_input_artifact: step.keep_input_artifact,
            prepare,
        })
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
    /// Makes it with the facts of a machine that runs, or with none. Of a component with errors there is nothing.
    fn make(&self, facts: Option<&Facts>) -> (Option<Box<T>>, Diagnostics) {
        let mut diags = Diagnostics::new();
        let scope = self.scope.with("build", self.build_object(facts)).child(self.frame.iter().cloned());
        let schema = (self.component.schema)();
        let block = body::evaluate(&self.content, &self.header, &schema, &scope, true, &mut diags);
        let change = |block: &mut _, diags: &mut Diagnostics| {
            if let Some((over, expr)) = &self.over {
                body::overlay(block, &schema, over, expr, diags);
            }
        };
        let block = body::finish(block, &schema, &self.cx.functions(), change, &mut diags);
        self.settings.secrets.add(&sensitive_texts(&block, &schema));
        if facts.is_none() {
            diags.extend(deprecated(&block, &schema));
        }
        if !self.cx.validating {
            diags.extend(unsupported(&block, &schema));
        }
        // With a part left out the component would complain about what is there.
        if diags.has_errors() {
            return (None, diags);
        }
        match (self.component.make)(&self.cx, &block) {
            Ok(made) => (Some(made), diags),
            Err(more) => {
                diags.extend(more);
                (None, diags)
            }
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
