#!/usr/bin/env bash
# SSH, fail2ban and security updates.
set -euo pipefail

# shellcheck source=lib.sh
. "${SCRIPT_ROOT:?is set by the template}/common/lib.sh"

say "Hardening SSH"
apt_install openssh-server
# The first value that sshd reads for a keyword is the one that holds, and first boot writes
# 50-cloud-init.conf: a file named 99- would change nothing.
write_file /etc/ssh/sshd_config.d/00-hardening.conf 0600 <<'CONF'
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitEmptyPasswords no
PermitRootLogin no

MaxAuthTries 3
MaxSessions 10
LoginGraceTime 30
X11Forwarding no

# A client that does not answer for ten minutes is gone.
ClientAliveInterval 300
ClientAliveCountMax 2

Ciphers aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr,aes192-ctr,aes128-ctr
MACs hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com
KexAlgorithms sntrup761x25519-sha512@openssh.com,curve25519-sha256,curve25519-sha256@libssh.org

LogLevel VERBOSE
CONF
# One that sshd cannot read locks everybody out of every machine made from the image. sshd -t wants
# its run-time folder, which only the service makes.
install -d -m 0755 /run/sshd
sshd -t

say "Installing fail2ban"
# Named, because they are only recommended: the journal's reader, and what bans.
apt_install fail2ban nftables python3-systemd
write_file /etc/fail2ban/jail.d/80-image.local <<'CONF'
[DEFAULT]
bantime = 1h
findtime = 10m
maxretry = 5
# Not every image has an auth.log, every one has a journal.
backend = systemd
banaction = nftables-multiport
banaction_allports = nftables-allports

[sshd]
enabled = true
maxretry = 3
bantime = 24h
CONF
systemctl enable fail2ban

say "Switching automatic security updates on"
apt_install unattended-upgrades
# Which archives count as security differs between Debian and Ubuntu and stands in the package's own
# 50unattended-upgrades; files beside it survive its updates.
write_file /etc/apt/apt.conf.d/20auto-upgrades <<'CONF'
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
CONF
write_file /etc/apt/apt.conf.d/52unattended-upgrades-image <<'CONF'
Unattended-Upgrade::Remove-Unused-Dependencies "true";
Unattended-Upgrade::Automatic-Reboot "false";
CONF
systemctl enable unattended-upgrades

say "Security hardening complete"
