locals {
  a = "${var.x"
  b = "\q"
}
