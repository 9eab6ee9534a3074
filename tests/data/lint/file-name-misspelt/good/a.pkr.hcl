source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

}
