build = {
  sources = ["null.box"]
}
