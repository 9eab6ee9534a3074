//! The calls of a build, one function each, over the official client: retried where it is safe, bounded, cancellable.

use crate::credentials::Identity;
use crate::failure::{self, Asked, Failure};
use google_cloud_compute_v1::client::{
    Disks, GlobalOperations, Images, Instances, MachineTypes, Projects, ZoneOperations, Zones,
};
use google_cloud_compute_v1::model::{
    DeprecationStatus, Disk, Image, Instance, MachineType, Metadata, Operation, Project, Zone, operation,
};
use google_cloud_gax::options::RequestOptionsBuilder;
use google_cloud_gax::paginator::ItemPaginator;
use google_cloud_gax::retry_policy::NeverRetry;
use image_action_engine::wait::{NOT_FOUND_GRACE, Poll, RETRY_ATTEMPTS, retry_up_to};
use image_action_engine::{CancellationToken, Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long one attempt of a call may take. Google answers within seconds; only a broken network takes longer.
const ATTEMPT: Duration = Duration::from_secs(30);

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

fn asked(call: &'static str, resource: &str, project: &str, zone: Option<&str>) -> Asked {
    let place = zone.map_or_else(|| project.to_owned(), |z| format!("{project}/{z}"));
    Asked { call, resource: resource.to_owned(), place }
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

    /// Whether an image exists; the first call of a build.
    pub async fn find_image(
        &self,
        project: &str,
        name: &str,
        cancel: &CancellationToken,
    ) -> Result<Option<Image>, Failure> {
        let asked = asked("images.get", name, project, None);
        let found = calls(FIRST_ATTEMPTS, &asked, cancel, || {
            self.0.images.get().set_project(project).set_image(name).with_user_agent(agent()).send()
        });
        missing_is_none(found.await)
    }
    pub async fn image(&self, project: &str, name: &str, cancel: &CancellationToken) -> Result<Image, Failure> {
        let asked = asked("images.get", name, project, None);
        call(&asked, cancel, || {
            self.0.images.get().set_project(project).set_image(name).with_user_agent(agent()).send()
        })
        .await
    }
    pub async fn image_of_family(
        &self,
        project: &str,
        family: &str,
        cancel: &CancellationToken,
    ) -> Result<Image, Failure> {
        let asked = asked("images.getFromFamily", family, project, None);
        call(&asked, cancel, || {
            self.0.images.get_from_family().set_project(project).set_family(family).with_user_agent(agent()).send()
        })
        .await
    }
    /// All images that a filter lets through, of all pages.
    pub async fn images(&self, project: &str, filter: &str, cancel: &CancellationToken) -> Result<Vec<Image>, Failure> {
        let asked = asked("images.list", filter, project, None);
        calls(FIRST_ATTEMPTS, &asked, cancel, || async {
            let request = self.0.images.list().set_project(project).set_filter(filter).with_user_agent(agent());
            let mut items = request.by_item();
            let mut all = Vec::new();
            while let Some(image) = items.next().await {
                all.push(image?);
            }
            Ok(all)
        })
        .await
    }
    pub async fn project(&self, project: &str, cancel: &CancellationToken) -> Result<Project, Failure> {
        let asked = asked("projects.get", project, project, None);
        call(&asked, cancel, || self.0.projects.get().set_project(project).with_user_agent(agent()).send()).await
    }
    pub async fn zone(&self, project: &str, zone: &str, cancel: &CancellationToken) -> Result<Zone, Failure> {
        let asked = asked("zones.get", zone, project, None);
        call(&asked, cancel, || self.0.zones.get().set_project(project).set_zone(zone).with_user_agent(agent()).send())
            .await
    }
    pub async fn machine_type(
        &self,
        project: &str,
        zone: &str,
        name: &str,
        cancel: &CancellationToken,
    ) -> Result<MachineType, Failure> {
        let asked = asked("machineTypes.get", name, project, Some(zone));
        call(&asked, cancel, || {
            let request = self.0.machine_types.get().set_project(project).set_zone(zone).set_machine_type(name);
            request.with_user_agent(agent()).send()
        })
        .await
    }
    pub async fn instance(
        &self,
        project: &str,
        zone: &str,
        name: &str,
        cancel: &CancellationToken,
    ) -> Result<Instance, Failure> {
        let asked = asked("instances.get", name, project, Some(zone));
        call(&asked, cancel, || {
            self.0
                .instances
                .get()
                .set_project(project)
                .set_zone(zone)
                .set_instance(name)
                .with_user_agent(agent())
                .send()
        })
        .await
    }
    pub async fn disk(
        &self,
        project: &str,
        zone: &str,
        name: &str,
        cancel: &CancellationToken,
    ) -> Result<Option<Disk>, Failure> {
        let asked = asked("disks.get", name, project, Some(zone));
        let found = call(&asked, cancel, || {
            self.0.disks.get().set_project(project).set_zone(zone).set_disk(name).with_user_agent(agent()).send()
        });
        missing_is_none(found.await)
    }
    /// What the first serial port has shown.
    pub async fn serial_port(
        &self,
        project: &str,
        zone: &str,
        name: &str,
        cancel: &CancellationToken,
    ) -> Result<String, Failure> {
        let asked = asked("instances.getSerialPortOutput", name, project, Some(zone));
        let output = call(&asked, cancel, || {
            let request = self.0.instances.get_serial_port_output().set_project(project).set_zone(zone);
            request.set_instance(name).with_user_agent(agent()).send()
        });
        Ok(output.await?.contents.unwrap_or_default())
    }

    pub async fn insert_instance(
        &self,
        project: &str,
        zone: &str,
        body: &Instance,
        cancel: &CancellationToken,
    ) -> Result<Started, Failure> {
        let asked = asked("instances.insert", body.name.as_deref().unwrap_or_default(), project, Some(zone));
        let id = request_id();
        let operation = create(&asked, cancel, || {
            let request = self.0.instances.insert().set_project(project).set_zone(zone).set_body(body.clone());
            request.set_request_id(&id).with_user_agent(agent()).send()
        });
        Ok(Started { operation: operation.await?, asked, project: project.into(), zone: Some(zone.into()) })
    }
    pub async fn insert_disk(
        &self,
        project: &str,
        zone: &str,
        body: &Disk,
        cancel: &CancellationToken,
    ) -> Result<Started, Failure> {
        let asked = asked("disks.insert", body.name.as_deref().unwrap_or_default(), project, Some(zone));
        let id = request_id();
        let operation = create(&asked, cancel, || {
            let request = self.0.disks.insert().set_project(project).set_zone(zone).set_body(body.clone());
            request.set_request_id(&id).with_user_agent(agent()).send()
        });
        Ok(Started { operation: operation.await?, asked, project: project.into(), zone: Some(zone.into()) })
    }
    pub async fn insert_image(
        &self,
        project: &str,
        body: &Image,
        cancel: &CancellationToken,
    ) -> Result<Started, Failure> {
        let asked = asked("images.insert", body.name.as_deref().unwrap_or_default(), project, None);
        let id = request_id();
        let operation = create(&asked, cancel, || {
            let request = self.0.images.insert().set_project(project).set_body(body.clone());
            request.set_request_id(&id).with_user_agent(agent()).send()
        });
        Ok(Started { operation: operation.await?, asked, project: project.into(), zone: None })
    }
    pub async fn set_metadata(
        &self,
        project: &str,
        zone: &str,
        name: &str,
        body: &Metadata,
        cancel: &CancellationToken,
    ) -> Result<Started, Failure> {
        let asked = asked("instances.setMetadata", name, project, Some(zone));
        let id = request_id();
        let operation = call(&asked, cancel, || {
            let request = self.0.instances.set_metadata().set_project(project).set_zone(zone).set_instance(name);
            request.set_body(body.clone()).set_request_id(&id).with_user_agent(agent()).send()
        });
        Ok(Started { operation: operation.await?, asked, project: project.into(), zone: Some(zone.into()) })
    }
    pub async fn deprecate(
        &self,
        project: &str,
        name: &str,
        body: &DeprecationStatus,
        cancel: &CancellationToken,
    ) -> Result<Started, Failure> {
        let asked = asked("images.deprecate", name, project, None);
        let id = request_id();
        let operation = call(&asked, cancel, || {
            let request = self.0.images.deprecate().set_project(project).set_image(name).set_body(body.clone());
            request.set_request_id(&id).with_user_agent(agent()).send()
        });
        Ok(Started { operation: operation.await?, asked, project: project.into(), zone: None })
    }
    pub async fn delete_instance(
        &self,
        project: &str,
        zone: &str,
        name: &str,
        cancel: &CancellationToken,
    ) -> Result<Started, Failure> {
        let asked = asked("instances.delete", name, project, Some(zone));
        let id = request_id();
        let operation = call(&asked, cancel, || {
            let request = self.0.instances.delete().set_project(project).set_zone(zone).set_instance(name);
            request.set_request_id(&id).with_user_agent(agent()).send()
        });
        Ok(Started { operation: operation.await?, asked, project: project.into(), zone: Some(zone.into()) })
    }
    pub async fn delete_disk(
        &self,
        project: &str,
        zone: &str,
        name: &str,
        cancel: &CancellationToken,
    ) -> Result<Started, Failure> {
        let asked = asked("disks.delete", name, project, Some(zone));
        let id = request_id();
        let operation = call(&asked, cancel, || {
            let request = self.0.disks.delete().set_project(project).set_zone(zone).set_disk(name);
            request.set_request_id(&id).with_user_agent(agent()).send()
        });
        Ok(Started { operation: operation.await?, asked, project: project.into(), zone: Some(zone.into()) })
    }
    pub async fn delete_image(
        &self,
        project: &str,
        name: &str,
        cancel: &CancellationToken,
    ) -> Result<Started, Failure> {
        let asked = asked("images.delete", name, project, None);
        let id = request_id();
        let operation = call(&asked, cancel, || {
            let request = self.0.images.delete().set_project(project).set_image(name);
            request.set_request_id(&id).with_user_agent(agent()).send()
        });
        Ok(Started { operation: operation.await?, asked, project: project.into(), zone: None })
    }

    /// Operations on a resource that are not done yet; `resource` is the end of its path (`instances/NAME`).
    pub async fn pending(
        &self,
        project: &str,
        zone: Option<&str>,
        resource: &str,
        cancel: &CancellationToken,
    ) -> Result<Vec<Started>, Failure> {
        let filter = format!("targetLink eq \".*/{resource}\"");
        let what = asked("operations.list", resource, project, zone);
        let all: Vec<Operation> = match zone {
            Some(zone) => {
                let list = || {
                    self.0
                        .zone_operations
                        .list()
                        .set_project(project)
                        .set_zone(zone)
                        .set_filter(&filter)
                        .with_user_agent(agent())
                        .send()
                };
                call(&what, cancel, list).await?.items
            }
            None => {
                let list = || {
                    self.0
                        .global_operations
                        .list()
                        .set_project(project)
                        .set_filter(&filter)
                        .with_user_agent(agent())
                        .send()
                };
                call(&what, cancel, list).await?.items
            }
        };
        let open = all.into_iter().filter(|o| o.status != Some(operation::Status::Done));
        let started = open.map(|operation| Started {
            asked: asked("operation", resource, project, zone),
            project: project.into(),
            zone: zone.map(str::to_owned),
            operation,
        });
        Ok(started.collect())
    }
    async fn operation(&self, started: &Started, cancel: &CancellationToken) -> Result<Operation, Failure> {
        let name = started.operation.name.clone().unwrap_or_default();
        let what = asked("operations.get", &name, &started.project, started.zone.as_deref());
        match &started.zone {
            Some(zone) => {
                call(&what, cancel, || {
                    let request = self.0.zone_operations.get().set_project(&started.project).set_zone(zone);
                    request.set_operation(&name).with_user_agent(agent()).send()
                })
                .await
            }
            None => {
                call(&what, cancel, || {
                    let request = self.0.global_operations.get().set_project(&started.project);
                    request.set_operation(&name).with_user_agent(agent()).send()
                })
                .await
            }
        }
    }
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
        let done = Poll::new(what, deadline)
            .longest_pause(OPERATION_PAUSE)
            .until(cancel, async || match self.operation(started, cancel).await {
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

fn missing_is_none<T>(found: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) => Err(e),
    }
}

async fn attempt<T, F>(asked: &Asked, sent: F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, google_cloud_gax::error::Error>>,
{
    match tokio::time::timeout(ATTEMPT, sent).await {
        Ok(answer) => answer.map_err(|e| failure::read(asked, &e)),
        Err(_) => Err(failure::too_slow(asked, ATTEMPT)),
    }
}

async fn call<T, F, Fut>(asked: &Asked, cancel: &CancellationToken, send: F) -> Result<T, Failure>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, google_cloud_gax::error::Error>>,
{
    calls(RETRY_ATTEMPTS, asked, cancel, send).await
}

async fn calls<T, F, Fut>(attempts: u32, asked: &Asked, cancel: &CancellationToken, mut send: F) -> Result<T, Failure>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, google_cloud_gax::error::Error>>,
{
    retry_up_to(attempts, cancel, |e: &Failure| e.transient, || attempt(asked, send())).await
}

/// A call that makes something: when the build is cancelled meanwhile, its answer is still awaited for a moment.
async fn create<T, F, Fut>(asked: &Asked, cancel: &CancellationToken, mut send: F) -> Result<T, Failure>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, google_cloud_gax::error::Error>>,
{
    if cancel.is_cancelled() {
        return Err(Failure { uncertain: false, ..Error::cancelled().into() });
    }
    let late = CancellationToken::new();
    let again = |e: &Failure| e.transient && !cancel.is_cancelled();
    let work = retry_up_to(RETRY_ATTEMPTS, &late, again, || attempt(asked, send()));
    tokio::select! {
        answer = work => answer,
        () = async { cancel.cancelled().await; tokio::time::sleep(CREATE_GRACE).await } => Err(Error::cancelled().into()),
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
