data "amazon-ami" "x" {
  filters = { name = "x" }
}

data "http" "x" {
}

data "http" "y" {
  url    = "https://example.com"
  method = "FETCH"
}

data "amazon-amis" "y" {
}

data "git-repository" "z" {
}

source "null" "box" {
  communicator = "none"
}

build {
  sources = ["null.box"]
}
