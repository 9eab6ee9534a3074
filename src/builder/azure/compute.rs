//! `Microsoft.Compute` by the SDK's typed requests: always `.send()`, never `.await` on a request builder, whose way of following
//! operations repeats the PUT and reports failures as success. What `.send()` begins, [`crate::operation::finish`] follows.
//!
//! The SDK's transport is [`Arm::send`]: tokens, retries and errors are the same as for every other call, and the explicit nulls
//! that its models write for unset dates are taken out on the way.

use crate::arm::Arm;
use crate::failure::Failure;
use crate::http::{Answer, Call};
use azure_core::headers::{HeaderName, HeaderValue, Headers};
use azure_core::{HttpClient, RetryOptions, StatusCode, TransportOptions};
use azure_mgmt_compute::package_2024_07_01::{Client, models};
use bytes::Bytes;
use image_action_engine::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// Requests to `Microsoft.Compute`.
#[derive(Clone)]
pub struct Compute {
    client: Client,
    arm: Arm,
}

/// The names of an id below a group: group, then each name.
fn names(id: &str) -> Vec<String> {
    let segments: Vec<&str> = id.split('/').collect();
    let group = segments.get(4).copied().unwrap_or_default();
    let inner = segments.iter().skip(8).step_by(2).copied();
    std::iter::once(group).chain(inner).map(str::to_owned).collect()
}

impl Compute {
    /// By this client.
    ///
    /// # Errors
    /// Where the SDK refuses its options.
    pub fn new(arm: &Arm) -> Result<Compute> {
        let transport = TransportOptions::new(Arc::new(Transport(arm.clone())));
        let scope = format!("{}/.default", arm.endpoint().as_str().trim_end_matches('/'));
        let client = Client::builder(Arc::new(arm.tokens().clone()))
            .endpoint(arm.endpoint().clone())
            .scopes(&[&scope])
            // Retried by the transport, under the policy of the engine.
            .retry(RetryOptions::none())
            .transport(transport)
            .build()
            .map_err(|e| Error::failed(format!("no client for Microsoft.Compute: {e}")))?;
        Ok(Compute { client, arm: arm.clone() })
    }

    /// What the SDK sent, as an answer of ours.
    async fn sent<R, F>(&self, request: F) -> std::result::Result<Answer, Failure>
    where
        R: Into<azure_core::Response>,
        F: Future<Output = azure_core::Result<R>>,
    {
        let response = tokio::select! {
            // The SDK asks for a token before it comes to the transport.
            () = self.arm.cancel().cancelled() => return Err(Failure {
                uncertain: true,
                ..Failure::from_error("Microsoft.Compute", &Error::cancelled())
            }),
            response = request => response,
        };
        let response = response.map_err(|e| match e.into_downcast::<Failure>() {
            Ok(failure) => failure,
            Err(other) => Failure::unanswered("Microsoft.Compute", other.to_string()),
        })?;
        let (status, headers, body) = response.into().deconstruct();
        let body = body.collect().await.map_err(|e| Failure::unanswered("Microsoft.Compute", e.to_string()))?;
        let headers = headers.iter().map(|(k, v)| (k.as_str().to_owned(), v.as_str().to_owned())).collect();
        Ok(Answer { status: u16::from(status), headers, body })
    }

