"""moto behind a small proxy, for a build by our program.

    moto_proxy.py AUTHORIZED_KEYS LOG

Starts moto's server with two public images of Ubuntu, and in front of it a proxy that
- writes every call as a line of JSON to LOG,
- takes the tags of snapshots out of CreateImage, which moto does not know,
- writes the public half of every key pair that moto makes to AUTHORIZED_KEYS, as EC2 gives it to the machine.
Says its address on standard output, and ends with its standard input.
"""

import http.client
import json
import logging
import os
import re
import sys
import tempfile
import threading
import urllib.parse
import xml.etree.ElementTree as ElementTree
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

authorized_keys, log_path = sys.argv[1:]


def image(number, day):
    name = f"ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-{day.replace('-', '')}"
    return {
        "ami_id": f"ami-0000000000000000{number}", "state": "available", "public": True, "owner_id": "099720109477",
        "image_location": f"099720109477/{name}", "sriov": "simple", "root_device_type": "ebs",
        "root_device_name": "/dev/sda1", "description": "Ubuntu", "image_type": "machine", "platform": None,
        "architecture": "x86_64", "name": name, "virtualization_type": "hvm", "hypervisor": "xen",
        "creation_date": f"{day}T12:00:00.000Z",
    }


# moto reads the variable when it is imported.
amis = tempfile.NamedTemporaryFile("w", suffix=".json")
json.dump([image(1, "2024-02-07"), image(2, "2024-05-01")], amis)
amis.flush()
os.environ["MOTO_AMIS_PATH"] = amis.name

from cryptography.hazmat.primitives import serialization  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402

logging.getLogger("werkzeug").setLevel(logging.ERROR)
moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
moto.start()
moto_port = moto.get_host_and_port()[1]
log = open(log_path, "w")
lock = threading.Lock()


def without_snapshot_tags(pairs):
    """The parameters without the tag specification of snapshots."""
    number = next((k.split(".")[1] for k, v in pairs if k.endswith(".ResourceType") and v == "snapshot"), None)
    return [(k, v) for k, v in pairs if number is None or not k.startswith(f"TagSpecification.{number}.")]


def authorize(answer):
    pem = next(e.text for e in ElementTree.fromstring(answer).iter() if e.tag.endswith("keyMaterial"))
    load = serialization.load_ssh_private_key if "OPENSSH" in pem else serialization.load_pem_private_key
    public = load(pem.encode(), None).public_key()
    line = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    with open(authorized_keys, "ab") as keys:
        keys.write(line + b"\n")


class Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        scope = re.search(r"Credential=[^/]+/[^/]+/([^/]+)/([^/]+)/", self.headers.get("Authorization", ""))
        region, service = scope.groups() if scope else ("", "")
        pairs = urllib.parse.parse_qsl(body.decode(), keep_blank_values=True)
        action = dict(pairs).get("Action", "")
        if action == "CreateImage":
            body = urllib.parse.urlencode(without_snapshot_tags(pairs)).encode()
        upstream = http.client.HTTPConnection("127.0.0.1", moto_port)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("content-length", "connection")}
        upstream.request("POST", self.path, body, headers)
        answer = upstream.getresponse()
        content = answer.read()
        if action == "CreateKeyPair" and answer.status == 200:
            authorize(content)
        with lock:
            entry = {"service": service, "region": region, "action": action, "params": pairs, "status": answer.status}
            log.write(json.dumps(entry) + "\n")
            log.flush()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.getheader("Content-Type", "text/xml"))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
threading.Thread(target=proxy.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{proxy.server_port}", flush=True)
sys.stdin.read()
moto.stop()
