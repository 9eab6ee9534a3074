//! Compute Engine: the local one as Google's own Python client sees it, and our builder on it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod failures;
mod golden;
mod job;

use crate::support::{Local, python};

#[tokio::test(flavor = "multi_thread")]
async fn googles_python_client_creates_lists_and_deletes() {
    let local = Local::start().await;
    python("google_clients.py", &[], local.env()).await;
    assert_eq!(local.running.cloud.existing().len(), 0);
}