    /// PUT of a machine.
    ///
    /// # Errors
    /// What was refused.
    pub async fn put_machine(&self, id: &str, body: &Value) -> std::result::Result<Answer, Failure> {
        if body.get("identity").is_some() {
            // The SDK's model of user-assigned identities is an empty struct: it would send none.
            return self.arm.put(id, body).await;
        }
        let n = names(id);
        let client = self.client.virtual_machines_client();
        self.sent(
            client
                .create_or_update(&n[0], &n[1], typed::<models::VirtualMachine>(body)?, self.arm.subscription())
                .send(),
        )
        .await
    }
    /// GET of a machine.
    ///
    /// # Errors
    /// What was refused.
    pub async fn machine(&self, id: &str) -> std::result::Result<Value, Failure> {
        let n = names(id);
        let request = self.client.virtual_machines_client().get(&n[0], &n[1], self.arm.subscription());
        Ok(self.sent(request.send()).await?.json())
    }
    /// Stops a machine and gives its hardware back.
    ///
    /// # Errors
    /// What was refused.
    pub async fn deallocate(&self, id: &str) -> std::result::Result<Answer, Failure> {
        let n = names(id);
        self.sent(self.client.virtual_machines_client().deallocate(&n[0], &n[1], self.arm.subscription()).send()).await
    }
    /// Says of a machine that its own traits are gone; it cannot start again.
    ///
    /// # Errors
    /// What was refused.
    pub async fn generalize(&self, id: &str) -> std::result::Result<Answer, Failure> {
        let n = names(id);
        self.sent(self.client.virtual_machines_client().generalize(&n[0], &n[1], self.arm.subscription()).send()).await
    }
    /// PUT of a managed image.
    ///
    /// # Errors
    /// What was refused.
    pub async fn put_image(&self, id: &str, body: &Value) -> std::result::Result<Answer, Failure> {
        let n = names(id);
        let client = self.client.images_client();
        self.sent(client.create_or_update(&n[0], &n[1], typed::<models::Image>(body)?, self.arm.subscription()).send())
            .await
    }
    /// PUT of a snapshot.
    ///
    /// # Errors
    /// What was refused.
    pub async fn put_snapshot(&self, id: &str, body: &Value) -> std::result::Result<Answer, Failure> {
        let n = names(id);
        let client = self.client.snapshots_client();
        self.sent(
            client.create_or_update(self.arm.subscription(), &n[0], &n[1], typed::<models::Snapshot>(body)?).send(),
        )
        .await
    }
    /// PUT of a version of a gallery's image; its subscription is that of the id.
    ///
    /// # Errors
    /// What was refused.
    pub async fn put_version(&self, id: &str, body: &Value) -> std::result::Result<Answer, Failure> {
        let n = names(id);
        let subscription = id.split('/').nth(2).unwrap_or_default();
        let client = self.client.gallery_image_versions_client();
        let version = typed::<models::GalleryImageVersion>(body)?;
        self.sent(client.create_or_update(subscription, &n[0], &n[1], &n[2], &n[3], version).send()).await
    }
    /// GET of anything of `Microsoft.Compute`; `None` where it does not exist.
    ///
    /// # Errors
    /// What was refused for another reason.
    pub async fn find(&self, id: &str) -> std::result::Result<Option<Value>, Failure> {
        let n = names(id);
        let subscription = id.split('/').nth(2).unwrap_or_default();
        let answer = match (kind(id), n.len()) {
            ("virtualmachines", 2) => {
                self.sent(self.client.virtual_machines_client().get(&n[0], &n[1], subscription).send()).await
            }
            ("images", 2) => self.sent(self.client.images_client().get(&n[0], &n[1], subscription).send()).await,
            ("disks", 2) => self.sent(self.client.disks_client().get(subscription, &n[0], &n[1]).send()).await,
            ("snapshots", 2) => self.sent(self.client.snapshots_client().get(subscription, &n[0], &n[1]).send()).await,
            ("galleries", 3) => {
                self.sent(self.client.gallery_images_client().get(subscription, &n[0], &n[1], &n[2]).send()).await
            }
            ("galleries", 4) => {
                self.sent(
                    self.client.gallery_image_versions_client().get(subscription, &n[0], &n[1], &n[2], &n[3]).send(),
                )
                .await
            }
            _ => return self.arm.find(id).await,
        };
        match answer {
            Ok(answer) => Ok(Some(answer.json())),
            Err(f) if f.is_not_found() => Ok(None),
            Err(f) => Err(f),
        }
    }
    /// DELETE of anything of `Microsoft.Compute`.
    ///
    /// # Errors
    /// What was refused.
    pub async fn delete(&self, id: &str) -> std::result::Result<Answer, Failure> {
        let n = names(id);
        let subscription = id.split('/').nth(2).unwrap_or_default();
        match (kind(id), n.len()) {
            ("virtualmachines", 2) => {
                self.sent(self.client.virtual_machines_client().delete(&n[0], &n[1], subscription).send()).await
            }
            ("images", 2) => self.sent(self.client.images_client().delete(&n[0], &n[1], subscription).send()).await,
            ("disks", 2) => self.sent(self.client.disks_client().delete(subscription, &n[0], &n[1]).send()).await,
            ("snapshots", 2) => {
                self.sent(self.client.snapshots_client().delete(subscription, &n[0], &n[1]).send()).await
            }
            ("galleries", 4) => {
                self.sent(
                    self.client.gallery_image_versions_client().delete(subscription, &n[0], &n[1], &n[2], &n[3]).send(),
                )
                .await
            }
            _ => self.arm.delete(id).await,
        }
    }
}

/// The outermost type of an id, in lower case and without its namespace; empty for what is not `Microsoft.Compute`.
fn kind(id: &str) -> &'static str {
    let lower = id.to_lowercase();
    let kinds = ["virtualmachines", "images", "disks", "snapshots", "galleries"];
    let of = lower.split("/providers/microsoft.compute/").nth(1).and_then(|rest| rest.split('/').next());
    kinds.into_iter().find(|k| of == Some(k)).unwrap_or_default()
}

