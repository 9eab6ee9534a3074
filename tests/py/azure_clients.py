"""Microsoft's own clients against the local cloud, over TLS with its own CA.

Reads the environment that the local cloud gives (REQUESTS_CA_BUNDLE included); prints one JSON object of what was seen.
"""

import json
import os
import sys

import requests
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

URL = os.environ["IMAGE_ACTION_LOCAL_TLS_URL"]
SUBSCRIPTION = os.environ["ARM_SUBSCRIPTION_ID"]
GROUP = "clients"
KEY = sys.argv[1]

seen = {}


def code_of(call):
    """The error code of a call that has to fail."""
    try:
        result = call()
        if hasattr(result, "result"):
            result.result()
    except HttpResponseError as error:
        return error.error.code if error.error else str(error.status_code)
    return "no error"


def credential(secret):
    return ClientSecretCredential(
        tenant_id=os.environ["ARM_TENANT_ID"],
        client_id=os.environ["ARM_CLIENT_ID"],
        client_secret=secret,
        authority=URL,
        disable_instance_discovery=True,
    )


login = credential(os.environ["ARM_CLIENT_SECRET"])
options = {"base_url": URL, "credential_scopes": [URL + "/.default"]}
resources = ResourceManagementClient(login, SUBSCRIPTION, **options)
network = NetworkManagementClient(login, SUBSCRIPTION, **options)
compute = ComputeManagementClient(login, SUBSCRIPTION, **options)

try:
    credential("wrong").get_token(URL + "/.default")
except Exception as error:  # the class differs between versions of azure-identity
    seen["wrong secret"] = str(error)

location = "westus2"
seen["missing group"] = code_of(lambda: resources.resource_groups.get(GROUP))
resources.resource_groups.create_or_update(GROUP, {"location": location, "tags": {"a": "b"}})
seen["groups"] = sorted(g.name for g in resources.resource_groups.list())

vnet = network.virtual_networks.begin_create_or_update(
    GROUP,
    "vnet",
    {
        "location": location,
        "properties": {
            "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
            "subnets": [{"name": "default", "properties": {"addressPrefix": "10.0.0.0/24"}}],
        },
    },
).result()
address = network.public_ip_addresses.begin_create_or_update(
    GROUP,
    "ip",
    {"location": location, "sku": {"name": "Standard"}, "properties": {"publicIPAllocationMethod": "Static"}},
).result()
nic = network.network_interfaces.begin_create_or_update(
    GROUP,
    "nic",
    {
        "location": location,
        "properties": {
            "ipConfigurations": [
                {
                    "name": "ipconfig",
                    "properties": {
                        "subnet": {"id": vnet.properties.subnets[0].id},
                        "publicIPAddress": {"id": address.id},
                    },
                }
            ]
        },
    },
).result()

machine = {
    "location": location,
    "properties": {
        "hardwareProfile": {"vmSize": "Standard_D2s_v3"},
        "storageProfile": {
            "imageReference": {
                "publisher": "Canonical",
                "offer": "0001-com-ubuntu-server-jammy",
                "sku": "22_04-lts-gen2",
                "version": "latest",
            },
            "osDisk": {"name": "os", "createOption": "FromImage"},
        },
        "osProfile": {
            "computerName": "vm",
            "adminUsername": "ubuntu",
            "linuxConfiguration": {
                "disablePasswordAuthentication": True,
                "ssh": {"publicKeys": [{"path": "/home/ubuntu/.ssh/authorized_keys", "keyData": KEY}]},
            },
        },
        "networkProfile": {"networkInterfaces": [{"id": nic.id}]},
    },
}
absent = json.loads(json.dumps(machine))
absent["properties"]["storageProfile"]["imageReference"]["sku"] = "no-such"
seen["missing platform image"] = code_of(lambda: compute.virtual_machines.begin_create_or_update(GROUP, "vm", absent))
vm = compute.virtual_machines.begin_create_or_update(GROUP, "vm", machine).result()
seen["vm"] = {"name": vm.name, "state": vm.properties.provisioning_state, "location": vm.location}
view = compute.virtual_machines.instance_view(GROUP, "vm")
seen["view"] = [status.code for status in view.statuses]
seen["address"] = network.public_ip_addresses.get(GROUP, "ip").properties.ip_address
seen["vms"] = [m.name for m in compute.virtual_machines.list(GROUP)]
seen["disks"] = [d.name for d in compute.disks.list_by_resource_group(GROUP)]

