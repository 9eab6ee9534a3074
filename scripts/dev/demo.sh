#!/usr/bin/env bash
# The main job, without an account anywhere: one template, three clouds that run on this machine, three
# images. scripts/dev/demo.sh [dev|prod]
set -euo pipefail

# shellcheck source=setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

environment=${1:-dev}
[ -e "$PROJECT/templates/$environment.pkrvars.hcl" ] ||
    die "there is no templates/$environment.pkrvars.hcl; there are dev and prod"

need_machine demo
need_python venv "$PROJECT/scripts/dev/requirements.txt"
need_memory

cd "$PROJECT"
say "Building image-action"
cargo build --quiet
binary=${CARGO_TARGET_DIR:-$PROJECT/target}/debug/image-action

# A place of its own, so that the results do not lie about in the checkout.
work=$CACHE/demo
rm -rf "$work"
mkdir -p "$work"
cp -r templates scripts ansible "$work/"
cd "$work"

say "Building three images on the local clouds, with the report that a pull request would get (in $work)"
say "The same without the report: image-action build --local -var-file=templates/$environment.pkrvars.hcl templates"
say "The first guest needs a root file system, which takes half a minute; it is kept for the next time."
# What the action runs. Outside of a workflow nothing is posted.
env -u GITHUB_REPOSITORY -u GITHUB_EVENT_NAME -u GITHUB_EVENT_PATH -u GITHUB_OUTPUT -u GITHUB_STEP_SUMMARY \
    INPUT_COMMAND=build INPUT_LOCAL=true INPUT_TEMPLATE=templates "INPUT_ENVIRONMENT=$environment" "$binary" action

say "The three images, from manifest.json"
python3 - <<'PYTHON'
import json

with open("manifest.json", encoding="utf-8") as file:
    for build in json.load(file)["builds"]:
        print(f"    {build['builder_type']:14} {build['artifact_id']}")
PYTHON

say "sha256sum --check checksums.txt"
sha256sum --check checksums.txt

say "The manifest: $work/manifest.json"
say "The report of the pull request: $work/image-action-report.md"
