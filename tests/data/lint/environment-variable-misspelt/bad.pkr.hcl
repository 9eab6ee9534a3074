variable "region" {
  type    = string
  default = "a"
}

source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

}
