source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "shell" {
    environment_vars = ["VERSION=1"]
    execute_command  = "chmod +x {{ .Path }}; sudo -E {{ .Path }}"
    inline           = ["echo $VERSION"]
  }

  post-processor "shell-local" {
    env             = { VERSION = "1" }
    execute_command = ["bash", "-c", "{{ .Script }}"]
    inline          = ["echo $VERSION"]
  }
}
