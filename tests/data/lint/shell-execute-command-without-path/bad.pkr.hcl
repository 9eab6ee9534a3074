source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "shell" {
    execute_command = "sudo {{ .Vars }} sh -c"
    inline          = ["true"]
  }
}
