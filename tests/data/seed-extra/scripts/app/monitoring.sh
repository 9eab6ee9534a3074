#!/usr/bin/env bash
# The seed's template names this script and its files lack it.
#
# The template passes ENVIRONMENT and VERSION to it, and its execute_command drops both. So they must be
# unset here: a build that sets them does something else than Packer would.
set -euxo pipefail

export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y --no-install-recommends prometheus-node-exporter
systemctl enable prometheus-node-exporter
printf 'ENVIRONMENT=%s VERSION=%s\n' "${ENVIRONMENT-unset}" "${VERSION-unset}" >/etc/monitoring-environment
