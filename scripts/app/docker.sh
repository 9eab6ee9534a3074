#!/usr/bin/env bash
# Docker, from the distribution. base.sh has read the package lists.
set -euo pipefail

# shellcheck source=../common/lib.sh
. "${SCRIPT_ROOT:?is set by the template}/common/lib.sh"

# Docker's own repository names its archives by distribution and release, so that a script for it
# stops working with the next release; the distribution's package has security updates as well.
say "Installing Docker"
apt_install docker.io

say "Configuring the Docker daemon"
# No storage-driver and no buildkit switch: both are the default by now, and a newer daemon does not
# start with a driver it no longer has.
write_file /etc/docker/daemon.json <<'CONF'
{
  "log-driver": "json-file",
  "log-opts": {
    "max-size": "100m",
    "max-file": "3"
  },
  "live-restore": true,
  "default-ulimits": {
    "nofile": {
      "Name": "nofile",
      "Hard": 65536,
      "Soft": 65536
    }
  }
}
CONF
# A comma too many would only show on the first machine made from the image.
jq --exit-status type /etc/docker/daemon.json >/dev/null
systemctl enable docker

say "Docker installation complete: $(docker --version)"
