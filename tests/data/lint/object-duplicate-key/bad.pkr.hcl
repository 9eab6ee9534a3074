locals {
  tags = {
    Name  = "a"
    Owner = "b"
    Name  = "c"
  }
}

source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

}
