source "amazon-ebs" "base" {
  ami_name      = "base"
  region        = "us-west-2"
  instance_type = "t3.micro"
  source_ami    = "ami-12345678"
  ssh_username  = "ubuntu"
  ami_groups    = ["all"]
  encrypt_boot  = true
}

build {
  sources = ["source.amazon-ebs.base"]
}
