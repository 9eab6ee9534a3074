//! One build: from the checks to the image, and the removal of all that was temporary.

mod finish;
mod image;

use crate::body;
use crate::client::{Api, At, Started, missing_is_none};
use crate::config::Googlecompute;
use crate::credentials;
use crate::failure::Failure;
use crate::metadata::{self, Told};
use crate::oslogin;
use crate::remove::{Kind, Thing};
use crate::source;
use google_cloud_compute_v1::model::{Image, Instance, instance};
use image_action_engine::ledger::{EXPIRES_TAG, Entry, RUN_TAG, Resource};
use image_action_engine::run::RunContext;
use image_action_engine::wait::{Poll, pause};
use image_action_engine::{
    Artifact, BuildContext, CancellationToken, Communicator, Error, ErrorKind, Facts, Result, duration,
};
use image_action_lang::Value;
use image_action_remote::{Machine, TemporaryKey, clear_authorized_keys, reach};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a wrapped startup script may run; Packer waits for ever.
const STARTUP_PATIENCE: Duration = Duration::from_secs(60 * 60);

/// How many lines of the serial port are shown where nobody could log in.
const SERIAL_LINES: usize = 30;

/// How often the instance's state is looked at.
const INSTANCE_PAUSE: Duration = Duration::from_secs(2);

/// What a build is called and made with, fixed before it begins.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub instance: String,
    pub disk: String,
    pub image: String,
    /// The project that receives the image.
    pub image_project: String,
    /// Of each `disk_attachment`; none for a scratch one and for one that exists already.
    pub disks: Vec<Option<String>>,
    /// Where the API is.
    pub endpoint: String,
    pub oslogin: oslogin::Endpoints,
}

/// Something that was made, or may have been.
struct Made {
    thing: Thing,
    entry: Entry,
    /// Its create call got no answer.
    doubt: bool,
    /// The template wants it to stay.
    keep: bool,
}

/// What one build has in its hands.
pub(crate) struct Build<'a> {
    cx: &'a BuildContext,
    config: &'a Googlecompute,
    names: &'a Names,
    api: Api,
    labels: BTreeMap<String, String>,
    instance: Option<Made>,
    boot_disk: Option<Made>,
    disks: Vec<Made>,
    image: Option<Made>,
    login_key: Option<(oslogin::Key, Entry)>,
}

/// The labels that everything temporary of a run carries.
fn labels(run: &RunContext) -> BTreeMap<String, String> {
    BTreeMap::from([(RUN_TAG.to_owned(), label(&run.id)), (EXPIRES_TAG.to_owned(), run.expires())])
}

/// A text as a label's value.
fn label(text: &str) -> String {
    let fine = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c) { c } else { '-' };
    text.to_lowercase().chars().map(fine).take(63).collect()
}

/// Runs a build, and removes what was temporary however it ends.
///
/// # Errors
/// The first failure.
pub(crate) async fn run(cx: &BuildContext, config: &Googlecompute, names: &Names) -> Result<Option<Artifact>> {
    let scopes = body::scopes(config);
    let identity = credentials::identity(&config.authentication, &scopes, &cx.run.cwd, cx.env()).await?;
    let api = Api::new(identity, &names.endpoint, &config.access.universe_domain).await?;
    let mut build = Build {
        cx,
        config,
        names,
        api,
        labels: labels(&cx.run),
        instance: None,
        boot_disk: None,
        disks: Vec::new(),
        image: None,
        login_key: None,
    };
    let result = build.make().await;
    build.finish(result).await
}

