source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  post-processor "manifest" {
    keep_input_artifact = false
    output              = "manifest.json"
  }
}
