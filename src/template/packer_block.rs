//! `packer { required_version, required_plugins }`.

use crate::registry::{Component, PLUGINS, Plugin};
use crate::template::syntax::{Attribute, Block};
use crate::template::version::{Constraints, Version};
use image_action_engine::prepare::PACKER_VERSION;
use image_action_lang::{Diagnostic, Diagnostics, Span, Type, Value, convert};

/// One entry of `required_plugins`.
#[derive(Clone, Debug)]
pub struct RequiredPlugin {
    /// The name that components are called by: `amazon` of `amazon-ebs`.
    pub accessor: String,
    /// `github.com/hashicorp/amazon`
    pub source: String,
    /// As written.
    pub version: String,
    /// Where it stands.
    pub span: Span,
}

impl RequiredPlugin {
    /// What is built in for it.
    pub fn built_in(&self) -> Option<&'static Plugin> {
        PLUGINS.iter().find(|p| p.source == self.source)
    }
}

/// The component that a template calls `kind`: by its own name, or by the name that `required_plugins` gave its plugin.
pub fn find<T: ?Sized>(
    components: &'static [Component<T>],
    kind: &str,
    plugins: &[RequiredPlugin],
) -> Option<&'static Component<T>> {
    let by_name = |name: &str| components.iter().find(|c| c.name == name);
    by_name(kind).or_else(|| {
        plugins.iter().find_map(|required| {
            let rest = kind.strip_prefix(required.accessor.as_str())?;
            let own = required.built_in()?.name;
            (rest.is_empty() || rest.starts_with('-')).then(|| by_name(&format!("{own}{rest}"))).flatten()
        })
    })
}

fn labels_of(name: &str) -> Option<usize> {
    (name == "required_plugins").then_some(0)
}

/// Checks every `required_version`; the blocks of the files may be ones of another version.
pub fn required_versions(blocks: &[Block]) -> Diagnostics {
    let mut diags = Diagnostics::new();
    for block in blocks {
        // What else is wrong with the block is said when it is decoded.
        let content = block.body.content(&labels_of, &mut Diagnostics::new());
        if let Some(attribute) = content.attribute("required_version") {
            required_version(attribute, &mut diags);
        }
    }
    diags
}

fn required_version(attribute: &Attribute, diags: &mut Diagnostics) {
    let span = attribute.expr.span();
    let invalid = |detail: String| Diagnostic::error("Invalid version constraint").detail(detail).at(span.clone());
    let before = diags.len();
    let value = attribute.expr.constant(diags);
    if diags.len() > before || value.is_null() {
        return;
    }
    let text = convert(&value, &Type::String).ok();
    let Some(text) = text.as_ref().and_then(Value::as_str) else {
        return diags.push(invalid("A string value is required for required_version.".to_owned()));
    };
    let constraints = match Constraints::parse(text) {
        Ok(constraints) => constraints,
        Err(why) => return diags.push(invalid(format!("{why}."))),
    };
    // The constant is a version.
    let ours = Version::parse(PACKER_VERSION);
    if ours.is_some_and(|v| !constraints.allow(&v)) {
        diags.push(
            Diagnostic::error("Unsupported Packer Core version")
                .detail(format!(
                    "This template asks for Packer {text}; templates are read here as Packer {PACKER_VERSION} reads them."
                ))
                .at(attribute.name_span.join(&span))
                .hint("if the template works with that version, change the constraint"),
        );
    }
}

/// Decodes the blocks: the plugins that are asked for.
pub fn decode(blocks: &[Block], diags: &mut Diagnostics) -> Vec<RequiredPlugin> {
    let mut plugins = Vec::new();
    for block in blocks {
        if !block.check_labels(&[], diags) {
            continue;
        }
        let content = block.body.content(&labels_of, diags);
        for attribute in content.attributes.iter().filter(|a| &*a.name != "required_version") {
            diags.push(super::unknown_argument(attribute, &["required_version"]));
        }
        for inner in &content.blocks {
            if &*inner.kind != "required_plugins" {
                diags.push(super::unknown_block(inner, &["required_plugins"]));
                continue;
            }
            plugins.extend(inner.body.attributes(diags).iter().filter_map(|a| plugin(a, diags)));
        }
    }
    plugins
}

