"""Checks calls of the action, and the answers of the local GitHub, against GitHub's own description of its API.

github_contract.py DESCRIPTION.json CALLS.json: the description is api.github.com.json of the npm package @octokit/openapi, the
calls are a list of {method, path, query, body, content_type, status, answer}. Ends with 1 and a list of what does not fit.
"""

import json
import re
import sys

import jsonschema
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

# Statuses that any call may have, for reasons that no description lists: server errors, rate limits, a token that is refused.
ANY_CALL = {401, 403, 429, 500, 502, 503, 504}


def json_schema(node):
    """OpenAPI 3.0's own ways of saying it, said in JSON Schema: null is a type, and a value of an enumeration."""
    if isinstance(node, list):
        return [json_schema(n) for n in node]
    if not isinstance(node, dict):
        return node
    node = {key: json_schema(value) for key, value in node.items()}
    if node.pop("nullable", None) is True:
        if isinstance(node.get("type"), str):
            node["type"] = [node["type"], "null"]
        if isinstance(node.get("enum"), list) and None not in node["enum"]:
            node["enum"] = [*node["enum"], None]
        for keyword in ("oneOf", "anyOf"):
            if keyword in node:
                node[keyword] = [*node[keyword], {"type": "null"}]
        if "allOf" in node:
            node = {"anyOf": [node, {"type": "null"}]}
    return node


def routes(description):
    """Every operation, with a pattern of its path; those with fewer parameters come first."""
    found = []
    for template, operations in description["paths"].items():
        pattern = re.sub(r"\\\{[^/]+?\\\}", "([^/]+)", re.escape(template))
        for method, operation in operations.items():
            if isinstance(operation, dict) and "responses" in operation:
                found.append((template.count("{"), re.compile(pattern + r"\Z"), method.upper(), template, operation))
    return sorted(found, key=lambda route: route[0])


def resolve(description, node):
    """A node, or what its reference leads to."""
    while isinstance(node, dict) and "$ref" in node:
        target = description
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


class Contract:
    def __init__(self, description):
        self.description = description
        self.routes = routes(description)
        whole = {"components": json_schema(description["components"])}
        self.registry = Registry().with_resource("urn:api", Resource(whole, DRAFT202012))

    def errors(self, schema, value):
        schema = json_schema(json.loads(json.dumps(schema).replace('"#/', '"urn:api#/')))
        validator = jsonschema.Draft202012Validator(schema, registry=self.registry)
        for error in validator.iter_errors(value):
            best = jsonschema.exceptions.best_match([error])
            yield f"{best.json_path}: {best.message[:300]}"

    def check(self, call):
        path = call["path"]
        found = [r for r in self.routes if r[2] == call["method"] and r[1].match(path)]
        if not found:
            yield f"there is no {call['method']} {path}"
            return
        _, _, _, template, operation = found[0]
        yield from self.parameters(operation, template, call)
        yield from self.request(operation, call)
        yield from self.answer(operation, call)

    def parameters(self, operation, template, call):
        known = [resolve(self.description, p) for p in operation.get("parameters", [])]
        in_query = {p["name"]: p for p in known if p["in"] == "query"}
        for name, text in call["query"]:
            if name not in in_query:
                yield f"{template} has no parameter {name}"
                continue
            schema = resolve(self.description, in_query[name]["schema"])
            value = int(text) if schema.get("type") == "integer" and text.isdigit() else text
            yield from (f"parameter {name}: {e}" for e in self.errors(schema, value))
        given = {name for name, _ in call["query"]}
        yield from (f"parameter {n} is missing" for n, p in in_query.items() if p.get("required") and n not in given)

    def request(self, operation, call):
        body = operation.get("requestBody")
        if body is None:
            if call["body"]:
                yield "a body where none is known"
            return
        content = resolve(self.description, body)["content"]
        if "application/json" in content and "json" in (call["content_type"] or "application/json"):
            try:
                value = json.loads(call["body"])
            except ValueError as error:
                yield f"the body is no JSON: {error}"
                return
            yield from (f"request {e}" for e in self.errors(content["application/json"]["schema"], value))

    def answer(self, operation, call):
        answers = operation["responses"]
        status = call["status"]
        if str(status) not in answers:
            if status not in ANY_CALL:
                yield f"an answer {status} is not known"
            return
        content = resolve(self.description, answers[str(status)]).get("content", {})
        if "application/json" in content:
            value = json.loads(call["answer"]) if call["answer"] else None
            yield from (f"answer {status} {e}" for e in self.errors(content["application/json"]["schema"], value))
        elif call["answer"]:
            yield f"an answer {status} has no body"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        contract = Contract(json.load(file))
    with open(sys.argv[2], encoding="utf-8") as file:
        calls = json.load(file)
    complaints = set()
    for call in calls:
        for complaint in contract.check(call):
            complaints.add(f"{call['method']} {call['path']}: {complaint}")
    for complaint in sorted(complaints):
        print(complaint)
    print(f"{len(calls)} calls, {len(complaints)} complaints")
    sys.exit(1 if complaints or not calls else 0)


main()
