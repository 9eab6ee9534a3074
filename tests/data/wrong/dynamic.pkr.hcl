source "null" "box" {
  communicator = "none"
}

build {
  sources = ["null.box"]

  dynamic "provisioner" {
    for_each = 5
    labels   = ["shell"]
    content {
    }
  }

  dynamic "provisioner" {
    labels = ["shell"]
    content {
    }
  }

  dynamic "provisioner" {
    for_each = ["a"]
    content {
    }
  }

  dynamic "provisioner" {
    for_each = ["a"]
    labels   = ["shell"]
  }

  dynamic "provisionr" {
    for_each = ["a"]
    content {
    }
  }

  dynamic "provisioner" {
    for_each = ["a"]
    iterator = "it"
    labels   = [null]
    content {
    }
  }
}
