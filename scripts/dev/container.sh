#!/usr/bin/env bash
# The action's container: scripts/dev/container.sh PROGRAM TAG
#
# PROGRAM is an image-action that was compiled for the base's C library or an older one. The base is the one that
# the Dockerfile names; where no registry of containers can be reached, BASE=local makes one of this machine's
# distribution, as mmdebstrap does, and keeps it in the engine for the next time.
#
# BASE          another base, or `local`
# DOCKER_HOST   the engine
set -euo pipefail

# shellcheck source=setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

[ $# = 2 ] || die "write container.sh PROGRAM TAG"
program=$1 tag=$2
LOCAL_BASE=image-action-base:local

# make_base: what `debian:bookworm-slim` is, and that it trusts whom this machine trusts.
make_base() {
    local release work
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # now, not then
    trap "rm -rf '$work'" EXIT
    say "Making a base of $release: half a minute"
    mmdebstrap --quiet --variant=minbase --include=ca-certificates "$release" "$work/base.tar"
    docker import "$work/base.tar" image-action-base:bare >/dev/null
    cp /etc/ssl/certs/ca-certificates.crt "$work/"
    printf '%s\n' 'FROM image-action-base:bare' 'COPY ca-certificates.crt /etc/ssl/certs/' \
        'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt' >"$work/Dockerfile"
    rm "$work/base.tar"
    DOCKER_BUILDKIT=0 docker build --quiet --network=none --tag "$LOCAL_BASE" "$work" >/dev/null
}

arguments=()
if [ "${BASE:-}" = local ]; then
    docker image inspect "$LOCAL_BASE" >/dev/null 2>&1 || make_base
    arguments=(--build-arg "BASE=$LOCAL_BASE")
elif [ -n "${BASE:-}" ]; then
    arguments=(--build-arg "BASE=$BASE")
fi

mkdir -p "$PROJECT/dist"
# Without debug information, which is half of it.
strip -o "$PROJECT/dist/image-action" "$program"
# The host's network, because an engine without a bridge has no other; BuildKit is not everywhere.
DOCKER_BUILDKIT=0 docker build --network=host "${arguments[@]}" --tag "$tag" "$PROJECT"