image = {"location": location, "properties": {"sourceVirtualMachine": {"id": vm.id}, "hyperVGeneration": "V2"}}
seen["nic in use"] = code_of(lambda: network.network_interfaces.begin_delete(GROUP, "nic"))
seen["address in use"] = code_of(lambda: network.public_ip_addresses.begin_delete(GROUP, "ip"))
seen["network in use"] = code_of(lambda: network.virtual_networks.begin_delete(GROUP, "vnet"))
seen["disk in use"] = code_of(lambda: compute.disks.begin_delete(GROUP, "os"))
seen["generalize of a running one"] = code_of(lambda: compute.virtual_machines.generalize(GROUP, "vm"))
compute.virtual_machines.begin_deallocate(GROUP, "vm").result()
seen["image of one that is not generalized"] = code_of(lambda: compute.images.begin_create_or_update(GROUP, "image", image))
compute.virtual_machines.generalize(GROUP, "vm")
seen["start of a generalized one"] = code_of(lambda: compute.virtual_machines.begin_start(GROUP, "vm"))
made = compute.images.begin_create_or_update(GROUP, "image", image).result()
seen["image"] = {
    "name": made.name,
    "state": made.properties.provisioning_state,
    "generation": made.properties.hyper_v_generation,
}
seen["images"] = [i.name for i in compute.images.list_by_resource_group(GROUP)]

version = compute.gallery_image_versions.begin_create_or_update(
    "packer-images-rg",
    "company_images",
    "ubuntu-22.04",
    "9.0.0",
    {
        "location": location,
        "properties": {
            "storageProfile": {"source": {"virtualMachineId": vm.id}},
            "publishingProfile": {"targetRegions": [{"name": "westus2"}, {"name": "East US"}]},
        },
    },
).result()
seen["version"] = version.properties.provisioning_state
status = compute.gallery_image_versions.get(
    "packer-images-rg", "company_images", "ubuntu-22.04", "9.0.0", expand="ReplicationStatus"
)
seen["replication"] = {s.region: s.state for s in status.properties.replication_status.summary}
seen["versions"] = [
    v.name
    for v in compute.gallery_image_versions.list_by_gallery_image("packer-images-rg", "company_images", "ubuntu-22.04")
]
seen["definition in use"] = code_of(
    lambda: compute.gallery_images.begin_delete("packer-images-rg", "company_images", "ubuntu-22.04")
)
compute.gallery_image_versions.begin_delete("packer-images-rg", "company_images", "ubuntu-22.04", "9.0.0").result()

compute.virtual_machines.begin_delete(GROUP, "vm").result()
compute.images.begin_delete(GROUP, "image").result()
network.network_interfaces.begin_delete(GROUP, "nic").result()
network.public_ip_addresses.begin_delete(GROUP, "ip").result()
seen["vms after"] = [m.name for m in compute.virtual_machines.list(GROUP)]
seen["images after"] = [i.name for i in compute.images.list_by_resource_group(GROUP)]
seen["image after"] = code_of(lambda: compute.images.get(GROUP, "image"))
headers = {"Authorization": "Bearer " + login.get_token(URL + "/.default").token}
path = f"{URL}/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute/images"
for name, version in {"none": "", "malformed": "latest", "old": "2015-06-15", "new": "2030-01-01"}.items():
    answer = requests.get(path, params={"api-version": version}, headers=headers, timeout=10)
    seen["api-version " + name] = answer.json().get("error", {}).get("code", answer.status_code)
offers = compute.virtual_machine_images.list_skus(location, "Canonical", "0001-com-ubuntu-server-jammy")
seen["skus"] = [o.name for o in offers]
resources.resource_groups.begin_delete(GROUP).result()
try:
    resources.resource_groups.get(GROUP)
    seen["group after"] = "still there"
except ResourceNotFoundError as error:
    seen["group after"] = error.error.code
seen["unknown"] = code_of(lambda: compute.virtual_machine_scale_sets.get("packer-images-rg", "x"))
print(json.dumps(seen))
