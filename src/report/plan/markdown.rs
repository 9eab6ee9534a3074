//! A plan as GitHub's Markdown. Every text of the template is escaped: it may come from a pull request of a stranger.

use super::{Group, count, groups, label, stage, summary};
use crate::plan::{BuildPlan, Plan, StepPlan};
use crate::report::markdown::{code, html_code, inline};
use image_action_engine::outline::Document;
use std::fmt::Write as _;

/// Draws a plan.
pub fn draw(plan: &Plan) -> String {
    let mut out = format!("## Plan of {}: {}\n\n", code(&plan.template), count(plan.builds.len(), "build"));
    let asked = if plan.data_sources_read { "Data sources were read." } else { "No cloud was asked." };
    let _ = writeln!(out, "{asked} Nothing was changed.\n");
    for build in &plan.builds {
        draw_build(&mut out, build);
    }
    out
}

fn draw_build(out: &mut String, build: &BuildPlan) {
    let _ = writeln!(out, "### {}\n", code(&build.name));
    let mut fact = |name: &str, text: &str| {
        let _ = writeln!(out, "- **{name}** {}", inline(text));
    };
    if !build.place.is_empty() {
        fact("runs in", &build.place);
    }
    if !build.source.is_empty() {
        let by = build.source_found_by.as_ref().map(|by| format!(" ({by})")).unwrap_or_default();
        fact("source", &format!("{}{by}", build.source));
    }
    build.makes.iter().for_each(|m| fact("makes", m));
    for step in build.destroys() {
        let when = step.when.as_deref().map(|w| format!(", if {w}")).unwrap_or_default();
        fact("⚠️ replaces", &format!("{} in {}{when}", step.about, step.place));
    }
    build.notes.iter().for_each(|n| fact("note", n));
    out.push('\n');
    if !build.steps.is_empty() {
        let _ = writeln!(out, "<details><summary>Steps: {}</summary>\n", summary(build));
        out.push_str("| | Part | Call | What | Where |\n| --: | :-- | :-- | :-- | :-- |\n");
        groups(&build.steps).iter().enumerate().for_each(|(n, g)| call(out, n + 1, g));
        out.push_str("\n</details>\n");
    }
    let _ = writeln!(out, "<details><summary>Configuration: {}</summary>\n", count(build.settings.len(), "option"));
    out.push_str("| Option | Value |\n| :-- | :-- |\n");
    for s in &build.settings {
        let default = if s.default { " (default)" } else { "" };
        let _ = writeln!(out, "| {} | {}{default} |", code(&s.option), code(&s.value));
    }
    out.push_str("\n</details>\n");
    let after: Vec<&StepPlan> = build.post_processors.iter().flatten().collect();
    if !build.provisioners.is_empty() || !after.is_empty() {
        let what = [count(build.provisioners.len(), "provisioner"), count(after.len(), "post-processor")].join(", ");
        let _ = writeln!(out, "<details><summary>{what}</summary>\n");
        build.provisioners.iter().chain(&build.error_cleanup).chain(after).enumerate().for_each(|(n, s)| {
            component(out, n + 1, s);
        });
        out.push_str("\n</details>\n");
    }
    out.push('\n');
}

fn call(out: &mut String, n: usize, group: &Group<'_>) {
    let step = group.step;
    let sign = if step.destroys { "⚠️ " } else { "" };
    let when = step.when.as_deref().map(|w| format!(", if {}", inline(w))).unwrap_or_default();
    let _ = writeln!(
        out,
        "| {n} | {} | {sign}{} | {}{when} | {} |",
        stage(step.stage),
        code(&step.call),
        inline(&step.about),
        inline(&group.places.join(", "))
    );
}

fn component(out: &mut String, n: usize, step: &StepPlan) {
    let writes = step.writes.as_deref().map(|w| format!(", writes {}", inline(w))).unwrap_or_default();
    let _ = writeln!(out, "{n}. {}{writes}", code(&label(step)));
    for s in &step.settings {
        let _ = writeln!(out, "   - {} = {}", code(&s.option), code(&s.value));
    }
}

/// Documents of permissions.
pub fn documents(all: &[Document]) -> String {
    let mut out = String::new();
    for document in all {
        let language = if document.file.ends_with(".yaml") { "yaml" } else { "json" };
        let lines: Vec<String> = document.text.trim_end().split('\n').map(str::to_owned).collect();
        let _ = writeln!(out, "<details><summary>{}</summary>\n", html_code(&document.title));
        out.push_str(&crate::report::markdown::fence("sh", std::slice::from_ref(&document.command)));
        out.push('\n');
        out.push_str(&crate::report::markdown::fence(language, &lines));
        out.push_str("\n</details>\n");
    }
    out
}
