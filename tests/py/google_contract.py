"""Checks every request and answer of a log of the local cloud against Google's own description of Compute Engine.

usage: google_contract.py LOG.json   (the answer of GET /_local/log)

The description comes with google-api-python-client. Prints the methods that were called.
"""

import json
import re
import sys
from importlib import resources
from urllib.parse import parse_qsl, urlsplit

# Parameters that Google's Rust client sends and the description does not list.
TOLERATED = {"$alt", "$apiVersion"}

DESCRIPTION = json.loads(
    resources.files("googleapiclient").joinpath("discovery_cache/documents/compute.v1.json").read_text()
)
SCHEMAS = DESCRIPTION["schemas"]


def methods(node):
    for resource in node.get("resources", {}).values():
        yield from resource.get("methods", {}).values()
        yield from methods(resource)


def pattern(method):
    path = re.sub(r"\{\+?(\w+)\}", r"(?P<\1>[^/]+)", method["flatPath"])
    return re.compile(f"^/{DESCRIPTION['servicePath']}{path}$")


METHODS = [(m["httpMethod"], pattern(m), m) for m in methods(DESCRIPTION)]


class Checker:
    def __init__(self):
        self.wrong = []

    def fail(self, where, why):
        self.wrong.append(f"{where}: {why}")

    def scalar(self, spec, value, where):
        kind, form = spec.get("type"), spec.get("format")
        if form in ("int64", "uint64"):
            if not (isinstance(value, str) and re.fullmatch(r"-?\d+", value)):
                self.fail(where, f"{value!r} is no {form} in a string")
        elif kind == "string" and not isinstance(value, str):
            self.fail(where, f"{value!r} is no string")
        elif kind == "boolean" and not isinstance(value, bool):
            self.fail(where, f"{value!r} is no boolean")
        elif kind == "integer" and (isinstance(value, bool) or not isinstance(value, int)):
            self.fail(where, f"{value!r} is no integer")
        elif kind == "number" and (isinstance(value, bool) or not isinstance(value, (int, float))):
            self.fail(where, f"{value!r} is no number")
        if "enum" in spec and isinstance(value, str) and value not in spec["enum"]:
            self.fail(where, f"{value!r} is none of {spec['enum']}")
        if "pattern" in spec and isinstance(value, str) and not re.fullmatch(spec["pattern"], value):
            self.fail(where, f"{value!r} does not match {spec['pattern']}")

    def value(self, spec, value, where, request):
        if "$ref" in spec:
            return self.object(SCHEMAS[spec["$ref"]], value, where, request)
        if spec.get("type") == "array":
            if not isinstance(value, list):
                return self.fail(where, f"{value!r} is no list")
            for n, item in enumerate(value):
                self.value(spec["items"], item, f"{where}[{n}]", request)
            return None
        if spec.get("type") == "object":
            return self.object(spec, value, where, request)
        return self.scalar(spec, value, where)

    def object(self, schema, value, where, request):
        if not isinstance(value, dict):
            return self.fail(where, f"{value!r} is no object")
        properties = schema.get("properties", {})
        for name, inner in value.items():
            spec = properties.get(name, schema.get("additionalProperties"))
            if spec is None:
                self.fail(where, f"there is no property {name!r}")
                continue
            if request and spec.get("readOnly"):
                self.fail(where, f"the property {name!r} cannot be sent")
            self.value(spec, inner, f"{where}.{name}", request)
        for name, spec in properties.items():
            if request in spec.get("annotations", {}).get("required", []) and name not in value:
                self.fail(where, f"the property {name!r} is required")
        return None

    def call(self, entry):
        verb = entry["call"].split(" ", 1)[0]
        url = urlsplit(entry["raw"])
        found = [(p.match(url.path), m) for v, p, m in METHODS if v == verb and p.match(url.path)]
        if not found:
            return self.fail(entry["raw"], "there is no such method")
        match, method = min(found, key=lambda f: len(f[0].groups()))
        name, where = method["id"], f"{method['id']} {url.path}"
        parameters = method.get("parameters", {})
        for key, text in match.groupdict().items():
            self.scalar(parameters[key], text, f"{where} {{{key}}}")
        for key, text in parse_qsl(url.query):
            if key in TOLERATED or key in DESCRIPTION["parameters"]:
                continue
            if parameters.get(key, {}).get("location") != "query":
                self.fail(where, f"there is no parameter {key!r}")
        for key, spec in parameters.items():
            if spec.get("required") and spec["location"] == "query" and key not in dict(parse_qsl(url.query)):
                self.fail(where, f"the parameter {key!r} is required")
        if "request" in method:
            self.value(method["request"], json.loads(entry["body"] or "{}"), f"{where} request", name)
        elif entry["body"]:
            self.fail(where, "it takes no body")
        answer = json.loads(entry["answer"])
        if entry["status"] < 300:
            self.value(method["response"], answer, f"{where} answer", None)
        else:
            error = answer["error"]
            if error["code"] != entry["status"] or not error["errors"][0]["reason"] or not error["message"]:
                self.fail(where, f"the error {answer} is not in Google's form")
        return name


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        log = json.load(file)
    checker = Checker()
    compute = [e for e in log if e["service"] == "google" and e["raw"].startswith("/compute/")]
    names = {checker.call(entry) for entry in compute}
    print("\n".join(sorted(n for n in names if n)))
    if checker.wrong:
        sys.exit("\n".join(dict.fromkeys(checker.wrong)))


if __name__ == "__main__":
    main()
