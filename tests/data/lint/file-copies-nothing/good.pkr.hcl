source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "file" {
    destination = "/tmp/x"
    content     = "x"
  }
}
