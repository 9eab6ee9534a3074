//! The calls of a build, one function each, over the official client: retried where it is safe, bounded, cancellable.

use crate::credentials::Identity;
use crate::failure::{self, Asked, Failure};
use crate::find::Listed;
use crate::remove::Kind;
use google_cloud_compute_v1::client::{
    Disks, GlobalOperations, Images, Instances, MachineTypes, Projects, ZoneOperations, Zones,
};
use google_cloud_compute_v1::model::{
    DeprecationStatus, Disk, Image, Instance, MachineType, Metadata, Operation, Project, Zone, operation,
};
use google_cloud_gax::options::RequestOptionsBuilder;
use google_cloud_gax::paginator::ItemPaginator;
use google_cloud_gax::retry_policy::NeverRetry;
use image_action_engine::wait::{NOT_FOUND_GRACE, Poll, RETRY_ATTEMPTS, RETRY_FIRST, Rate, limiter, retry_up_to};
use image_action_engine::{CancellationToken, Error, ErrorKind};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long one attempt of a call may take. Google answers within seconds; only a broken network takes longer.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(30);

/// How fast one project is asked. Compute Engine lets a project make 750 changes a minute, and twice as many reads ("Compute
/// Engine rate quotas").
const RATE: Rate = Rate { burst: 100, per_second: 12 };

/// How often the first call of a build is tried in all: an address that is wrong is told within seconds.
const FIRST_ATTEMPTS: u32 = 2;

/// How long a call that makes something may go on once the build is cancelled, so that we learn what it made.
const CREATE_GRACE: Duration = Duration::from_secs(5);

/// The longest pause between two looks at an operation; Packer looks as often.
const OPERATION_PAUSE: Duration = Duration::from_secs(2);

/// The base address of the real API.
fn default_endpoint(universe: &str) -> String {
    format!("https://compute.{universe}")
}

/// Where the API is, without the path `compute/v1/`, which the client adds itself.
pub(crate) fn endpoint(custom: Option<&str>, universe: &str) -> String {
    let Some(custom) = custom.filter(|c| !c.is_empty()) else { return default_endpoint(universe) };
    let base = custom.trim_end_matches('/');
    base.strip_suffix("/compute/v1").unwrap_or(base).to_owned()
}

/// The clients of one build. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api(Arc<Inner>);

struct Inner {
    identity: Identity,
    images: Images,
    instances: Instances,
    disks: Disks,
    zones: Zones,
    machine_types: MachineTypes,
    projects: Projects,
    zone_operations: ZoneOperations,
    global_operations: GlobalOperations,
}

/// An operation that Google has taken on, and what it is about.
#[derive(Clone, Debug)]
pub(crate) struct Started {
    pub asked: Asked,
    pub project: String,
    /// None for a global one.
    pub zone: Option<String>,
    pub operation: Operation,
}

/// The agent that every request names.
pub(crate) fn agent() -> String {
    format!("image-action/{}", env!("CARGO_PKG_VERSION"))
}

/// A new id of a request: Google does a request with one id once, however often it is sent.
fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

impl Api {
    /// Makes the clients.
    ///
    /// # Errors
    /// Credentials of another universe, or a TLS stack that is not set up.
    pub async fn new(identity: Identity, endpoint: &str, universe: &str) -> Result<Api, Error> {
        let failed = |e: google_cloud_gax::client_builder::Error| {
            Error::new(ErrorKind::Credentials, format!("the Compute Engine client cannot be made: {e}"))
                .hint("credentials and universe_domain must belong together")
        };
        macro_rules! client {
            ($kind:ty) => {
                <$kind>::builder()
                    .with_endpoint(endpoint)
                    .with_universe_domain(universe)
                    .with_credentials(identity.credentials.clone())
                    .with_retry_policy(NeverRetry)
                    .build()
                    .await
                    .map_err(failed)?
            };
        }
        Ok(Api(Arc::new(Inner {
            images: client!(Images),
            instances: client!(Instances),
            disks: client!(Disks),
            zones: client!(Zones),
            machine_types: client!(MachineTypes),
            projects: client!(Projects),
            zone_operations: client!(ZoneOperations),
            global_operations: client!(GlobalOperations),
            identity,
        })))
    }
    /// Who calls.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// Calls to what a project holds once: images, the project itself, its zones.
    pub fn global<'a>(&'a self, project: &'a str, cancel: &'a CancellationToken) -> At<'a> {
        At { clients: &self.0, project, zone: None, cancel, attempts: RETRY_ATTEMPTS }
    }
    /// Calls to what a zone holds.
    pub fn zonal<'a>(&'a self, project: &'a str, zone: &'a str, cancel: &'a CancellationToken) -> At<'a> {
        At { zone: Some(zone), ..self.global(project, cancel) }
    }
}

