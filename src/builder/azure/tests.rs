//! The client, the poller and the tokens against a stub that answers as it is told.

#![allow(clippy::unwrap_used)]

use crate::arm::Arm;
use crate::cloud::Endpoints;
use crate::compute::Compute;
use crate::http::Http;
use crate::operation::finish;
use crate::token::{Source, Tokens};
use image_action_engine::{CancellationToken, Env, ErrorKind, Secret};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Poll pauses of these tests, in thousandths of the real ones.
const SCALE: u32 = 20;

const MACHINE: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm";
const LONG: Duration = Duration::from_secs(20);

/// One request that the stub saw.
#[derive(Clone, Debug)]
struct Seen {
    method: String,
    path: String,
    bearer: String,
    body: Value,
}

/// One answer of the stub.
struct Say {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Value,
    hang_up: bool,
}

fn say(status: u16, body: Value) -> Say {
    Say { status, headers: Vec::new(), body, hang_up: false }
}

impl Say {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Say {
        self.headers.push((name, value.into()));
        self
    }
}

type Answer = dyn Fn(&Seen, usize) -> Say + Send + Sync;

struct Stub {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Stub {
    /// Answers with `answer`, which is given the request and how many of the same method and path came before.
    async fn start(answer: impl Fn(&Seen, usize) -> Say + Send + Sync + 'static) -> Stub {
        let _ = rustls::crypto::ring::default_provider().install_default();
        image_action_engine::wait::set_poll_scale(SCALE);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (log, answer): (_, Arc<Answer>) = (seen.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, log.clone(), answer.clone()));
            }
        });
        Stub { url, seen }
    }
    fn arm(&self, source: Source, cancel: &CancellationToken) -> Arm {
        let http = Http::new(&Env::default()).unwrap();
        let endpoints = Endpoints { manager: self.url.clone(), login: self.url.clone() };
        let tokens = Tokens::new(source, "t", endpoints, http.clone());
        Arm::new(http, tokens, &self.url, "s", cancel).unwrap()
    }
    fn fixed(&self) -> Arm {
        self.arm(Source::Fixed(Secret::new("token")), &CancellationToken::new())
    }
    fn calls(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|s| format!("{} {}", s.method, s.path)).collect()
    }
    fn count(&self, call: &str) -> usize {
        self.calls().iter().filter(|c| c.starts_with(call)).count()
    }
}

async fn serve(mut stream: TcpStream, log: Arc<Mutex<Vec<Seen>>>, answer: Arc<Answer>) {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break String::from_utf8_lossy(&bytes[..end]).into_owned();
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(n) if n > 0 => bytes.extend_from_slice(&chunk[..n]),
            _ => return,
        }
    };
    let header = |name: &str| {
        let line = head.lines().find(|l| l.to_lowercase().starts_with(&format!("{name}:")));
        line.map(|l| l[name.len() + 1..].trim().to_owned()).unwrap_or_default()
    };
    let length: usize = header("content-length").parse().unwrap_or(0);
    while bytes.len() < head.len() + 4 + length {
        let mut chunk = [0; 4096];
        let n = stream.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..n]);
    }
    let mut first = head.split_whitespace();
    let seen = Seen {
        method: first.next().unwrap().to_owned(),
        path: first.next().unwrap().to_owned(),
        bearer: header("authorization").replace("Bearer ", ""),
        body: serde_json::from_slice(&bytes[head.len() + 4..]).unwrap_or_default(),
    };
    let before = {
        let mut log = log.lock().unwrap();
        let before = log.iter().filter(|s| s.method == seen.method && s.path == seen.path).count();
        log.push(seen.clone());
        before
    };
    let said = answer(&seen, before);
    if said.hang_up {
        return;
    }
    let body = if said.body.is_null() { String::new() } else { said.body.to_string() };
    let headers: String = said.headers.iter().map(|(k, v)| format!("{k}: {v}\r\n")).collect();
    let text = format!(
        "HTTP/1.1 {} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
        said.status,
        body.len()
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let _ = stream.shutdown().await;
}

