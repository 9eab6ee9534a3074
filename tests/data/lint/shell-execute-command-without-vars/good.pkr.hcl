source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "shell" {
    environment_vars = ["VERSION=1"]
    execute_command  = "chmod +x {{ .Path }}; sudo env {{ .Vars }} {{ .Path }}"
    inline           = ["echo $VERSION"]
  }

  provisioner "shell" {
    env              = { VERSION = "1" }
    use_env_var_file = true
    execute_command  = ". {{ .EnvVarFile }} && sudo -E {{ .Path }}"
    inline           = ["echo $VERSION"]
  }

  # There is nothing to be passed.
  provisioner "shell" {
    execute_command = "sudo {{ .Path }}"
    inline          = ["true"]
  }

  # lint:ignore shell-execute-command-without-vars it is for the log only
  provisioner "shell" {
    environment_vars = ["VERSION=1"]
    # lint:ignore shell-execute-command-without-vars it is for the log only
    execute_command = "sudo {{ .Path }}"
    inline          = ["true"]
  }
}
