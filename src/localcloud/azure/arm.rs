//! What every answer of Resource Manager has in common: its error envelope, ids, api-versions, operations over time.

use super::store::{Operation, Store};
use crate::cloud::Cloud;
use crate::http::{Request, Response};
use serde_json::{Value, json};
use std::future::Future;
use std::sync::Arc;

/// Seconds a client is asked to wait between polls; whole seconds are the smallest that the header can say.
const RETRY_AFTER: &str = "1";

/// An error as Resource Manager writes it.
#[derive(Clone, Debug)]
pub struct Fail {
    /// Status of the answer.
    pub status: u16,
    /// `ResourceNotFound`, …
    pub code: String,
    /// A sentence.
    pub message: String,
}

/// The answer to a call, or the cloud's refusal.
pub type Result<T> = std::result::Result<T, Fail>;

impl Fail {
    /// With this status, code and message.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Fail {
        Fail { status, code: code.to_owned(), message: message.into() }
    }
    /// A property that is not what it has to be.
    pub fn parameter(message: impl Into<String>) -> Fail {
        Fail::new(400, "InvalidParameter", message)
    }
    /// Not in this state.
    pub fn not_allowed(message: impl Into<String>) -> Fail {
        Fail::new(409, "OperationNotAllowed", message)
    }
    /// Part of the real one, and not of the local one.
    pub fn not_implemented(what: &str) -> Fail {
        Fail::new(501, "NotImplemented", format!("The local cloud does not implement {what}."))
    }
    /// `{code, message}`
    pub fn body(&self) -> Value {
        json!({ "code": self.code, "message": self.message })
    }
    /// The whole answer.
    pub fn response(&self) -> Response {
        Response::json(self.status, &json!({ "error": self.body() }))
    }
}

/// One type of resource.
pub struct Type {
    /// `Microsoft.Compute/galleries/images`
    pub name: &'static str,
    /// The dated versions it has been asked with, oldest first; later ones than the last are taken as well.
    versions: &'static [&'static str],
    /// Where its operations are found below `/subscriptions/S`, `{l}` being the location.
    operations: &'static str,
}

const COMPUTE: &[&str] = &["2022-03-01", "2022-08-01", "2023-03-01", "2023-09-01", "2024-03-01", "2024-07-01"];
const DISKS: &[&str] = &["2022-03-02", "2023-04-02", "2024-03-02"];
const GALLERIES: &[&str] = &["2022-03-03", "2022-08-03", "2023-07-03"];
const NETWORK: &[&str] = &["2022-07-01", "2023-04-01", "2023-09-01"];
/// Groups, subscriptions, deployments.
pub const RESOURCES: &[&str] =
    &["2019-10-01", "2020-01-01", "2020-06-01", "2021-01-01", "2021-04-01", "2022-09-01", "2022-12-01"];

const COMPUTE_OPERATIONS: &str = "/providers/Microsoft.Compute/locations/{l}/operations/";
const CAPS_OPERATIONS: &str = "/providers/Microsoft.Compute/locations/{l}/capsOperations/";
const DISK_OPERATIONS: &str = "/providers/Microsoft.Compute/locations/{l}/DiskOperations/";
const NETWORK_OPERATIONS: &str = "/providers/Microsoft.Network/locations/{l}/operations/";

const fn ty(name: &'static str, versions: &'static [&'static str], operations: &'static str) -> Type {
    Type { name, versions, operations }
}

/// All types.
pub const TYPES: &[Type] = &[
    ty("Microsoft.Compute/virtualMachines", COMPUTE, COMPUTE_OPERATIONS),
    ty("Microsoft.Compute/images", COMPUTE, CAPS_OPERATIONS),
    ty("Microsoft.Compute/disks", DISKS, DISK_OPERATIONS),
    ty("Microsoft.Compute/snapshots", DISKS, DISK_OPERATIONS),
    ty("Microsoft.Compute/galleries", GALLERIES, CAPS_OPERATIONS),
    ty("Microsoft.Compute/galleries/images", GALLERIES, CAPS_OPERATIONS),
    ty("Microsoft.Compute/galleries/images/versions", GALLERIES, CAPS_OPERATIONS),
    ty("Microsoft.Network/publicIPAddresses", NETWORK, NETWORK_OPERATIONS),
    ty("Microsoft.Network/networkSecurityGroups", NETWORK, NETWORK_OPERATIONS),
    ty("Microsoft.Network/virtualNetworks", NETWORK, NETWORK_OPERATIONS),
    ty("Microsoft.Network/virtualNetworks/subnets", NETWORK, NETWORK_OPERATIONS),
    ty("Microsoft.Network/networkInterfaces", NETWORK, NETWORK_OPERATIONS),
];

impl Type {
    /// The type of this name, in whatever case.
    pub fn find(name: &str) -> Option<&'static Type> {
        TYPES.iter().find(|t| t.name.eq_ignore_ascii_case(name))
    }
    /// `virtualMachines`
    pub fn short(&self) -> &'static str {
        self.name.rsplit('/').next().unwrap_or(self.name)
    }
}

