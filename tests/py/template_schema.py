"""Judges templates in JSON form by a JSON schema: template_schema.py SCHEMA TEMPLATES

TEMPLATES is a JSON array. Prints an array of what is wrong with each; an empty text where nothing is.
"""

import json
import sys

from jsonschema import Draft202012Validator


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    with open(sys.argv[2], encoding="utf-8") as file:
        templates = json.load(file)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    print(json.dumps(["; ".join(e.message for e in validator.iter_errors(t)) for t in templates]))


main()
