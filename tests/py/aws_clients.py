"""Amazon's own Python client against the local cloud: an instance and an image, made, listed, shared, copied and deleted.

Says on standard error what does not hold, and ends with 1.
"""

import sys
import time

import boto3
from botocore.exceptions import ClientError

REGION, OTHER = "us-west-2", "eu-west-1"
ec2 = boto3.client("ec2", region_name=REGION)
far = boto3.client("ec2", region_name=OTHER)
kms = boto3.client("kms", region_name=REGION)
sts = boto3.client("sts", region_name=REGION)


def check(what, holds):
    if not holds:
        sys.exit(f"does not hold: {what}")


def refused(code, call, **arguments):
    """The call is refused with this code."""
    try:
        call(**arguments)
    except ClientError as e:
        found = e.response["Error"]["Code"]
        check(f"{call.__name__} is refused with {code}, not {found}: {e}", found == code)
        return
    check(f"{call.__name__} is refused with {code}", False)


def until(what, ask):
    for _ in range(600):
        value = ask()
        if value:
            return value
        time.sleep(0.05)
    return check(what, False)


def instance(instance_id):
    found = ec2.describe_instances(InstanceIds=[instance_id])
    return found["Reservations"][0]["Instances"][0]


def state(instance_id):
    return instance(instance_id)["State"]["Name"]


def tags(pairs):
    return [{"Key": k, "Value": v} for k, v in pairs.items()]


def as_map(tag_list):
    return {t["Key"]: t["Value"] for t in tag_list}


check("an account", len(sts.get_caller_identity()["Account"]) == 12)
key = kms.describe_key(KeyId="alias/packer-images")["KeyMetadata"]
check("a customer key", key["KeyManager"] == "CUSTOMER")
refused("NotFoundException", kms.describe_key, KeyId="alias/nobody")

regions = [r["RegionName"] for r in ec2.describe_regions()["Regions"]]
check("regions", REGION in regions and OTHER in regions)
check("zones", len(ec2.describe_availability_zones()["AvailabilityZones"]) == 4)

jammy = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*"
images = ec2.describe_images(Owners=["099720109477"], Filters=[{"Name": "name", "Values": [jammy]}])["Images"]
source = max(images, key=lambda i: i["CreationDate"])
check("the source image", source["RootDeviceName"] == "/dev/sda1" and source["State"] == "available")
refused("InvalidAMIID.NotFound", ec2.describe_images, ImageIds=["ami-00000000000000000"])
refused("InvalidAMIID.Malformed", ec2.describe_images, ImageIds=["image"])
refused("InvalidParameterValue", ec2.describe_images, Filters=[{"Name": "color", "Values": ["red"]}])
refused("InvalidAction", ec2.describe_transit_gateways)

vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]
subnet = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["Subnets"][0]

pair = ec2.create_key_pair(KeyName="k", KeyType="ed25519")
check("a private key", "OPENSSH PRIVATE KEY" in pair["KeyMaterial"])
refused("InvalidKeyPair.Duplicate", ec2.create_key_pair, KeyName="k")
rsa = ec2.create_key_pair(KeyName="r", KeyType="rsa")
check("an RSA key in PKCS#1", rsa["KeyMaterial"].startswith("-----BEGIN RSA PRIVATE KEY-----"))
ec2.import_key_pair(KeyName="i", PublicKeyMaterial=b"ssh-ed25519 " + b"AAAAC3NzaC1lZDI1NTE5AAAAIPDBUTjXbK5c84tH8Rr2mFcIVXzVJYQwmZBM1mBKNp0x")
refused("InvalidKey.Format", ec2.import_key_pair, KeyName="j", PublicKeyMaterial=b"no key")
check("three key pairs", len(ec2.describe_key_pairs()["KeyPairs"]) == 3)
refused("InvalidKeyPair.NotFound", ec2.describe_key_pairs, KeyNames=["nobody"])

group = ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc["VpcId"])["GroupId"]
rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
refused("InvalidPermission.Duplicate", ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[rule])
found = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
check("the rule stands", found["IpPermissions"][0]["IpRanges"][0]["CidrIp"] == "0.0.0.0/0")

