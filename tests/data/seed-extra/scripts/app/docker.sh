#!/usr/bin/env bash
# Stands in for the seed's script of this name, which needs Docker's own package repository.
set -euxo pipefail

export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y --no-install-recommends docker.io
systemctl enable docker
systemctl start docker
docker --version
