source "amazon-ebs" "base" {
  ami_name      = "base"
  region        = "us-west-2"
  instance_type = "t3.micro"
  source_ami    = "ami-12345678"
  ssh_username  = "ubuntu"

  launch_block_device_mappings {
    device_name           = "/dev/sda1"
    volume_size           = 20
    delete_on_termination = false
  }

  launch_block_device_mappings {
    device_name  = "/dev/sdb"
    virtual_name = "ephemeral0"
  }

  launch_block_device_mappings {
    device_name = "/dev/sdc"
    no_device   = true
  }
}

build {
  sources = ["source.amazon-ebs.base"]
}
