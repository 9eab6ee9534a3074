source "null" "box" {
  communicator = "none"
}

build {
  name    = "base"
  sources = ["source.null.box"]

  source "source.null.box" {
    name = "other"
  }

  provisioner "shell-local" {
    inline = ["true"]
    override = {
      box   = { inline = ["false"] }
      other = { inline = ["false"] }
    }
  }
}

build {
  name = "second"

  source "source.null.box" {
    name = "elsewhere"
  }
}
