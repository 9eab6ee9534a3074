//! What a build would do, said before it does anything: the calls that change something, what they take away from others, and
//! the permissions that all of its calls need. Each builder says it of itself ([`crate::Builder::outline`]); tests hold it
//! against what a build really asked of a cloud.

use crate::env::Env;
use serde::Serialize;
use std::collections::BTreeSet;

/// What a build is asked about.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The environment, read once; nothing is asked of anybody.
    pub env: &'a Env,
    /// Whether images and files of the same name are replaced (`-force`).
    pub force: bool,
    /// Whether the build ends before an image is made.
    pub skip_image: bool,
}

/// What a build would do.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// `aws`, `azure` or `gcp`; empty for a build without a cloud.
    pub provider: &'static str,
    /// Where the build runs, for people.
    pub place: String,
    /// What the machine is made from, for people; empty for a build without a machine.
    pub source: String,
    /// The option that names the source: where its value is not known yet, a data source finds it.
    pub source_option: &'static str,
    /// What is made and stays, for people, one line each.
    pub makes: Vec<String>,
    /// Options whose defaults decide what is built or what it costs: they are shown even where they are left out.
    pub decisive: &'static [&'static str],
    /// In the order of a build that works.
    pub steps: Vec<Step>,
    /// What whoever builds has to be allowed to do, what is removed after a failure included.
    pub grants: Vec<Grant>,
    /// What else is worth knowing before.
    pub notes: Vec<String>,
}

/// Which part of a build a call belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// What is in the way is taken away first.
    Clear,
    /// The machine and what it needs; the provisioners run at its end.
    Machine,
    /// The image, its copies, how they are shared and tagged.
    Image,
    /// What was temporary goes.
    CleanUp,
}

/// One call that changes something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Which part of the build it belongs to.
    pub stage: Stage,
    /// The call, as the cloud's own reference names it (`RunInstances`, `PUT Microsoft.Compute/images`, `instances.insert`).
    pub call: String,
    /// What it is about, for people.
    pub about: String,
    /// Region, resource group, zone or project.
    pub place: String,
    /// When it is made, where that is not known before; without it, it is always made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Whether it takes away what this build has not made.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub destroys: bool,
}

/// A permission, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Grant {
    /// What it is for, in one word: the cloud's document is arranged by it.
    pub purpose: &'static str,
    /// As the cloud names it (`ec2:RunInstances`, `Microsoft.Compute/images/write`, `compute.images.create`).
    pub action: &'static str,
    /// On what, in the cloud's own form: an ARN's end, a scope, a project.
    pub on: String,
    /// What narrows it further, by a name that the cloud's document knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
}

/// A document of permissions that can be handed to a cloud as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// `aws`, `azure` or `gcp`.
    pub provider: &'static str,
    /// What it is, for people (`IAM policy`).
    pub title: String,
    /// The name of a file for it.
    pub file: String,
    /// What is done with it: a command.
    pub command: String,
    /// The document.
    pub text: String,
}

/// Collects steps.
#[derive(Debug)]
pub struct Steps {
    all: Vec<Step>,
    stage: Stage,
    place: String,
}

impl Steps {
    /// None so far; the next ones belong to the machine, at this place.
    pub fn at(place: &str) -> Steps {
        Steps { all: Vec::new(), stage: Stage::Machine, place: place.to_owned() }
    }
    /// From here on the calls belong to this part.
    pub fn stage(&mut self, stage: Stage) {
        self.stage = stage;
    }
    /// From here on the calls are made at this place.
    pub fn place(&mut self, place: &str) {
        place.clone_into(&mut self.place);
    }
    /// A call that is made.
    pub fn call(&mut self, call: &str, about: impl Into<String>) -> &mut Step {
        self.all.push(Step {
            stage: self.stage,
            call: call.to_owned(),
            about: about.into(),
            place: self.place.clone(),
            when: None,
            destroys: false,
        });
        let last = self.all.len() - 1;
        &mut self.all[last] // it was pushed just now
    }
    /// All of them.
    pub fn done(self) -> Vec<Step> {
        self.all
    }
}

impl Step {
    /// It is made only then.
    pub fn when(&mut self, condition: impl Into<String>) -> &mut Step {
        self.when = Some(condition.into());
        self
    }
    /// It takes away what this build has not made.
    pub fn destroys(&mut self) -> &mut Step {
        self.destroys = true;
        self
    }
}

/// Collects permissions, each once.
#[derive(Debug, Default)]
pub struct Grants(BTreeSet<Grant>);

impl Grants {
    /// Several actions on one thing.
    pub fn on(&mut self, purpose: &'static str, on: &str, actions: &[&'static str]) {
        self.add(purpose, on, None, actions);
    }
    /// As [`Grants::on`], narrowed.
    pub fn only(&mut self, purpose: &'static str, on: &str, only: &str, actions: &[&'static str]) {
        self.add(purpose, on, Some(only.to_owned()), actions);
    }
    fn add(&mut self, purpose: &'static str, on: &str, only: Option<String>, actions: &[&'static str]) {
        for action in actions {
            self.0.insert(Grant { purpose, action, on: on.to_owned(), only: only.clone() });
        }
    }
    /// All of them, in order.
    pub fn done(self) -> Vec<Grant> {
        self.0.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_remember_where_they_belong() {
        let mut steps = Steps::at("us-west-2");
        steps.call("RunInstances", "an instance");
        steps.stage(Stage::Clear);
        steps.place("us-east-1");
        steps.call("DeregisterImage", "the image").when("it exists").destroys();
        let all = steps.done();
        assert_eq!((all[0].stage, all[0].place.as_str(), all[0].destroys), (Stage::Machine, "us-west-2", false));
        assert_eq!((all[1].stage, all[1].place.as_str(), all[1].destroys), (Stage::Clear, "us-east-1", true));
    }

    #[test]
    fn a_permission_stands_once() {
        let mut grants = Grants::default();
        grants.on("Read", "*", &["ec2:DescribeImages", "ec2:DescribeImages"]);
        grants.only("Read", "*", "own", &["ec2:DescribeImages"]);
        assert_eq!(grants.done().len(), 2);
    }
}
