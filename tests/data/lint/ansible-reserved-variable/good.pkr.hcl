source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "ansible" {
    command         = "./ansible-playbook"
    playbook_file   = "playbook.yml"
    extra_arguments = ["--extra-vars", "image_environment=prod", "--limit", "environment=x"]
  }
}
