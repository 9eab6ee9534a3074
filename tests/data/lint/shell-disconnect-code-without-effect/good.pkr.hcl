source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "shell" {
    expect_disconnect = true
    inline            = ["true"]
    valid_exit_codes  = [0, 2300218]
  }
}
