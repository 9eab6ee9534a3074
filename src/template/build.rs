//! `source` and `build` blocks: what is built, and the steps on the way.

use crate::registry;
use crate::template::dynamic;
use crate::template::packer_block::{self, RequiredPlugin};
use crate::template::syntax::{Attribute, Block, Content, Expr, is_identifier};
use crate::template::variables::duplicate;
use image_action_engine::config::Schema;
use image_action_lang::diag::suggest;
use image_action_lang::{Diagnostic, Diagnostics, Scope, Span, Type, Value, convert};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

/// A `source` block.
pub struct Source {
    /// `amazon-ebs`
    pub kind: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its body is looked at where a build uses it.
    pub block: Block,
}

/// A `build` block.
pub struct Build {
    /// Its name, or empty.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its header.
    pub span: Span,
    /// What it builds.
    pub uses: Vec<SourceUse>,
    /// In order.
    pub provisioners: Vec<Step>,
    /// Runs after a failure.
    pub error_cleanup: Option<Step>,
    /// Chains of post-processors.
    pub chains: Vec<Vec<Step>>,
}

/// A source, as a build uses it.
pub struct SourceUse {
    /// `amazon-ebs`
    pub kind: Arc<str>,
    /// The name of the source block.
    pub name: Arc<str>,
    /// Another name for it in this build, or the same.
    pub local_name: Arc<str>,
    /// More options for it.
    pub nested: Option<Block>,
    /// Where it is referred to.
    pub span: Span,
}

impl SourceUse {
    /// What `only` and `except` of steps name.
    pub fn reference(&self) -> String {
        format!("{}.{}", self.kind, self.local_name)
    }
}

/// A provisioner or a post-processor.
pub struct Step {
    /// `shell`
    pub kind: Arc<str>,
    /// Its name, or empty.
    pub name: String,
    /// The place of its header.
    pub header: Span,
    /// Iterators of the `dynamic` block that made it.
    pub frame: Vec<(Arc<str>, Value)>,
    /// Its own options, the common ones taken out.
    pub content: Content,
    /// Whether it is for one source, by the source's reference.
    only: Vec<String>,
    except: Vec<String>,
    /// `only` and `except`, as they are written.
    selects: [Option<Expr>; 2],
    /// A pause before every attempt.
    pub pause_before: Duration,
    /// The bound of one attempt.
    pub timeout: Duration,
    /// Attempts after the first.
    pub max_retries: u32,
    /// Whether a failure is only told.
    pub continue_on_error: bool,
    /// Other values for some sources, by the source's name in this build.
    pub overrides: Option<(Value, Expr)>,
    /// What is said of the artifact that it is given.
    pub keep_input_artifact: Option<bool>,
    /// As it is written.
    pub keep_input_written: Option<Attribute>,
}

impl Step {
    /// `only` and `except`, where they are set: what they name, and as they are written.
    pub fn selects(&self) -> impl Iterator<Item = (&[String], &Expr)> {
        let lists = [&self.only, &self.except].into_iter().zip(&self.selects);
        lists.filter_map(|(list, expr)| Some((list.as_slice(), expr.as_ref()?)))
    }

    /// Whether it is a step of the build of this source.
    pub fn is_for(&self, source: &SourceUse) -> bool {
        let reference = source.reference();
        if self.only.is_empty() { !self.except.contains(&reference) } else { self.only.contains(&reference) }
    }
}

/// Reads the headers of `source` blocks.
pub fn sources(blocks: &[&Block], diags: &mut Diagnostics) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    let mut known = HashMap::new();
    for block in blocks {
        if !block.check_labels(&["type", "name"], diags) {
            continue;
        }
        let source = Source { kind: block.label(0).into(), name: block.label(1).into(), block: (*block).clone() };
        match known.entry((source.kind.clone(), source.name.clone())) {
            Entry::Occupied(first) => {
                let name = format!("{}.{}", source.kind, source.name);
                diags.push(duplicate("source block", &name, &block.header, first.get()));
            }
            Entry::Vacant(place) => {
                place.insert(block.header.clone());
                sources.push(source);
            }
        }
    }
    sources
}

