source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "shell" {
    inline = ["apt-get -y upgrade", "sudo reboot"]
  }
}
