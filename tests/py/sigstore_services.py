"""Fulcio and Rekor on loopback, with keys of their own: sigstore_services.py FOLDER ISSUER

Writes FOLDER/trusted_root.json, then prints its address and serves until standard input ends. Fulcio takes tokens that ISSUER
has signed for "sigstore", with a proof that the key is held, and gives certificates that carry a stamp of a log of
certificates. Rekor takes DSSE entries whose signature is right. What FOLDER/fault says ("fulcio 403", "rekor 500",
"rekor garbage") is done in place of the next answers of that service.
"""

import base64
import datetime
import hashlib
import http.server
import json
import os
import sys
import threading
import time
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

FOLDER, ISSUER = Path(sys.argv[1]), sys.argv[2]
SIGN = ec.ECDSA(hashes.SHA256())
START = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
ORIGIN = "rekor.localhost - 1"


def b64(data):
    return base64.b64encode(data).decode()


def spki(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.DER, form)


def key_id(key):
    return hashlib.sha256(spki(key)).digest()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


ca_key, ct_key, log_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
ca_name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "local"), x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
ca = (
    x509.CertificateBuilder()
    .subject_name(ca_name)
    .issuer_name(ca_name)
    .public_key(ca_key.public_key())
    .serial_number(x509.random_serial_number())
    .not_valid_before(START)
    .not_valid_after(START + datetime.timedelta(days=3650))
    .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    .add_extension(
        x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True
    )
    .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
    .sign(ca_key, hashes.SHA256())
)


def der(tag, data):
    size = len(data)
    length = bytes([size]) if size < 128 else bytes([0x80 | (size.bit_length() + 7) // 8]) + size.to_bytes(
        (size.bit_length() + 7) // 8, "big"
    )
    return bytes([tag]) + length + data


def stamp(tbs):
    """The extension of RFC 6962 for a certificate whose body is this."""
    now = int(time.time() * 1000).to_bytes(8, "big")
    signed = b"\0\0" + now + b"\0\1" + key_id(ca_key) + len(tbs).to_bytes(3, "big") + tbs + b"\0\0"
    signature = ct_key.sign(signed, SIGN)
    sct = b"\0" + key_id(ct_key) + now + b"\0\0" + b"\4\3" + len(signature).to_bytes(2, "big") + signature
    one = len(sct).to_bytes(2, "big") + sct
    everything = der(4, len(one).to_bytes(2, "big") + one)
    return x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2"), everything)


def certificate(public_key, claims):
    server = "https://github.com"
    repository = f"{server}/{claims['repository']}"
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ca_name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(seconds=5))
        .not_valid_after(now + datetime.timedelta(minutes=10))
        .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"{server}/{claims['job_workflow_ref']}")]),
            critical=True,
        )
    )
    texts = {
        8: claims["iss"],
        9: f"{server}/{claims['job_workflow_ref']}",
        10: claims["job_workflow_sha"],
        11: claims["runner_environment"],
        12: repository,
        13: claims["sha"],
        14: claims["ref"],
        15: claims["repository_id"],
        16: f"{server}/{claims['repository_owner']}",
        17: claims["repository_owner_id"],
        18: f"{server}/{claims['workflow_ref']}",
        20: claims["event_name"],
        21: f"{repository}/actions/runs/{claims['run_id']}/attempts/{claims['run_attempt']}",
        22: claims["repository_visibility"],
    }
    arc = "1.3.6.1.4.1.57264.1"
    raw = x509.UnrecognizedExtension(ObjectIdentifier(f"{arc}.1"), claims["iss"].encode())
    builder = builder.add_extension(raw, critical=False)
    for number, text in texts.items():
        value = x509.UnrecognizedExtension(ObjectIdentifier(f"{arc}.{number}"), der(0x0C, text.encode()))
        builder = builder.add_extension(value, critical=False)
    before = builder.sign(ca_key, hashes.SHA256())
    return builder.add_extension(stamp(before.tbs_certificate_bytes), critical=False).sign(ca_key, hashes.SHA256())


def fulcio(request):
    token = request["credentials"]["oidcIdentityToken"]
    try:
        key = jwt.PyJWKClient(f"{ISSUER}/.well-known/jwks").get_signing_key_from_jwt(token)
        claims = jwt.decode(token, key.key, algorithms=["RS256"], audience="sigstore", issuer=ISSUER)
    except jwt.PyJWTError as e:
        return 401, {"code": 16, "message": f"There was an error processing the identity token: {e}"}
    asked = request["publicKeyRequest"]
    public = serialization.load_pem_public_key(asked["publicKey"]["content"].encode())
    public.verify(base64.b64decode(asked["proofOfPossession"]), claims["sub"].encode(), SIGN)
    chain = [c.public_bytes(serialization.Encoding.PEM).decode() for c in (certificate(public, claims), ca)]
    return 200, {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}


