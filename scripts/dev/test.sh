#!/usr/bin/env bash
# Passes the tests: scripts/dev/test.sh [ARGUMENTS OF cargo test]
#
# They reach loopback and nothing else, except for the packages that guests install.
set -euo pipefail

# shellcheck source=setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

need_machine tests
need_python venv "$PROJECT/tests/requirements.txt"
need_node octokit "$PROJECT/tests/package.json"
# The package has the descriptions of every server there is: 380 MB that nobody reads.
find "$NODE_MODULES/@octokit/openapi/generated" -name '*.json' ! -name api.github.com.json -delete
export IMAGE_ACTION_NODE_MODULES=$NODE_MODULES
need_memory

cd "$PROJECT"
say "Running the tests"
exec cargo test --workspace --no-fail-fast "$@"
