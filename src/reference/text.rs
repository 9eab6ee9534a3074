//! The reference on a terminal: what `image-action explain` prints.

use super::functions::{self, About};
use super::{Entry, Kind, Section, default_text, entries, first_sentence, marks, type_name};
use image_action_engine::config::{Field, Schema, Shape};
use image_action_lang::diag::suggest;
use image_action_lang::functions::Function;
use std::fmt::Write as _;

/// How a text is set.
#[derive(Clone, Copy, Debug)]
pub struct Paper {
    /// Columns.
    pub width: usize,
    /// Whether names stand out by colours.
    pub color: bool,
}

/// What is asked for a function by.
const FUNCTION: &str = "fn:";

/// Blanks in front of a meaning.
const INDENT: usize = 6;

/// Answers a question: `amazon-ebs`, `amazon-ebs.aws_polling`, `provisioner.file`, `fn:cidrsubnet`.
///
/// # Errors
/// There is no such thing; the text says what was probably meant.
pub fn explain(question: &str, paper: Paper) -> Result<String, String> {
    if let Some(name) = question.strip_prefix(FUNCTION) {
        return function_named(name, paper).ok_or_else(|| {
            let near = suggest(name, functions::ABOUT.iter().map(|a| a.name));
            let cure = near
                .map_or_else(|| "`explain functions` lists them all".to_owned(), |n| format!("did you mean fn:{n}?"));
            format!("there is no function {name:?}; {cure}")
        });
    }
    let entries = entries();
    let parts: Vec<&str> = question.split('.').collect();
    let (kind, parts) = match Kind::ALL.iter().find(|k| k.keyword() == parts[0]) {
        Some(kind) if parts.len() > 1 => (Some(*kind), &parts[1..]),
        _ => (None, parts.as_slice()),
    };
    // Splitting gives one part at least.
    let (name, path) = (parts[0], &parts[1..]);
    let named: Vec<&Entry> =
        entries.iter().filter(|e| e.name == name && kind.is_none_or(|kind| kind == e.kind)).collect();
    if named.is_empty() {
        if name == "functions" {
            return Ok(function_list(paper));
        }
        if path.is_empty()
            && let Some(text) = function_named(name, paper)
        {
            return Ok(text);
        }
        let names = entries.iter().map(|e| e.name).chain(functions::ABOUT.iter().map(|a| a.name));
        let cure = match suggest(name, names) {
            Some(near) => format!("did you mean {near:?}?"),
            None => "`image-action explain` lists what there is".to_owned(),
        };
        return Err(format!("there is neither a component nor a block nor a function {name:?}; {cure}"));
    }
    let mut text = String::new();
    let mut wrong = String::new();
    for entry in named {
        match walk(entry, path, paper) {
            Ok(found) if text.is_empty() => text = found,
            Ok(found) => {
                let _ = write!(text, "\n{found}");
            }
            Err(why) => wrong = why,
        }
    }
    if text.is_empty() { Err(wrong) } else { Ok(text) }
}

/// What there is to ask for.
pub fn overview(paper: Paper) -> String {
    let mut text = String::new();
    for kind in Kind::ALL {
        heading(kind.title(), paper, &mut text);
        let entries = entries();
        let named: Vec<_> = entries.iter().filter(|e| e.kind == kind).collect();
        let widest = named.iter().map(|e| e.name.len()).max().unwrap_or(0);
        for entry in named {
            let padding = " ".repeat(widest - entry.name.len());
            let about = first_sentence(entry.schema.doc);
            let line = format!("{}{padding}  {about}", name(entry.name, paper));
            wrap(&line, 2, widest + 4, paper, &mut text);
        }
        text.push('\n');
    }
    text.push_str("image-action explain NAME tells more, NAME.OPTION of one option, fn:NAME of a function; ");
    text.push_str("explain functions lists these.\n");
    text
}

/// What one may go on to ask for who has written `begun`: names; behind the dot of a name, its options.
pub fn questions(begun: &str) -> Vec<String> {
    let entries = entries();
    let mut all: Vec<String> = match begun.split_once('.') {
        None => {
            let functions = functions::ABOUT.iter().map(|a| format!("{FUNCTION}{}", a.name));
            entries.iter().map(|e| e.name.to_owned()).chain(["functions".to_owned()]).chain(functions).collect()
        }
        Some((component, _)) => {
            let named = entries.iter().filter(|e| e.name == component);
            let fields = named.flat_map(|e| [e.schema].into_iter().chain(e.common)).flat_map(|s| &s.fields);
            fields.map(|f| format!("{component}.{}", f.name)).collect()
        }
    };
    all.retain(|name| name.starts_with(begun));
    all.sort();
    all.dedup();
    all
}

