# shellcheck shell=sh
# $1 host name, $2 whether user data is about to run. What the first seconds of a cloud machine leave on its disk: its name, its identity, its host keys.
set -u
host=$1

[ "$(cat /etc/hostname 2>/dev/null)" = "$host" ] || echo "$host" >/etc/hostname
# sudo looks its own name up and complains if it cannot.
if ! grep -qsE "^[^#]*[[:space:]]$host([[:space:]]|\$)" /etc/hosts; then
    [ -s /etc/hosts ] || printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >/etc/hosts
    printf '127.0.1.1 %s %s\n' "$host" "${host%%.*}" >>/etc/hosts
fi

# Images come without identity; the first boot gives one.
if [ "$(tr -d '[:space:]' </etc/machine-id 2>/dev/null)" = "" ] || grep -qs uninitialized /etc/machine-id; then
    tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
fi
if [ -d /etc/ssh ] && ! ls /etc/ssh/ssh_host_*_key >/dev/null 2>&1 && command -v ssh-keygen >/dev/null; then
    ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
    ssh-keygen -q -t ecdsa -N '' -f /etc/ssh/ssh_host_ecdsa_key
fi
# `cloud-init status --wait` must not miss what starts right after this.
[ -z "${2-}" ] || : >/run/cloud-init/running
echo "local guest $host: up"
