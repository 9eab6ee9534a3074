"""Asserts with boto3 what a build of the seed's source has made in moto: the manifest is the one argument."""

import json
import sys

import boto3

entry = json.loads(sys.argv[1])["builds"][-1]
region, image_id = entry["artifact_id"].split(":")
assert region == "us-west-2", entry
ec2 = boto3.client("ec2", region_name=region)
own = ec2.describe_images(Owners=["self"])["Images"]
assert [i["ImageId"] for i in own] == [image_id], own
image = own[0]
assert image["Name"].startswith("company-ubuntu-1.0.0-") and image["State"] == "available", image
tags = {t["Key"]: t["Value"] for t in image["Tags"]}
assert tags["Environment"] == "dev" and tags["Project"] == "infrastructure", tags
assert not [k for k in tags if k.startswith("image-action")], tags
kept = [m["Ebs"]["SnapshotId"] for m in image["BlockDeviceMappings"]]
# moto makes a snapshot of ours for each public image it is given.
described = {s["SnapshotId"]: s["Description"] for s in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
snapshots = [s for s, about in described.items() if "ami-00000000" not in about]
assert set(snapshots) <= set(kept), (snapshots, kept)
states = [i["State"]["Name"] for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]
assert states == ["terminated"], states
assert ec2.describe_key_pairs()["KeyPairs"] == []
names = {g["GroupName"] for g in ec2.describe_security_groups()["SecurityGroups"]}
assert names == {"default"}, names
assert ec2.describe_volumes()["Volumes"] == []