impl Build<'_> {
    fn project(&self) -> &str {
        &self.config.image.project_id
    }
    fn zone(&self) -> &str {
        &self.config.instance.zone
    }
    fn deadline(&self) -> Duration {
        self.config.instance.state_timeout
    }
    fn cancel(&self) -> &CancellationToken {
        &self.cx.cancel
    }
    /// Calls in the build's zone.
    fn at(&self) -> At<'_> {
        self.api.zonal(self.project(), self.zone(), self.cancel())
    }
    fn thing(&self, kind: Kind, name: &str) -> Thing {
        let (project, zone) = match kind {
            Kind::Image => (self.names.image_project.as_str(), ""),
            _ => (self.project(), self.zone()),
        };
        Thing { kind, project: project.to_owned(), zone: zone.to_owned(), name: name.to_owned() }
    }
    /// How the account is reached again.
    fn access(&self, project: &str) -> serde_json::Value {
        let mut access = json!({ "project": project, "endpoint": self.names.endpoint, "universe": self.config.access.universe_domain });
        let a = &self.config.authentication;
        if !a.credentials_file.is_empty() {
            access["credentials_file"] = json!(self.cx.run.cwd.join(&a.credentials_file));
        }
        if !a.impersonate_service_account.is_empty() {
            access["impersonate_service_account"] = json!(a.impersonate_service_account);
        }
        access
    }
    /// Notes that something is about to be made.
    fn intend(&self, thing: Thing, keep: bool) -> Result<Made> {
        let resource = Resource {
            provider: crate::PROVIDER.to_owned(),
            kind: thing.kind.name().to_owned(),
            place: if thing.zone.is_empty() { "global".to_owned() } else { thing.zone.clone() },
            name: thing.name.clone(),
            access: self.access(&thing.project),
        };
        let entry = self.cx.ledger().intent(&self.cx.name, resource)?;
        Ok(Made { thing, entry, doubt: false, keep })
    }

    /// Everything up to the image.
    async fn make(&mut self) -> Result<Option<Artifact>> {
        let replace = self.check_image().await?;
        let communicator = &self.config.communicator;
        let key = async {
            if !communicator.needs_temporary_key() {
                return Ok(None);
            }
            self.cx.say(format!("Making a temporary {} key for this build", communicator.key_kind().name()));
            tokio::select! {
                key = TemporaryKey::generate(communicator.key_kind()) => key.map(Some),
                () = self.cancel().cancelled() => Err(Error::cancelled()),
            }
        };
        let (key, found) = tokio::try_join!(key, self.cx.step("looking things up", || self.look_up()))?;
        self.make_disks().await?;
        let user = self.log_in_as(&found, key.as_ref()).await?;
        let told = self.launch(&found, &user, key.as_ref()).await?;
        let running = self.wait_until_running().await?;
        let mut facts = Facts::new();
        facts.insert("ID".to_owned(), Value::string(&self.names.instance));
        facts.insert("SourceImageName".to_owned(), Value::string(found.image.name.as_deref().unwrap_or_default()));
        self.provision(&running, &user, key.as_ref(), &mut facts).await?;
        if told.awaited {
            self.wait_for_startup_script().await?;
        }
        if self.cx.run.skip_image || self.config.image.skip_create_image {
            self.cx.say("No image is made of it, as asked");
            return Ok(None);
        }
        self.delete_instance().await?;
        if replace {
            self.replace_image().await?;
        }
        let image = self.make_image().await?;
        Ok(Some(self.artifact(&image, facts)))
    }

    /// Whether an image of that name has to go first.
    async fn check_image(&self) -> Result<bool> {
        let (project, name) = (self.names.image_project.as_str(), self.names.image.as_str());
        self.cx.phase("checking names");
        self.cx.say(format!("Checking that there is no image {name} yet"));
        let found = self.api.global(project, self.cancel()).first().image(name).await;
        if missing_is_none(found)?.is_none() {
            return Ok(false);
        }
        if self.cx.run.force {
            self.cx.say(format!("The image {name} exists and will be replaced (-force)"));
            return Ok(true);
        }
        Err(Error::new(ErrorKind::Invalid, format!("the image {name} exists already in project {project}"))
            .hint("use another image_name, or -force to replace it"))
    }

    /// Looks up what the instance is made of.
    async fn look_up(&self) -> Result<Found> {
        let (project, zone) = (self.project(), self.zone());
        let os_login = self.os_login().await?;
        let image = source::image(&self.api, self.config, self.cancel()).await?;
        self.cx.say(format!("The source image is {}", image.name.as_deref().unwrap_or_default()));
        let uefi = image
            .guest_os_features
            .iter()
            .any(|f| f.r#type.as_ref().is_some_and(|t| t.name() == Some("UEFI_COMPATIBLE")));
        if self.config.instance.enable_secure_boot && !uefi {
            return Err(Error::new(
                ErrorKind::Invalid,
                "the source image cannot boot with Secure Boot: it has no feature UEFI_COMPATIBLE",
            )
            .hint("use another source image, or remove enable_secure_boot"));
        }
        self.api.global(project, self.cancel()).zone(zone).await?;
        let kind = &self.config.instance.machine_type;
        let machine_type = self.at().machine_type(kind).await?.self_link;
        let machine_type =
            machine_type.unwrap_or_else(|| format!("projects/{project}/zones/{zone}/machineTypes/{kind}"));
        let address = match self.config.instance.address.as_str() {
            "" => None,
            name => Some(
                oslogin::address(&self.api, self.names, project, source::region(self.config), name, self.cancel())
                    .await?,
            ),
        };
        // A disk of that name would be attached as it is, with whatever it holds.
        if !self.config.instance.disk_name.is_empty() || !self.config.instance.instance_name.is_empty() {
            let name = &self.names.disk;
            if missing_is_none(self.at().disk(name).await)?.is_some() {
                return Err(Error::new(ErrorKind::Invalid, format!("the disk {name} exists already in {zone}")).hint(
                    format!("an earlier build may have left it; remove it: {}", self.thing(Kind::Disk, name).command()),
                ));
            }
        }
        Ok(Found { image, machine_type, address, os_login })
    }

    /// Whether OS Login decides who may log in: as the template says, else as the project does.
    async fn os_login(&self) -> Result<bool> {
        if let Some(said) = crate::said_os_login(self.config) {
            return Ok(said);
        }
        match self.api.global(self.project(), self.cancel()).project().await {
            Ok(project) => {
                let value = metadata::value(project.common_instance_metadata.as_ref(), metadata::OS_LOGIN);
                Ok(value.is_some_and(|v| !v.eq_ignore_ascii_case("false")))
            }
            Err(e) if e.error.is_cancelled() => Err(e.error),
            // The permission is not needed for anything else.
            Err(e) => {
                self.cx.message(format!("Whether the project uses OS Login is not known: {}", e.error.summary));
                Ok(false)
            }
        }
    }

    /// The disks beside the boot disk that do not exist yet.
    async fn make_disks(&mut self) -> Result<()> {
        for (n, disk) in self.config.instance.disk_attachment.iter().enumerate() {
            let Some(name) = self.names.disks.get(n).and_then(Option::as_deref) else { continue };
            self.cx.say(format!("Creating the disk {name}"));
            let made = self.intend(self.thing(Kind::Disk, name), disk.keep_device)?;
            self.disks.push(made);
            let mut labels = self.labels.clone();
            if disk.keep_device {
                // It stays, however the build ends.
                labels.remove(EXPIRES_TAG);
            }
            let body = body::disk(self.config, disk, name, &labels);
            let started = self.at().insert_disk(&body).await;
            let last = self.disks.len() - 1;
            let started = noted(&mut self.disks[last], started)?;
            let done = self.api.wait(&started, self.deadline(), self.cancel()).await;
            created(&self.disks[last], done)?;
        }
        Ok(())
    }

    /// Who logs in: the template's user, or the one that OS Login gives.
    async fn log_in_as(&mut self, found: &Found, key: Option<&TemporaryKey>) -> Result<String> {
        let user = self.config.communicator.ssh_username.clone();
        let (true, Some(key)) = (found.os_login, key) else { return Ok(user) };
        self.cx.say("Giving the temporary key to OS Login");
        let email = oslogin::email(&self.api, self.names, self.cancel()).await?;
        let resource = Resource {
            provider: crate::PROVIDER.to_owned(),
            kind: oslogin::KIND.to_owned(),
            place: email.clone(),
            name: key.public_openssh.trim().to_owned(),
            access: {
                let mut access = self.access(self.project());
                access["oslogin"] = json!(self.names.oslogin.oslogin);
                access
            },
        };
        let entry = self.cx.ledger().intent(&self.cx.name, resource)?;
        let imported =
            oslogin::import(&self.api, self.names, &email, &key.public_openssh, self.config, self.cancel()).await?;
        entry.created(&imported.key.fingerprint)?;
        self.login_key = Some((imported.key, entry));
        self.cx.message(format!("OS Login lets in {}", imported.user));
        Ok(imported.user)
    }

    /// Makes the instance.
    async fn launch(&mut self, found: &Found, user: &str, key: Option<&TemporaryKey>) -> Result<Told> {
        let mut told = metadata::items(self.config, crate::said_os_login(self.config), &self.cx.run.cwd)?;
        let later = self.config.login.wait_to_add_ssh_keys;
        if let Some(key) = key.filter(|_| later.is_zero()) {
            metadata::with_key(&mut told.items, user, &key.public_openssh);
        }
        let sources = self.disk_sources();
        let body = body::instance(
            self.config,
            body::Parts {
                name: &self.names.instance,
                disk_name: &self.names.disk,
                image: found.image.self_link.as_deref().unwrap_or_default(),
                machine_type: &found.machine_type,
                metadata: metadata::model(&told.items),
                labels: &self.labels,
                address: found.address.as_deref(),
                disks: &sources,
            },
        );
        self.cx.phase("creating the instance");
        self.cx.say(format!(
            "Creating the instance {} ({} in {})",
            self.names.instance,
            self.config.instance.machine_type,
            self.zone()
        ));
        self.instance = Some(self.intend(self.thing(Kind::Instance, &self.names.instance), false)?);
        self.boot_disk = Some(self.intend(self.thing(Kind::Disk, &self.names.disk), false)?);
        let started = self.at().insert_instance(&body).await;
        let doubt = matches!(&started, Err(e) if e.uncertain);
        if let Some(disk) = &mut self.boot_disk {
            disk.doubt = doubt;
        }
        let Some(instance) = &mut self.instance else { return Err(Error::cancelled()) };
        let started = match noted(instance, started) {
            Ok(started) => started,
            Err(e) => {
                if !doubt {
                    self.forget_instance()?;
                }
                return Err(e);
            }
        };
        let done = self.api.wait(&started, self.deadline(), self.cancel()).await;
        if let Some(instance) = &self.instance {
            created(instance, done)?;
        }
        if let Some(disk) = &self.boot_disk {
            disk.entry.created(&disk.thing.name)?;
        }
        if let Some(key) = key.filter(|_| !later.is_zero()) {
            self.add_key_later(later, user, key).await?;
        }
        Ok(told)
    }

    /// A refused call has made nothing.
    fn forget_instance(&mut self) -> Result<()> {
        for made in [self.instance.take(), self.boot_disk.take()].into_iter().flatten() {
            made.entry.gone()?;
        }
        Ok(())
    }

    fn disk_sources(&self) -> Vec<Option<String>> {
        let disks = self.config.instance.disk_attachment.iter().zip(&self.names.disks);
        let sources = disks.map(|(disk, name)| match name {
            Some(name) => Some(format!("projects/{}/zones/{}/disks/{name}", self.project(), self.zone())),
            None if !disk.source_volume.is_empty() => Some(disk.source_volume.clone()),
            None => None,
        });
        sources.collect()
    }

    /// Adds the key once the instance has settled.
    async fn add_key_later(&self, later: Duration, user: &str, key: &TemporaryKey) -> Result<()> {
        self.cx.say(format!("Waiting {} before the key is added", duration::show(later)));
        pause(later, self.cancel()).await?;
        let name = self.names.instance.as_str();
        let now = self.at().instance(name).await?;
        let metadata = now.metadata.unwrap_or_default();
        let items = metadata.items.iter().filter_map(|i| Some((i.key.clone()?, i.value.clone().unwrap_or_default())));
        let mut items: BTreeMap<String, String> = items.collect();
        metadata::with_key(&mut items, user, &key.public_openssh);
        let body = metadata::model(&items).set_or_clear_fingerprint(metadata.fingerprint);
        let started = self.at().set_metadata(name, &body).await?;
        self.api.wait(&started, self.deadline(), self.cancel()).await?;
        Ok(())
    }

    async fn wait_until_running(&self) -> Result<Instance> {
        let name = self.names.instance.as_str();
        self.cx.phase("waiting for the instance");
        let poll = Poll::new(format!("the instance {name} to run"), self.deadline()).longest_pause(INSTANCE_PAUSE);
        let running = poll.until(self.cancel(), async || {
            let now = self.at().instance(name).await?;
            let status = now.status.as_ref().and_then(instance::Status::name).unwrap_or_default().to_owned();
            match status.as_str() {
                "RUNNING" => Ok(Some(now)),
                "STOPPING" | "STOPPED" | "TERMINATED" | "SUSPENDING" | "SUSPENDED" => {
                    Err(Error::failed(format!("the instance {name} is {status} and will not run"))
                        .hint("a preemptible instance may have been taken back: try again, or another zone"))
                }
                _ => Ok(None),
            }
        });
        running.await.map_err(|e| self.say_timeout(e))
    }

    /// A timeout names the option that changes it.
    fn say_timeout(&self, e: Error) -> Error {
        if e.kind == ErrorKind::TimedOut { e.hint("raise state_timeout") } else { e }
    }

    async fn provision(
        &self,
        instance: &Instance,
        user: &str,
        key: Option<&TemporaryKey>,
        facts: &mut Facts,
    ) -> Result<()> {
        let mut config = self.config.communicator.clone();
        // OS Login has the last word on who logs in.
        config.ssh_username = user.to_owned();
        let host = address_of(instance, self.config.instance.use_internal_ip);
        if host.is_empty() && config.ssh_host.is_empty() && config.is_ssh() {
            let which = if self.config.instance.use_internal_ip { "internal" } else { "external" };
            return Err(Error::failed(format!("the instance has no {which} address")).hint(
                "use_internal_ip connects to the internal address; address and accessConfigs give an external one",
            ));
        }
        if !host.is_empty() {
            self.cx.say(format!("The instance's address is {host}"));
        }
        let machine = Machine { host: &host, port: None, user, key: key.map(|k| &k.key) };
        let communicator = match reach(self.cx, &config, &machine, facts).await {
            Ok(communicator) => communicator,
            Err(e) if e.is_cancelled() => return Err(e),
            Err(e) => return Err(self.with_serial_port(e).await),
        };
        let result = self.provision_with(&communicator, &config, user, facts).await;
        communicator.close().await;
        result
    }

    async fn provision_with(
        &self,
        communicator: &Arc<dyn Communicator>,
        config: &image_action_remote::CommunicatorConfig,
        user: &str,
        facts: &Facts,
    ) -> Result<()> {
        self.cx.steps.provision(self.cx, communicator.clone(), facts).await?;
        if config.needs_temporary_key() {
            clear_authorized_keys(self.cx, config, communicator.as_ref(), user).await?;
        }
        Ok(())
    }

    /// The end of what the machine wrote to its serial port, under an error that the machine may explain.
    async fn with_serial_port(&self, e: Error) -> Error {
        let output = self.at().serial_port(&self.names.instance).await;
        let Ok(output) = output else { return e };
        let lines: Vec<&str> = output.lines().collect();
        if lines.is_empty() {
            return e;
        }
        let tail = lines[lines.len().saturating_sub(SERIAL_LINES)..].join("\n");
        let detail = format!("{}\nthe end of the instance's serial port:\n{tail}", e.detail);
        e.detail(detail.trim().to_owned())
    }

    async fn wait_for_startup_script(&self) -> Result<()> {
        self.cx.phase("waiting for the startup script");
        self.cx.say("Waiting for the startup script to end");
        let name = self.names.instance.as_str();
        let poll = Poll::new("the startup script to end", STARTUP_PATIENCE);
        let ended = poll.until(self.cancel(), async || {
            let now = self.at().instance(name).await?;
            Ok(match metadata::value(now.metadata.as_ref(), metadata::STATUS) {
                Some("done") => Some(true),
                Some("error") => Some(false),
                _ => None,
            })
        });
        if ended.await? {
            return Ok(());
        }
        let failed = Error::failed("the startup script failed").hint("its output is on the instance's serial port");
        Err(self.with_serial_port(failed).await)
    }

    /// Deletes the instance; its boot disk stays.
    async fn delete_instance(&mut self) -> Result<()> {
        self.cx.phase("deleting the instance");
        self.cx.say("Deleting the instance; its disk stays for the image");
        let Some(made) = self.instance.take() else { return Ok(()) };
        let removed = made.thing.remove(&self.api, false, self.deadline(), self.cancel()).await;
        match removed {
            Ok(()) => made.entry.gone(),
            Err(e) => {
                self.instance = Some(made);
                Err(self.say_timeout(e))
            }
        }
    }
}

/// What the instance is made of.
struct Found {
    image: Image,
    /// Full link.
    machine_type: String,
    /// A reserved external address.
    address: Option<String>,
    os_login: bool,
}

/// Takes over whether a create call's outcome is known.
fn noted(made: &mut Made, started: Result<Started, Failure>) -> Result<Started> {
    started.map_err(|e| {
        made.doubt = e.uncertain;
        e.error
    })
}

/// Notes that something exists, once its operation is done.
fn created<T>(made: &Made, done: Result<T, Failure>) -> Result<()> {
    done?;
    made.entry.created(&made.thing.name)
}

/// The first address of the kind that is asked for.
fn address_of(instance: &Instance, internal: bool) -> String {
    let nics = instance.network_interfaces.iter();
    let found = if internal {
        nics.filter_map(|n| n.network_ip.clone()).find(|ip| !ip.is_empty())
    } else {
        nics.flat_map(|n| &n.access_configs).filter_map(|a| a.nat_ip.clone()).find(|ip| !ip.is_empty())
    };
    found.unwrap_or_default()
}
