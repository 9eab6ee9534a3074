# The action's container. `dist/image-action` has to be there: a program for the C library of the base, so
# built in it or in an older one.
#
# Layers in the order in which they change: the system, Ansible, the program.

# debian:bookworm-20260824-slim, all architectures.
ARG BASE=debian:bookworm-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171
FROM ${BASE}

# For the ansible provisioner: Python and ssh. For templates that fetch roles: git.
# For local guests: the root file system, its network, its namespaces.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates git mmdebstrap openssh-client python3 python3-venv slirp4netns \
    && rm -rf /var/lib/apt/lists/*

COPY scripts/dev/requirements.txt /opt/ansible/requirements.txt
RUN python3 -m venv /opt/ansible/venv \
    && /opt/ansible/venv/bin/pip install --no-cache-dir --requirement /opt/ansible/requirements.txt \
    && ln -s /opt/ansible/venv/bin/ansible* /usr/local/bin/

# What the runner starts after the job.
RUN ln -s image-action /usr/local/bin/image-action-post

# No USER: the workspace that a runner mounts belongs to its own user, and only root may write there.
# No WORKDIR either, the runner sets it.
COPY dist/image-action /usr/local/bin/image-action
ENTRYPOINT ["/usr/local/bin/image-action"]