const ARGUMENTS: [&str; 3] = ["name", "description", "sources"];
const BLOCKS: [&str; 6] =
    ["source", "provisioner", "error-cleanup-provisioner", "post-processor", "post-processors", "hcp_packer_registry"];

fn labels_of(name: &str) -> Option<usize> {
    match name {
        "source" | "provisioner" | "error-cleanup-provisioner" | "post-processor" | "from" => Some(1),
        "post-processors" | "hcp_packer_registry" => Some(0),
        _ => None,
    }
}

/// What a build is decoded with.
pub struct Decoder<'a> {
    /// Variables, locals, data, path, packer.
    pub scope: &'a Scope,
    /// Every source of the template.
    pub sources: &'a [Source],
    /// The names that components are called by.
    pub plugins: &'a [RequiredPlugin],
}

impl Decoder<'_> {
    /// Decodes one `build` block; `hcp_packer_registry` blocks in it are handed back.
    pub fn build(&self, block: &Block, diags: &mut Diagnostics) -> Option<(Build, Vec<Block>)> {
        if !block.check_labels(&[], diags) {
            return None;
        }
        let with_dynamic = |n: &str| labels_of(n).or((n == "dynamic").then_some(1));
        let mut content = block.body.content(&with_dynamic, diags);
        let blocks = std::mem::take(&mut content.blocks);
        for attribute in content.attributes.iter().filter(|a| !ARGUMENTS.contains(&&*a.name)) {
            diags.push(super::unknown_argument(attribute, &ARGUMENTS));
        }
        let text = |name: &str, diags: &mut Diagnostics| {
            content.attribute(name).and_then(|a| text(a, self.scope, diags)).unwrap_or_default()
        };
        let name = text("name", diags);
        let mut build = Build {
            description: text("description", diags),
            span: block.header.clone(),
            uses: Vec::new(),
            provisioners: Vec::new(),
            error_cleanup: None,
            chains: Vec::new(),
            name,
        };
        let listed = content.attribute("sources");
        if let Some(attribute) = listed {
            self.listed_sources(attribute, &mut build, diags);
        }
        let mut registries = Vec::new();
        let scope = self.scope.with("build", build_object(&build.name));
        let mut nested = false;
        for inner in dynamic::expand(blocks, &labels_of, self.scope, diags) {
            nested |= &*inner.kind == "source";
            self.member(inner, &scope, &mut build, &mut registries, diags);
        }
        let empty = listed.is_none_or(|a| a.expr.elements().is_some_and(|e| e.is_empty()));
        if empty && !nested {
            diags.push(
                Diagnostic::error("missing source reference")
                    .detail("A build names what it builds.")
                    .at(block.header.clone())
                    .hint("write sources = [\"source.TYPE.NAME\"]"),
            );
        }
        Some((build, registries))
    }

    fn member(
        &self,
        block: Block,
        scope: &Scope,
        build: &mut Build,
        registries: &mut Vec<Block>,
        diags: &mut Diagnostics,
    ) {
        match &*block.kind {
            "source" => build.uses.extend(self.nested_source(block, diags)),
            "provisioner" => build.provisioners.extend(self.provisioner(&block, scope, diags)),
            "error-cleanup-provisioner" if build.error_cleanup.is_some() => diags.push(
                Diagnostic::error("Only one error-cleanup-provisioner is allowed")
                    .detail("This build has one already.")
                    .at(block.header),
            ),
            "error-cleanup-provisioner" => build.error_cleanup = self.provisioner(&block, scope, diags),
            "post-processor" => build.chains.extend(self.post_processor(&block, scope, diags).map(|p| vec![p])),
            "post-processors" => {
                let with_dynamic = |n: &str| matches!(n, "post-processor" | "dynamic").then_some(1);
                let content = block.body.content(&with_dynamic, diags);
                content.attributes.iter().for_each(|a| diags.push(super::unknown_argument(a, &[])));
                let only = |n: &str| (n == "post-processor").then_some(1);
                let mut chain = Vec::new();
                for inner in dynamic::expand(content.blocks, &only, &self.scope.child(block.frame.clone()), diags) {
                    if &*inner.kind == "post-processor" {
                        chain.extend(self.post_processor(&inner, scope, diags));
                    } else {
                        diags.push(super::unknown_block(&inner, &["post-processor"]));
                    }
                }
                if !chain.is_empty() {
                    build.chains.push(chain);
                }
            }
            "hcp_packer_registry" => registries.push(block),
            // Left over from an older Packer, which still takes it.
            "from" => {}
            _ => diags.push(super::unknown_block(&block, &BLOCKS)),
        }
    }

    fn listed_sources(&self, attribute: &Attribute, build: &mut Build, diags: &mut Diagnostics) {
        let before = diags.len();
        let value = attribute.expr.eval(self.scope, diags);
        if diags.len() > before {
            return;
        }
        let list = match convert(&value, &Type::list(Type::String)) {
            Ok(list) if list.is_wholly_known() => list,
            Ok(_) => return diags.push(super::unsuitable(attribute, "the sources must be known before anything runs")),
            Err(e) => return diags.push(super::unsuitable(attribute, &e.to_string())),
        };
        let places = attribute.expr.elements().unwrap_or_default();
        for (n, element) in list.elements().unwrap_or_default().iter().enumerate() {
            let span = places.get(n).map_or_else(|| attribute.expr.span(), Expr::span);
            let Some((kind, name)) = self.reference(element.as_str().unwrap_or_default(), &span, diags) else {
                continue;
            };
            build.uses.push(SourceUse { kind, local_name: name.clone(), name, nested: None, span });
        }
    }

    fn nested_source(&self, block: Block, diags: &mut Diagnostics) -> Option<SourceUse> {
        if !block.check_labels(&["reference"], diags) {
            return None;
        }
        let span = block.label_span(0);
        let (kind, name) = self.reference(block.label(0), &span, diags)?;
        // Blocks do not matter for the name.
        let content = block.body.content(&|_| None, &mut Diagnostics::new());
        let local_name = content.attribute("name").and_then(|a| {
            // A constant; only the iterator of a dynamic block may be used.
            let before = diags.len();
            let value = if block.frame.is_empty() {
                a.expr.constant(diags)
            } else {
                a.expr.eval(&self.scope.without_variables().child(block.frame.clone()), diags)
            };
            if diags.len() > before { None } else { as_text(a, &value, diags) }
        });
        let local_name = local_name.filter(|n| !n.is_empty()).map_or_else(|| name.clone(), Arc::from);
        Some(SourceUse { kind, name, local_name, nested: Some(block), span })
    }

    /// `[ANYTHING.]TYPE.NAME`, of a source that exists and a type that is known.
    fn reference(&self, text: &str, span: &Span, diags: &mut Diagnostics) -> Option<(Arc<str>, Arc<str>)> {
        let mut parts: Vec<&str> = text.split('.').collect();
        if parts.len() > 2 {
            parts.remove(0);
        }
        let (kind, name) = match parts.as_slice() {
            [kind, name, ..] if is_identifier(kind) && is_identifier(name) => (*kind, *name),
            _ => {
                diags.push(
                    Diagnostic::error("Invalid source reference")
                        .detail(format!("{text:?} does not name a source."))
                        .at(span.clone())
                        .hint("write \"source.TYPE.NAME\""),
                );
                return None;
            }
        };
        let exists = self.sources.iter().any(|s| &*s.name == name && &*s.kind == kind);
        if !exists {
            let known: Vec<String> = self.sources.iter().map(|s| format!("{}.{}", s.kind, s.name)).collect();
            let wanted = format!("{kind}.{name}");
            let d = Diagnostic::error(format!("Unknown source {wanted}")).at(span.clone());
            diags.push(match suggest(&wanted, known.iter().map(String::as_str)) {
                Some(near) => d.detail("There is no such source block.").hint(format!("did you mean {near:?}?")),
                None if known.is_empty() => d
                    .detail("The template has no source block.")
                    .hint(format!("write source \"{kind}\" \"{name}\" {{ … }}, and keep it beside this file")),
                None => d.detail("There is no such source block.").hint(format!("there are: {}", known.join(", "))),
            });
        }
        if packer_block::find(registry::BUILDERS, kind, self.plugins).is_none() {
            let place = self.sources.iter().find(|s| &*s.kind == kind && &*s.name == name);
            let place = place.map_or_else(|| span.clone(), |s| s.block.label_span(0));
            diags.push(unknown_type("source", kind, &registry::names(registry::BUILDERS), place));
            return None;
        }
        exists.then(|| (Arc::from(kind), Arc::from(name)))
    }

    fn provisioner(&self, block: &Block, scope: &Scope, diags: &mut Diagnostics) -> Option<Step> {
        if !block.check_labels(&["type"], diags) {
            return None;
        }
        let kind = block.label(0);
        let Some(component) = packer_block::find(registry::PROVISIONERS, kind, self.plugins) else {
            let names = registry::names(registry::PROVISIONERS);
            diags.push(unknown_type(&block.kind, kind, &names, block.label_span(0)));
            return None;
        };
        let mut step = step(block, (component.schema)(), scope, diags)?;
        let scope = &scope.child(block.frame.iter().cloned());
        step.pause_before = duration(&mut step.content, "pause_before", scope, diags);
        step.timeout = duration(&mut step.content, "timeout", scope, diags);
        if let Some(attribute) = step.content.take("max_retries") {
            let value = typed(&attribute, &Type::Number, scope, diags);
            let number = value.as_ref().and_then(Value::as_number).and_then(image_action_lang::Number::as_i64);
            match number.map(u32::try_from) {
                Some(Ok(n)) => step.max_retries = n,
                // Packer takes a negative number for none.
                Some(Err(_)) => {}
                None if value.is_some() => diags.push(super::unsuitable(&attribute, "a whole number is required")),
                None => {}
            }
        }
        let goes_on = step.content.take("continue_on_error");
        step.continue_on_error =
            goes_on.and_then(|a| typed(&a, &Type::Bool, scope, diags)).and_then(|v| v.as_bool()) == Some(true);
        if let Some(attribute) = step.content.take("override") {
            let value = attribute.expr.eval(scope, diags);
            if override_is_well_formed(&attribute, &value, diags) {
                step.overrides = Some((value, attribute.expr));
            }
        }
        Some(step)
    }

    fn post_processor(&self, block: &Block, scope: &Scope, diags: &mut Diagnostics) -> Option<Step> {
        if !block.check_labels(&["type"], diags) {
            return None;
        }
        let kind = block.label(0);
        let Some(component) = packer_block::find(registry::POST_PROCESSORS, kind, self.plugins) else {
            let names = registry::names(registry::POST_PROCESSORS);
            diags.push(unknown_type("post-processor", kind, &names, block.label_span(0)));
            return None;
        };
        let mut step = step(block, (component.schema)(), scope, diags)?;
        let scope = &scope.child(block.frame.iter().cloned());
        let keep = step.content.take("keep_input_artifact");
        step.keep_input_written = keep.clone();
        step.keep_input_artifact = keep.and_then(|a| typed(&a, &Type::Bool, scope, diags)).and_then(|v| v.as_bool());
        Some(step)
    }
}

