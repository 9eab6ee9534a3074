//! Resource Manager: one small client for any resource, with one way for tokens, retries and errors; the SDK's requests take the
//! same way (see [`crate::compute`]).

use crate::failure::Failure;
use crate::http::{Answer, Call, Http};
use crate::token::Tokens;
use image_action_engine::wait::{Limiter, RETRY_ATTEMPTS, RETRY_FIRST, RETRY_LONGEST, Rate, limiter, pause, scaled};
use image_action_engine::{CancellationToken, Error, ErrorKind, Result};
use reqwest::{Method, Url};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The longest pause before a retry that the service may ask for: a longer one is no throttling but an outage.
const RETRY_AFTER_LONGEST: Duration = Duration::from_secs(60);

/// How fast one subscription is asked. Resource Manager fills its buckets for writes and deletes with ten tokens a second, and
/// they hold two hundred; those for reads hold more ("Understand how Azure Resource Manager throttles requests").
const RATE: Rate = Rate { burst: 200, per_second: 10 };

/// Attempts while nothing has ever answered: a user who has no network learns it soon.
const FIRST_ATTEMPTS: u32 = 2;

/// api-version of resource groups.
pub const GROUPS: &str = "2022-09-01";
/// api-version of `Microsoft.Network`.
pub const NETWORK: &str = "2023-09-01";
/// api-version of the list of all resources.
pub const RESOURCES: &str = "2021-04-01";
/// api-version of subscriptions.
pub const SUBSCRIPTIONS: &str = "2022-12-01";
/// api-version of machines and managed images, which the SDK uses as well.
pub const COMPUTE: &str = "2024-07-01";
/// api-version of disks and snapshots, which the SDK uses as well.
pub const DISKS: &str = "2024-03-02";
/// api-version of galleries, which the SDK uses as well.
pub const GALLERIES: &str = "2023-07-03";

/// The version with which a resource of this id is read and deleted.
pub fn version_of(id: &str) -> &'static str {
    let id = id.to_lowercase();
    match () {
        () if !id.contains("/providers/") => GROUPS,
        () if id.contains("/providers/microsoft.network/") => NETWORK,
        () if id.contains("/galleries/") => GALLERIES,
        () if id.contains("/disks/") || id.contains("/snapshots/") => DISKS,
        () => COMPUTE,
    }
}

/// A client for one subscription. Cheap to clone; clones share connections and tokens.
#[derive(Clone, Debug)]
pub struct Arm {
    http: Http,
    tokens: Tokens,
    endpoint: Url,
    subscription: String,
    cancel: CancellationToken,
    /// Shared with all who ask about the same subscription.
    limiter: Arc<Limiter>,
    /// Whether the cloud has ever answered.
    answered: Arc<AtomicBool>,
}