launch = {
    "ImageId": source["ImageId"],
    "InstanceType": "t3.medium",
    "MinCount": 1,
    "MaxCount": 1,
    "KeyName": "k",
    "ClientToken": "token-1",
    "NetworkInterfaces": [{
        "DeviceIndex": 0, "AssociatePublicIpAddress": True, "SubnetId": subnet["SubnetId"], "Groups": [group],
        "DeleteOnTermination": True,
    }],
    "BlockDeviceMappings": [
        {"DeviceName": "/dev/sda1", "Ebs": {
            "VolumeSize": 50, "VolumeType": "gp3", "Iops": 3000, "Throughput": 125, "Encrypted": True,
            "DeleteOnTermination": True,
        }},
        {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1, "DeleteOnTermination": False}},
    ],
    "TagSpecifications": [
        {"ResourceType": "instance", "Tags": tags({"Name": "one"})},
        {"ResourceType": "volume", "Tags": tags({"Of": "one"})},
    ],
}
refused("DryRunOperation", ec2.run_instances, **launch, DryRun=True)
refused("InvalidKeyPair.NotFound", ec2.run_instances, **{**launch, "KeyName": "nobody"})
refused("InvalidParameterValue", ec2.run_instances, **{**launch, "InstanceType": "t9.huge"})
refused("InvalidAMIID.NotFound", ec2.run_instances, **{**launch, "ImageId": "ami-00000000000000000"})
small = [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 1}}]
refused("InvalidBlockDeviceMapping", ec2.run_instances, **{**launch, "BlockDeviceMappings": small})
one = ec2.run_instances(**launch)["Instances"][0]
check("pending at first", one["State"]["Name"] == "pending" and "PublicIpAddress" not in one)
i = one["InstanceId"]
check("one token, one instance", ec2.run_instances(**launch)["Instances"][0]["InstanceId"] == i)
until("it runs", lambda: state(i) == "running")
now = instance(i)
check("a public address", now["PublicIpAddress"].startswith("127."))
check("its tags", as_map(now["Tags"]) == {"Name": "one"})
check("its metadata options", now["MetadataOptions"]["HttpTokens"] == "optional")
check("found by its token", len(ec2.describe_instances(Filters=[{"Name": "client-token", "Values": ["token-1"]}])["Reservations"]) == 1)
volumes = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [i]}])["Volumes"]
check("two volumes, one encrypted with a customer key", sorted(v["Encrypted"] for v in volumes) == [False, True])
refused("VolumeInUse", ec2.delete_volume, VolumeId=volumes[0]["VolumeId"])
refused("DependencyViolation", ec2.delete_security_group, GroupId=group)
refused("IncorrectInstanceState", ec2.modify_instance_attribute, InstanceId=i, EnaSupport={"Value": True})

ec2.stop_instances(InstanceIds=[i])
until("it stops", lambda: state(i) == "stopped")
check("no public address any more", "PublicIpAddress" not in instance(i))
ec2.modify_instance_attribute(InstanceId=i, EnaSupport={"Value": True})
ec2.modify_instance_attribute(InstanceId=i, SriovNetSupport={"Value": "simple"})

specs = [{"ResourceType": t, "Tags": tags({"Made": "here"})} for t in ("image", "snapshot")]
refused("InvalidAMIName.Malformed", ec2.create_image, InstanceId=i, Name="no:colon")
image = ec2.create_image(InstanceId=i, Name="mine", TagSpecifications=specs)["ImageId"]
refused("InvalidAMIName.Duplicate", ec2.create_image, InstanceId=i, Name="mine")


def look(client, image_id):
    return client.describe_images(ImageIds=[image_id])["Images"][0]