/// `build` where nothing but its name is known yet.
fn build_object(name: &str) -> Value {
    Value::object(std::collections::BTreeMap::from([(Arc::from("name"), Value::string(name))]))
}

/// The complaint about a component that does not exist here.
pub fn unknown_type(what: &str, kind: &str, known: &[&'static str], span: Span) -> Diagnostic {
    let quoted = if matches!(what, "source" | "data source") { kind.to_owned() } else { format!("{kind:?}") };
    let word = if what == "data source" { "Unknown data type".to_owned() } else { format!("Unknown {what} type") };
    let d = Diagnostic::error(format!("{word} {quoted}")).at(span);
    match suggest(kind, known.iter().copied()) {
        Some(near) => d.detail("It is not built in.").hint(format!("did you mean {near:?}?")),
        None => d
            .detail(format!("It is not built in, and nothing is downloaded. Built in are: {}.", known.join(", ")))
            .hint("build this part of the template with Packer"),
    }
}

/// What provisioners and post-processors have in common.
fn step(block: &Block, schema: &Schema, scope: &Scope, diags: &mut Diagnostics) -> Option<Step> {
    let scope = &scope.child(block.frame.iter().cloned());
    let names = super::body::labels_of(schema, true);
    let mut content = block.body.content(&names, diags);
    let name = content.take("name").and_then(|a| text(&a, scope, diags)).unwrap_or_default();
    let [only, except] = ["only", "except"].map(|n| content.take(n));
    if let (Some(only), Some(_)) = (&only, &except) {
        diags.push(
            Diagnostic::error("only one of 'only' or 'except' may be specified")
                .detail("Together they would contradict each other.")
                .at(only.name_span.clone()),
        );
        return None;
    }
    let selects = [&only, &except].map(|a| a.as_ref().map(|a| a.expr.clone()));
    let [only, except] = [only, except].map(|a| a.map(|a| texts(&a, scope, diags)).unwrap_or_default());
    Some(Step {
        kind: Arc::from(block.label(0)),
        name,
        header: block.header.clone(),
        frame: block.frame.clone(),
        content,
        only,
        except,
        selects,
        pause_before: Duration::ZERO,
        timeout: Duration::ZERO,
        max_retries: 0,
        continue_on_error: false,
        overrides: None,
        keep_input_artifact: None,
        keep_input_written: None,
    })
}

fn override_is_well_formed(attribute: &Attribute, value: &Value, diags: &mut Diagnostics) -> bool {
    let Some(entries) = value.entries() else {
        if !value.is_null() && !value.is_unknown() {
            diags.push(
                Diagnostic::error("provisioner's override block must be an HCL object")
                    .detail("It maps the name of a source to an object of options.")
                    .at(attribute.expr.span())
                    .hint("write override = { NAME = { OPTION = VALUE } }"),
            );
        }
        return false;
    };
    let bad = entries.iter().find(|(_, v)| v.entries().is_none() && !v.is_unknown());
    if let Some((name, _)) = bad {
        diags.push(
            Diagnostic::error(format!("provisioner's override.'{name}' block must be an HCL object"))
                .detail("It maps the name of a source to an object of options.")
                .at(attribute.expr.span())
                .hint(format!("write override = {{ {name} = {{ OPTION = VALUE }} }}")),
        );
    }
    bad.is_none()
}

/// The known value of an argument, converted; `None` where it is null or (reported) wrong.
fn typed(attribute: &Attribute, ty: &Type, scope: &Scope, diags: &mut Diagnostics) -> Option<Value> {
    let before = diags.len();
    let value = attribute.expr.eval(scope, diags);
    if diags.len() > before || value.is_null() {
        return None;
    }
    match convert(&value, ty) {
        Ok(value) if value.is_wholly_known() => Some(value),
        Ok(_) => {
            diags.push(super::unsuitable(attribute, "the value must be known before anything runs"));
            None
        }
        Err(e) => {
            diags.push(super::unsuitable(attribute, &e.to_string()));
            None
        }
    }
}

fn text(attribute: &Attribute, scope: &Scope, diags: &mut Diagnostics) -> Option<String> {
    typed(attribute, &Type::String, scope, diags).and_then(|v| v.as_str().map(str::to_owned))
}

fn as_text(attribute: &Attribute, value: &Value, diags: &mut Diagnostics) -> Option<String> {
    match convert(value, &Type::String) {
        Ok(value) => value.as_str().map(str::to_owned),
        Err(e) => {
            diags.push(super::unsuitable(attribute, &e.to_string()));
            None
        }
    }
}

fn texts(attribute: &Attribute, scope: &Scope, diags: &mut Diagnostics) -> Vec<String> {
    let value = typed(attribute, &Type::list(Type::String), scope, diags);
    let elements = value.as_ref().and_then(Value::elements).unwrap_or_default();
    elements.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

fn duration(content: &mut Content, name: &str, scope: &Scope, diags: &mut Diagnostics) -> Duration {
    let Some(attribute) = content.take(name) else { return Duration::ZERO };
    let Some(text) = text(&attribute, scope, diags).filter(|t| !t.is_empty()) else { return Duration::ZERO };
    image_action_engine::duration::parse(&text).unwrap_or_else(|why| {
        diags.push(
            Diagnostic::error(format!("Failed to parse {name} duration"))
                .detail(format!("{why}."))
                .at(attribute.expr.span()),
        );
        Duration::ZERO
    })
}
