variable "name" {
  type    = string
  default = "a"
}

source "file" "a" {
  contents = "x"
  target   = ["list"]
  content { }
}

build {
  sources = ["source.file.a"]

  provisioner "shell-local" {
    inlin        = ["true"]
    pause_before = "5"
  }

  post-processor "checksum" {
    checksum_types = ["sha3"]
  }
}
