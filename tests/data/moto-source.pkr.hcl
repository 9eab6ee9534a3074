variable "ssh_username" {
  type = string
}

locals {
  tags = { Environment = "dev", Project = "infrastructure", Version = "1.0.0" }
}

data "amazon-ami" "ubuntu" {
  filters = {
    name                = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*"
    root-device-type    = "ebs"
    virtualization-type = "hvm"
  }
  most_recent = true
  owners      = ["099720109477"]
}

source "amazon-ebs" "ubuntu" {
  ami_name                    = "company-ubuntu-1.0.0-{{ timestamp }}"
  ami_description             = "Company Ubuntu 22.04 base image"
  instance_type               = "t3.medium"
  region                      = "us-west-2"
  source_ami                  = data.amazon-ami.ubuntu.id
  ssh_username                = var.ssh_username
  associate_public_ip_address = true
  ena_support                 = true
  sriov_support               = true
  encrypt_boot                = true
  kms_key_id                  = "alias/packer-images"
  launch_block_device_mappings {
    device_name           = "/dev/sda1"
    volume_size           = 50
    volume_type           = "gp3"
    iops                  = 3000
    throughput            = 125
    delete_on_termination = true
    encrypted             = true
  }
  tags          = local.tags
  run_tags      = local.tags
  snapshot_tags = local.tags
  ssh_timeout   = "1m"
}