impl Arm {
    /// For a subscription at an endpoint; `cancel` ends every call.
    ///
    /// # Errors
    /// An endpoint that is no URL.
    pub fn new(
        http: Http,
        tokens: Tokens,
        endpoint: &str,
        subscription: &str,
        cancel: &CancellationToken,
    ) -> Result<Arm> {
        let endpoint = Url::parse(endpoint)
            .map_err(|e| Error::new(ErrorKind::Invalid, format!("the endpoint {endpoint} is no URL: {e}")))?;
        let limiter = limiter(&format!("azure {endpoint} {subscription}"), RATE);
        Ok(Arm {
            http,
            tokens,
            limiter,
            endpoint,
            subscription: subscription.to_owned(),
            cancel: cancel.clone(),
            answered: Arc::default(),
        })
    }
    /// The same client, whose calls another token ends.
    #[must_use]
    pub fn with_cancel(&self, cancel: &CancellationToken) -> Arm {
        Arm { cancel: cancel.clone(), ..self.clone() }
    }
    /// What ends the calls.
    pub fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }
    /// The subscription.
    pub fn subscription(&self) -> &str {
        &self.subscription
    }
    /// The endpoint.
    pub fn endpoint(&self) -> &Url {
        &self.endpoint
    }
    /// The tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }
    /// `/subscriptions/S`
    pub fn root(&self) -> String {
        format!("/subscriptions/{}", self.subscription)
    }
    /// `/subscriptions/S/resourceGroups/G`
    pub fn group(&self, name: &str) -> String {
        format!("{}/resourceGroups/{name}", self.root())
    }
    /// The id of a resource: `…/providers/Microsoft.Network/networkInterfaces/N`.
    pub fn id(&self, group: &str, ty: &str, name: &str) -> String {
        format!("{}/providers/{ty}/{name}", self.group(group))
    }
    /// The URL of an id with an api-version.
    pub fn url(&self, id: &str, version: &str) -> Url {
        let mut url = self.endpoint.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}{id}"));
        url.query_pairs_mut().append_pair("api-version", version);
        url
    }
    /// A URL of an answer's header on our own endpoint: the token goes nowhere else.
    pub fn own_url(&self, url: &str) -> Option<Url> {
        let given = self.endpoint.join(url).ok()?;
        let mut own = self.endpoint.clone();
        own.set_path(given.path());
        own.set_query(given.query());
        Some(own)
    }

    /// GET of an id.
    ///
    /// # Errors
    /// What was refused.
    pub async fn get(&self, id: &str) -> std::result::Result<Value, Failure> {
        self.get_version(id, version_of(id)).await
    }
    /// GET of an id with an api-version.
    ///
    /// # Errors
    /// What was refused.
    pub async fn get_version(&self, id: &str, version: &str) -> std::result::Result<Value, Failure> {
        self.send(Call::new(Method::GET, self.url(id, version))).await.map(|a| a.json())
    }
    /// GET of an id; `None` where it does not exist.
    ///
    /// # Errors
    /// What was refused for another reason.
    pub async fn find(&self, id: &str) -> std::result::Result<Option<Value>, Failure> {
        match self.get(id).await {
            Ok(value) => Ok(Some(value)),
            Err(f) if f.is_not_found() => Ok(None),
            Err(f) => Err(f),
        }
    }
    /// All pages of a collection.
    ///
    /// # Errors
    /// What was refused.
    pub async fn list(&self, id: &str, version: &str) -> std::result::Result<Vec<Value>, Failure> {
        self.pages(self.url(id, version)).await
    }
    /// All pages of what a filter lets through.
    ///
    /// # Errors
    /// What was refused.
    pub async fn list_where(&self, id: &str, version: &str, filter: &str) -> std::result::Result<Vec<Value>, Failure> {
        let mut url = self.url(id, version);
        url.query_pairs_mut().append_pair("$filter", filter);
        self.pages(url).await
    }
    async fn pages(&self, first: Url) -> std::result::Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        let mut next = Some(first);
        while let Some(url) = next.take() {
            let page = self.send(Call::new(Method::GET, url)).await?.json();
            all.extend(page.get("value").and_then(Value::as_array).cloned().unwrap_or_default());
            next = page.get("nextLink").and_then(Value::as_str).filter(|l| !l.is_empty()).and_then(|l| self.own_url(l));
        }
        Ok(all)
    }
    /// PUT of a body.
    ///
    /// # Errors
    /// What was refused.
    pub async fn put(&self, id: &str, body: &Value) -> std::result::Result<Answer, Failure> {
        self.send(Call::new(Method::PUT, self.url(id, version_of(id))).json(body)).await
    }
    /// DELETE of an id.
    ///
    /// # Errors
    /// What was refused.
    pub async fn delete(&self, id: &str) -> std::result::Result<Answer, Failure> {
        self.send(Call::new(Method::DELETE, self.url(id, version_of(id)))).await
    }

    /// Sends a call with a token: a token that is refused is renewed once, what may pass is tried again, as often as the engine's
    /// policy says and not before the service wants it.
    ///
    /// # Errors
    /// The refusal, once it is final; a cancel.
    pub async fn send(&self, call: Call) -> std::result::Result<Answer, Failure> {
        let name = name(&call.method, &call.url);
        let cancelled = |uncertain: bool| Failure { uncertain, ..Failure::from_error(&name, &Error::cancelled()) };
        let (mut next, mut tries, mut renewed) = (RETRY_FIRST, 1, false);
        loop {
            let token = self.tokens.get(&self.cancel).await.map_err(|e| Failure::from_error(&name, &e))?;
            let bearer = format!("Bearer {}", token.expose());
            self.limiter.pass(&self.cancel).await.map_err(|_| cancelled(tries > 1))?;
            let answer = tokio::select! {
                () = self.cancel.cancelled() => return Err(cancelled(true)),
                answer = self.http.send(&call, Some(&bearer), &name) => answer,
            };
            if answer.is_ok() {
                self.answered.store(true, Ordering::Relaxed);
            }
            let most = if self.answered.load(Ordering::Relaxed) { RETRY_ATTEMPTS } else { FIRST_ATTEMPTS };
            let failure = match answer {
                Ok(answer) if answer.is_success() => return Ok(answer),
                Ok(answer) if answer.status == 401 && !renewed => {
                    renewed = true;
                    self.tokens.forget(&token).await;
                    continue;
                }
                Ok(answer) => {
                    let failure = Failure::answered(&name, answer.status, &answer.body);
                    if let Some(asked) = answer.retry_after().filter(|_| failure.is_passing()) {
                        next = next.max(asked.min(RETRY_AFTER_LONGEST));
                    }
                    if answer.status == 429 {
                        self.limiter.slow_down(next);
                    }
                    failure
                }
                Err(failure) => failure,
            };
            let again = failure.is_passing() || failure.status.is_none();
            if !again || tries >= most {
                return Err(failure);
            }
            tries += 1;
            pause(scaled(next), &self.cancel).await.map_err(|_| cancelled(true))?;
            next = (next * 2).min(RETRY_LONGEST);
        }
    }
}

/// What a call does, for messages: `PUT networkInterfaces/pkrni1 in resource group g`.
pub fn name(method: &Method, url: &Url) -> String {
    let path = percent_encoding::percent_decode_str(url.path()).decode_utf8_lossy().into_owned();
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    let lower: Vec<String> = segments.iter().map(|s| s.to_lowercase()).collect();
    let at = |name: &str| lower.iter().position(|s| s == name);
    let group = at("resourcegroups").and_then(|i| segments.get(i + 1));
    let what = match at("providers") {
        Some(i) => segments.get(i + 2..).unwrap_or_default().join("/"),
        None => at("resourcegroups").map_or_else(|| segments.join("/"), |i| segments[i..].join("/")),
    };
    match group.filter(|_| at("providers").is_some()) {
        Some(group) => format!("{method} {what} in resource group {group}"),
        None => format!("{method} {what}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn calls_have_names_that_people_can_read() {
        let of = |method, path: &str| name(&method, &Url::parse(&format!("https://x{path}?api-version=1")).unwrap());
        assert_eq!(of(Method::PUT, "/subscriptions/s/resourceGroups/g"), "PUT resourceGroups/g");
        assert_eq!(
            of(
                Method::POST,
                "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm/deallocate"
            ),
            "POST virtualMachines/vm/deallocate in resource group g"
        );
    }
}
