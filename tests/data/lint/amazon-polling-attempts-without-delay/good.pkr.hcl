source "amazon-ebs" "base" {
  ami_name      = "base"
  region        = "us-west-2"
  instance_type = "t3.micro"
  source_ami    = "ami-12345678"
  ssh_username  = "ubuntu"

  aws_polling {
    max_attempts  = 60
    delay_seconds = 15
  }
}

build {
  sources = ["source.amazon-ebs.base"]
}
