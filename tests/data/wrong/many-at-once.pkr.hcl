variable "region" {
  type    = strin
  default = "x"
}

locals {
  name = "image-${var.regoin}"
}

source "file" "a" {
  target   = "a.txt"
  contents = local.nmae
}

build {
  sources = ["source.file.b"]
  provisioner "shel" {}
}
