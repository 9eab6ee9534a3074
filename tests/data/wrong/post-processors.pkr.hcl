source "null" "box" {
  communicator = "none"
}

build {
  sources = ["null.box"]

  post-processor "checksum" {
    checksum_types = ["crc32"]
    output         = "{{ .X"
  }

  post-processor "compress" {
    output = "x.tar.rar"
  }

  post-processor "manifest" {
    custom_data = { a = [1] }
    strip_paths = true
  }

  post-processor "artifice" {
    files = ["["]
  }

  post-processor "shell-local" {
  }
}
