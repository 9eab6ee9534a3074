//! What has changed between two plans: what a reviewer wants to read.

use super::{BuildPlan, FileMark, Plan, Setting, StepPlan};
use image_action_engine::outline::{Grant, Step};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What has changed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Changes {
    /// The revision, as it was named.
    pub against: String,
    /// Its commit.
    pub commit: String,
    /// Builds, in the order of the template; those that are gone come last. What has not changed is left out.
    pub builds: Vec<BuildChange>,
    /// Names of builds that have not changed.
    pub unchanged: Vec<String>,
    /// Permissions that are needed now, or no longer.
    pub permissions: Vec<PermissionChange>,
    /// What the comparison could not look at.
    pub notes: Vec<String>,
}

/// What became of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Became {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another one.
    Changed,
}

/// A build that has changed.
#[derive(Clone, Debug, Serialize)]
pub struct BuildChange {
    /// The whole name.
    pub name: String,
    /// The source's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What became of it.
    pub became: Became,
    /// Options of the source; where it is `source`, what the machine is made from.
    pub settings: Vec<SettingChange>,
    /// Provisioners and post-processors.
    pub parts: Vec<PartChange>,
    /// Local files of the source.
    pub files: Vec<FileChange>,
    /// Calls that are made now, or no longer.
    pub steps: Vec<StepChange>,
}

/// An option that has changed.
#[derive(Clone, Debug, Serialize)]
pub struct SettingChange {
    /// Its name.
    pub option: String,
    /// Its value before; none where it was not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// Its value now; none where it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
    /// Whether values are masked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
}

/// A local file whose content has changed.
#[derive(Clone, Debug, Serialize)]
pub struct FileChange {
    /// As the template names it.
    pub path: String,
    /// What became of it.
    pub became: Became,
    /// The fingerprint before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// The fingerprint now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// A provisioner or a post-processor that has changed.
#[derive(Clone, Debug, Serialize)]
pub struct PartChange {
    /// `provisioner`, `error-cleanup-provisioner` or `post-processor`.
    pub part: &'static str,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name, or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its place among its like, from 1; of one that is gone, the place that it had.
    pub place: usize,
    /// What became of it.
    pub became: Became,
    /// Its options.
    pub settings: Vec<SettingChange>,
    /// Its local files.
    pub files: Vec<FileChange>,
}

/// A call that is made now, or no longer.
#[derive(Clone, Debug, Serialize)]
pub struct StepChange {
    /// What became of it.
    pub became: Became,
    /// The call.
    #[serde(flatten)]
    pub step: Step,
}

/// A permission that is needed now, or no longer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PermissionChange {
    /// `aws`, `azure`, `gcp`.
    pub provider: &'static str,
    /// What became of it.
    pub became: Became,
    /// The permission.
    pub action: String,
    /// On what.
    pub on: String,
}

impl Changes {
    /// Whether nothing has changed.
    pub fn none(&self) -> bool {
        self.builds.is_empty() && self.permissions.is_empty()
    }
    /// Every text that comes from a template.
    pub fn each_text(&mut self, mut change: impl FnMut(&mut String)) {
        let settings = |all: &mut Vec<SettingChange>, change: &mut dyn FnMut(&mut String)| {
            for s in all {
                change(&mut s.option);
                s.old.iter_mut().chain(&mut s.new).for_each(&mut *change);
            }
        };
        for build in &mut self.builds {
            settings(&mut build.settings, &mut change);
            build.files.iter_mut().for_each(|f| change(&mut f.path));
            for part in &mut build.parts {
                change(&mut part.name);
                settings(&mut part.settings, &mut change);
                part.files.iter_mut().for_each(|f| change(&mut f.path));
            }
            for step in &mut build.steps {
                [&mut step.step.about, &mut step.step.place].into_iter().for_each(&mut change);
            }
        }
        self.permissions.iter_mut().for_each(|p| change(&mut p.on));
        self.notes.iter_mut().for_each(change);
    }
    /// How many builds became that.
    pub fn count(&self, became: Became) -> usize {
        self.builds.iter().filter(|b| b.became == became).count()
    }
}

/// Compares two plans.
pub fn between(old: &Plan, new: &Plan) -> Changes {
    let mut changes = Changes { permissions: permissions(old, new), ..Changes::default() };
    for build in &new.builds {
        match old.builds.iter().find(|b| b.name == build.name) {
            None => changes.builds.push(whole(build, Became::Added)),
            Some(before) => match changed(before, build) {
                Some(change) => changes.builds.push(change),
                None => changes.unchanged.push(build.name.clone()),
            },
        }
    }
    let gone = old.builds.iter().filter(|b| !new.builds.iter().any(|n| n.name == b.name));
    changes.builds.extend(gone.map(|b| whole(b, Became::Removed)));
    changes
}

