source "file" "a" {
  target: "a.txt"
}

locals {
  port = 80,
  list = [1 2]
  map  = { a 1 }
  sum  = 1 +
  text = hello world
}

build
{
}

variable "x" { type = string default = "a" }
