source "null" "box" {
  communicator = "none"
}

build {
  name    = "base"
  sources = ["source.null.box"]

  source "source.null.box" {
    name = "other"
  }

  provisioner "breakpoint" {
    disable = true
    only    = ["null.box"]
  }

  post-processor "manifest" {
    except = ["null.other", "null.elsewhere"]
  }
}

build {
  name = "second"

  source "source.null.box" {
    name = "elsewhere"
  }
}
