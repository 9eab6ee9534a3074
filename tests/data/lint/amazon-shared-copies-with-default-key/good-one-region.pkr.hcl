source "amazon-ebs" "base" {
  ami_name      = "base"
  region        = "us-west-2"
  instance_type = "t3.micro"
  source_ami    = "ami-12345678"
  ssh_username  = "ubuntu"
  ami_regions   = ["us-west-2"]
  ami_users     = ["123456789012"]
  encrypt_boot  = true
  kms_key_id    = "alias/images"
}

build {
  sources = ["source.amazon-ebs.base"]
}
