# shellcheck shell=bash
# What the scripts share. Read by them, never run; the template uploads it to $SCRIPT_ROOT/common.

# say TEXT...: a line that stands out between the lines of apt.
say() {
    printf '==> %s\n' "$*"
}

# apt_get ARGUMENTS...: apt-get that never asks.
# First boot and the daily timer hold the lock of the package database for minutes (hence the wait, in
# seconds); a configuration file that we changed stays ours; needrestart restarts what it has to.
apt_get() {
    DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a apt-get \
        -o DPkg::Lock::Timeout=600 \
        -o Dpkg::Options::=--force-confdef \
        -o Dpkg::Options::=--force-confold \
        -y "$@"
}

# apt_install PACKAGES...: without what is merely recommended, which doubles the size of an image.
apt_install() {
    apt_get install --no-install-recommends "$@"
}

# write_file PATH [MODE]: standard input becomes the file, of root, with its folder.
write_file() {
    install -D -o root -g root -m "${2:-0644}" /dev/stdin "$1"
}
