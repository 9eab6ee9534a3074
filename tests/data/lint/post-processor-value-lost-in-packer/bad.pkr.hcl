source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  post-processors {
    post-processor "artifice" {
      files = ["x"]
    }
    post-processor "shell-local" {
      inline = ["echo ${build.ID}"]
    }
  }
}