/// A body as the SDK's model, which must not lose a property on the way.
fn typed<T: DeserializeOwned + Serialize>(body: &Value) -> std::result::Result<T, Failure> {
    let wrong = |why: String| Failure {
        uncertain: false,
        kind: Some(image_action_engine::ErrorKind::Invalid),
        ..Failure::unanswered("Microsoft.Compute", why)
    };
    let model: T =
        serde_json::from_value(body.clone()).map_err(|e| wrong(format!("the SDK cannot express the request: {e}")))?;
    let mut again = serde_json::to_value(&model).map_err(|e| wrong(e.to_string()))?;
    without_nulls(&mut again);
    match lost(body, &again, "") {
        None => Ok(model),
        Some(place) => Err(wrong(format!("the SDK's model of the request has no place for {place}"))),
    }
}

/// The first property of `sent` that `model` does not carry.
fn lost(sent: &Value, model: &Value, place: &str) -> Option<String> {
    match (sent, model) {
        (Value::Object(a), Value::Object(b)) => a.iter().find_map(|(name, value)| {
            let place = format!("{place}/{name}");
            match b.get(name) {
                Some(there) => lost(value, there, &place),
                None if value.as_array().is_some_and(Vec::is_empty) => None,
                None => Some(place),
            }
        }),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(n, (x, y))| lost(x, y, &format!("{place}/{n}")))
        }
        (a, b) if a == b => None,
        // 5 and 5.0, and dates in another spelling, are the same.
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => None,
        (Value::String(a), Value::String(b))
            if chrono::DateTime::parse_from_rfc3339(a)
                .ok()
                .is_some_and(|d| Some(d) == chrono::DateTime::parse_from_rfc3339(b).ok()) =>
        {
            None
        }
        _ => Some(place.to_owned()),
    }
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(without_nulls);
        }
        Value::Array(all) => all.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// Carries the SDK's requests.
#[derive(Debug)]
struct Transport(Arm);

#[async_trait::async_trait]
impl HttpClient for Transport {
    async fn execute_request(&self, request: &azure_core::Request) -> azure_core::Result<azure_core::Response> {
        let other = |why: String| azure_core::Error::message(azure_core::error::ErrorKind::Other, why);
        let method =
            reqwest::Method::from_bytes(request.method().as_ref().as_bytes()).map_err(|e| other(e.to_string()))?;
        let azure_core::Body::Bytes(body) = request.body() else {
            return Err(other("a body that is a stream is not sent".to_owned()));
        };
        let mut call = Call::new(method, request.url().clone());
        match serde_json::from_slice::<Value>(body) {
            Ok(mut document) => {
                without_nulls(&mut document);
                call = call.json(&document);
            }
            Err(_) => call.body = body.clone(),
        }
        match self.0.send(call).await {
            Ok(answer) => respond(answer),
            Err(failure) => Err(azure_core::Error::new(azure_core::error::ErrorKind::Other, failure)),
        }
    }
}

fn respond(answer: Answer) -> azure_core::Result<azure_core::Response> {
    let status = StatusCode::try_from(answer.status).map_err(|_| {
        azure_core::Error::message(azure_core::error::ErrorKind::DataConversion, format!("status {}", answer.status))
    })?;
    let headers: HashMap<HeaderName, HeaderValue> =
        answer.headers.into_iter().map(|(k, v)| (HeaderName::from(k), HeaderValue::from(v))).collect();
    let body = futures_util::stream::iter([Ok::<Bytes, azure_core::Error>(answer.body)]);
    Ok(azure_core::Response::new(status, Headers::from(headers), Box::pin(body)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_fall_into_names() {
        let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/a/images/b/versions/1.0.0";
        assert_eq!(names(id), ["g", "a", "b", "1.0.0"]);
        assert_eq!(kind(id), "galleries");
        assert_eq!(kind("/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/networkInterfaces/n"), "");
    }

    #[test]
    fn a_model_that_loses_a_property_is_not_sent() {
        let body = json!({ "location": "westus2", "properties": { "hardwareProfile": { "vmSize": "Standard_X" } } });
        assert!(typed::<models::VirtualMachine>(&body).is_ok());
        let body = json!({ "location": "westus2", "properties": { "noSuch": 1 } });
        let failure = typed::<models::VirtualMachine>(&body).unwrap_err();
        assert!(failure.message.contains("/properties/noSuch"), "{failure}");
    }
}
