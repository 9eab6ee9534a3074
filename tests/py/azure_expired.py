"""Lets every resource that has an expiry have expired yesterday, with Microsoft's own client."""

import os
import time

from azure.identity import ClientSecretCredential
from azure.mgmt.resource.resources import ResourceManagementClient

TAG = "image-action-expires"
VERSIONS = {"microsoft.compute": "2024-07-01", "microsoft.network": "2023-09-01"}

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
resources = list(client.resources.list(filter=f"tagName eq '{TAG}'"))
assert resources
for resource in resources:
    version = VERSIONS[resource.type.split("/")[0].lower()]
    tags = {**resource.tags, TAG: str(int(time.time()) - 24 * 60 * 60)}
    client.resources.begin_update_by_id(resource.id, {"tags": tags}, api_version=version).result()
