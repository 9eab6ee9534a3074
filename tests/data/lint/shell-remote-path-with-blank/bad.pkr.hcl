source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "shell" {
    inline        = ["true"]
    remote_folder = "/tmp/my scripts"
  }
}
