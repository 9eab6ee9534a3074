source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "shell" {
    expect_disconnect = true
    inline            = ["sudo reboot"]
  }

  provisioner "shell" {
    pause_before      = "30s"
    expect_disconnect = true
    inline            = ["sudo reboot"]
    pause_after       = "30s"
  }

  provisioner "shell" {
    inline = ["uptime"]
  }

  # Nothing follows.
  provisioner "shell" {
    expect_disconnect = true
    inline            = ["sudo reboot"]
  }
}
