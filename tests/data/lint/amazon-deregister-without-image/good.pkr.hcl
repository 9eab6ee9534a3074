source "amazon-ebs" "base" {
  ami_name      = "base"
  region        = "us-west-2"
  instance_type = "t3.micro"
  source_ami    = "ami-12345678"
  ssh_username  = "ubuntu"
  skip_create_ami  = true
  force_deregister = false
}

build {
  sources = ["source.amazon-ebs.base"]
}
