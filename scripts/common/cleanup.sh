#!/usr/bin/env bash
# Takes off the machine what must not be in an image: keys, identity, logs, caches.
# It stands alone: it sweeps away the folder that the other scripts share.
set -euo pipefail

say() {
    printf '==> %s\n' "$*"
}

say "Removing packages that nothing needs, and the package cache"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -y autoremove --purge
apt-get clean
rm -rf /var/lib/apt/lists/*

# Azure's agent knows which of its own traces have to go. The user stays.
if command -v waagent >/dev/null; then
    say "Generalising for Azure"
    waagent -force -deprovision
fi

if command -v cloud-init >/dev/null; then
    say "Making the next boot a first boot"
    cloud-init clean --logs --seed
fi

say "Removing identity and keys"
# Made again on first boot. The running sshd has its host keys in memory.
rm -f /etc/ssh/ssh_host_*
# Empty, neither missing nor a blank line: that is what systemd takes for "to be made".
truncate -s 0 /etc/machine-id
# A copy of it; systemd puts a link in its place.
rm -f /var/lib/dbus/machine-id
rm -f /var/lib/systemd/random-seed
# With authorized_keys goes the key of this build, which would open every machine made from the image.
for home in ~root /home/*; do
    rm -rf "$home/.ssh/authorized_keys" "$home/.bash_history" "$home/.ansible"
done

say "Emptying logs"
# Rotated ones go. The others are emptied and not removed: daemons have them open, and their owner
# and mode are right.
find /var/log -type f \( -name '*.gz' -o -name '*.xz' -o -name '*.old' -o -name '*.[0-9]' \) -delete
find /var/log/journal -mindepth 1 -delete 2>/dev/null || true
find /var/log -type f -exec truncate -s 0 {} +

say "Emptying /tmp and /var/tmp"
# Folders that systemd made for running services are theirs until they stop.
find /tmp /var/tmp -mindepth 1 -maxdepth 1 ! -name 'systemd-private-*' -exec rm -rf {} +

# No zeros over the free space: a cloud stores blocks that were never written for nothing, and zeros
# that were written for money.
sync
say "Cleanup complete"
