source "amazon-ebs" "base" {
  ami_name      = "base"
  region        = "us-west-2"
  instance_type = "t3.micro"
  source_ami    = "ami-12345678"
  ssh_username  = "ubuntu"

  launch_block_device_mappings {
    device_name = "/dev/sda1"
    volume_size = 20
  }

  dynamic "launch_block_device_mappings" {
    for_each = ["/dev/sdb"]
    content {
      device_name = launch_block_device_mappings.value
      volume_size = 1
    }
  }
}

build {
  sources = ["source.amazon-ebs.base"]
}