fn walk(entry: &Entry, path: &[&str], paper: Paper) -> Result<String, String> {
    let Some((first, rest)) = path.split_first() else { return Ok(page(entry, paper)) };
    let mut way = entry.name.to_owned();
    let none = |schema: &[&'static Schema], way: &str, name: &str| {
        let names = schema.iter().flat_map(|s| &s.fields).map(|f| f.name);
        let cure = match suggest(name, names) {
            Some(near) => format!("did you mean {way}.{near}?"),
            None => format!("`image-action explain {way}` lists what it has"),
        };
        format!("{way} has no option {name:?}; {cure}")
    };
    let own: Vec<&'static Schema> = [entry.schema].into_iter().chain(entry.common).collect();
    let mut field = entry.field(first).ok_or_else(|| none(&own, &way, first))?;
    for name in rest {
        let _ = write!(way, ".{}", field.name);
        let Shape::Block { schema, .. } = &field.shape else {
            return Err(format!("{way} is not a block: it has no option {name:?}"));
        };
        field = schema().field(name).ok_or_else(|| none(&[schema()], &way, name))?;
    }
    let _ = write!(way, ".{}", field.name);
    let mut text = format!("{} of {}\n\n", name(&way[entry.name.len() + 1..], paper), entry.header());
    option(field, paper, &mut text);
    if let Shape::Block { schema, .. } = &field.shape {
        text.push('\n');
        options(&schema().fields.iter().collect::<Vec<_>>(), paper, &mut text);
    }
    Ok(text)
}

fn page(entry: &Entry, paper: Paper) -> String {
    let mut text = format!("{}\n\n", name(&entry.header(), paper));
    wrap(entry.schema.doc, 0, 0, paper, &mut text);
    let gives = entry.gives();
    if !gives.is_empty() {
        text.push('\n');
        heading(&format!("What it gives, as data.{}.NAME.ATTRIBUTE", entry.name), paper, &mut text);
        for (attribute, ty) in gives {
            let _ = writeln!(text, "  {}  {ty}", name(&attribute, paper));
        }
    }
    let sections = entry.sections();
    for section in sections.iter().filter(|s| s.path.is_empty()) {
        text.push('\n');
        group(section, paper, &mut text);
    }
    if let Some(block) = sections.iter().find(|s| !s.path.is_empty()) {
        let _ = write!(text, "\nWhat is in a block: image-action explain {}.{}\n", entry.name, block.path.join("."));
    }
    text
}

fn group(section: &Section, paper: Paper, text: &mut String) {
    let title = if section.title.is_empty() { "Options" } else { section.title.trim_end_matches('.') };
    heading(title, paper, text);
    options(&section.fields, paper, text);
}

fn options(fields: &[&Field], paper: Paper, text: &mut String) {
    for (n, field) in fields.iter().enumerate() {
        if n > 0 {
            text.push('\n');
        }
        option(field, paper, text);
    }
}

fn option(field: &Field, paper: Paper, text: &mut String) {
    let mut line = format!("{}  {}", name(field.name, paper), type_name(field));
    if field.required {
        line.push_str(", required");
    } else if let Some(default) = default_text(field) {
        let _ = write!(line, ", default {default}");
    }
    wrap(&line, 2, INDENT, paper, text);
    let marks: String = marks(field).iter().map(|(word, rest)| format!("{word}{rest} ")).collect();
    wrap(&(marks + field.doc), INDENT, INDENT, paper, text);
}

fn function_named(wanted: &str, paper: Paper) -> Option<String> {
    functions::documented().find(|(f, _)| f.name == wanted).map(|(f, about)| function(f, about, paper))
}

fn function(function: &Function, about: &About, paper: Paper) -> String {
    let mut text = format!("{}\n\n", name(&functions::signature(function), paper));
    wrap(about.meaning, 0, 0, paper, &mut text);
    if !about.examples.is_empty() {
        text.push('\n');
    }
    for (expression, result) in about.examples {
        let _ = writeln!(text, "  {expression}  # {result}");
    }
    text
}

