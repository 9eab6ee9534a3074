build {
  sources = ["null.box"]
