# with: -only=nul.* -except=[

source "null" "box" {
  communicator = "none"
}

build {
  sources = ["null.box"]
}