# Others were there before: a tree of one leaf has no proof to speak of.
leaves = [hashlib.sha256(b"\0" + os.urandom(8)).digest() for _ in range(5)]


def root_of(nodes):
    if len(nodes) == 1:
        return nodes[0]
    half = 1 << (len(nodes) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root_of(nodes[:half]) + root_of(nodes[half:])).digest()


def path_to(index, nodes):
    if len(nodes) == 1:
        return []
    half = 1 << (len(nodes) - 1).bit_length() - 1
    if index < half:
        return path_to(index, nodes[:half]) + [root_of(nodes[half:])]
    return path_to(index - half, nodes[half:]) + [root_of(nodes[:half])]


def rekor(request):
    content = request["spec"]["proposedContent"]
    envelope = json.loads(content["envelope"])
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    (verifier,) = content["verifiers"]
    (signature,) = envelope["signatures"]
    cert = x509.load_pem_x509_certificate(base64.b64decode(verifier))
    cert.public_key().verify(base64.b64decode(signature["sig"]), pae, SIGN)
    # Rekor writes the certificate anew, whatever form of PEM it was sent.
    verifier = b64(cert.public_bytes(serialization.Encoding.PEM))
    digest = lambda data: {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}
    body = canonical(
        {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": digest(content["envelope"].encode()),
                "payloadHash": digest(payload),
                "signatures": [{"signature": signature["sig"], "verifier": verifier}],
            },
        }
    )
    leaf = hashlib.sha256(b"\0" + body).digest()
    leaves.append(leaf)
    index, root = len(leaves) - 1, root_of(leaves)
    note = f"{ORIGIN}\n{len(leaves)}\n{b64(root)}\n"
    signed = b64(key_id(log_key)[:4] + log_key.sign(note.encode(), SIGN))
    checkpoint = f"{note}\n\u2014 {ORIGIN.split()[0]} {signed}\n"
    entry = {"body": b64(body), "integratedTime": int(time.time()), "logID": key_id(log_key).hex(), "logIndex": index}
    promise = b64(log_key.sign(canonical(entry), SIGN))
    proof = {
        "checkpoint": checkpoint,
        "hashes": [h.hex() for h in path_to(index, leaves)],
        "logIndex": index,
        "rootHash": root.hex(),
        "treeSize": len(leaves),
    }
    verification = {"inclusionProof": proof, "signedEntryTimestamp": promise}
    return 201, {"0000000000000001" + leaf.hex(): {**entry, "verification": verification}}


SERVICES = {"/api/v2/signingCert": ("fulcio", fulcio), "/api/v1/log/entries": ("rekor", rekor)}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        name, service = SERVICES[self.path]
        fault = (FOLDER / "fault").read_text().split() if (FOLDER / "fault").exists() else []
        if fault and fault[0] == name:
            garbage = fault[1] == "garbage"
            status, answer = (200, {"nothing": "of use"}) if garbage else (int(fault[1]), {"message": "as you like it"})
        else:
            try:
                status, answer = service(request)
            except Exception as e:
                status, answer = 400, {"code": 3, "message": f"{type(e).__name__}: {e}"}
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def log(key):
    return {
        "baseUrl": "http://localhost",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": b64(spki(key)),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": {"start": START.strftime("%Y-%m-%dT%H:%M:%SZ")},
        },
        "logId": {"keyId": b64(key_id(key))},
    }


authority = {
    "subject": {"organization": "local", "commonName": "ca"},
    "uri": "http://localhost",
    "certChain": {"certificates": [{"rawBytes": b64(ca.public_bytes(serialization.Encoding.DER))}]},
    "validFor": {"start": START.strftime("%Y-%m-%dT%H:%M:%SZ")},
}
root = {
    "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "tlogs": [log(log_key)],
    "certificateAuthorities": [authority],
    "ctlogs": [log(ct_key)],
    "timestampAuthorities": [],
}
(FOLDER / "trusted_root.json").write_text(json.dumps(root))
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{server.server_port}", flush=True)
sys.stdin.read()
