source "amazon-ebs" "base" {
  ami_name      = "base"
  region        = "us-west-2"
  instance_type = "t3.micro"
  source_ami    = "ami-12345678"
  ssh_username  = "ubuntu"
  force_delete_snapshot = false
}

build {
  sources = ["source.amazon-ebs.base"]
}
