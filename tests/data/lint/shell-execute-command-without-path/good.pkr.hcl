source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "shell" {
    execute_command = "sudo {{ .Vars }} sh {{ .Path }}"
    inline          = ["true"]
  }

  provisioner "shell-local" {
    execute_command = ["sh", "-c", "{{ .Vars }} {{ .Script }}"]
    inline          = ["true"]
  }
}
