locals {
  tags = {
    Name  = "a"
    Inner = { Name = "b" }
    "${path.cwd}"  = 1
    "${path.root}" = 2
  }
}

source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

}
