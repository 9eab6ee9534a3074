//! A plan, drawn: on a terminal ([`text`]), as Markdown ([`markdown`]).

pub mod changes;
pub mod markdown;
pub mod text;

use crate::plan::{BuildPlan, StepPlan};
use image_action_engine::outline::{Stage, Step};

/// A part of a build, for people.
fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Clear => "clear",
        Stage::Machine => "machine",
        Stage::Image => "image",
        Stage::CleanUp => "clean up",
    }
}

/// `3 calls`
fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// A provisioner or post-processor by type and name: `shell "base"`.
fn label(step: &StepPlan) -> String {
    if step.name.is_empty() { step.kind.clone() } else { format!("{} {:?}", step.kind, step.name) }
}

/// What a build would do, in one line.
fn summary(build: &BuildPlan) -> String {
    let destroys = build.destroys().count();
    let mut parts = vec![count(build.steps.len(), "changing call"), count(build.provisioners.len(), "provisioner")];
    if destroys > 0 {
        parts.push(format!("{destroys} of them may take away what exists"));
    }
    parts.join(", ")
}

/// A call, and the places where the same one is made side by side.
struct Group<'a> {
    step: &'a Step,
    places: Vec<&'a str>,
}

/// Calls that differ in their place only, as one: a copy is shared and tagged in each region alike.
fn groups(steps: &[Step]) -> Vec<Group<'_>> {
    let mut all: Vec<Group<'_>> = Vec::new();
    for step in steps {
        let same = |g: &&mut Group<'_>| {
            let known = g.step;
            known.stage == step.stage
                && known.call == step.call
                && known.about == step.about
                && known.when == step.when
                && known.place != step.place
        };
        match all.iter_mut().find(same) {
            Some(group) => group.places.push(&step.place),
            None => all.push(Group { step, places: vec![&step.place] }),
        }
    }
    all
}

/// Where most of a build happens.
fn home(build: &BuildPlan) -> &str {
    let machine = build.steps.iter().find(|s| s.stage == Stage::Machine);
    machine.map_or(build.place.as_str(), |s| s.place.as_str())
}