/// The id below a provider: which resource, or which collection, and what is to be done with it.
#[derive(Debug)]
pub struct Target {
    /// The type.
    pub ty: &'static str,
    /// Names from the outermost in; one less than the type's segments for a collection.
    pub names: Vec<String>,
    /// The last segment of a POST.
    pub action: Option<String>,
}

impl Target {
    /// Reads what follows `/providers/`.
    ///
    /// # Errors
    /// `NotImplemented` where the local cloud has no such type.
    pub fn parse(segments: &[&str]) -> Result<Target> {
        let unknown = || Fail::not_implemented(&format!("the resource type '{}'", segments.join("/")));
        let (namespace, rest) = segments.split_first().ok_or_else(unknown)?;
        let (mut name, mut names, mut ty) = ((*namespace).to_owned(), Vec::new(), None);
        for pair in rest.chunks(2) {
            name = format!("{name}/{}", pair[0]);
            match (Type::find(&name), pair.get(1)) {
                (Some(found), Some(own)) => {
                    ty = Some(found);
                    names.push((*own).to_owned());
                }
                (Some(found), None) => return Ok(Target { ty: found.name, names, action: None }),
                (None, None) if ty.is_some() => {
                    let ty = ty.map_or("", |t| t.name);
                    return Ok(Target { ty, names, action: Some(pair[0].to_owned()) });
                }
                (None, _) => return Err(unknown()),
            }
        }
        let ty = ty.ok_or_else(unknown)?;
        Ok(Target { ty: ty.name, names, action: None })
    }
    /// Whether it names a collection.
    pub fn is_collection(&self) -> bool {
        self.names.len() + 1 < self.ty.split('/').count()
    }
    /// `providers/Microsoft.Compute/galleries/G/images/I`
    pub fn path(&self) -> String {
        let mut segments = self.ty.split('/');
        let mut path = format!("providers/{}", segments.next().unwrap_or_default());
        for (kind, name) in segments.zip(&self.names) {
            path.push_str(&format!("/{kind}/{name}"));
        }
        path
    }
}

/// The last name of an id.
pub fn name_of(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

/// The resource group of an id.
pub fn group_of(id: &str) -> &str {
    id.split('/').nth(4).unwrap_or_default()
}

/// One call to Resource Manager.
pub struct Call<'a> {
    /// The cloud.
    pub cloud: &'a Arc<Cloud>,
    /// What came.
    pub request: &'a Request,
    /// The subscription of the path.
    pub subscription: String,
}

