//! What can be said of every component and every block, out of the declarations that decode them: the pages of
//! `docs/reference`, the JSON schema of a template, and what `image-action explain` prints.

pub mod blocks;
pub mod functions;
pub mod json_schema;
pub mod markdown;
pub mod text;

use crate::registry::{self, Component};
use crate::template::HcpRegistry;
use image_action_engine::config::{Attribute, Block, Field, Form, Schema, Shape};
use image_action_engine::prepare::{PrepareContext, Warnings};
use image_action_engine::run::OnError;
use image_action_engine::{Config, DataSource, Env};
use image_action_lang::{Type, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A block of Packer's own.
    Block,
    /// `source "TYPE" "NAME"`
    Source,
    /// `data "TYPE" "NAME"`
    Data,
    /// `provisioner "TYPE"`
    Provisioner,
    /// `post-processor "TYPE"`
    PostProcessor,
}

impl Kind {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Kind; 5] = [Kind::Block, Kind::Source, Kind::Data, Kind::Provisioner, Kind::PostProcessor];

    /// The word in front of the type in a template; `block` where the type stands alone.
    pub fn keyword(self) -> &'static str {
        match self {
            Kind::Block => "block",
            Kind::Source => "source",
            Kind::Data => "data",
            Kind::Provisioner => "provisioner",
            Kind::PostProcessor => "post-processor",
        }
    }

    /// A heading over several of them.
    pub fn title(self) -> &'static str {
        match self {
            Kind::Block => "Blocks of a template",
            Kind::Source => "Sources",
            Kind::Data => "Data sources",
            Kind::Provisioner => "Provisioners",
            Kind::PostProcessor => "Post-processors",
        }
    }
}

/// A component, or a block of Packer's own.
#[derive(Clone, Copy)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// `amazon-ebs`, `variable`
    pub name: &'static str,
    /// Its options.
    pub schema: &'static Schema,
    /// The options of all of its kind.
    pub common: Option<&'static Schema>,
    /// Labels of the block, other than the type.
    labels: &'static str,
}

impl Entry {
    /// `source "amazon-ebs" "NAME" { … }`
    pub fn header(&self) -> String {
        let labels = self.labels;
        match self.kind {
            Kind::Block => format!("{}{labels} {{ … }}", self.name),
            kind => format!("{} \"{}\"{labels} {{ … }}", kind.keyword(), self.name),
        }
    }