/// Complaints about the set of plugins as a whole: names given twice, versions that nothing here has, sources that are not
/// built in (a warning: only the use of one of their components is an error).
pub fn check(plugins: &[RequiredPlugin]) -> Diagnostics {
    let mut diags = Diagnostics::new();
    for (n, plugin) in plugins.iter().enumerate() {
        if plugins[..n].iter().any(|p| p.accessor == plugin.accessor) {
            diags.push(
                Diagnostic::error(format!("Duplicate required_plugin.{:?} block", plugin.accessor))
                    .detail("A plugin is required once.")
                    .at(plugin.span.clone()),
            );
        }
        match plugin.built_in() {
            None => diags.push(
                Diagnostic::warning(format!("The plugin {} is not built in", plugin.source))
                    .detail("Nothing is downloaded: its sources, provisioners, post-processors and data sources are not known here.")
                    .at(plugin.span.clone())
                    .hint(format!("built in are {}", PLUGINS.iter().map(|p| p.source).collect::<Vec<_>>().join(", "))),
            ),
            Some(known) => {
                let fits = Constraints::parse(&plugin.version)
                    .ok()
                    .zip(Version::parse(known.version))
                    .is_some_and(|(c, v)| c.allow(&v));
                if !fits {
                    diags.push(
                        Diagnostic::error("Missing plugins")
                            .detail(format!(
                                "The template asks for {} {}; what is built in behaves as version {}.",
                                plugin.source, plugin.version, known.version
                            ))
                            .at(plugin.span.clone())
                            .hint("if the template works with that version, change the constraint"),
                    );
                }
            }
        }
    }
    diags
}

fn plugin(attribute: &Attribute, diags: &mut Diagnostics) -> Option<RequiredPlugin> {
    let span = attribute.name_span.join(&attribute.expr.span());
    let mut fail = |summary: &str, detail: String| {
        diags.push(
            Diagnostic::error(summary)
                .detail(detail)
                .at(span.clone())
                .hint("write NAME = { version = \">= 1.0.0\", source = \"github.com/hashicorp/NAME\" }"),
        );
        None::<RequiredPlugin>
    };
    let name = &attribute.name;
    let normal = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || !c.is_ascii())
        && !name.contains("--")
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !normal {
        return fail(
            "Invalid plugin local name",
            format!("{name:?} must be in lower case, without outer or double dashes."),
        );
    }
    let mut inner = Diagnostics::new();
    let value = attribute.expr.constant(&mut inner);
    if inner.has_errors() {
        diags.extend(inner);
        return None;
    }
    let entries = match (value.entries(), value.ty()) {
        (Some(entries), _) => entries.clone(),
        (None, ty) if ty.is_primitive() => {
            return fail("Invalid plugin requirement", "An object with a version and a source is required.".to_owned());
        }
        _ => {
            return fail(
                "Invalid required_plugins syntax",
                "An object with a version and a source is required.".to_owned(),
            );
        }
    };
    if let Some(other) = entries.keys().find(|k| !matches!(k.as_ref(), "version" | "source")) {
        return fail("Invalid required_plugins object", format!("It has a version and a source, and not {other:?}."));
    }
    let Some(version) = entries.get("version") else {
        return fail("No version constraint was set", format!("The plugin {name:?} needs a version."));
    };
    let Some(version) = version.as_str() else {
        return fail("Invalid version constraint", "A text is required as version.".to_owned());
    };
    match Constraints::parse(version) {
        Err(why) => return fail("Invalid version constraint", format!("{why}.")),
        Ok(c) if c.versions().any(|v| !v.prerelease().is_empty()) => {
            return fail(
                "Invalid version constraint",
                "Unsupported prerelease for constraint: only releases can be asked for.".to_owned(),
            );
        }
        Ok(_) => {}
    }
    let Some(source) = entries.get("source") else {
        return fail("No source was set", format!("The plugin {name:?} needs a source."));
    };
    let Some(source) = source.as_str() else {
        return fail("Invalid source", "A text is required as source.".to_owned());
    };
    if let Err(why) = check_source(source) {
        return fail("Failed to parse source", why);
    }
    Some(RequiredPlugin { accessor: name.to_string(), source: source.to_owned(), version: version.to_owned(), span })
}

/// The longest path that a source may have, in parts.
const MAX_SOURCE_PARTS: usize = 16;

fn check_source(source: &str) -> Result<(), String> {
    let parts: Vec<&str> = source.split('/').collect();
    let last = parts.last().copied().unwrap_or_default();
    if source.contains("://") || source.contains(['?', '#']) {
        return Err(format!("{source:?} is a URL; a source has neither scheme nor query nor fragment."));
    }
    if parts.len() < 3 || parts.len() > MAX_SOURCE_PARTS || parts.iter().any(|p| p.is_empty()) {
        return Err(format!("{source:?} is not a source; it has the form HOST/NAMESPACE/NAME."));
    }
    if last.starts_with("packer-") {
        return Err(format!("The name {last:?} is written without packer-plugin- in front."));
    }
    Ok(())
}
