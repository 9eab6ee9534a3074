"""diagnostics_schema.py SCHEMA ARRAY DIRECTORY: whether an array of diagnostics is what docs/diagnostics.md promises.

The schema is judged by jsonschema; lines, columns, bytes and snippets are compared with the files themselves.
"""

import json
import pathlib
import sys

import jsonschema

schema = json.loads(pathlib.Path(sys.argv[1]).read_text())
entries = json.loads(pathlib.Path(sys.argv[2]).read_text())
directory = pathlib.Path(sys.argv[3])

jsonschema.Draft202012Validator.check_schema(schema)
jsonschema.Draft202012Validator(schema).validate(entries)
# What is not allowed must be noticed: the validator looks at the right thing.
for wrong in ({"severity": "note", "summary": "x", "detail": ""}, {"severity": "error", "detail": ""}):
    assert not jsonschema.Draft202012Validator(schema).is_valid([wrong]), wrong

placed = 0
places = []
for entry in entries:
    places.append((entry.get("file", ""), entry.get("range", {}).get("start", {}).get("byte", 0)))
    path = directory / entry["file"] if "range" in entry else None
    if path is None or not path.is_file():
        continue
    placed += 1
    text = path.read_bytes().decode()
    raw = text.encode()
    for point in (entry["range"]["start"], entry["range"]["end"]):
        before = raw[: point["byte"]].decode()
        assert point["line"] == before.count("\n") + 1, (entry, before)
        # The test data have no characters of several code points.
        assert point["column"] == len(before) - (before.rfind("\n") + 1) + 1, (entry, before)
    first = entry["range"]["start"]["line"] - 1
    shown = entry["snippet"].split("\n")
    assert shown == text.split("\n")[first : first + len(shown)], entry
    assert len(shown) == min(10, entry["range"]["end"]["line"] - first) or raw[: entry["range"]["end"]["byte"]].endswith(b"\n"), entry
assert places == sorted(places), places
print(f"{len(entries)} diagnostics, {placed} with a place in a file")
