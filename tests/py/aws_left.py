"""What a build must not leave, as boto3 sees it: instances that still run, key pairs, security groups, volumes."""

import boto3

ec2 = boto3.client("ec2")
instances = [i for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]
left = [i["InstanceId"] for i in instances if i["State"]["Name"] not in ("shutting-down", "terminated")]
left += [k["KeyName"] for k in ec2.describe_key_pairs()["KeyPairs"]]
left += [g["GroupId"] for g in ec2.describe_security_groups()["SecurityGroups"] if g["GroupName"] != "default"]
left += [v["VolumeId"] for v in ec2.describe_volumes()["Volumes"] if not v["Attachments"]]
# The query itself works: what was built before is there.
images = ec2.describe_images(Owners=["self"])["Images"]
print(f"{len(images)} images, left: {left}")