/// A build that is new or gone: its head says enough, the plan has the rest.
fn whole(build: &BuildPlan, became: Became) -> BuildChange {
    BuildChange {
        name: build.name.clone(),
        kind: build.kind.clone(),
        became,
        settings: Vec::new(),
        parts: Vec::new(),
        files: Vec::new(),
        steps: Vec::new(),
    }
}

fn changed(old: &BuildPlan, new: &BuildPlan) -> Option<BuildChange> {
    let mut all = settings(&old.settings, &new.settings);
    let source = |b: &BuildPlan| {
        let by = b.source_found_by.as_ref().map(|by| format!(" ({by})")).unwrap_or_default();
        format!("{}{by}", b.source)
    };
    // An option that names the source says the same in fewer words.
    let by_option = old.source_found_by.is_none() && new.source_found_by.is_none() && !all.is_empty();
    if source(old) != source(new) && !by_option {
        let change = |b| Some(source(b)).filter(|s: &String| !s.is_empty());
        all.insert(
            0,
            SettingChange { option: "source".to_owned(), old: change(old), new: change(new), sensitive: false },
        );
    }
    let mut parts = steps_of("provisioner", &old.provisioners, &new.provisioners);
    let one = |step: &Option<StepPlan>| step.iter().cloned().collect::<Vec<_>>();
    parts.extend(steps_of("error-cleanup-provisioner", &one(&old.error_cleanup), &one(&new.error_cleanup)));
    let after = |b: &BuildPlan| b.post_processors.iter().flatten().cloned().collect::<Vec<_>>();
    parts.extend(steps_of("post-processor", &after(old), &after(new)));
    let change = BuildChange {
        name: new.name.clone(),
        kind: new.kind.clone(),
        became: Became::Changed,
        settings: all,
        parts,
        files: files(&old.files, &new.files),
        steps: steps(&old.steps, &new.steps),
    };
    let nothing = change.settings.is_empty() && change.parts.is_empty() && change.files.is_empty();
    (!nothing || !change.steps.is_empty()).then_some(change)
}

fn settings(old: &[Setting], new: &[Setting]) -> Vec<SettingChange> {
    let before: BTreeMap<&str, &Setting> = old.iter().map(|s| (s.option.as_str(), s)).collect();
    let now: BTreeSet<&str> = new.iter().map(|s| s.option.as_str()).collect();
    let mut all: Vec<SettingChange> = Vec::new();
    for s in new {
        let was = before.get(s.option.as_str());
        if was.is_some_and(|was| was.same_as(s)) {
            continue;
        }
        all.push(SettingChange {
            option: s.option.clone(),
            old: was.map(|w| w.value.clone()),
            new: Some(s.value.clone()),
            sensitive: s.sensitive || was.is_some_and(|w| w.sensitive),
        });
    }
    let gone = old.iter().filter(|s| !now.contains(s.option.as_str()));
    all.extend(gone.map(|s| SettingChange {
        option: s.option.clone(),
        old: Some(s.value.clone()),
        new: None,
        sensitive: s.sensitive,
    }));
    all
}

fn files(old: &[FileMark], new: &[FileMark]) -> Vec<FileChange> {
    let mark = |all: &'_ [FileMark]| -> BTreeMap<String, String> {
        all.iter().map(|f| (f.path.clone(), f.sha256.clone())).collect()
    };
    let (before, now) = (mark(old), mark(new));
    let paths: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let change = |path: &String| {
        let (old, new) = (before.get(path).cloned(), now.get(path).cloned());
        let became = match (&old, &new) {
            (Some(a), Some(b)) if a == b => return None,
            (Some(_), Some(_)) => Became::Changed,
            (None, _) => Became::Added,
            (_, None) => Became::Removed,
        };
        Some(FileChange { path: path.clone(), became, old, new })
    };
    paths.into_iter().filter_map(change).collect()
}

/// Whether two steps are the same through and through.
fn same(a: &StepPlan, b: &StepPlan) -> bool {
    a.kind == b.kind && a.name == b.name && settings(&a.settings, &b.settings).is_empty() && a.files == b.files
}

