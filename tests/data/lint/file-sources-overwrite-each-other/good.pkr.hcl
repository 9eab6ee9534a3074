source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "file" {
    sources     = ["a.txt", "b.txt"]
    destination = "/tmp/files/"
  }

  provisioner "file" {
    source      = "a.txt"
    destination = "/tmp/a.txt"
  }

  # Directories go below it.
  provisioner "file" {
    sources     = ["folder", "folder/"]
    destination = "/tmp/files"
  }

  provisioner "file" {
    sources     = ["/var/log/a", "/var/log/b"]
    destination = "logs"
    direction   = "download"
    generated   = true
  }
}
