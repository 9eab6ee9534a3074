source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "file" {
    sources     = ["a.txt", "b.txt"]
    destination = "/tmp/files"
  }
}
