//! Amazon: the local EC2 as boto3 sees it, and our builder on it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::support::{Local, python};

#[tokio::test(flavor = "multi_thread")]
async fn boto3_creates_lists_and_deletes() {
    let local = Local::start().await;
    python("aws_clients.py", &[], local.env()).await;
    assert_eq!(local.running.cloud.existing().iter().map(|e| &e.id).collect::<Vec<_>>(), Vec::<&String>::new());
}