/// Calls in one place, and what ends them. Every call has the same way: [`At::get`] for one that looks, [`At::begin`] and
/// [`At::create`] for one that starts an operation.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    clients: &'a Inner,
    project: &'a str,
    /// None for what is global.
    zone: Option<&'a str>,
    cancel: &'a CancellationToken,
    attempts: u32,
}

/// A request of the client library, sent under our name.
macro_rules! sent {
    ($request:expr) => {
        $request.with_user_agent(agent()).send()
    };
}

impl At<'_> {
    /// The same, for the first call of a build.
    #[must_use]
    pub fn first(self) -> Self {
        At { attempts: FIRST_ATTEMPTS, ..self }
    }
    fn asked(&self, call: &'static str, resource: &str) -> Asked {
        let place = self.zone.map_or_else(|| self.project.to_owned(), |z| format!("{}/{z}", self.project));
        Asked { call, resource: resource.to_owned(), place }
    }
    /// The zone, where there is one.
    fn zone_name(&self) -> &str {
        self.zone.unwrap_or_default()
    }
    fn started(&self, asked: Asked, operation: Operation) -> Started {
        Started { asked, project: self.project.to_owned(), zone: self.zone.map(str::to_owned), operation }
    }

    /// Sends a request once, in its turn.
    async fn attempt<T, F>(&self, asked: &Asked, sent: F) -> Result<T, Failure>
    where
        F: Future<Output = Answer<T>>,
    {
        let limiter = limiter(&format!("gcp compute {}", self.project), RATE);
        limiter.pass(self.cancel).await?;
        let answer = match tokio::time::timeout(ATTEMPT, sent).await {
            Ok(answer) => answer.map_err(|e| failure::read(asked, &e)),
            Err(_) => Err(failure::too_slow(asked, ATTEMPT)),
        };
        if answer.as_ref().is_err_and(|e| e.throttled) {
            limiter.slow_down(RETRY_FIRST);
        }
        answer
    }
    /// One call that looks at something, tried as often as its failures are worth it.
    async fn get<T, F, Fut>(&self, call: &'static str, resource: &str, mut send: F) -> Result<T, Failure>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Answer<T>>,
    {
        let asked = self.asked(call, resource);
        retry_up_to(self.attempts, self.cancel, |e: &Failure| e.transient, || self.attempt(&asked, send())).await
    }
    /// One call that begins an operation; all attempts carry one id, so that Google does it once.
    async fn begin<F, Fut>(&self, call: &'static str, resource: &str, send: F) -> Result<Started, Failure>
    where
        F: Fn(String) -> Fut,
        Fut: Future<Output = Answer<Operation>>,
    {
        let id = request_id();
        let operation = self.get(call, resource, || send(id.clone())).await?;
        Ok(self.started(self.asked(call, resource), operation))
    }
    /// One call that makes something: when the build is cancelled meanwhile, its answer is still awaited for a moment.
    async fn create<F, Fut>(&self, call: &'static str, name: Option<&str>, send: F) -> Result<Started, Failure>
    where
        F: Fn(String) -> Fut,
        Fut: Future<Output = Answer<Operation>>,
    {
        if self.cancel.is_cancelled() {
            return Err(Failure { uncertain: false, ..Error::cancelled().into() });
        }
        let (asked, id) = (self.asked(call, name.unwrap_or_default()), request_id());
        let late = CancellationToken::new();
        let again = |e: &Failure| e.transient && !self.cancel.is_cancelled();
        let work = retry_up_to(self.attempts, &late, again, || self.attempt(&asked, send(id.clone())));
        let grace = async {
            self.cancel.cancelled().await;
            tokio::time::sleep(CREATE_GRACE).await;
        };
        let operation = tokio::select! {
            answer = work => answer?,
            () = grace => return Err(Error::cancelled().into()),
        };
        Ok(self.started(asked, operation))
    }

    pub async fn image(&self, name: &str) -> Result<Image, Failure> {
        let request = || self.clients.images.get().set_project(self.project).set_image(name);
        self.get("images.get", name, || sent!(request())).await
    }
    pub async fn image_of_family(&self, family: &str) -> Result<Image, Failure> {
        let request = || self.clients.images.get_from_family().set_project(self.project).set_family(family);
        self.get("images.getFromFamily", family, || sent!(request())).await
    }
    /// All images that a filter lets through, of all pages.
    pub async fn images(&self, filter: &str) -> Result<Vec<Image>, Failure> {
        let request = || self.clients.images.list().set_project(self.project).set_filter(filter);
        self.get("images.list", filter, || async {
            let mut items = request().with_user_agent(agent()).by_item();
            let mut all = Vec::new();
            while let Some(image) = items.next().await {
                all.push(image?);
            }
            Ok(all)
        })
        .await
    }
    /// All instances of all zones that a filter lets through.
    pub async fn all_instances(&self, filter: &str) -> Result<Vec<Listed>, Failure> {
        let request = || self.clients.instances.aggregated_list().set_project(self.project).set_filter(filter);
        let mut all = Vec::new();
        let mut page = String::new();
        loop {
            let send = || sent!(request().set_page_token(&page));
            let list = self.get("instances.aggregatedList", filter, send).await?;
            for i in list.items.into_values().flat_map(|scope| scope.instances) {
                all.push(listed(Kind::Instance, i.name, i.zone, i.labels));
            }
            page = list.next_page_token.unwrap_or_default();
            if page.is_empty() {
                return Ok(all);
            }
        }
    }
    /// All disks of all zones that a filter lets through.
    pub async fn all_disks(&self, filter: &str) -> Result<Vec<Listed>, Failure> {
        let request = || self.clients.disks.aggregated_list().set_project(self.project).set_filter(filter);
        let mut all = Vec::new();
        let mut page = String::new();
        loop {
            let send = || sent!(request().set_page_token(&page));
            let list = self.get("disks.aggregatedList", filter, send).await?;
            for d in list.items.into_values().flat_map(|scope| scope.disks) {
                all.push(listed(Kind::Disk, d.name, d.zone, d.labels));
            }
            page = list.next_page_token.unwrap_or_default();
            if page.is_empty() {
                return Ok(all);
            }
        }
    }
    pub async fn project(&self) -> Result<Project, Failure> {
        let request = || self.clients.projects.get().set_project(self.project);
        self.get("projects.get", self.project, || sent!(request())).await
    }
    pub async fn zone(&self, zone: &str) -> Result<Zone, Failure> {
        let request = || self.clients.zones.get().set_project(self.project).set_zone(zone);
        self.get("zones.get", zone, || sent!(request())).await
    }
    pub async fn machine_type(&self, name: &str) -> Result<MachineType, Failure> {
        let request = || self.clients.machine_types.get().set_project(self.project).set_zone(self.zone_name());
        self.get("machineTypes.get", name, || sent!(request().set_machine_type(name))).await
    }
    pub async fn instance(&self, name: &str) -> Result<Instance, Failure> {
        let request = || self.clients.instances.get().set_project(self.project).set_zone(self.zone_name());
        self.get("instances.get", name, || sent!(request().set_instance(name))).await
    }
    pub async fn disk(&self, name: &str) -> Result<Disk, Failure> {
        let request = || self.clients.disks.get().set_project(self.project).set_zone(self.zone_name());
        self.get("disks.get", name, || sent!(request().set_disk(name))).await
    }
    /// What the first serial port has shown.
    pub async fn serial_port(&self, name: &str) -> Result<String, Failure> {
        let request =
            || self.clients.instances.get_serial_port_output().set_project(self.project).set_zone(self.zone_name());
        let output = self.get("instances.getSerialPortOutput", name, || sent!(request().set_instance(name)));
        Ok(output.await?.contents.unwrap_or_default())
    }

    pub async fn insert_instance(&self, body: &Instance) -> Result<Started, Failure> {
        let request = || self.clients.instances.insert().set_project(self.project).set_zone(self.zone_name());
        let send = |id| sent!(request().set_body(body.clone()).set_request_id(id));
        self.create("instances.insert", body.name.as_deref(), send).await
    }
    pub async fn insert_disk(&self, body: &Disk) -> Result<Started, Failure> {
        let request = || self.clients.disks.insert().set_project(self.project).set_zone(self.zone_name());
        let send = |id| sent!(request().set_body(body.clone()).set_request_id(id));
        self.create("disks.insert", body.name.as_deref(), send).await
    }
    pub async fn insert_image(&self, body: &Image) -> Result<Started, Failure> {
        let request = || self.clients.images.insert().set_project(self.project);
        let send = |id| sent!(request().set_body(body.clone()).set_request_id(id));
        self.create("images.insert", body.name.as_deref(), send).await
    }
    pub async fn set_metadata(&self, name: &str, body: &Metadata) -> Result<Started, Failure> {
        let request = || self.clients.instances.set_metadata().set_project(self.project).set_zone(self.zone_name());
        let send = |id| sent!(request().set_instance(name).set_body(body.clone()).set_request_id(id));
        self.begin("instances.setMetadata", name, send).await
    }
    pub async fn deprecate(&self, name: &str, body: &DeprecationStatus) -> Result<Started, Failure> {
        let request = || self.clients.images.deprecate().set_project(self.project).set_image(name);
        let send = |id| sent!(request().set_body(body.clone()).set_request_id(id));
        self.begin("images.deprecate", name, send).await
    }
    pub async fn delete_instance(&self, name: &str) -> Result<Started, Failure> {
        let request = || self.clients.instances.delete().set_project(self.project).set_zone(self.zone_name());
        self.begin("instances.delete", name, |id| sent!(request().set_instance(name).set_request_id(id))).await
    }
    pub async fn delete_disk(&self, name: &str) -> Result<Started, Failure> {
        let request = || self.clients.disks.delete().set_project(self.project).set_zone(self.zone_name());
        self.begin("disks.delete", name, |id| sent!(request().set_disk(name).set_request_id(id))).await
    }
    pub async fn delete_image(&self, name: &str) -> Result<Started, Failure> {
        let request = || self.clients.images.delete().set_project(self.project).set_image(name);
        self.begin("images.delete", name, |id| sent!(request().set_request_id(id))).await
    }

    /// Operations on a resource that are not done yet; `resource` is the end of its path (`instances/NAME`).
    pub async fn pending(&self, resource: &str) -> Result<Vec<Started>, Failure> {
        let filter = format!("targetLink eq \".*/{resource}\"");
        let (zonal, global) = (&self.clients.zone_operations, &self.clients.global_operations);
        let all: Vec<Operation> = if self.zone.is_some() {
            let request = || zonal.list().set_project(self.project).set_zone(self.zone_name()).set_filter(&filter);
            self.get("operations.list", resource, || sent!(request())).await?.items
        } else {
            let request = || global.list().set_project(self.project).set_filter(&filter);
            self.get("operations.list", resource, || sent!(request())).await?.items
        };
        let open = all.into_iter().filter(|o| o.status != Some(operation::Status::Done));
        Ok(open.map(|operation| self.started(self.asked("operation", resource), operation)).collect())
    }
    async fn operation(&self, name: &str) -> Result<Operation, Failure> {
        let (zonal, global) = (&self.clients.zone_operations, &self.clients.global_operations);
        if self.zone.is_some() {
            let request = || zonal.get().set_project(self.project).set_zone(self.zone_name()).set_operation(name);
            self.get("operations.get", name, || sent!(request())).await
        } else {
            let request = || global.get().set_project(self.project).set_operation(name);
            self.get("operations.get", name, || sent!(request())).await
        }
    }
}

impl Api {
    /// Waits for an operation; one that is done with an error is a failure, whatever the HTTP status was.
    ///
    /// A look that is refused (the account may start operations and not see them for a moment) counts as "not done yet", for a
    /// minute.
    pub async fn wait(
        &self,
        started: &Started,
        deadline: Duration,
        cancel: &CancellationToken,
    ) -> Result<Operation, Failure> {
        let what = format!("{} to be done", started.asked);
        let begin = Instant::now();
        let name = started.operation.name.as_deref().unwrap_or_default();
        let at = At { zone: started.zone.as_deref(), ..self.global(&started.project, cancel) };
        let done = Poll::new(what, deadline)
            .longest_pause(OPERATION_PAUSE)
            .until(cancel, async || match at.operation(name).await {
                Ok(operation) if operation.status == Some(operation::Status::Done) => Ok(Some(operation)),
                Ok(_) => Ok(None),
                Err(e) if e.error.is_cancelled() => Err(e.error),
                Err(e) if e.transient || begin.elapsed() < NOT_FOUND_GRACE => Ok(None),
                Err(e) => Err(e.error),
            })
            .await?;
        failure::operation(&started.asked, done)
    }
}

/// What the client library answers.
type Answer<T> = Result<T, google_cloud_gax::error::Error>;

fn listed(kind: Kind, name: Option<String>, zone: Option<String>, labels: HashMap<String, String>) -> Listed {
    // A zone is shown as its whole address.
    let zone = zone.as_deref().and_then(|z| z.rsplit('/').next()).unwrap_or_default().to_owned();
    Listed { kind, name: name.unwrap_or_default(), zone, labels }
}

/// Nothing where there is no such thing.
pub(crate) fn missing_is_none<T>(found: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_taken_in_packers_form_and_in_gclouds() {
        assert_eq!(endpoint(None, "googleapis.com"), "https://compute.googleapis.com");
        assert_eq!(endpoint(Some("http://127.0.0.1:1/compute/v1/"), "x"), "http://127.0.0.1:1");
        assert_eq!(endpoint(Some("http://127.0.0.1:1"), "x"), "http://127.0.0.1:1");
        assert_eq!(endpoint(Some("https://h/prefix/compute/v1"), "x"), "https://h/prefix");
    }
}
