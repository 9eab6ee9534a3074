source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "shell" {
    inline           = ["true"]
    valid_exit_codes = [0, 2]
  }

  provisioner "shell-local" {
    inline           = ["true"]
    valid_exit_codes = []
  }
}
