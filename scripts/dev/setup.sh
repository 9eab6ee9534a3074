# shellcheck shell=bash
# Read by demo.sh, test.sh, screenshot.sh and .ci/run: what the machine lacks is installed, or named in one line that
# installs it; what is in Python comes into a folder of the project's. Nothing else is changed.
#
# IMAGE_ACTION_CACHE   where downloads and Python environments are kept; .cache in the project if unset

PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CACHE=${IMAGE_ACTION_CACHE:-$PROJECT/.cache}
mkdir -p "$CACHE"
# The program keeps the root file system of guests there too.
export IMAGE_ACTION_CACHE=$CACHE

# aws-sdk-ec2 is one compiler process of 7.3 GiB for two minutes; the rest is for its neighbour.
BUILD_MEMORY_MIB=8192

# say TEXT...: what is being done, on the error stream, so that a command's output stays its own.
say() {
    printf '\033[1m==>\033[0m %s\n' "$*" >&2
}

# die TEXT...: why it stops here.
die() {
    printf '\033[1;31merror:\033[0m %s\n' "$*" >&2
    exit 1
}

# missing_packages WHOM: the packages of Debian and Ubuntu that this machine lacks for the demo or the tests,
# each found by what it is for.
missing_packages() {
    local -a missing=()
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    command -v git >/dev/null || missing+=(git)
    command -v curl >/dev/null || missing+=(curl)
    command -v ssh >/dev/null || missing+=(openssh-client)
    command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
    command -v slirp4netns >/dev/null || missing+=(slirp4netns)
    # An ordinary user's mmdebstrap.
    [ "$(id -u)" = 0 ] || command -v newuidmap >/dev/null || missing+=(uidmap)
    [ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    # The tests log in to an sshd that is not ours.
    [ "$1" != tests ] || [ -x /usr/sbin/sshd ] || missing+=(openssh-server)
    # An engine of containers is no small thing to put on somebody's laptop: without one, its tests are passed over.
    [ "$1" != tests ] || [ -z "${CI:-}" ] || command -v dockerd >/dev/null || missing+=(docker.io)
    # Neither are shells that nobody uses there, and what sets manuals.
    if [ "$1" = tests ] && [ -n "${CI:-}" ]; then
        command -v zsh >/dev/null || missing+=(zsh)
        command -v fish >/dev/null || missing+=(fish)
        command -v groff >/dev/null || missing+=(groff)
        command -v mandoc >/dev/null || missing+=(mandoc)
    fi
    # GitHub's own description of its API is an npm package.
    [ "$1" != tests ] || command -v npm >/dev/null || missing+=(npm)
    printf '%s\n' "${missing[@]}"
}

# need_machine demo|tests: the packages and the compiler.
need_machine() {
    local packages
    packages=$(missing_packages "$1" | xargs)
    if [ -n "$packages" ]; then
        local install="apt-get update && apt-get install -y --no-install-recommends $packages"
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            say "Installing what this machine lacks: $packages"
            (export DEBIAN_FRONTEND=noninteractive && eval "$install") >"$CACHE/apt.log" 2>&1 ||
                die "apt-get failed; its output is in $CACHE/apt.log. By hand: $install"
        else
            die "this machine lacks: $packages. To install them: sudo sh -c '$install'"
        fi
    fi

    # rustup puts itself here, and a shell that was open before does not know.
    command -v cargo >/dev/null || PATH=$HOME/.cargo/bin:$PATH
    command -v cargo >/dev/null || die "Rust is missing. To install it:" \
        "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal -c clippy -c rustfmt"
}

# free_memory_mib: what a new process could take, within the limit of a container if there is one.
free_memory_mib() {
    local free limit
    free=$(awk '/^(MemAvailable|SwapFree):/ { kib += $2 } END { print int(kib / 1024) }' /proc/meminfo)
    limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || echo max)
    if [ "$limit" != max ]; then
        limit=$(((limit - $(cat /sys/fs/cgroup/memory.current)) / 1024 / 1024))
        [ "$limit" -ge "$free" ] || free=$limit
    fi
    echo "$free"
}

# need_memory: stops before the compiler is killed halfway, unless its work is done already.
need_memory() {
    local target=${CARGO_TARGET_DIR:-$PROJECT/target} free
    if compgen -G "$target/debug/deps/libaws_sdk_ec2-*.rlib" >/dev/null; then
        return
    fi
    free=$(free_memory_mib)
    if [ "$free" -lt "$BUILD_MEMORY_MIB" ]; then
        die "compiling aws-sdk-ec2 takes $BUILD_MEMORY_MIB MiB of memory, and $free MiB are free." \
            "Swap counts: fallocate -l 8G /swapfile && chmod 600 /swapfile && mkswap /swapfile && swapon /swapfile"
    fi
    say "The first build compiles some 520 packages: seven to ten minutes on two cores. Later ones take seconds."
}

# need_python NAME FILE: the packages of the requirements FILE, in the environment $CACHE/NAME, which comes
# first in PATH from here on.
need_python() {
    local venv=$CACHE/$1 file=$2 stamp
    # What is installed depends on the file, on the one that it may read, and on the Python.
    stamp=$venv/.$(basename "$(dirname "$file")")-$(
        { cat "$file" "$PROJECT/scripts/dev/requirements.txt" && python3 --version; } | sha256sum | cut -c1-16
    )
    # One at a time: the demo and the tests may start together.
    exec 9>"$CACHE/$1.lock"
    flock 9
    if [ ! -e "$stamp" ]; then
        say "Installing the Python packages of ${file#"$PROJECT/"} into $venv: about a minute"
        # An environment that was moved, or whose Python is gone, does not mend itself.
        if ! "$venv/bin/python3" -c pass 2>/dev/null || [ "$(cat "$venv/.place" 2>/dev/null)" != "$venv" ]; then
            rm -rf "$venv"
            python3 -m venv "$venv"
            echo "$venv" >"$venv/.place"
        fi
        "$venv/bin/python3" -m pip install --quiet --disable-pip-version-check --requirement "$file" >&2 ||
            die "pip could not install $file; is the package index reachable?"
        touch "$stamp"
    fi
    exec 9>&-
    PATH=$venv/bin:$PATH
    export PATH
}

# need_node NAME FILE: the npm packages of FILE (a package.json with exact versions), in $CACHE/NAME; NODE_MODULES is
# where they are. No script of a package runs.
need_node() {
    local place=$CACHE/$1 file=$2 stamp
    stamp=$place/.$(sha256sum "$file" | cut -c1-16)
    command -v npm >/dev/null || die "npm is missing: apt-get install -y --no-install-recommends npm"
    exec 9>"$CACHE/$1.lock"
    flock 9
    if [ ! -e "$stamp" ]; then
        say "Installing the npm packages of ${file#"$PROJECT/"} into $place"
        rm -rf "$place"
        mkdir -p "$place"
        cp "$file" "$place/package.json"
        (cd "$place" && npm install --ignore-scripts --no-audit --no-fund --no-package-lock --loglevel=error >&2) ||
            die "npm could not install $file; is the registry reachable?"
        touch "$stamp"
    fi
    exec 9>&-
    export NODE_MODULES=$place/node_modules
}