fn function_list(paper: Paper) -> String {
    let mut text = String::new();
    heading("Functions", paper, &mut text);
    for (function, about) in functions::documented() {
        wrap(
            &format!("{}  {}", name(function.name, paper), first_sentence(about.meaning)),
            2,
            INDENT,
            paper,
            &mut text,
        );
    }
    text
}

fn name(text: &str, paper: Paper) -> String {
    if paper.color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
}

fn heading(title: &str, paper: Paper, text: &mut String) {
    let _ = match paper.color {
        true => writeln!(text, "\u{1b}[1;4m{title}\u{1b}[0m"),
        false => writeln!(text, "{title}:"),
    };
}

/// Appends a paragraph, its first line moved in by `first` blanks and the others by `rest`.
fn wrap(paragraph: &str, first: usize, rest: usize, paper: Paper, text: &mut String) {
    // However narrow the terminal is, a word has some room.
    let width = paper.width.max(rest + 20);
    let mut column = first;
    text.push_str(&" ".repeat(first));
    let mut fresh = true;
    for part in paragraph.split_inclusive(' ').flat_map(|p| p.split_inclusive('\n')) {
        let word = part.trim_end_matches([' ', '\n']);
        let length = visible(word);
        if !fresh && column + length > width {
            while text.ends_with(' ') {
                text.pop();
            }
            text.push('\n');
            text.push_str(&" ".repeat(rest));
            column = rest;
        }
        text.push_str(word);
        // A blank that is kept (two of them are a column of a table), a line break that is only one of the source.
        let gap = if part.len() > word.len() { " " } else { "" };
        text.push_str(gap);
        column += length + gap.len();
        fresh = false;
    }
    while text.ends_with(' ') {
        text.pop();
    }
    text.push('\n');
}

/// How many columns a word takes, without its colours.
fn visible(word: &str) -> usize {
    let mut count = 0;
    let mut hidden = false;
    for c in word.chars() {
        match (hidden, c) {
            (_, '\u{1b}') => hidden = true,
            (true, 'm') => hidden = false,
            (false, _) => count += 1,
            (true, _) => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PLAIN: Paper = Paper { width: 80, color: false };

    #[test]
    fn answers_whatever_has_a_name() {
        for (question, part) in [
            ("amazon-ebs", "ami_name  string, required"),
            ("amazon-ebs.aws_polling", "max_attempts"),
            ("amazon-ebs.aws_polling.delay_seconds", "seconds"),
            ("provisioner.file.destination", "destination  string, required"),
            ("shell.max_retries", "whole number"),
            ("fn:cidrsubnet", "cidrsubnet(\"10.0.0.0/16\", 8, 2)"),
            ("cidrsubnet", "netnum"),
            ("variable.validation.condition", "required"),
            ("data.null", "data.null.NAME.ATTRIBUTE"),
            ("functions", "zipmap"),
        ] {
            let text = explain(question, PLAIN).unwrap();
            assert!(text.contains(part), "{question}:\n{text}");
            let long = text.lines().find(|l| l.chars().count() > 80 && !l.contains('#'));
            assert_eq!(long, None, "{question}");
        }
        let both = explain("file", PLAIN).unwrap();
        assert!(both.contains("source \"file\" \"NAME\"") && both.contains("provisioner \"file\""), "{both}");
    }

    #[test]
    fn says_what_was_probably_meant() {
        for (question, cure) in [
            ("amazon-esb", "did you mean \"amazon-ebs\"?"),
            ("amazon-ebs.aws_poling", "did you mean amazon-ebs.aws_polling?"),
            ("amazon-ebs.aws_polling.max_attempt", "did you mean amazon-ebs.aws_polling.max_attempts?"),
            ("amazon-ebs.ami_name.x", "is not a block"),
            ("fn:cidrsubnt", "did you mean fn:cidrsubnet?"),
            ("whatever-it-is", "lists what there is"),
            ("", "lists what there is"),
        ] {
            let why = explain(question, PLAIN).unwrap_err();
            assert!(why.contains(cure), "{question}: {why}");
        }
    }

    #[test]
    fn lines_are_broken_between_words() {
        let mut text = String::new();
        wrap("one  two three four five six seven", 2, 4, Paper { width: 24, color: true }, &mut text);
        assert_eq!(text, "  one  two three four\n    five six seven\n");
    }
}