fn machine() -> Value {
    json!({ "location": "westus2", "properties": { "hardwareProfile": { "vmSize": "Standard_B1s" } } })
}

/// PUT of a machine by the SDK, then our poller.
async fn make_machine(arm: &Arm, deadline: Duration) -> image_action_engine::Result<Value> {
    let answer = Compute::new(arm)?.put_machine(MACHINE, &machine()).await?;
    finish(arm, &Method::PUT, MACHINE, answer, "the machine", deadline).await
}

#[tokio::test]
async fn an_operation_is_followed_by_its_header_and_the_put_is_not_repeated() {
    let stub = Stub::start(|seen, before| match seen.method.as_str() {
        // Another host: the token must not go there.
        "PUT" => say(201, json!({ "properties": { "provisioningState": "Creating" } }))
            .with("azure-asyncoperation", "https://elsewhere.example/op/1?api-version=2024-07-01")
            .with("retry-after", "1"),
        _ if before < 2 => say(200, json!({ "status": "InProgress" })),
        _ => say(200, json!({ "status": "Succeeded" })),
    })
    .await;
    make_machine(&stub.fixed(), LONG).await.unwrap();
    assert_eq!(stub.count("PUT "), 1);
    assert_eq!(stub.count("GET /op/1?api-version=2024-07-01"), 3);
    let put = stub.seen.lock().unwrap()[0].clone();
    assert_eq!(put.path, format!("{MACHINE}?api-version=2024-07-01"));
    assert_eq!(put.bearer, "token");
    assert_eq!(put.body, machine(), "no explicit nulls");
}

#[tokio::test]
async fn a_location_is_followed_until_it_has_the_result() {
    for last in [200, 204] {
        let stub = Stub::start(move |seen, before| match seen.method.as_str() {
            "POST" => say(202, Value::Null).with("location", "/result/1"),
            _ if before < 2 => say(202, Value::Null),
            _ => say(last, Value::Null),
        })
        .await;
        let arm = stub.fixed();
        let answer = Compute::new(&arm).unwrap().deallocate(MACHINE).await.unwrap();
        finish(&arm, &Method::POST, MACHINE, answer, "the machine", LONG).await.unwrap();
        assert_eq!(stub.count("POST "), 1);
        assert_eq!(stub.count("GET /result/1"), 3);
    }
}

#[tokio::test]
async fn a_failure_that_comes_with_status_200_is_one_and_tells_its_details() {
    let stub = Stub::start(|seen, _| match seen.method.as_str() {
        "PUT" => say(201, Value::Null).with("azure-asyncoperation", "/op/1"),
        _ => say(
            200,
            json!({ "status": "Failed", "error": {
                "code": "DeploymentFailed", "message": "It did not work.",
                "details": [{ "code": "SkuNotAvailable", "message": "Not in westus2." }],
            }}),
        ),
    })
    .await;
    let e = make_machine(&stub.fixed(), LONG).await.unwrap_err();
    assert!(e.summary.starts_with("PUT virtualMachines/vm in resource group g: DeploymentFailed"), "{}", e.summary);
    assert_eq!(e.detail, "SkuNotAvailable: Not in westus2.");
    assert_eq!(stub.count("PUT "), 1);
}

#[tokio::test]
async fn a_resource_that_fails_without_any_header_is_noticed() {
    let stub = Stub::start(|seen, before| match (seen.method.as_str(), before) {
        ("PUT", _) => say(201, json!({ "properties": { "provisioningState": "Creating" } })),
        (_, 0) => say(200, json!({ "properties": { "provisioningState": "Updating" } })),
        _ => say(200, json!({ "properties": { "provisioningState": "failed" } })),
    })
    .await;
    let e = make_machine(&stub.fixed(), LONG).await.unwrap_err();
    assert!(e.summary.contains("the operation ended as failed"), "{}", e.summary);
    assert_eq!(stub.count(&format!("GET {MACHINE}")), 2);
}

