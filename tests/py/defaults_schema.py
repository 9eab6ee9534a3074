"""Whether the published schema takes each of these YAML documents: defaults_schema.py SCHEMA.json DOCUMENT...

Prints a JSON list of booleans. Editors read the schema with validators like this one.
"""

import json
import sys

import jsonschema
import yaml

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
print(json.dumps([validator.is_valid(yaml.safe_load(text)) for text in sys.argv[2:]]))
