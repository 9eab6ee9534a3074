source "null" "no-host" {
  ssh_username = "x"
}

source "null" "communicator" {
  communicator = "telnet"
}

source "null" "login" {
  ssh_host                 = "192.0.2.1"
  ssh_port                 = 99999
  ssh_timeout              = "long"
  ssh_private_key_file     = "nothing.pem"
  ssh_file_transfer_method = "ftp"
  ssh_bastion_host         = "192.0.2.2"
}

source "file" "both" {
  content = "x"
  source  = "README.md"
  target  = ""
}

source "file" "none" {
  contnt = "x"
}

build {
  sources = ["null.no-host", "null.communicator", "null.login", "file.both", "file.none"]
}
