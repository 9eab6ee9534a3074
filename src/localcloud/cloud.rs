//! What all services of one local cloud share: timing, machines, faults, the log of requests.

use crate::fault::Faults;
use crate::http::{Request, Response};
use crate::machine::Machines;
use crate::{aws, azure, github, google, issuer};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// How long a transitional state (pending, stopping, …) lasts unless said otherwise.
pub const DEFAULT_STEP: Duration = Duration::from_millis(200);

/// How many requests the log keeps.
const LOG_LIMIT: usize = 20_000;

/// How a local cloud is brought up.
#[derive(Clone)]
pub struct Options {
    /// The port; 0 takes a free one.
    pub port: u16,
    /// A folder of its own: images, the CA, credential files. Removed by nobody but its owner.
    pub state_dir: PathBuf,
    /// How long a transitional state lasts.
    pub step: Duration,
    /// How guests are made; `None`: machines have no guest behind them, and nobody can log in.
    pub guests: Option<crate::guest::HostOptions>,
}

/// One request that was answered.
#[derive(Clone, Debug, Serialize)]
pub struct LogEntry {
    /// Milliseconds since the cloud came up.
    pub at: u128,
    /// `aws`, `azure`, `google`, `github`.
    pub service: &'static str,
    /// What the service calls it (`ec2 us-west-2 RunInstances`, `GET /subscriptions/…`).
    pub call: String,
    /// Path and query as they came.
    pub raw: String,
    /// The body as text.
    pub body: String,
    /// The status of the answer.
    pub status: u16,
    /// The answer as text.
    pub answer: String,
}

/// One local cloud.
pub struct Cloud {
    /// How it was brought up.
    pub options: Options,
    /// When.
    pub born: Instant,
    /// Where it listens.
    pub port: OnceLock<u16>,
    /// Machines and their addresses.
    pub machines: Machines,
    /// What goes wrong on purpose.
    pub faults: Faults,
    /// EC2, KMS, STS.
    pub aws: aws::State,
    /// Azure Resource Manager.
    pub azure: azure::State,
    /// Compute Engine.
    pub google: google::State,
    /// GitHub.
    pub github: github::State,
    /// Job identities, and whom the clouds trust.
    pub issuer: issuer::State,
    log: Mutex<Vec<LogEntry>>,
}

/// Something that exists and was not there from the start.
#[derive(Clone, Debug, Serialize)]
pub struct Existing {
    /// `aws`, `azure`, `gcp`.
    pub provider: &'static str,
    /// The cloud's own word.
    pub kind: String,
    /// Region, zone or resource group.
    pub place: String,
    /// Id or whole path.
    pub id: String,
    /// `running`, `available`, …
    pub state: String,
    /// Name and tags, as the cloud shows them.
    pub tags: std::collections::BTreeMap<String, String>,
}

impl Cloud {
    /// A cloud with its fixtures and no listener.
    pub fn new(options: Options, machines: Machines) -> Arc<Cloud> {
        Arc::new(Cloud {
            options,
            born: Instant::now(),
            port: OnceLock::new(),
            machines,
            faults: Faults::default(),
            aws: aws::State::default(),
            azure: azure::State::default(),
            google: google::State::default(),
            github: github::State::default(),
            issuer: issuer::State::default(),
            log: Mutex::new(Vec::new()),
        })
    }
    /// `http://127.0.0.1:PORT`
    pub fn http_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.get().copied().unwrap_or(0))
    }
    /// `https://127.0.0.1:PORT`, whose certificate is of our own CA.
    pub fn https_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port.get().copied().unwrap_or(0))
    }
    /// How long a transitional state lasts.
    pub fn step(&self) -> Duration {
        self.options.step
    }
    /// Everything that exists in any cloud and is no fixture.
    pub fn existing(&self) -> Vec<Existing> {
        let mut all = aws::existing(self);
        all.extend(azure::existing(self));
        all.extend(google::existing(self));
        all
    }
    /// The requests so far.
    pub fn log(&self) -> Vec<LogEntry> {
        self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
    /// Forgets the requests so far.
    pub fn clear_log(&self) {
        self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
    }
    pub(crate) fn note(&self, service: &'static str, call: String, request: &Request, response: &Response) {
        let mut log = self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if log.len() >= LOG_LIMIT {
            return;
        }
        log.push(LogEntry {
            at: self.born.elapsed().as_millis(),
            service,
            call,
            raw: request.raw.clone(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            status: response.status.as_u16(),
            answer: String::from_utf8_lossy(&response.body).into_owned(),
        });
    }
}
