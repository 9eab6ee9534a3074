source "null" "box" {
  communicator = "none"
}

build {
  # lint:ignore file-copies-nothin
  sources = ["source.null.box"]
}
