source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "shell" {
    inline        = ["true"]
    remote_folder = "/tmp/my-scripts"
  }

  provisioner "shell" {
    execute_command = "{{ .Vars }} sh '{{ .Path }}'"
    inline          = ["true"]
    remote_path     = "/tmp/my script"
  }
}
