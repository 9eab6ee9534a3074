locals {
  a = local.b
  b = local.c
  c = data.null.x.output
}

data "null" "x" {
  input = local.a
}

source "null" "box" {
  communicator = "none"
}

build {
  sources = ["null.box"]
}
