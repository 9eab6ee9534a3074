# with: -W loud

source "null" "box" {
  communicator = "none"
}

build {
  sources = ["null.box"]
}
