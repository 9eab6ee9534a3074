variable "region" {
  default = "a"
}

variable "other" {
  default = var.region
}

locals {
  a = "${region}"
  b = var
  c = data.null.nothing.output
  d = locals.a
  e = source.null.box
  f = each.value
  g = local.e.x
  h = self.name
}

data "null" "input" {
  inputs = "x"
}

source "null" "box" {
  communicator = "none"
}

build {
  sources = ["null.box"]
}
