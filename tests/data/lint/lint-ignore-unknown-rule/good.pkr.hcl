source "null" "box" {
  communicator = "none"
}

build {
  # lint:ignore file-copies-nothing it has nothing to copy
  sources = ["source.null.box"]
}
