#!/usr/bin/env bash
# action.yml as a release has it, with the container that was pushed in place of the Dockerfile:
# scripts/dev/released-action.sh IMAGE, on standard output.
set -euo pipefail

[ $# = 1 ] || { echo "write released-action.sh IMAGE" >&2; exit 1; }
file=$(dirname "${BASH_SOURCE[0]}")/../../action.yml
# One line has to change, or the release would go on building from the Dockerfile.
[ "$(grep -c '^  image: Dockerfile$' "$file")" = 1 ] || { echo "$file has no line 'image: Dockerfile'" >&2; exit 1; }
sed "s|^  image: Dockerfile$|  image: docker://$1|" "$file"
