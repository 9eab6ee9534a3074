communicator "ssh" "c" {
  ssh_username = "x"
}

source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  from "x" {}
}