until("the image is available", lambda: look(ec2, image)["State"] == "available")
mine = look(ec2, image)
check("the image has two snapshots", len(mine["BlockDeviceMappings"]) == 2 and as_map(mine["Tags"]) == {"Made": "here"})
snapshots = [m["Ebs"]["SnapshotId"] for m in mine["BlockDeviceMappings"]]
snapshot = ec2.describe_snapshots(SnapshotIds=snapshots, OwnerIds=["self"])["Snapshots"][0]
check("the snapshot says what it is for", snapshot["Description"] == f"Created by CreateImage({i}) for {image}")
refused("InvalidSnapshot.InUse", ec2.delete_snapshot, SnapshotId=snapshots[0])
ec2.modify_image_attribute(ImageId=image, Description={"Value": "about it"})
check("the description", look(ec2, image)["Description"] == "about it")
ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": "123456789012"}]})
refused("InvalidAMIAttributeItemValue", ec2.modify_image_attribute, ImageId=image, LaunchPermission={"Add": [{"UserId": "12"}]})
granted = ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")["LaunchPermissions"]
check("shared", granted == [{"UserId": "123456789012"}])

copy = far.copy_image(Name="mine", SourceImageId=image, SourceRegion=REGION, Encrypted=True, KmsKeyId="alias/packer-images", CopyImageTags=True)["ImageId"]
until("the copy is available", lambda: look(far, copy)["State"] == "available")
copied = look(far, copy)
check("the copy is encrypted, with the tags of its source", copied["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] and as_map(copied["Tags"]) == {"Made": "here"})
lost = far.copy_image(Name="lost", SourceImageId=image, SourceRegion=REGION, Encrypted=True, KmsKeyId="alias/nobody")["ImageId"]
until("a copy with an unknown key fails", lambda: look(far, lost)["State"] == "failed")
check("and says why", "alias/nobody" in look(far, lost)["StateReason"]["Message"])
far.reset_ebs_default_kms_key_id()
managed = far.copy_image(Name="managed", SourceImageId=image, SourceRegion=REGION, Encrypted=True)["ImageId"]
until("a copy with the managed key", lambda: look(far, managed)["State"] == "available")
refused("InvalidParameter", far.modify_image_attribute, ImageId=managed, LaunchPermission={"Add": [{"UserId": "123456789012"}]})

ec2.start_instances(InstanceIds=[i])
until("it runs again", lambda: state(i) == "running")
ec2.terminate_instances(InstanceIds=[i])
check("it is going", state(i) in ("shutting-down", "terminated"))
until("it is gone", lambda: state(i) == "terminated")
ec2.delete_security_group(GroupId=group)
left = ec2.describe_volumes()["Volumes"]
check("the volume that was to stay is left", [v["State"] for v in left] == ["available"] and as_map(left[0]["Tags"]) == {"Of": "one"})
ec2.delete_volume(VolumeId=left[0]["VolumeId"])

ec2.create_tags(Resources=[image, snapshots[0]], Tags=tags({"a": "1", "b": "2"}))
ec2.delete_tags(Resources=[image], Tags=[{"Key": "a"}])
check("tags", as_map(look(ec2, image)["Tags"]) == {"Made": "here", "b": "2"})
refused("InvalidAMIID.NotFound", ec2.create_tags, Resources=["ami-00000000000000000"], Tags=tags({"a": "1"}))
ec2.enable_image_deregistration_protection(ImageId=image, WithCooldown=False)
refused("OperationNotPermitted", ec2.deregister_image, ImageId=image)
ec2.disable_image_deregistration_protection(ImageId=image)
for client, made in ((ec2, [image]), (far, [copy, lost, managed])):
    for image_id in made:
        owned = [m["Ebs"]["SnapshotId"] for m in look(client, image_id)["BlockDeviceMappings"]]
        client.deregister_image(ImageId=image_id)
        check("gone from the list", not client.describe_images(ImageIds=[image_id])["Images"])
        for s in owned:
            client.delete_snapshot(SnapshotId=s)
refused("InvalidAMIID.Unavailable", ec2.deregister_image, ImageId=image)
for name in ("k", "r", "i"):
    ec2.delete_key_pair(KeyName=name)
ec2.delete_key_pair(KeyName="nobody")