#[tokio::test]
async fn the_service_says_how_long_to_wait() {
    let stub = Stub::start(|seen, before| match seen.method.as_str() {
        "PUT" => say(201, Value::Null).with("azure-asyncoperation", "/op/1").with("retry-after", "10"),
        _ if before < 1 => say(200, json!({ "status": "Running" })).with("retry-after", "5"),
        _ => say(200, json!({ "status": "Succeeded" })),
    })
    .await;
    let begin = Instant::now();
    make_machine(&stub.fixed(), LONG).await.unwrap();
    let least = Duration::from_secs(15) * SCALE / 1000;
    assert!(begin.elapsed() >= least, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn throttling_is_waited_out() {
    let stub = Stub::start(|_, before| match before {
        0 | 1 => {
            say(429, json!({ "error": { "code": "TooManyRequests", "message": "later" } })).with("retry-after", "2")
        }
        _ => say(200, json!({ "properties": { "provisioningState": "Succeeded" } })),
    })
    .await;
    make_machine(&stub.fixed(), LONG).await.unwrap();
    assert_eq!(stub.count("PUT "), 3);
}

#[tokio::test]
async fn a_conflict_is_final_and_says_everything() {
    let stub = Stub::start(|_, _| {
        let inner = r#"{"error":{"code":"PropertyChangeNotAllowed","message":"No."}}"#;
        say(409, json!({ "error": { "code": "Conflict", "message": "Refused.", "details": [{ "code": "BadRequest", "message": inner }] } }))
    })
    .await;
    let e = make_machine(&stub.fixed(), LONG).await.unwrap_err();
    assert_eq!(e.summary, "PUT virtualMachines/vm in resource group g: 409 Conflict: Refused.");
    assert_eq!(e.detail, "BadRequest: PropertyChangeNotAllowed: No.");
    assert_eq!(stub.calls().len(), 1);
}

#[tokio::test]
async fn a_lost_connection_while_polling_is_no_failure() {
    let stub = Stub::start(|seen, before| match seen.method.as_str() {
        "PUT" => say(201, Value::Null).with("azure-asyncoperation", "/op/1"),
        _ => Say { hang_up: before < 2, ..say(200, json!({ "status": "Succeeded" })) },
    })
    .await;
    make_machine(&stub.fixed(), LONG).await.unwrap();
    assert_eq!((stub.count("PUT "), stub.count("GET ")), (1, 3));
}

#[tokio::test]
async fn a_new_token_of_the_workflow_is_asked_for_with_each_token_of_azure() {
    let stub = Stub::start(|seen, before| match (seen.method.as_str(), seen.path.split('?').next().unwrap()) {
        ("GET", "/id-token") => say(200, json!({ "value": "a.b.c" })),
        // The first one is refused in the middle of the operation, the second one is good.
        ("POST", "/t/oauth2/v2.0/token") => {
            say(200, json!({ "access_token": format!("t{before}"), "expires_in": "3599" }))
        }
        ("PUT", _) => say(201, Value::Null).with("azure-asyncoperation", "/op/1"),
        _ if seen.bearer == "t0" && before > 0 => {
            say(401, json!({ "error": { "code": "ExpiredAuthenticationToken", "message": "old" } }))
        }
        _ if before < 3 => say(200, json!({ "status": "Running" })),
        _ => say(200, json!({ "status": "Succeeded" })),
    })
    .await;
    let source = Source::Requested {
        client: "c".into(),
        url: format!("{}/id-token?api-version=2.0", stub.url),
        token: Secret::new("request-token"),
    };
    make_machine(&stub.arm(source, &CancellationToken::new()), LONG).await.unwrap();
    assert_eq!(stub.count("GET /id-token?api-version=2.0&audience=api%3A%2F%2FAzureADTokenExchange"), 2);
    assert_eq!(stub.count("POST /t/oauth2/v2.0/token"), 2);
    assert_eq!(stub.count("PUT "), 1);
    let asked = stub.seen.lock().unwrap().iter().find(|s| s.path.starts_with("/id-token")).unwrap().clone();
    assert_eq!(asked.bearer, "request-token");
}

#[tokio::test]
async fn a_token_is_kept_while_it_holds() {
    let stub = Stub::start(|seen, _| match seen.method.as_str() {
        "POST" => say(200, json!({ "access_token": "t", "expires_in": 3599 })),
        _ => say(200, json!({})),
    })
    .await;
    let source = Source::Secret { client: "c".into(), secret: Secret::new("x") };
    let arm = stub.arm(source, &CancellationToken::new());
    for _ in 0..3 {
        arm.get("/subscriptions/s/resourceGroups/g").await.unwrap();
    }
    assert_eq!((stub.count("POST "), stub.count("GET ")), (1, 3));
}

#[tokio::test]
async fn a_refused_login_says_what_entra_says_and_how_to_mend_it() {
    let stub = Stub::start(|_, _| {
        let text = "AADSTS7000215: Invalid client secret provided. Trace ID: 1 Correlation ID: 2";
        say(401, json!({ "error": "invalid_client", "error_description": text }))
    })
    .await;
    let source = Source::Secret { client: "c".into(), secret: Secret::new("x") };
    let e = stub.arm(source, &CancellationToken::new()).tokens().get(&CancellationToken::new()).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Credentials);
    assert_eq!(e.summary, "log in to tenant t as application c: AADSTS7000215: Invalid client secret provided.");
    assert!(e.hint.is_some() && stub.calls().len() == 1);
}

#[tokio::test]
async fn a_cancel_ends_the_wait_at_once() {
    let stub = Stub::start(|seen, _| match seen.method.as_str() {
        "PUT" => say(201, Value::Null).with("azure-asyncoperation", "/op/1").with("retry-after", "3600"),
        _ => say(200, json!({ "status": "Running" })),
    })
    .await;
    let cancel = CancellationToken::new();
    let arm = stub.arm(Source::Fixed(Secret::new("token")), &cancel);
    let later = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        later.cancel();
    });
    let begin = Instant::now();
    let e = make_machine(&arm, Duration::from_secs(36_000)).await.unwrap_err();
    assert!(e.is_cancelled() && begin.elapsed() < Duration::from_secs(2), "{e} {:?}", begin.elapsed());
}

