//! What exists in the local subscription, and the operations under way.

use super::arm::{Fail, Result, group_of, name_of};
use crate::guest::Layer;
use crate::machine::Machine;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// Whether a machine runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Power {
    /// Not yet.
    #[default]
    Starting,
    /// Yes.
    Running,
    /// Shut down, its hardware kept.
    Stopped,
    /// Shut down, its hardware given back.
    Deallocated,
}

impl Power {
    /// `PowerState/running`
    pub fn code(self) -> &'static str {
        match self {
            Power::Starting => "PowerState/starting",
            Power::Running => "PowerState/running",
            Power::Stopped => "PowerState/stopped",
            Power::Deallocated => "PowerState/deallocated",
        }
    }
}

/// One resource.
#[derive(Clone)]
pub struct Resource {
    /// Its id in the case it was first written in; ids compare without case.
    pub id: String,
    /// `Microsoft.Compute/disks`, or `Microsoft.Resources/resourceGroups`.
    pub ty: &'static str,
    /// What GET shows: `location`, `tags`, `properties`, …
    pub body: Value,
    /// Whether it was there from the start.
    pub fixture: bool,
    /// The machine of a VM that has booted.
    pub machine: Option<Machine>,
    /// Whether a VM runs.
    pub power: Power,
    /// Whether a VM was generalized.
    pub generalized: bool,
    /// What a disk, a snapshot, or an image holds above the root file system of guests.
    pub layers: Vec<Layer>,
    /// To how many of its regions a version has been copied.
    pub replicated: usize,
}

