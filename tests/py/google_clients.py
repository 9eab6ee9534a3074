"""Creates, lists and deletes an instance and an image with google-api-python-client, against the local cloud.

The environment is the one that `image-action localcloud --env-file` writes.
"""

import os
import time

import google.auth
import requests
from google.auth.transport.requests import Request
from google.oauth2.credentials import Credentials
from googleapiclient import discovery, errors

PROJECT = os.environ["GOOGLE_CLOUD_PROJECT"]
ZONE = os.environ["CLOUDSDK_COMPUTE_ZONE"]
ENDPOINT = os.environ["CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"]


def compute(credentials=None):
    if credentials is None:
        credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/compute"])
    return discovery.build("compute", "v1", credentials=credentials, client_options={"api_endpoint": ENDPOINT})


def done(api, operation):
    """Follows an operation through its states; what failed in it is raised."""
    states = [operation["status"]]
    while operation["status"] != "DONE":
        time.sleep(0.002)
        if "zone" in operation:
            zone = operation["zone"].rsplit("/", 1)[1]
            request = api.zoneOperations().get(project=PROJECT, zone=zone, operation=operation["name"])
        else:
            request = api.globalOperations().get(project=PROJECT, operation=operation["name"])
        operation = request.execute()
        if operation["status"] != states[-1]:
            states.append(operation["status"])
    assert states == ["PENDING", "RUNNING", "DONE"], states
    if "error" in operation:
        raise RuntimeError(operation["error"]["errors"][0]["code"])
    return operation


def refused(call, status, reason):
    try:
        call.execute()
    except errors.HttpError as error:
        assert error.resp.status == status, error
        assert error.error_details[0]["reason"] == reason, error.error_details
        return error
    raise AssertionError(f"{reason} was expected")


def instance_body(api, name, **changes):
    image = api.images().getFromFamily(project="debian-cloud", family="debian-12").execute()
    return {
        "name": name,
        "machineType": f"zones/{ZONE}/machineTypes/e2-medium",
        "disks": [{"boot": True, "autoDelete": False, "initializeParams": {"sourceImage": image["selfLink"]}}],
        "networkInterfaces": [{"network": "global/networks/default", "accessConfigs": [{"type": "ONE_TO_ONE_NAT"}]}],
        **changes,
    }


def instances(api):
    place = {"project": PROJECT, "zone": ZONE}
    done(api, api.instances().insert(**place, body=instance_body(api, "one")).execute())
    listed = api.instances().list(**place, filter="name = one").execute()["items"]
    assert [i["name"] for i in listed] == ["one"]
    one = listed[0]
    assert one["status"] == "RUNNING"
    assert one["networkInterfaces"][0]["accessConfigs"][0]["natIP"].startswith("127.")
    refused(api.instances().insert(**place, body=instance_body(api, "one")), 409, "alreadyExists")
    refused(api.instances().insert(**place, body=instance_body(api, "Two")), 400, "invalid")
    refused(api.instances().insert(**place, body=instance_body(api, "two", machineType="zones/z/machineTypes/x")), 400, "invalid")
    refused(api.instances().get(**place, instance="none"), 404, "notFound")
    refused(api.disks().delete(**place, disk="one"), 400, "resourceInUseByAnotherResource")
    # Metadata changes only for whoever has seen it.
    body = {"fingerprint": one["metadata"]["fingerprint"], "items": [{"key": "a", "value": "b"}]}
    done(api, api.instances().setMetadata(**place, instance="one", body=body).execute())
    refused(api.instances().setMetadata(**place, instance="one", body=body), 412, "conditionNotMet")
    done(api, api.instances().delete(**place, instance="one").execute())
    assert "items" not in api.instances().list(**place).execute()
    assert [d["name"] for d in api.disks().list(**place).execute()["items"]] == ["one"]


def images(api):
    source = f"projects/{PROJECT}/zones/{ZONE}/disks/one"
    body = {"name": "image-1", "family": "mine", "sourceDisk": source, "labels": {"a": "b"}}
    done(api, api.images().insert(project=PROJECT, body=body).execute())
    request = api.images().list(project=PROJECT)
    listed = []
    while request is not None:
        page = request.execute()
        listed += page.get("items", [])
        request = api.images().list_next(request, page)
    assert [(i["name"], i["status"], i["diskSizeGb"]) for i in listed] == [("image-1", "READY", "10")]
    assert api.images().getFromFamily(project=PROJECT, family="mine").execute()["name"] == "image-1"
    labels = {"labels": {"c": "d"}, "labelFingerprint": listed[0]["labelFingerprint"]}
    done(api, api.images().setLabels(project=PROJECT, resource="image-1", body=labels).execute())
    refused(api.images().setLabels(project=PROJECT, resource="image-1", body=labels), 412, "conditionNotMet")
    done(api, api.images().deprecate(project=PROJECT, image="image-1", body={"state": "DEPRECATED"}).execute())
    refused(api.images().getFromFamily(project=PROJECT, family="mine"), 404, "notFound")
    done(api, api.images().delete(project=PROJECT, image="image-1").execute())
    refused(api.images().get(project=PROJECT, image="image-1"), 404, "notFound")
    done(api, api.disks().delete(project=PROJECT, zone=ZONE, disk="one").execute())
    assert "items" not in api.disks().list(project=PROJECT, zone=ZONE).execute()


def credentials():
    zones = f"{ENDPOINT}projects/{PROJECT}/zones"
    for headers, reason in ({}, "required"), ({"authorization": "Bearer wrong"}, "authError"):
        answer = requests.get(zones, headers=headers, timeout=10)
        assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (401, reason), answer.text
    found, project = google.auth.default(scopes=["https://www.googleapis.com/auth/compute"])
    assert project == PROJECT
    found.refresh(Request())
    assert compute(Credentials(found.token)).zones().get(project=PROJECT, zone=ZONE).execute()["status"] == "UP"


def public_images(api):
    newest = api.images().getFromFamily(project="ubuntu-os-cloud", family="ubuntu-2204-lts").execute()
    request = api.images().list(project="ubuntu-os-cloud", filter="family=ubuntu-2204-lts", maxResults=1)
    pages = []
    while request is not None:
        page = request.execute()
        pages.append(page["items"])
        request = api.images().list_next(request, page)
    assert len(pages) > 1 and newest in sum(pages, [])
    refused(api.images().getFromFamily(project="rhel-cloud", family="ubuntu-2204-lts"), 404, "notFound")
    refused(api.instances().list(project="ubuntu-os-cloud", zone=ZONE), 403, "forbidden")
    refused(api.zones().get(project="no-such-project", zone=ZONE), 404, "notFound")
    refused(api.addresses().list(project=PROJECT, region="us-central1"), 501, "notImplemented")


if __name__ == "__main__":
    client = compute()
    credentials()
    public_images(client)
    instances(client)
    images(client)
    print("ok")
