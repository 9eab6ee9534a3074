# with: -var-file=nothing.pkrvars.hcl -var-file=README.md

source "null" "box" {
  communicator = "none"
}

build {
  sources = ["null.box"]
}
