# An encrypted AMI. In prod it is copied to more regions and shared with more accounts.

variable "aws_region" {
  type        = string
  description = "Region in which the AMI is built"
  default     = "us-west-2"
}

variable "instance_type" {
  type        = string
  description = "Type of the build instance"
  default     = "t3.medium"
}

variable "vpc_id" {
  type        = string
  description = "VPC to build in; empty means the default one. Any other VPC needs subnet_id too"
  default     = ""
}

variable "subnet_id" {
  type        = string
  description = "Public subnet to build in; empty means one of the default VPC"
  default     = ""
}

locals {
  # The same alias has to exist in each region. A key belongs to its region.
  ami_key = "alias/packer-images"

  ami_copies_to   = local.is_prod ? ["us-east-1", "eu-west-1"] : []
  ami_shared_with = local.is_prod ? ["123456789012", "234567890123"] : []
}

data "amazon-ami" "ubuntu" {
  # Without a region of its own the look-up follows AWS_REGION, and the id it finds there
  # does not exist in the region that is built in.
  region      = var.aws_region
  most_recent = true
  owners      = ["099720109477"] # Canonical

  filters = {
    name                = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*"
    root-device-type    = "ebs"
    virtualization-type = "hvm"
  }
}

source "amazon-ebs" "ubuntu" {
  ami_name        = "company-ubuntu-${var.version}-${local.timestamp}"
  ami_description = "Company base image, Ubuntu 22.04, version ${var.version}"
  region          = var.aws_region
  source_ami      = data.amazon-ami.ubuntu.id
  instance_type   = var.instance_type

  vpc_id                      = var.vpc_id != "" ? var.vpc_id : null
  subnet_id                   = var.subnet_id != "" ? var.subnet_id : null
  associate_public_ip_address = true

  # No sriov_support: it is for the network card of a generation before t3, and costs a call.
  ami_virtualization_type = "hvm"
  ena_support             = true

  # kms_key_id holds for the build region alone. Copies would fall back to the key that AWS manages
  # in their region, and a snapshot under such a key cannot be shared: the build would fail at its
  # very end, with every copy made. So each copy names its key.
  encrypt_boot       = true
  kms_key_id         = local.ami_key
  ami_regions        = local.ami_copies_to
  region_kms_key_ids = { for region in local.ami_copies_to : region => local.ami_key }
  ami_users          = local.ami_shared_with

  launch_block_device_mappings {
    device_name = "/dev/sda1"
    encrypted   = true
    iops        = 3000
    throughput  = 125
    volume_size = 50
    volume_type = "gp3"

    # false unless said, and then one volume stays behind for each build; the AMI inherits it too.
    delete_on_termination = true
  }

  tags          = local.common_tags
  run_tags      = local.common_tags
  snapshot_tags = local.common_tags

  # A timeout alone would lift the limit on attempts: a refused key would be tried for ten minutes.
  # Twenty, because sshd of a fresh instance is up some seconds before the key is in place.
  ssh_username           = var.ssh_username
  ssh_timeout            = "10m"
  ssh_handshake_attempts = 20

  # An hour for each wait: 50 GiB under a new key, in another region, may take more than half of it.
  aws_polling {
    delay_seconds = 15
    max_attempts  = 240
  }
}
