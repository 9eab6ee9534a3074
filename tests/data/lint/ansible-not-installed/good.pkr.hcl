source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

  provisioner "ansible" {
    command       = "./ansible-playbook"
    playbook_file = "playbook.yml"
  }
}
