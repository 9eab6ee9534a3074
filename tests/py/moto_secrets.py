"""moto with secrets and parameters, and with an account whose signatures are checked.

Says address and keys as a line of JSON on standard output, and ends with its standard input. From then on moto compares the
signature of every call with botocore's own, and asks IAM whether the account may make it.
"""

import json
import os
import sys
import urllib.request

os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "1000"

import boto3  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402

REGION = "eu-west-1"

server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
url = f"http://127.0.0.1:{server.get_host_and_port()[1]}"


def client(service):
    return boto3.client(
        service, region_name=REGION, endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b"
    )


secrets = client("secretsmanager")
secrets.create_secret(Name="app/db", SecretString=json.dumps({"user": "root", "password": "from-aws-1", "port": 5432}))
secrets.create_secret(Name="one", SecretString=json.dumps({"only": "from-aws-2"}))
secrets.create_secret(Name="plain", SecretString="from-aws-3")
secrets.create_secret(Name="bytes", SecretBinary=b"\x00\xff")
first = secrets.create_secret(Name="turned", SecretString="from-aws-old")["VersionId"]
secrets.put_secret_value(SecretId="turned", SecretString="from-aws-new")

ssm = client("ssm")
ssm.put_parameter(Name="/app/size", Value="t3.medium", Type="String")
ssm.put_parameter(Name="/app/size", Value="t3.large", Type="String", Overwrite=True)
ssm.put_parameter(Name="/app/key", Value="from-ssm-1", Type="SecureString")

iam = client("iam")
iam.create_user(UserName="builder")
statement = {"Effect": "Allow", "Action": ["secretsmanager:*", "ssm:*"], "Resource": "*"}
policy = {"Version": "2012-10-17", "Statement": [statement]}
iam.put_user_policy(UserName="builder", PolicyName="p", PolicyDocument=json.dumps(policy))
keys = iam.create_access_key(UserName="builder")["AccessKey"]
plain = {"Content-Type": "application/octet-stream"}
urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset-auth", b"0", plain)).read()

print(
    json.dumps({
        "url": url, "key": keys["AccessKeyId"], "secret": keys["SecretAccessKey"], "region": REGION, "old": first,
    }),
    flush=True,
)
sys.stdin.read()
