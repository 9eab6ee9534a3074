"""Lets everything temporary in the local clouds have expired yesterday, as its owner could: with the clouds' own clients."""

import os
import time

import boto3
import google.auth
from azure.identity import ClientSecretCredential
from azure.mgmt.resource.resources import ResourceManagementClient
from googleapiclient import discovery

TAG = "image-action-expires"
PAST = str(int(time.time()) - 24 * 60 * 60)


def aws():
    ec2 = boto3.client("ec2", region_name="us-west-2")
    tags = ec2.describe_tags(Filters=[{"Name": "key", "Values": [TAG]}])["Tags"]
    ec2.create_tags(Resources=[t["ResourceId"] for t in tags], Tags=[{"Key": TAG, "Value": PAST}])
    return len(tags)


def azure():
    url = os.environ["IMAGE_ACTION_LOCAL_TLS_URL"]
    login = ClientSecretCredential(
        tenant_id=os.environ["ARM_TENANT_ID"],
        client_id=os.environ["ARM_CLIENT_ID"],
        client_secret=os.environ["ARM_CLIENT_SECRET"],
        authority=url,
        disable_instance_discovery=True,
    )
    client = ResourceManagementClient(
        login, os.environ["ARM_SUBSCRIPTION_ID"], base_url=url, credential_scopes=[url + "/.default"]
    )
    groups = list(client.resource_groups.list(filter=f"tagName eq '{TAG}'"))
    for group in groups:
        tags = {**group.tags, TAG: PAST}
        client.resource_groups.create_or_update(group.name, {"location": group.location, "tags": tags})
    # What lies in these groups is listed by its tags too.
    assert list(client.resources.list(filter=f"tagName eq '{TAG}'")), "resources carry the tag as well"
    return len(groups)


def gcp():
    project = os.environ["GOOGLE_CLOUD_PROJECT"]
    endpoint = os.environ["CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"]
    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/compute"])
    api = discovery.build("compute", "v1", credentials=credentials, client_options={"api_endpoint": endpoint})
    count = 0
    for name, collection in [("instances", api.instances()), ("disks", api.disks())]:
        scopes = collection.aggregatedList(project=project, filter=f"labels.{TAG}:*").execute()["items"]
        for item in [i for scope in scopes.values() for i in scope.get(name, [])]:
            zone = item["zone"].rsplit("/", 1)[1]
            body = {"labels": {**item["labels"], TAG: PAST}, "labelFingerprint": item["labelFingerprint"]}
            which = {"instance": item["name"]} if name == "instances" else {"resource": item["name"]}
            collection.setLabels(project=project, zone=zone, body=body, **which).execute()
            count += 1
    return count


counts = aws(), azure(), gcp()
assert all(counts), counts
