//! The pages of `docs/reference`.

use super::{Entry, Kind, Section, default_text, entries, first_sentence, functions, marks, type_name};
use image_action_engine::config::{Field, Shape};
use std::fmt::Write as _;

/// Stands at the end of every page.
const MADE: &str =
    "\n---\n\nMade from the declarations in the source; see [README.md](README.md#how-these-pages-are-made).\n";

/// Every page with the name of its file.
pub fn pages() -> Vec<(String, String)> {
    let entries = entries();
    let mut pages = vec![("README.md".to_owned(), index(&entries)), ("functions.md".to_owned(), function_page())];
    pages.extend(entries.iter().map(|e| (file(e), page(e))));
    pages
}

fn file(entry: &Entry) -> String {
    format!("{}-{}.md", entry.kind.keyword(), entry.name)
}

fn index(entries: &[Entry]) -> String {
    let mut text = "# Reference\n\n\
        Every block and every component that a template may use, with all options. A terminal shows the same:\n\n\
        ```sh\nimage-action explain amazon-ebs\nimage-action explain amazon-ebs.aws_polling\nimage-action explain fn:cidrsubnet\n```\n"
        .to_owned();
    for kind in Kind::ALL {
        let _ = writeln!(text, "\n## {}\n\n| page | what it is |\n| --- | --- |", kind.title());
        for entry in entries.iter().filter(|e| e.kind == kind) {
            let about = cell(&first_sentence(entry.schema.doc));
            let _ = writeln!(text, "| [`{}`]({}) | {about} |", entry.name, file(entry));
        }
    }
    text.push_str(
        "\n## The language\n\n[Functions](functions.md)\n\n\
         ## In an editor\n\n\
         [template.schema.json](template.schema.json) is a JSON schema (draft 2020-12) of templates in JSON form; \
         `image-action schema` prints it. An editor that is told of it completes names and marks mistakes in `*.pkr.json`. \
         In Visual Studio Code, `settings.json`:\n\n\
         ```json\n{\"json.schemas\": [{\"fileMatch\": [\"*.pkr.json\"], \"url\": \"./docs/reference/template.schema.json\"}]}\n```\n\n\
         The schema knows types and names. Whether the values fit together is for `image-action validate` to say.\n\n\
         ## How these pages are made\n\n\
         From the structs that decode the options: their fields, types, defaults and comments. After a change of these:\n\n\
         ```sh\nIMAGE_ACTION_RENEW_REFERENCE=1 cargo test -p image-action --lib reference\n```\n",
    );
    text
}

fn page(entry: &Entry) -> String {
    let mut text = format!("# `{}`\n\n```hcl\n{}\n```\n\n{}\n", entry.name, entry.header(), entry.schema.doc);
    let gives = entry.gives();
    if !gives.is_empty() {
        let _ = writeln!(text, "\n## What it gives\n\nAs `data.{}.NAME.ATTRIBUTE`:\n", entry.name);
        text.push_str("| attribute | type |\n| --- | --- |\n");
        for (name, ty) in gives {
            let _ = writeln!(text, "| `{name}` | {} |", cell(&ty));
        }
    }
    for section in entry.sections() {
        section_text(&section, &mut text);
    }
    text.push_str(MADE);
    text
}

fn section_text(section: &Section, text: &mut String) {
    let heading = match (section.path.as_slice(), section.title) {
        ([], "") => "Options".to_owned(),
        ([], title) => title.trim_end_matches('.').to_owned(),
        (path, _) => format!("`{}`", path.join(".")),
    };
    let _ = writeln!(text, "\n## {heading}\n");
    if !section.path.is_empty() {
        let _ = writeln!(text, "{}\n", section.title);
    }
    if let Some(twin) = &section.same_as {
        let _ = writeln!(text, "The options are those of [`{twin}`](#{}).", anchor(twin));
        return;
    }
    if section.fields.is_empty() {
        text.push_str("It has no options of its own.\n");
        return;
    }
    text.push_str("| option | type | default | meaning |\n| --- | --- | --- | --- |\n");
    for field in &section.fields {
        let _ = writeln!(text, "{}", row(section, field));
    }
}

fn row(section: &Section, field: &Field) -> String {
    let default = match default_text(field) {
        _ if field.required => "**required**".to_owned(),
        Some(default) => format!("`{default}`"),
        None => String::new(),
    };
    let mut name = format!("`{}`", field.name);
    if matches!(field.shape, Shape::Block { .. }) {
        let path: Vec<&str> = section.path.iter().copied().chain([field.name]).collect();
        name = format!("[{name}](#{})", anchor(&path.join(".")));
    }
    let mut meaning: String = marks(field).iter().map(|(word, rest)| format!("**{word}**{rest} ")).collect();
    meaning.push_str(field.doc);
    format!("| {name} | {} | {} | {} |", cell(&type_name(field)), cell(&default), cell(&meaning))
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || matches!(c, '_' | '-')).collect()
}

/// A text on one line of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn function_page() -> String {
    let mut text =
        "# Functions\n\nAll functions that an expression may call. A name with `...` behind it may be given several \
                    times; `name(list...)` gives the elements of a list as arguments.\n"
            .to_owned();
    for (function, about) in functions::documented() {
        let _ = writeln!(text, "\n## {}\n\n`{}`\n\n{}", function.name, functions::signature(function), about.meaning);
        if !about.examples.is_empty() {
            text.push_str("\n```hcl\n");
            for (expression, result) in about.examples {
                let _ = writeln!(text, "{expression} # {result}");
            }
            text.push_str("```\n");
        }
    }
    text.push_str(MADE);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_headings_that_are_there() {
        for (name, text) in pages() {
            let headings: Vec<String> = text.lines().filter_map(|l| l.strip_prefix("## ")).map(anchor).collect();
            for (n, _) in text.match_indices("](#") {
                let target = text[n + 3..].split(')').next().unwrap_or_default();
                assert!(headings.iter().any(|h| h == target), "{name}: #{target}");
            }
        }
    }
}
