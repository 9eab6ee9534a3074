locals {
  unknown  = uper("x")
  few      = upper()
  many     = upper("a", "b")
  type     = upper(["a"])
  null     = upper(null)
  text     = tonumber("five")
  file     = file("nothing.txt")
  json     = jsondecode("{")
  yaml     = yamldecode("a: [")
  format   = format("%d", "x")
  regex    = regex("(", "x")
  no_match = regex("b", "a")
  date     = formatdate("YYYY", "today")
  index    = element([], 0)
  lookup   = lookup({ a = 1 }, "b")
  cidr     = cidrsubnet("10.0.0.0/33", 8, 1)
  base64   = base64decode("%")
  env      = env("HOME")
  spread   = max("a"...)
  merge    = merge([1], {})
  range    = range(1, 5, 0)
}

source "null" "box" {
  communicator = "none"
}

build {
  sources = ["null.box"]
}
