source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "shell" {
    expect_disconnect = true
    inline            = ["sudo systemctl reboot"]
    pause_after       = "30s"
  }

  # Not every line that speaks of it does it.
  provisioner "shell" {
    inline = ["echo reboot", "touch /run/reboot-required", "shutdown -h +5 || true"]
  }
}
