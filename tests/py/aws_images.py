"""Asserts with boto3 what a production build has left: the manifest is the one argument."""

import json
import sys

import boto3

entry = json.loads(sys.argv[1])["builds"][-1]
assert entry["builder_type"] == "amazon-ebs" and entry["files"] is None, entry
pairs = [p.split(":") for p in entry["artifact_id"].split(",")]
assert [r for r, _ in pairs] == ["eu-west-1", "us-east-1", "us-west-2"], pairs

for region, image_id in pairs:
    ec2 = boto3.client("ec2", region_name=region)
    kms = boto3.client("kms", region_name=region)
    image = ec2.describe_images(ImageIds=[image_id], Owners=["self"])["Images"][0]
    assert image["State"] == "available" and image["Name"] == "company-1.0.0", image
    assert image["EnaSupport"] and image["SriovNetSupport"] == "simple", image
    assert image["Description"].startswith("From ami-") and image["Description"].endswith("in us-west-2"), image
    tags = {t["Key"]: t["Value"] for t in image["Tags"]}
    name = tags.pop("Source")
    assert name.startswith("ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-"), name
    assert tags == {"Version": "1.0.0", "Team": "images"}, tags
    users = ec2.describe_image_attribute(ImageId=image_id, Attribute="launchPermission")["LaunchPermissions"]
    assert sorted(u["UserId"] for u in users) == ["123456789012", "234567890123"], users

    ids = [m["Ebs"]["SnapshotId"] for m in image["BlockDeviceMappings"]]
    assert len(ids) == 2 and all(m["Ebs"]["Encrypted"] for m in image["BlockDeviceMappings"]), image
    alias = "alias/packer-images" if region == "us-west-2" else "alias/ebs-default"
    key = kms.describe_key(KeyId=alias)["KeyMetadata"]["Arn"]
    for snapshot in ec2.describe_snapshots(SnapshotIds=ids)["Snapshots"]:
        assert snapshot["KmsKeyId"] == key, (snapshot, key)
        tags = {t["Key"]: t["Value"] for t in snapshot["Tags"]}
        assert tags.pop("Source") == name
        assert tags == {"Version": "1.0.0", "Kind": "root"}, tags
