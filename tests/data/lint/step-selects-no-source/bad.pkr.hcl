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
    only    = ["null.*"]
  }

  provisioner "breakpoint" {
    disable = true
    only    = ["base.null.box", "null.othr"]
  }

  post-processor "manifest" {
    except = ["source.null.box", "box"]
  }
}

build {
  name = "second"

  source "source.null.box" {
    name = "elsewhere"
  }
}