#[tokio::test]
async fn a_wait_that_is_too_long_names_itself() {
    let stub = Stub::start(|seen, _| match seen.method.as_str() {
        "PUT" => say(201, Value::Null).with("azure-asyncoperation", "/op/1"),
        _ => say(200, json!({ "status": "Running" })),
    })
    .await;
    let e = make_machine(&stub.fixed(), Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::TimedOut);
    assert!(e.summary.contains("the machine"), "{e}");
}

#[tokio::test]
async fn a_delete_without_headers_lasts_until_the_resource_is_not_found() {
    let stub = Stub::start(|seen, before| match seen.method.as_str() {
        "DELETE" => say(202, Value::Null),
        _ if before < 2 => say(200, json!({ "properties": { "provisioningState": "Succeeded" } })),
        _ => say(404, json!({ "error": { "code": "ResourceNotFound", "message": "gone" } })),
    })
    .await;
    let arm = stub.fixed();
    let answer = Compute::new(&arm).unwrap().delete(MACHINE).await.unwrap();
    finish(&arm, &Method::DELETE, MACHINE, answer, "the machine", LONG).await.unwrap();
    assert_eq!(stub.count(&format!("GET {MACHINE}")), 3);
}

#[tokio::test]
async fn a_service_that_is_not_there_is_reported_soon() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let stub = Stub { url: format!("http://{free}"), seen: Arc::default() };
    let begin = Instant::now();
    let e = image_action_engine::Error::from(stub.fixed().get("/subscriptions/s/resourceGroups/g").await.unwrap_err());
    assert_eq!(e.kind, ErrorKind::Unreachable);
    assert!(e.summary.contains(&free.to_string()) && e.hint.is_some(), "{e}");
    assert!(begin.elapsed() < Duration::from_secs(5));
}
