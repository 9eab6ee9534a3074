//! What goes wrong: every failure is told with its cure, and leaves nothing behind.

use super::job::{IMAGE, Job};
use nix::sys::signal::Signal;
use serde_json::json;

const FAILS: &str = "  provisioner \"shell-local\" {\n    inline = [\"exit 3\"]\n  }";
const SLEEPS: &str = "  provisioner \"shell-local\" {\n    inline = [\"sleep 60\"]\n  }";

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_provisioner_leaves_nothing() {
    let job = Job::new("", FAILS).await;
    job.build(&[]).await.expect(1, &["Removing what this build made"]);
    assert_eq!(job.existing(), Vec::<String>::new());
    assert!(!job.calls().iter().any(|c| c.starts_with("POST") && c.ends_with("/images")));
    assert!(job.ledgers().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn abort_leaves_and_lists_everything() {
    let job = Job::new("instance_name = \"one\"", FAILS).await;
    let outcome = job.build(&["-on-error=abort"]).await;
    outcome.expect(1, &["gcloud compute instances delete one --zone us-central1-a --project local-project --quiet"]);
    assert_eq!(job.existing(), ["instance one", "disk one"]);
    let state = job.state_dir();
    job.run(&["cleanup", "--state-dir", state.to_str().unwrap()]).await.expect(0, &[]);
    assert_eq!(job.existing(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_build_leaves_nothing() {
    for (what, call) in [
        ("while a provisioner runs", "GET projects/local-project/zones/us-central1-a/instances/one"),
        ("while the instance is made", "POST projects/local-project/zones/us-central1-a/instances"),
        ("while the source is looked for", "GET projects/coreos-cloud/global/images/family/ubuntu-2204-lts"),
    ] {
        let job = Job::new("instance_name = \"one\"", SLEEPS).await;
        let going = job.start_build(&[]);
        job.wait_for_call(call).await;
        going.signal(Signal::SIGINT);
        going.end().await.expect(1, &[]);
        assert_eq!(job.existing(), Vec::<String>::new(), "{what}");
        assert!(job.ledgers().is_empty(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_interrupted_while_the_image_is_made_leaves_nothing() {
    let job = Job::new("instance_name = \"one\"", "").await;
    job.fault(
        json!({ "matches": "operation insert projects/local-project/global/images", "delay_ms": 1500, "times": 1 }),
    );
    let going = job.start_build(&[]);
    job.wait_for_call("POST projects/local-project/global/images").await;
    going.signal(Signal::SIGTERM);
    going.end().await.expect(1, &[]);
    assert_eq!(job.existing(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_build_is_swept_by_its_ledger() {
    for call in [
        "POST projects/local-project/zones/us-central1-a/instances",
        "GET projects/local-project/zones/us-central1-a/instances/one",
    ] {
        let job = Job::new("instance_name = \"one\"", SLEEPS).await;
        let going = job.start_build(&[]);
        job.wait_for_call(call).await;
        going.signal(Signal::SIGKILL);
        going.end().await;
        assert_eq!(job.ledgers().len(), 1, "{call}");
        let state = job.state_dir();
        job.run(&["cleanup", "--state-dir", state.to_str().unwrap()]).await.expect(0, &["nothing is left"]);
        assert_eq!(job.existing(), Vec::<String>::new(), "{call}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_operation_fails_leaves_no_disk() {
    let job = Job::new("", "").await;
    let quota = json!({ "matches": "operation insert projects/local-project/zones/us-central1-a/instances", "code": "QUOTA_EXCEEDED", "message": "Quota 'CPUS' exceeded.  Limit: 24.0 in region us-central1.", "status": 403 });
    job.fault(quota);
    job.build(&[]).await.expect(
        1,
        &["instances.insert of packer-", "Quota 'CPUS' exceeded.", "(QUOTA_EXCEEDED)", "hint: ask for more quota"],
    );
    assert_eq!(job.existing(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_one_line_with_its_cure() {
    let job = Job::new("", "").await;
    let message =
        "Required 'compute.instances.create' permission for 'projects/local-project/zones/us-central1-a/instances/x'";
    job.fault(json!({ "matches": "POST projects/local-project/zones/us-central1-a/instances", "status": 403, "code": "forbidden", "message": message }));
    job.build(&[]).await.expect(1, &[message, "hint: grant compute.instances.create"]);
    // A refused call has made nothing: there is nothing to remove.
    assert!(!job.calls().iter().any(|c| c.starts_with("DELETE")), "{:?}", job.calls());
    assert!(job.ledgers().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_whose_operation_fails_is_a_failure() {
    let job = Job::new("", "").await;
    job.fault(json!({ "matches": "operation insert projects/local-project/global/images", "code": "QUOTA_EXCEEDED", "message": "Quota 'IMAGES' exceeded.  Limit: 100.0 globally.", "status": 403 }));
    job.build(&[]).await.expect(1, &["images.insert of", "Quota 'IMAGES' exceeded."]);
    assert_eq!(job.existing(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_takes_too_long_names_the_option() {
    let job = Job::new("state_timeout = \"1s\"", "").await;
    job.fault(
        json!({ "matches": "operation insert projects/local-project/global/images", "delay_ms": 3000, "times": 1 }),
    );
    job.build(&[]).await.expect(1, &["gave up waiting for images.insert", "raise state_timeout"]);
    assert_eq!(job.existing(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_delete_of_the_instance_is_a_failure() {
    // Packer ends with code 0 here, and without an image.
    let job = Job::new("", "").await;
    job.fault(json!({ "matches": "DELETE projects/local-project/zones/us-central1-a/instances", "status": 403, "code": "forbidden", "message": "Permission denied", "times": 1 }));
    job.build(&[]).await.expect(1, &["instances.delete of packer-", "Permission denied"]);
    assert_eq!(job.existing(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_stays_is_told_and_changes_the_exit_code() {
    let job = Job::new("disk_name = \"stays\"", "").await;
    job.fault(json!({ "matches": "DELETE projects/local-project/zones/us-central1-a/disks", "status": 403, "code": "forbidden", "message": "Permission denied" }));
    let command = "gcloud compute disks delete stays --zone us-central1-a --project local-project --quiet";
    job.build(&[]).await.expect(5, &["Permission denied", command]);
    assert_eq!(job.existing(), ["disk stays".to_owned(), format!("image {IMAGE}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_by_itself_is_tried_again() {
    let job = Job::new("", "").await;
    job.fault(json!({ "matches": "POST projects/local-project/zones/us-central1-a/instances", "status": 503, "message": "Backend Error", "times": 2 }));
    job.fault(json!({ "matches": "/operations/", "status": 503, "message": "Backend Error", "times": 3 }));
    job.fault(
        json!({ "matches": "DELETE projects/local-project/zones/us-central1-a/disks", "reset": true, "times": 1 }),
    );
    job.build(&[]).await.expect(0, &[]);
    assert_eq!(job.existing(), [format!("image {IMAGE}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_makes_nothing_twice() {
    let job = Job::new("instance_name = \"one\"", "").await;
    job.fault(json!({ "matches": "POST projects/local-project/zones/us-central1-a/instances", "lose_answer": true, "times": 1 }));
    job.fault(json!({ "matches": "POST projects/local-project/global/images", "lose_answer": true, "times": 1 }));
    job.build(&[]).await.expect(0, &[]);
    assert_eq!(job.existing(), [format!("image {IMAGE}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_that_name_stops_the_build_or_is_replaced() {
    let job = Job::new("", "").await;
    job.build(&[]).await.expect(0, &[]);
    let before = job.local.running.cloud.log().len();
    job.build(&[]).await.expect(1, &["exists already", "-force"]);
    assert_eq!(job.local.running.cloud.log().len(), before + 1, "it is the first thing that is looked at");
    job.build(&["-force"]).await.expect(0, &["will be replaced"]);
    assert_eq!(job.existing(), [format!("image {IMAGE}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_of_an_earlier_build_is_not_built_upon() {
    let job = Job::new("instance_name = \"one\"", FAILS).await;
    job.fault(json!({ "matches": "DELETE projects/local-project/zones/us-central1-a/disks", "status": 403, "code": "forbidden", "message": "no", "times": 1 }));
    job.build(&[]).await.expect(1, &[]);
    assert_eq!(job.existing(), ["disk one"]);
    job.build(&[])
        .await
        .expect(1, &["the disk one exists already in us-central1-a", "gcloud compute disks delete one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_deprecation_keeps_the_image() {
    // Packer's plugin crashes here.
    let job = Job::new("delete_at = \"2099-01-01T00:00:00Z\"", "").await;
    job.fault(json!({ "matches": "/deprecate", "status": 403, "code": "forbidden", "message": "no permission" }));
    job.build(&[]).await.expect(0, &["its deprecation could not be set", "no permission"]);
    assert_eq!(job.existing(), [format!("image {IMAGE}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_or_an_answer_it_ends_within_seconds() {
    let mut job = Job::new("", "").await;
    job.set("GOOGLE_APPLICATION_CREDENTIALS", "");
    job.set("GCE_METADATA_HOST", "127.0.0.1:1");
    let begin = std::time::Instant::now();
    job.build(&[]).await.expect(
        1,
        &["there are no Google Cloud credentials", "hint: set credentials_file, or GOOGLE_APPLICATION_CREDENTIALS"],
    );
    let mut job = Job::new("", "").await;
    job.set("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", "http://127.0.0.1:1/compute/v1/");
    job.build(&[]).await.expect(1, &["images.get of", "got no answer", "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"]);
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_image_that_is_nowhere_names_where_it_was_looked_for() {
    let job = Job::new("source_image_project_id = [\"debian-cloud\", \"no-such\"]", "").await;
    job.build(&[])
        .await
        .expect(1, &["the image family \"ubuntu-2204-lts\" is in none of the projects debian-cloud, no-such"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_wrong_with_a_source_is_said_at_once() {
    let source = "project_id = \"\"\n  zone = \"us-central1-a\"\n  image_name = \"Not_A_Name\"\n  \
                  ssh_username = \"u\"\n  omit_external_ip = true\n  address = \"x\"\n  image_labels = { Bad = \"1.0\" }\n  \
                  delete_at = \"2020-01-01T00:00:00Z\"\n  enable_integrity_monitoring = true\n  \
                  credentials_file = \"nowhere.json\"\n  access_token = \"t\"";
    let job = Job::with_source(source, "").await;
    job.run(&["validate", "."]).await.expect(
        1,
        &[
            "A project_id must be specified",
            "A source_image or source_image_family must be specified",
            "image_name \"Not_A_Name\" is no name",
            "address and omit_external_ip exclude each other",
            "omit_external_ip needs use_internal_ip",
            "image_labels has the key \"Bad\"",
            "image_labels has the value \"1.0\"",
            "delete_at \"2020-01-01T00:00:00Z\" is in the past",
            "enable_integrity_monitoring needs enable_vtpm",
            "Only one way to authenticate can be used, and there are 2: access_token, credentials_file",
            "t.pkr.hcl:4",
        ],
    );
}
