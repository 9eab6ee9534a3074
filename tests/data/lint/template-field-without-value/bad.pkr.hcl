source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "shell" {
    inline = ["docker ps --format '{{.Names}}'"]
  }

  post-processor "manifest" {
    output = "{{ .BuildName }}.json"
  }
}