/// Steps side by side: those that are the same are found first; between them a step and one of its type are one that has changed.
fn steps_of(part: &'static str, old: &[StepPlan], new: &[StepPlan]) -> Vec<PartChange> {
    let mut all = Vec::new();
    let (mut i, mut j) = (0, 0);
    for (a, b) in common(old, new).into_iter().chain([(old.len(), new.len())]) {
        between_same(part, (i, &old[i..a]), (j, &new[j..b]), &mut all);
        (i, j) = (a + 1, b + 1);
    }
    all
}

/// The longest common subsequence, as pairs of places. Builds have a handful of steps; of thousands only the ends are compared.
fn common(old: &[StepPlan], new: &[StepPlan]) -> Vec<(usize, usize)> {
    /// Steps of a build up to which the square of their number is no matter.
    const MANY: usize = 500;
    if old.len() > MANY || new.len() > MANY {
        return old.iter().zip(new).take_while(|(a, b)| same(a, b)).enumerate().map(|(n, _)| (n, n)).collect();
    }
    let mut table = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    let alike: Vec<Vec<bool>> = old.iter().map(|a| new.iter().map(|b| same(a, b)).collect()).collect();
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            table[i][j] = if alike[i][j] { table[i + 1][j + 1] + 1 } else { table[i + 1][j].max(table[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < old.len() && j < new.len() {
        if alike[i][j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if table[i + 1][j] >= table[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

fn between_same(
    part: &'static str,
    (i, old): (usize, &[StepPlan]),
    (j, new): (usize, &[StepPlan]),
    all: &mut Vec<PartChange>,
) {
    let mut left: Vec<Option<(usize, &StepPlan)>> = old.iter().enumerate().map(Some).collect();
    for (n, step) in new.iter().enumerate() {
        let like =
            |o: &&mut Option<(usize, &StepPlan)>| o.is_some_and(|(_, s)| s.kind == step.kind && s.name == step.name);
        let was = left.iter_mut().find(like).and_then(Option::take);
        all.push(PartChange {
            part,
            kind: step.kind.clone(),
            name: step.name.clone(),
            place: j + n + 1,
            became: if was.is_some() { Became::Changed } else { Became::Added },
            settings: settings(was.map_or(&[], |(_, s)| &s.settings), &step.settings),
            files: was.map(|(_, s)| files(&s.files, &step.files)).unwrap_or_default(),
        });
    }
    all.extend(left.into_iter().flatten().map(|(n, step)| PartChange {
        part,
        kind: step.kind.clone(),
        name: step.name.clone(),
        place: i + n + 1,
        became: Became::Removed,
        settings: Vec::new(),
        files: Vec::new(),
    }));
}

/// Calls by name and place: their words repeat what the options say. Of several of a name the one with new words is new.
fn steps(old: &[Step], new: &[Step]) -> Vec<StepChange> {
    let exact = |s: &Step| (s.call.clone(), s.place.clone(), s.destroys, s.about.clone());
    let rest = |these: &[Step], those: &[Step]| without(these, those, exact);
    let (more, fewer) = (rest(new, old), rest(old, new));
    let loose = |s: &Step| (s.call.clone(), s.place.clone(), s.destroys);
    let change = |became: Became| move |step: Step| StepChange { became, step };
    let mut all: Vec<StepChange> = without(&more, &fewer, loose).into_iter().map(change(Became::Added)).collect();
    all.extend(without(&fewer, &more, loose).into_iter().map(change(Became::Removed)));
    all
}

/// Those of `these` that have no counterpart in `those`, each of which is one once.
fn without<K: Ord>(these: &[Step], those: &[Step], key: impl Fn(&Step) -> K) -> Vec<Step> {
    let mut spare: BTreeMap<K, usize> = BTreeMap::new();
    those.iter().for_each(|s| *spare.entry(key(s)).or_default() += 1);
    let mut left = Vec::new();
    for step in these {
        match spare.get_mut(&key(step)).filter(|n| **n > 0) {
            Some(n) => *n -= 1,
            None => left.push(step.clone()),
        }
    }
    left
}

fn permissions(old: &Plan, new: &Plan) -> Vec<PermissionChange> {
    let of = |plan: &Plan| -> BTreeSet<(&'static str, Grant)> {
        plan.grants().map(|(provider, grant)| (provider, grant.clone())).collect()
    };
    let (before, now) = (of(old), of(new));
    let one = |became: Became| {
        move |(provider, grant): &(&'static str, Grant)| PermissionChange {
            provider,
            became,
            action: grant.action.to_owned(),
            on: grant.on.clone(),
        }
    };
    let mut all: Vec<PermissionChange> = now.difference(&before).map(one(Became::Added)).collect();
    all.extend(before.difference(&now).map(one(Became::Removed)));
    all.sort();
    all.dedup();
    all
}