impl Resource {
    /// A resource with this body, not yet succeeded.
    pub fn new(id: &str, ty: &'static str, body: Value) -> Resource {
        Resource {
            id: id.to_owned(),
            ty,
            body,
            fixture: false,
            machine: None,
            power: Power::default(),
            generalized: false,
            layers: Vec::new(),
            replicated: 0,
        }
    }
    /// A property by its path below `properties` (`storageProfile/osDisk/name`), as text.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.property(pointer).and_then(Value::as_str)
    }
    /// A property by its path below `properties`.
    pub fn property(&self, pointer: &str) -> Option<&Value> {
        self.body.pointer(&format!("/properties/{pointer}"))
    }
    /// Sets a property right below `properties`.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        if let Some(properties) = self.body.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert(name.to_owned(), value.into());
        }
    }
    /// Its location, as ids of regions are written (`westus2`).
    pub fn location(&self) -> String {
        normal(self.body.get("location").and_then(Value::as_str).unwrap_or_default())
    }
    /// `Succeeded`, `Creating`, `Deleting`, …
    pub fn state(&self) -> &str {
        self.text("provisioningState").unwrap_or("Succeeded")
    }
    /// What GET shows.
    pub fn show(&self) -> Value {
        let mut shown = json!({ "id": self.id, "name": name_of(&self.id), "type": self.ty });
        if let (Some(to), Some(from)) = (shown.as_object_mut(), self.body.as_object()) {
            to.extend(from.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
        shown
    }
}

/// A location without blanks and capitals: `West US 2` is `westus2`.
pub fn normal(location: &str) -> String {
    location.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase()
}

/// One operation.
pub struct Operation {
    begun: chrono::DateTime<chrono::Utc>,
    ended: Option<chrono::DateTime<chrono::Utc>>,
    /// `None` while it runs.
    pub result: Option<Result<Option<Value>>>,
}

impl Operation {
    /// One that runs.
    #[allow(clippy::new_without_default)] // each one is different: its time
    pub fn new() -> Operation {
        Operation { begun: chrono::Utc::now(), ended: None, result: None }
    }
    /// It is over.
    pub fn end(&mut self, result: Result<Option<Value>>) {
        self.ended = Some(chrono::Utc::now());
        self.result = Some(result);
    }
    /// The document that polls get.
    pub fn show(&self, id: &str) -> Value {
        let mut shown = json!({ "name": id, "startTime": self.begun.to_rfc3339() });
        if let Some(ended) = self.ended {
            shown["endTime"] = json!(ended.to_rfc3339());
        }
        match &self.result {
            None => shown["status"] = json!("InProgress"),
            Some(Ok(output)) => {
                shown["status"] = json!("Succeeded");
                if let Some(output) = output {
                    shown["properties"] = json!({ "output": output });
                }
            }
            Some(Err(fail)) => {
                shown["status"] = json!("Failed");
                shown["error"] = fail.body();
            }
        }
        shown
    }
}

/// Everything in the subscription.
#[derive(Default)]
pub struct Store {
    /// By lower-case id.
    resources: BTreeMap<String, Resource>,
    /// By id.
    pub operations: HashMap<String, Operation>,
    /// Tokens that were given out, and until when they hold.
    pub tokens: HashMap<String, Instant>,
    /// The next host number of private addresses.
    pub next_host: u8,
}

impl Store {
    /// A resource by its id, in whatever case.
    pub fn get(&self, id: &str) -> Option<&Resource> {
        self.resources.get(&id.to_lowercase())
    }
    /// A resource by its id, to be changed.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut Resource> {
        self.resources.get_mut(&id.to_lowercase())
    }
    /// A resource by its id.
    ///
    /// # Errors
    /// `ResourceNotFound`, `ResourceGroupNotFound`, `ParentResourceNotFound`, as the real one chooses between them.
    pub fn need(&self, id: &str) -> Result<&Resource> {
        if let Some(found) = self.get(id) {
            return Ok(found);
        }
        self.need_group(id)?;
        let segments: Vec<&str> = id.split('/').skip(6).collect();
        let ty: Vec<&str> = std::iter::once(segments.first().copied().unwrap_or_default())
            .chain(segments.iter().skip(1).step_by(2).copied())
            .collect();
        let names: Vec<&str> = segments.iter().skip(2).step_by(2).copied().collect();
        let message = format!(
            "The Resource '{}/{}' under resource group '{}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
            ty.join("/"),
            names.join("/"),
            group_of(id)
        );
        Err(Fail::new(404, "ResourceNotFound", message))
    }
    /// The group that an id lies in.
    ///
    /// # Errors
    /// `ResourceGroupNotFound`.
    pub fn need_group(&self, id: &str) -> Result<&Resource> {
        let group: Vec<&str> = id.split('/').take(5).collect();
        self.get(&group.join("/")).ok_or_else(|| {
            Fail::new(404, "ResourceGroupNotFound", format!("Resource group '{}' could not be found.", group_of(id)))
        })
    }
    /// Puts a resource in, in the place of one of the same id.
    pub fn put(&mut self, resource: Resource) {
        self.resources.insert(resource.id.to_lowercase(), resource);
    }
    /// Takes a resource out.
    pub fn remove(&mut self, id: &str) -> Option<Resource> {
        self.resources.remove(&id.to_lowercase())
    }
    /// All of a type, those of other types with an empty one.
    pub fn all(&self, ty: &str) -> impl Iterator<Item = &Resource> {
        self.resources.values().filter(move |r| ty.is_empty() || r.ty.eq_ignore_ascii_case(ty))
    }
    /// Everything whose id begins with this one and goes on.
    pub fn below(&self, id: &str) -> impl Iterator<Item = &Resource> {
        let prefix = format!("{}/", id.to_lowercase());
        self.resources.range(prefix.clone()..).take_while(move |(k, _)| k.starts_with(&prefix)).map(|(_, r)| r)
    }
    /// Whether a token is one of ours and still holds.
    pub fn token_holds(&self, token: &str) -> Option<bool> {
        self.tokens.get(token).map(|until| Instant::now() < *until)
    }
    /// Notes a token.
    pub fn add_token(&mut self, token: &str, life: Duration) {
        self.tokens.insert(token.to_owned(), Instant::now() + life);
    }
}
