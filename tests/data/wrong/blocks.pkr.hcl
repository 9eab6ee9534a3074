provisioner "shell" {
}

sources "null" "box" {
}

region = "us-west-2"

source "null" {
}

source "null" "a" "b" {
}

build "x" {
}

packr {
}

local "a" {
  value = 1
}

locals "b" {
}

resource "aws_instance" "web" {
}
