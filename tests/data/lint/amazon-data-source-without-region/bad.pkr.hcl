source "amazon-ebs" "base" {
  ami_name      = "base"
  region        = "us-west-2"
  instance_type = "t3.micro"
  source_ami    = "ami-12345678"
  ssh_username  = "ubuntu"
}

build {
  sources = ["source.amazon-ebs.base"]
}

data "amazon-ami" "ubuntu" {
  owners      = ["099720109477"]
  most_recent = true
  filters     = { name = "ubuntu-*" }
}