    /// An option of its own, or of all of its kind.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.schema.field(name).or_else(|| self.common.and_then(|c| c.field(name)))
    }

    /// All options: its own, then those of its kind.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> {
        self.schema.fields.iter().chain(self.common.iter().flat_map(|c| &c.fields))
    }

    /// What a data source gives, attribute by attribute.
    pub fn gives(&self) -> Vec<(String, String)> {
        let component = registry::DATA_SOURCES.iter().find(|c| self.kind == Kind::Data && c.name == self.name);
        match component.and_then(output) {
            Some(Type::Object(object)) => {
                object.attributes.iter().map(|(name, ty)| (name.to_string(), ty.to_string())).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Its options in groups, and the blocks inside of it, each once.
    pub fn sections(&self) -> Vec<Section> {
        let mut sections: Vec<Section> = Vec::new();
        for field in &self.schema.fields {
            match sections.iter_mut().find(|s| s.title == field.group) {
                Some(section) => section.fields.push(field),
                None => sections.push(Section::group(field.group, vec![field])),
            }
        }
        if let Some(common) = self.common {
            sections.push(Section::group(common.doc, common.fields.iter().collect()));
        }
        let mut nested = Vec::new();
        self.fields().for_each(|f| nest(&mut Vec::new(), f, &mut nested));
        sections.extend(nested);
        sections
    }
}

/// Some options that belong together.
pub struct Section {
    /// The names of the blocks that they are in; none for those of the component itself.
    pub path: Vec<&'static str>,
    /// What they have in common; empty where there is nothing to say.
    pub title: &'static str,
    /// The options.
    pub fields: Vec<&'static Field>,
    /// The path of a block before it that takes the same options; they are not repeated.
    pub same_as: Option<String>,
    schema: Option<&'static Schema>,
}

impl Section {
    fn group(title: &'static str, fields: Vec<&'static Field>) -> Section {
        Section { path: Vec::new(), title, fields, same_as: None, schema: None }
    }
}

/// The blocks of a field and inside of it, each with its path.
fn nest(path: &mut Vec<&'static str>, field: &'static Field, found: &mut Vec<Section>) {
    let Shape::Block { schema, .. } = &field.shape else { return };
    let schema = schema();
    path.push(field.name);
    let twin = found.iter().find(|s| s.schema.is_some_and(|s| std::ptr::eq(s, schema)));
    let same_as = twin.map(|s| s.path.join("."));
    let repeated = same_as.is_some();
    let fields = if repeated { Vec::new() } else { schema.fields.iter().collect() };
    found.push(Section { path: path.clone(), title: schema.doc, fields, same_as, schema: Some(schema) });
    if !repeated {
        schema.fields.iter().for_each(|f| nest(path, f, found));
    }
    path.pop();
}

/// Every block and every component.
pub fn entries() -> Vec<Entry> {
    let mut all = Vec::new();
    let mut block = |name, labels, schema| {
        all.push(Entry { kind: Kind::Block, name, schema, common: None, labels });
    };
    block("packer", "", blocks::Packer::schema());
    block("variable", " \"NAME\"", blocks::Variable::schema());
    block("variables", "", blocks::Variables::schema());
    block("locals", "", blocks::Locals::schema());
    block("local", " \"NAME\"", blocks::Local::schema());
    block("build", "", blocks::Build::schema());
    block("dynamic", " \"TYPE\"", blocks::Dynamic::schema());
    block("hcp_packer_registry", "", HcpRegistry::schema());
    add(&mut all, Kind::Source, registry::BUILDERS, None, " \"NAME\"");
    add(&mut all, Kind::Data, registry::DATA_SOURCES, None, " \"NAME\"");
    add(&mut all, Kind::Provisioner, registry::PROVISIONERS, Some(blocks::Provisioner::schema()), "");
    add(&mut all, Kind::PostProcessor, registry::POST_PROCESSORS, Some(blocks::PostProcessor::schema()), "");
    all
}

fn add<T: ?Sized>(
    all: &mut Vec<Entry>,
    kind: Kind,
    components: &'static [Component<T>],
    common: Option<&'static Schema>,
    labels: &'static str,
) {
    all.extend(components.iter().map(|c| Entry { kind, name: c.name, schema: (c.schema)(), common, labels }));
}

/// The type of what a data source gives: it is made with options that are set and not known, and never asked anything.
fn output(component: &'static Component<dyn DataSource>) -> Option<Type> {
    let schema = (component.schema)();
    let mut body = Block::default();
    for field in &schema.fields {
        if let Shape::Attribute { ty, .. } = &field.shape {
            let value = sample(ty);
            body.attributes.insert(field.name.to_owned(), Attribute { value, span: None });
        }
    }
    let cx = PrepareContext {
        name: String::new(),
        build_name: String::new(),
        source_type: String::new(),
        source_name: String::new(),
        local_name: String::new(),
        cwd: PathBuf::new(),
        env: Env::default(),
        run_id: String::new(),
        started: SystemTime::UNIX_EPOCH,
        force: false,
        on_error: OnError::Cleanup,
        validating: true,
        warnings: Warnings::default(),
    };
    (component.make)(&cx, &body).ok().map(|source| source.output_type())
}

/// A value that is set and not known: a list or a map has one element that is not.
fn sample(ty: &Type) -> Value {
    match ty {
        Type::List(e) => Value::new(ty.clone(), image_action_lang::Kind::Elements(vec![sample(e)].into())),
        Type::Map(e) => Value::map((**e).clone(), BTreeMap::from([(Arc::from("name"), sample(e))])),
        ty => Value::unknown(ty.clone()),
    }
}

/// The type of an option, for people: `string`, `duration`, `list(string)`, `block`.
pub fn type_name(field: &Field) -> String {
    match &field.shape {
        Shape::Block { many: false, .. } => "block".to_owned(),
        Shape::Block { many: true, .. } => "block, repeatable".to_owned(),
        Shape::Attribute { form: Form::Whole, .. } => "whole number".to_owned(),
        Shape::Attribute { form: Form::Duration, .. } => "duration".to_owned(),
        Shape::Attribute { ty, form: Form::Any } => ty.to_string(),
    }
}

/// What holds where an option is left out, as it would be written in a template.
pub fn default_text(field: &Field) -> Option<String> {
    let text = field.default?;
    let quoted = matches!(field.shape, Shape::Attribute { ty: Type::String, .. });
    Some(if quoted { serde_json::Value::from(text).to_string() } else { text.to_owned() })
}

/// What has to be known of an option before its meaning, as a word and what follows it.
pub fn marks(field: &Field) -> Vec<(&'static str, String)> {
    let mut marks = Vec::new();
    if let Some(instead) = field.deprecated {
        let why = match instead.strip_prefix("nothing: ") {
            Some(why) => format!(": {why}."),
            None => format!(": use {instead}."),
        };
        marks.push(("Deprecated", why));
    }
    if field.unsupported {
        marks.push(("Not acted on yet", ": a build that sets it stops with an error.".to_owned()));
    }
    if !field.unsupported_values.is_empty() {
        let values = field.unsupported_values.join("` or `");
        marks.push(("Not acted on yet", format!(": a build that sets it to `{values}` stops with an error.")));
    }
    if let Some(with) = field.only_with {
        marks.push(("Without effect", format!(": it goes with `{with}`, which is not acted on yet.")));
    }
    if field.sensitive {
        marks.push(("Secret", ": masked in everything that is shown.".to_owned()));
    }
    marks
}

/// The first sentence of a text.
pub fn first_sentence(doc: &str) -> String {
    let line = doc.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.split_once(". ") {
        Some((first, _)) => format!("{first}."),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::print_stderr)]
    use super::*;
    use std::path::Path;

    /// Set, the test writes what it would compare.
    const RENEW: &str = "IMAGE_ACTION_RENEW_REFERENCE";

    #[test]
    fn the_pages_and_the_schema_are_those_of_the_source() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference");
        let mut files = markdown::pages();
        files.push(("template.schema.json".to_owned(), json_schema::text()));
        let renew = std::env::var_os(RENEW).is_some();
        let known = |name: &std::ffi::OsStr| files.iter().any(|(n, _)| Path::new(n) == Path::new(name));
        let mut stale = Vec::new();
        for entry in std::fs::read_dir(&folder).into_iter().flatten().map(Result::unwrap) {
            if !known(&entry.file_name()) {
                stale.push(entry.file_name().to_string_lossy().into_owned());
                if renew {
                    std::fs::remove_file(entry.path()).unwrap();
                }
            }
        }
        for (name, text) in &files {
            let path = folder.join(name);
            if std::fs::read_to_string(&path).ok().as_ref() != Some(text) {
                stale.push(name.clone());
                if renew {
                    std::fs::create_dir_all(&folder).unwrap();
                    std::fs::write(path, text).unwrap();
                }
            }
        }
        if renew {
            return eprintln!("renewed: {}", stale.join(" "));
        }
        assert!(
            stale.is_empty(),
            "docs/reference is older than the source: {}\nrenew it: {RENEW}=1 cargo test -p image-action --lib reference",
            stale.join(" ")
        );
    }

    #[test]
    fn everything_has_a_meaning() {
        let mut without = Vec::new();
        for entry in entries() {
            for section in entry.sections() {
                for field in section.fields {
                    // A whole sentence or more, which can be read alone.
                    let leans = ["Its ", "That ", "Their "].iter().any(|word| field.doc.starts_with(word));
                    if field.doc.len() < 12 || !field.doc.ends_with('.') || leans {
                        without.push(format!("{} {}.{}", entry.name, section.path.join("."), field.name));
                    }
                }
            }
            if entry.schema.doc.is_empty() {
                without.push(entry.name.to_owned());
            }
        }
        assert!(without.is_empty(), "without a meaning, or not a sentence: {without:#?}");
    }

    #[test]
    fn every_data_source_says_what_it_gives() {
        for entry in entries().iter().filter(|e| e.kind == Kind::Data) {
            assert!(!entry.gives().is_empty(), "{}", entry.name);
        }
    }
}
