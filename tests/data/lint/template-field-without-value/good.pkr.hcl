source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "shell" {
    execute_command = "{{ .Vars }} sh {{ .Path }}"
    inline          = ["echo {{ build_name }} {{ timestamp }} ${build.ID}"]
  }

  post-processor "checksum" {
    output = "{{ .BuildName }}.txt"
  }
}
