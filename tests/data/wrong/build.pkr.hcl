source "null" "box" {
  communicator = "none"
}

source "null" "box" {
  communicator = "none"
}

source "virtualbox-iso" "vm" {
}

source "amazon-eb" "typo" {
}

build {
  nme     = "x"
  sources = ["null.box", "null.bx", "virtualbox-iso.vm", "amazon-eb.typo", 5]

  source "null.nobody" {
  }

  provisioner "shell-locl" {
  }

  provisioner "puppet" {
  }

  provisioner "shell" {
    inline = ["true"]
    only   = ["null.box"]
    except = ["null.other"]
  }

  provisioner "shell" {
    inline       = ["true"]
    max_retries  = "often"
    pause_before = 5
    timeout      = "1 minute"
    override     = "x"
  }

  provisioners "shell" {
  }

  post-processors {
    output = "x"
    provisioner "shell" {
    }
  }

  post-processor "vagrant" {
  }

  error-cleanup-provisioner "shell-local" {
    inline = ["true"]
  }

  error-cleanup-provisioner "shell-local" {
    inline = ["true"]
  }
}

build {
}
