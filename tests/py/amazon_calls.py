"""Compares the calls of one build with the recorded calls of another program.

    amazon_calls.py LOG RECORDED DIFFERENCES

LOG is what moto_proxy.py wrote, RECORDED a listing of a real Packer build. Every difference has to stand in DIFFERENCES, with
its reason, and every line of DIFFERENCES has to be one. Ids, times and random names count as equal; polls and other calls
that only look count once, whatever their number and order.
"""

import json
import re
import sys
from collections import Counter

log_path, recorded_path, differences_path = sys.argv[1:]

ID = r"\b(ami|snap|sg|subnet|vpc|vol|eni|i|r)-[A-Za-z0-9.-]+"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def plain(text):
    """A value without what differs from run to run."""
    text = re.sub(rf"{UUID}|<UUID>", "<UUID>", text)
    text = re.sub(r"\d{8}-\d{6}|<TIMESTAMP>", "<TIMESTAMP>", text)
    text = re.sub(r"(FromPort|ToPort)=\d+", r"\1=<PORT>", text)
    text = re.sub(r"image-action-expires=\d+", "image-action-expires=<TIME>", text)
    return re.sub(ID, r"\1-*", text)


def normal(pairs):
    """Parameters as lines: filters by name, tags of a kind in one line, the rest as it is."""
    pairs = [(k, v) for k, v in pairs if k not in ("Action", "Version")]
    lines, filters, tags, kinds = [], {}, {}, {}
    for key, value in pairs:
        if m := re.fullmatch(r"Filter\.(\d+)\.(Name|Value)(?:\.\d+)?", key):
            filters.setdefault(m[1], []).append(value)
        elif m := re.fullmatch(r"(TagSpecification\.\d+\.)?Tag\.(\d+)\.(Key|Value)", key):
            tags.setdefault(m[1] or "", {}).setdefault(m[2], {})[m[3]] = value
        elif m := re.fullmatch(r"(TagSpecification\.\d+\.)?Tag\.N", key):
            tags[m[1] or ""] = {str(n): dict(zip(("Key", "Value"), t.split("=", 1))) for n, t in enumerate(value.split(", "))}
        elif m := re.fullmatch(r"(TagSpecification\.\d+\.)ResourceType", key):
            kinds[m[1]] = value
        else:
            lines.append(plain(f"{key}={value}"))
    lines += [plain(f"Filter {v[0]}={','.join(v[1:])}") for v in filters.values()]
    for prefix, found in tags.items():
        for tag in found.values():
            kind = kinds.get(prefix, "")
            lines.append(plain(f"Tag {kind + ' ' if kind else ''}{tag['Key']}={tag.get('Value', '')}"))
    lines = [re.sub(r"^Name=[A-Za-z0-9]{7}$|^Name=<RANDOM7>$", "Name=<RANDOM7>", line) for line in lines]
    return tuple(sorted(lines))


def of_log():
    for line in open(log_path):
        entry = json.loads(line)
        assert entry["status"] == 200, entry
        yield f"{entry['service']} {entry['action']}", normal(entry["params"])


def of_recording():
    current = None
    for line in open(recorded_path):
        if m := re.match(r"\d+(?:-\d+)?\s+(\w+) (\S+) (\w+)(.*?)\s+=>", line):
            if current:
                yield current[0], normal(current[1])
            inline = [p.split("=", 1) for p in m[4].split()]
            current = (f"{m[1]} {m[3]}", [tuple(p) for p in inline])
        elif current and line.startswith("      ") and not line.strip().startswith("#"):
            current[1].append(tuple(line.strip().split("=", 1)))
    yield current[0], normal(current[1])


def counted(calls):
    """Calls by action; what only looks counts once."""
    by_action = {}
    for action, params in calls:
        seen = by_action.setdefault(action, Counter())
        looks = action.split()[1].startswith(("Describe", "Get"))
        seen[params] = 1 if looks else seen[params] + 1
    return by_action


def differences():
    theirs, ours = counted(of_recording()), counted(of_log())
    for action in sorted(theirs.keys() | ours.keys()):
        missing = sorted((theirs.get(action, Counter()) - ours.get(action, Counter())).elements())
        extra = sorted((ours.get(action, Counter()) - theirs.get(action, Counter())).elements())
        # A call that both make, with other parameters: the parameters are the difference.
        while missing and extra:
            pair = max(((m, e) for m in missing for e in extra), key=lambda p: len(set(p[0]) & set(p[1])))
            missing.remove(pair[0])
            extra.remove(pair[1])
            yield from (f"- {action}: {p}" for p in sorted(set(pair[0]) - set(pair[1])))
            yield from (f"+ {action}: {p}" for p in sorted(set(pair[1]) - set(pair[0])))
        yield from (f"- {action} [{', '.join(m)}]" for m in missing)
        yield from (f"+ {action} [{', '.join(e)}]" for e in extra)


listed, reasons = [], set()
for line in open(differences_path):
    if line.startswith(("- ", "+ ")):
        listed.append(line.strip())
    elif line.startswith("    "):
        reasons.update(listed)
found = list(dict.fromkeys(differences()))
new = [d for d in found if d not in listed]
old = [d for d in listed if d not in found]
bare = [d for d in listed if d not in reasons]
for title, lines in (("not listed", new), ("listed, and none any more", old), ("without a reason", bare)):
    if lines:
        print(f"{title}:", *lines, sep="\n  ")
sys.exit(1 if new or old or bare else 0)
