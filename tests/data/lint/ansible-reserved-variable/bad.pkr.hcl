source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "ansible" {
    command         = "./ansible-playbook"
    playbook_file   = "playbook.yml"
    extra_arguments = ["--extra-vars", "version=1 environment=prod"]
  }

  provisioner "ansible" {
    command         = "./ansible-playbook"
    playbook_file   = "playbook.yml"
    extra_arguments = ["-v", "--extra-vars=environment=prod"]
  }
}
