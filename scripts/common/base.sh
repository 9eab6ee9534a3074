#!/usr/bin/env bash
# Packages, clock, kernel settings and limits that every image has.
set -euo pipefail

# shellcheck source=lib.sh
. "${SCRIPT_ROOT:?is set by the template}/common/lib.sh"

say "Installing base packages (environment ${ENVIRONMENT:?}, version ${VERSION:?})"
apt_get update
apt_install ca-certificates curl git gnupg htop jq lsb-release procps tzdata unzip vim wget

# chrony is what the three clouds recommend, and brings its own unit. timedatectl would need a running
# bus, and some time service to be there already.
say "Setting the clock: chrony, UTC"
apt_install chrony
systemctl enable chrony
ln -sfn /usr/share/zoneinfo/Etc/UTC /etc/localtime
echo Etc/UTC >/etc/timezone

say "Setting kernel parameters"
write_file /etc/sysctl.d/80-image.conf <<'CONF'
# Connections: longer queues, dead peers noticed within six minutes.
net.core.somaxconn = 65535
net.core.netdev_max_backlog = 65535
net.ipv4.tcp_max_syn_backlog = 65535
net.ipv4.tcp_fin_timeout = 15
net.ipv4.tcp_keepalive_time = 300
net.ipv4.tcp_keepalive_probes = 5
net.ipv4.tcp_keepalive_intvl = 15

# Open files.
fs.file-max = 2097152
fs.nr_open = 2097152

# Memory: swap late, write back early and in small pieces.
vm.swappiness = 10
vm.dirty_background_ratio = 2
vm.dirty_ratio = 60
CONF
sysctl -p /etc/sysctl.d/80-image.conf

say "Setting limits"
write_file /etc/security/limits.d/80-image.conf <<'CONF'
*    soft nofile 1048576
*    hard nofile 1048576
*    soft nproc  65535
*    hard nproc  65535
# The star does not mean root.
root soft nofile 1048576
root hard nofile 1048576
CONF
# limits.d is for logins only; services take theirs from systemd.
write_file /etc/systemd/system.conf.d/80-image.conf <<'CONF'
[Manager]
DefaultLimitNOFILE=65536:1048576
CONF

say "Base configuration complete"
