locals {
  a = local.b
  b = local.a
  c = local.missing
  d = var.nothing
}

source "file" "a" {
  target  = "${vars.name}.txt"
  content = upcase("x")
}

build {
  sources = ["source.file.a", "source.file.aa", "file"]
}
