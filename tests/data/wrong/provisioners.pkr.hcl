source "null" "box" {
  communicator = "none"
}

build {
  sources = ["null.box"]

  provisioner "shell" {
  }

  provisioner "shell" {
    inline           = ["true"]
    script           = "nothing.sh"
    environment_vars = ["VERSION"]
    env_var_format   = "%s"
    inline_shebng    = "/bin/bash"
    pause_after      = "soon"
    valid_exit_codes = ["x"]
    execute_command  = "{{ .Vars"
  }

  provisioner "shell" {
    inline = "true"
  }

  provisioner "shell-local" {
    only_on = ["plan9"]
    inline  = ["true"]
    script  = "nothing.sh"
  }

  provisioner "file" {
    source = "nothing.txt"
  }

  provisioner "file" {
    source      = "README.md"
    content     = "x"
    destination = ""
    direction   = "up"
  }

  provisioner "ansible" {
    playbook_file    = "nothing.yml"
    ansible_env_vars = ["X"]
    local_port       = 99999
  }

  provisioner "ansible" {
    user = "x"
  }

  provisioner "sleep" {
    duration = "5"
  }

  provisioner "breakpoint" {
    disable = "maybe"
  }

  provisioner "shell" {
    inline = ["{{ nothing }}", "{{ user `x` }}"]
  }

  provisioner "shell" {
    inline = ["${build.Nothing}"]
  }

  provisioner "shell-local" {
    inline   = ["true"]
    override = { box = { inlin = [] } }
  }
}
