source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  post-processor "checksum" {
    checksum_types = []
  }
}
