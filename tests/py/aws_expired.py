"""What earlier builds have left in EC2, and what only looks like it, with boto3.

`seed`: makes it, and prints as JSON what has to go and what has to stay. `check JSON REGION...`: asserts that in these regions
exactly that is so (in the others nothing may have changed).
"""

import json
import sys
import time

import boto3
from botocore.exceptions import ClientError

RUN, EXPIRES = "image-action-run", "image-action-expires"
DAY = 24 * 60 * 60
PAST, FUTURE = str(int(time.time()) - DAY), str(int(time.time()) + DAY)
REGIONS = ["us-west-2", "eu-west-1"]

#: Tags of what has to go, and tags of what has to stay.
OURS = {RUN: "a-run", EXPIRES: PAST, "Team": "images"}
OTHERS = {
    "later": {RUN: "a-run", EXPIRES: FUTURE},
    "never": {RUN: "a-run", EXPIRES: "never"},
    "finished": {RUN: "a-run"},
    "foreign": {EXPIRES: PAST},
    "untagged": {},
}


def seed(region):
    ec2 = boto3.client("ec2", region_name=region)
    made = {}

    def tag(name, resource, tags):
        if tags:
            ec2.create_tags(Resources=[resource], Tags=[{"Key": k, "Value": v} for k, v in tags.items()])
        made[name] = resource

    zone = ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"]
    filters = [{"Name": "root-device-type", "Values": ["ebs"]}, {"Name": "architecture", "Values": ["x86_64"]}]
    source = ec2.describe_images(Filters=filters)["Images"][0]["ImageId"]
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    for name, tags in {"ours": OURS, **OTHERS}.items():
        tag(f"key-{name}", ec2.create_key_pair(KeyName=name)["KeyPairId"], tags)
        try:
            tag(f"volume-{name}", ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"], tags)
            tag(f"snapshot-{name}", ec2.create_snapshot(VolumeId=made[f"volume-{name}"])["SnapshotId"], tags)
        except ClientError as error:
            # The local cloud has volumes and snapshots of instances and images only.
            assert error.response["Error"]["Code"] == "InvalidAction", error
        group = ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
        tag(f"group-{name}", group, tags)
        run = dict(ImageId=source, InstanceType="t3.micro", MinCount=1, MaxCount=1, SecurityGroupIds=[group])
        instance = ec2.run_instances(**run)["Instances"][0]["InstanceId"]
        tag(f"instance-{name}", instance, tags)
        ec2.get_waiter("instance_running").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1})
        image = ec2.create_image(InstanceId=instance, Name=name)["ImageId"]
        ec2.get_waiter("image_available").wait(ImageIds=[image], WaiterConfig={"Delay": 1})
        tag(f"image-{name}", image, tags)
    return made


def existing(region):
    ec2 = boto3.client("ec2", region_name=region)
    instances = [i for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]
    states = {"terminated", "shutting-down"}
    return (
        {k["KeyPairId"] for k in ec2.describe_key_pairs()["KeyPairs"]}
        | {v["VolumeId"] for v in ec2.describe_volumes()["Volumes"]}
        | {s["SnapshotId"] for s in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
        | {g["GroupId"] for g in ec2.describe_security_groups()["SecurityGroups"]}
        | {i["InstanceId"] for i in instances if i["State"]["Name"] not in states}
        | {i["ImageId"] for i in ec2.describe_images(Owners=["self"])["Images"]}
    )


def check(made, swept):
    for region, things in made.items():
        there = existing(region)
        for name, resource in things.items():
            goes = region in swept and name.endswith("-ours")
            assert (resource in there) != goes, (region, name, resource, "goes" if goes else "stays")


if sys.argv[1] == "seed":
    print(json.dumps({region: seed(region) for region in REGIONS}))
else:
    check(json.loads(sys.argv[2]), sys.argv[3:])
