//! Lint: what is valid in a template, means the same as in Packer, and is most likely not what was meant.
//!
//! A [`Rule`] is declared once, in `rules/`: its id, its words and its check; [`table`] makes the page of the documentation
//! from the same declarations. Findings are warnings with the rule's id. [`Levels`] are what `-W` says about them, and
//! a comment silences one at its line ([`ignore`]).

pub mod fix;
pub mod ignore;
pub mod levels;
pub mod rules;
pub mod table;

pub use levels::Levels;
pub use rules::RULES;

use crate::template::plan::{BuildParts, Part};
use crate::template::{Settings, Template};
use image_action_engine::config::{Block, UNKNOWN_TEXT};
use image_action_lang::diag::suggest;
use image_action_lang::{Diagnostic, Diagnostics, SourceMap, Span, Value};

/// One trap.
pub struct Rule {
    /// By this it is silenced, switched off or made an error. Ids are never changed and never used again.
    pub id: &'static str,
    /// What is looked at, as a template writes it: ``provisioner `shell` ``.
    pub on: &'static str,
    /// The trap in one line, without a period at its end: the first line of a finding.
    pub summary: &'static str,
    /// What happens, in whole sentences.
    pub reason: &'static str,
    /// What to do.
    pub cure: &'static str,
    /// Whether there is one right cure, which `lint -fix` can write.
    pub fixes: bool,
    /// Looks for it.
    pub check: fn(&Subject, &mut Found),
}

/// What rules look at.
pub struct Subject<'a> {
    /// The evaluated template.
    pub template: &'a Template,
    /// What the selected builds are made from.
    pub builds: &'a [BuildParts<'a>],
    /// The texts of its files.
    pub sources: &'a SourceMap,
    /// Environment and working directory.
    pub settings: &'a Settings,
}

impl<'a> Subject<'a> {
    /// The sources of a kind.
    pub fn sources_of(&self, component: &'static str) -> impl Iterator<Item = &'a Part<'a>> {
        self.builds.iter().filter_map(|b| b.source.as_ref()).filter(move |p| p.component == component)
    }
    /// The provisioners of a kind, those that run after a failure included.
    pub fn provisioners_of(&self, component: &'static str) -> impl Iterator<Item = &'a Part<'a>> {
        let all = self.builds.iter().flat_map(|b| b.provisioners.iter().chain(&b.error_cleanup));
        all.filter(move |p| p.component == component)
    }
    /// The post-processors of a kind.
    pub fn post_processors_of(&self, component: &'static str) -> impl Iterator<Item = &'a Part<'a>> {
        self.builds.iter().flat_map(|b| b.chains.iter().flatten()).filter(move |p| p.component == component)
    }
    /// Every component of every build, and the data sources.
    pub fn parts(&self) -> impl Iterator<Item = &'a Part<'a>> {
        let of_build = |b: &'a BuildParts<'a>| {
            b.source.iter().chain(&b.provisioners).chain(&b.error_cleanup).chain(b.chains.iter().flatten())
        };
        self.builds.iter().flat_map(of_build).chain(&self.template.data)
    }
}

/// Collects the findings of one rule.
pub struct Found {
    rule: &'static Rule,
    list: Vec<Finding>,
}

/// One place where a trap was found.
pub struct Finding {
    /// Which trap.
    pub rule: &'static Rule,
    /// The place.
    pub span: Option<Span>,
    /// In place of the rule's summary.
    pub summary: Option<String>,
    /// In place of the rule's reason.
    pub reason: Option<String>,
    /// In place of the rule's cure.
    pub cure: Option<String>,
    /// What `lint -fix` writes, where it can be written here.
    pub edit: Option<fix::Edit>,
}

impl Found {
    /// A finding at a place, in the rule's words.
    pub fn at(&mut self, span: Option<Span>) -> &mut Finding {
        let at = self.list.len();
        self.list.push(Finding { rule: self.rule, span, summary: None, reason: None, cure: None, edit: None });
        &mut self.list[at] // it was pushed just now
    }
}

