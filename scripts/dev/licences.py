"""Reads `cargo metadata` and stops at a dependency whose licence is not on the list below.

The program is MIT OR Apache-2.0. What it links in must let it stay so: permissive licences, and
MPL-2.0, whose terms end at the files it is written in.
"""

import json
import re
import sys

ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
}


def allowed(expression):
    """Whether an SPDX expression can be satisfied from the list. The old `MIT/Apache-2.0` means OR."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))

    def alternatives():
        result = requirements()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            result = requirements() or result
        return result

    def requirements():
        result = licence()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            result = licence() and result
        return result

    def licence():
        name = tokens.pop(0)
        if name == "(":
            result = alternatives()
            tokens.pop(0)
            return result
        if tokens and tokens[0] == "WITH":
            tokens.pop(0)
            name = f"{name} WITH {tokens.pop(0)}"
        return name in ALLOWED

    return alternatives()


def main():
    """Exit code 1 and one line for each dependency that may not stay."""
    packages = [p for p in json.load(sys.stdin)["packages"] if p["source"]]
    refused = [p for p in packages if not p["license"] or not allowed(p["license"])]
    for package in refused:
        print(f"{package['name']} {package['version']}: {package['license'] or 'no licence named'}")
    print(f"{len(packages)} dependencies, {len(refused)} with a licence that is not allowed")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
