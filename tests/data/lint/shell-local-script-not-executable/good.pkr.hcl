source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "shell-local" {
    script = "executable.sh"
  }

  provisioner "shell-local" {
    execute_command = ["sh", "{{ .Script }}"]
    script          = "plain.sh"
  }
}
