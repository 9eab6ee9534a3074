# The same steps on three machines at once. Paths are relative to the folder the build is started in:
# `image-action build templates`, from the root of the repository.

build {
  name = "company-base-image"

  sources = [
    "source.amazon-ebs.ubuntu",
    "source.azure-arm.ubuntu",
    "source.googlecompute.ubuntu",
  ]

  # First boot installs keys and package sources; whoever comes before its end races with it.
  # It answers 2 when it is done with warnings, which is no reason to stop.
  provisioner "shell" {
    inline = [
      "cloud-init status --wait || test $? -eq 2",
    ]
  }

  # dist-upgrade does all that upgrade does. First boot may hold the lock of the package database for
  # minutes, and a changed configuration file or needrestart would ask on a terminal that nobody reads.
  provisioner "shell" {
    inline = [
      "sudo apt-get -o DPkg::Lock::Timeout=600 update",
      "sudo env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a apt-get -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -y dist-upgrade",
      # The destination has to exist: a transfer into a missing folder loses its outermost level.
      "mkdir -p /tmp/image-scripts",
    ]
  }

  # The scripts below read common/lib.sh there. Only what they need goes up, not scripts/dev.
  provisioner "file" {
    sources     = ["scripts/common", "scripts/app"]
    destination = "/tmp/image-scripts"
  }

  provisioner "shell" {
    scripts = [
      "scripts/common/base.sh",
      "scripts/common/security.sh",
      "scripts/app/docker.sh",
      "scripts/app/monitoring.sh",
    ]
    environment_vars = [
      "ENVIRONMENT=${var.environment}",
      "VERSION=${var.version}",
      "SCRIPT_ROOT=/tmp/image-scripts",
    ]
    # Without .Vars in it the variables above reach nobody. `sudo env` and not `sudo -E`: whether the
    # latter passes them on is a matter of the machine's sudoers.
    execute_command = "sudo env {{ .Vars }} {{ .Path }}"
  }

  provisioner "ansible" {
    playbook_file = "ansible/playbook.yml"
    user          = var.ssh_username
    use_proxy     = false

    # Not `environment=`: the name belongs to Ansible, which answers it with an empty list.
    extra_arguments = [
      "--extra-vars", "image_environment=${var.environment}",
      "--extra-vars", "image_version=${var.version}",
      "--extra-vars", "image_built=${local.timestamp}",
      "--vault-password-file", "ansible/vault-password.sh",
    ]

    ansible_env_vars = [
      "ANSIBLE_PIPELINING=True",
      "ANSIBLE_PYTHON_INTERPRETER=auto_silent",
      "IMAGE_VAULT_PASSWORD=${var.ansible_vault_password}",
    ]
  }

  # Last of all: it removes what a new connection to this machine would need.
  provisioner "shell" {
    script          = "scripts/common/cleanup.sh"
    execute_command = "sudo env {{ .Vars }} {{ .Path }}"
  }

  post-processor "manifest" {
    output     = "manifest.json"
    strip_path = true
    custom_data = {
      build_time  = local.timestamp
      environment = var.environment
      version     = var.version
    }
  }

  post-processor "checksum" {
    checksum_types = ["sha256"]
    output         = "checksums.txt"
  }
}
