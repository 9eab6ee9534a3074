variable "tags" {
  type    = map(string)
  default = { a = "b" }
}

locals {
  number    = 1 + "x"
  compare   = "a" < 2
  negate    = -"x"
  zero      = 1 / 0
  condition = var.tags ? 1 : 2
  branches  = true ? [1] : { a = 1 }
  nothing   = null ? 1 : 2
  each      = [for x in 5 : x]
  keys      = { for x in ["a", "a"] : x => 1 }
  nulls     = [for x in null : x]
  text      = "tags: ${var.tags}"
  none      = "none: ${null}"
  attribute = var.tags.a.b
  index     = [1, 2][5]
  key       = var.tags[["a"]]
  missing   = { a = 1 }.b
  list      = [1].a
}

source "null" "box" {
  communicator = "none"
}

build {
  sources = ["null.box"]
}