impl Call<'_> {
    /// The state, locked. Never hold it over an `.await`.
    pub fn store(&self) -> std::sync::MutexGuard<'_, Store> {
        self.cloud.azure.store()
    }
    /// The query's api-version.
    pub fn version(&self) -> &str {
        self.request.param("api-version").unwrap_or_default()
    }
    /// The body as JSON.
    ///
    /// # Errors
    /// `InvalidRequestContent` where it is none.
    pub fn body(&self) -> Result<Value> {
        let wrong = |e: String| {
            let message = format!("The request content was invalid and could not be deserialized: '{e}'.");
            Fail::new(400, "InvalidRequestContent", message)
        };
        match self.request.json() {
            Ok(value) if value.is_object() => Ok(value),
            Ok(_) => Err(wrong("an object is required".to_owned())),
            Err(e) => Err(wrong(e.to_string())),
        }
    }
    /// Checks the api-version as Resource Manager does: one that the type has, or a newer date than the newest we know.
    ///
    /// # Errors
    /// Its own errors for a missing, malformed, or unknown version.
    pub fn check_version(&self, versions: &[&str], ty: &str) -> Result<()> {
        let Some(version) = self.request.param("api-version").filter(|v| !v.is_empty()) else {
            let message = "The api-version query parameter (?api-version=) is required for all requests.".to_owned();
            return Err(Fail::new(400, "MissingApiVersionParameter", message));
        };
        let date = version.strip_suffix("-preview").unwrap_or(version);
        let supported = versions.join(", ");
        if chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").is_err() || date.len() != 10 {
            let message = format!("The api-version '{version}' is invalid. The supported versions are '{supported}'.");
            return Err(Fail::new(400, "InvalidApiVersionParameter", message));
        }
        // ISO dates sort as text.
        if versions.contains(&version) || versions.last().is_some_and(|last| date > *last) {
            return Ok(());
        }
        let message = format!(
            "No registered resource provider found for API version '{version}' for type '{ty}'. The supported api-versions are '{supported}'."
        );
        Err(Fail::new(400, "NoRegisteredProviderFound", message))
    }
    /// Checks the version for a resource type.
    ///
    /// # Errors
    /// As [`Call::check_version`].
    pub fn check_type_version(&self, ty: &str) -> Result<()> {
        match Type::find(ty) {
            Some(found) => self.check_version(found.versions, found.short()),
            None => self.check_version(RESOURCES, ty),
        }
    }
    /// Starts the work of an operation, which begins after one step of this cloud's time; its id.
    pub fn begin<F>(&self, work: F) -> String
    where
        F: Future<Output = Result<Option<Value>>> + Send + 'static,
    {
        let id = uuid::Uuid::new_v4().to_string();
        self.store().operations.insert(id.clone(), Operation::new());
        let (cloud, own) = (self.cloud.clone(), id.clone());
        tokio::spawn(async move {
            tokio::time::sleep(cloud.step()).await;
            let result = work.await;
            if let Some(operation) = cloud.azure.store().operations.get_mut(&own) {
                operation.end(result);
            }
        });
        id
    }
    /// The headers that say where an operation is followed.
    pub fn follow(&self, response: Response, ty: &str, location: &str, operation: &str) -> Response {
        let below = Type::find(ty).map_or("/operationresults/", |t| t.operations).replace("{l}", location);
        let base = format!("{}/subscriptions/{}{below}{operation}", self.request.origin(), self.subscription);
        let version = self.version();
        let response = response.header("retry-after", RETRY_AFTER);
        if below == "/operationresults/" {
            return response.header("location", format!("{base}?api-version={version}"));
        }
        let response = response.header("azure-asyncoperation", format!("{base}?api-version={version}"));
        if response.status.as_u16() != 202 {
            return response;
        }
        response.header("location", format!("{base}?api-version={version}&monitor=true"))
    }
}

/// Answers a poll: of the operation's own document, or of the result (`Location`).
pub fn poll(call: &Call, id: &str, result_only: bool) -> Result<Response> {
    let store = call.store();
    let Some(operation) = store.operations.get(id) else {
        return Err(Fail::new(404, "NotFound", format!("The operation '{id}' could not be found.")));
    };
    let running = operation.result.is_none();
    if !result_only {
        let response = Response::json(200, &operation.show(id));
        return Ok(if running { response.header("retry-after", RETRY_AFTER) } else { response });
    }
    match &operation.result {
        None => {
            let same = format!("{}{}", call.request.origin(), path_of(&call.request.raw));
            Ok(Response::empty(202).header("location", same).header("retry-after", RETRY_AFTER))
        }
        Some(Ok(Some(output))) => Ok(Response::json(200, output)),
        Some(Ok(None)) => Ok(Response::empty(200)),
        Some(Err(fail)) => Err(fail.clone()),
    }
}

/// Path and query of a request line, which HTTP/2 gives as a whole URL.
fn path_of(raw: &str) -> &str {
    match raw.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => raw,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_name_resources_collections_and_actions() {
        let parse = |path: &str| Target::parse(&path.split('/').collect::<Vec<_>>()).unwrap();
        let version = parse("microsoft.compute/Galleries/g/images/i/versions/1.0.0");
        assert_eq!(version.ty, "Microsoft.Compute/galleries/images/versions");
        assert_eq!(version.path(), "providers/Microsoft.Compute/galleries/g/images/i/versions/1.0.0");
        assert!(!version.is_collection());
        let list = parse("Microsoft.Compute/galleries/g/images");
        assert!(list.is_collection() && list.names == ["g"]);
        let action = parse("Microsoft.Compute/virtualMachines/vm/powerOff");
        assert_eq!(action.action.as_deref(), Some("powerOff"));
        assert!(Target::parse(&["Microsoft.Storage", "storageAccounts", "a"]).is_err());
    }
}