impl Finding {
    /// Says the trap more precisely.
    pub fn summary(&mut self, text: impl Into<String>) -> &mut Finding {
        self.summary = Some(text.into());
        self
    }
    /// Says more precisely what happens.
    pub fn reason(&mut self, text: impl Into<String>) -> &mut Finding {
        self.reason = Some(text.into());
        self
    }
    /// Says more precisely what to do.
    pub fn cure(&mut self, text: impl Into<String>) -> &mut Finding {
        self.cure = Some(text.into());
        self
    }
    /// Gives what `lint -fix` writes. A rule that does so says it in its declaration.
    pub fn fix(&mut self, edit: Option<fix::Edit>) -> &mut Finding {
        debug_assert!(self.rule.fixes, "{} does not say that it mends", self.rule.id);
        self.edit = edit;
        self
    }
    /// As it is shown.
    pub fn diagnostic(&self) -> Diagnostic {
        let text = |own: &Option<String>, all: &str| own.clone().unwrap_or_else(|| all.to_owned());
        Diagnostic::warning(text(&self.summary, self.rule.summary))
            .rule(self.rule.id)
            .detail(text(&self.reason, self.rule.reason))
            .at(self.span.clone())
            .hint(text(&self.cure, self.rule.cure))
    }
}

/// Everything that the rules find, in the order of the files; what a comment silences is left out.
pub fn findings(subject: &Subject) -> Vec<Finding> {
    let ignored = ignore::Ignored::read(subject.sources);
    let mut all = Vec::new();
    for rule in RULES.iter().copied() {
        let mut found = Found { rule, list: Vec::new() };
        (rule.check)(subject, &mut found);
        for finding in found.list {
            // A step of three builds is one step.
            let known = all.iter().any(|f: &Finding| f.rule.id == rule.id && f.span == finding.span);
            if !known && !ignored.silences(rule.id, finding.span.as_ref(), subject.sources) {
                all.push(finding);
            }
        }
    }
    all.sort_by(|a, b| place(a).cmp(&place(b)));
    all
}

fn place(finding: &Finding) -> (&str, usize, &str) {
    let (file, start) = finding.span.as_ref().map_or(("", 0), |s| (&*s.file, s.start));
    (file, start, finding.rule.id)
}

/// [`findings`] as warnings.
pub fn check(subject: &Subject) -> Diagnostics {
    findings(subject).iter().map(Finding::diagnostic).collect()
}

/// A rule by its id.
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|r| r.id == id)
}

/// The complaint about an id that no rule has.
pub fn unknown_rule(id: &str) -> Diagnostic {
    let d = Diagnostic::error(format!("There is no lint rule {id:?}"));
    match suggest(id, RULES.iter().map(|r| r.id)) {
        Some(near) => d.hint(format!("did you mean {near:?}?")),
        None => d.hint("`image-action lint -list` names them all"),
    }
}

/// A value that can be looked at: set, known, and not made of what is not known yet.
pub fn known<'b>(block: &'b Block, name: &str) -> Option<&'b Value> {
    block.value(name).filter(|v| v.is_wholly_known())
}

/// A known text that says something.
pub fn text<'b>(block: &'b Block, name: &str) -> Option<&'b str> {
    known(block, name)?.as_str().filter(|t| !t.is_empty() && !t.contains(UNKNOWN_TEXT))
}

/// A known bool.
pub fn flag(block: &Block, name: &str) -> Option<bool> {
    known(block, name)?.as_bool()
}

/// The known texts of a list; `None` where it is not set, empty, or not known.
pub fn texts<'b>(block: &'b Block, name: &str) -> Option<Vec<&'b str>> {
    let list: Vec<&str> = known(block, name)?.elements()?.iter().filter_map(Value::as_str).collect();
    (!list.is_empty()).then_some(list)
}

/// Whether an option says something: neither left out, null, nor empty.
pub fn says(block: &Block, name: &str) -> bool {
    let empty = |v: &Value| v.as_str() == Some("") || v.len() == Some(0);
    block.value(name).is_some_and(|v| !empty(v)) || !block.blocks_named(name).is_empty()
}
