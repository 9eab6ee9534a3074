source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "shell" {
    inline = [<<-EOT
      set -e
      shutdown -r now
      EOT
    ]
  }
}
