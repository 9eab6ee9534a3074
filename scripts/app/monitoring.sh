#!/usr/bin/env bash
# The exporter that the monitoring role configures: installed here, so that an image without Ansible
# has it too.
set -euo pipefail

# shellcheck source=../common/lib.sh
. "${SCRIPT_ROOT:?is set by the template}/common/lib.sh"

say "Installing the node exporter"
apt_install prometheus-node-exporter
systemctl enable prometheus-node-exporter

say "Monitoring installation complete"
