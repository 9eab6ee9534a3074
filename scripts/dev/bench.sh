#!/usr/bin/env bash
# Measures the program as CI starts it, from start to exit: scripts/dev/bench.sh [--runs N] [--program PATH]
#
# Without --program a release build is made first. IMAGE_ACTION_SEED names a folder of templates that is measured too.
set -euo pipefail

# shellcheck source=setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

need_machine demo
need_python venv "$PROJECT/tests/requirements.txt"
cd "$PROJECT"
if [[ " $* " != *" --program "* ]]; then
    say "Making a release build"
    cargo build --release --locked --bin image-action
    set -- --program "${CARGO_TARGET_DIR:-target}/release/image-action" "$@"
fi
exec python3 scripts/dev/bench.py "$@"
