source "amazon-ebs" "empty" {
}

source "amazon-ebs" "wrong" {
  ami_name               = "a"
  region                 = "us-west-2"
  instance_type          = "t3.micro"
  spot_instance_types    = ["t3.micro"]
  ssh_username           = "ubuntu"
  access_key             = "x"
  encrypt_boot           = true
  ami_users              = ["123456789012"]
  ami_regions            = ["eu-west-1"]
  region_kms_key_ids     = { us-east-1 = "alias/x" }
  kms_key_id             = "not a key"
  deprecate_at           = "tomorrow"
  shutdown_behavior      = "hibernate"
  security_group_id      = "sg-1"
  security_group_ids     = ["sg-2"]
  user_data              = "x"
  user_data_file         = "nothing.sh"
  ssh_interface          = "wifi"
  temporary_key_pair_type = "dsa"
  temporary_security_group_source_cidrs = ["everybody"]

  source_ami_filter {
    filters = { name = "x" }
  }

  launch_block_device_mappings {
    volume_type = "gp3"
    iops        = 5
    throughput  = 5
  }

  metadata_options {
    http_tokens = "sometimes"
  }

  tag {
    key = "a"
  }

  ebs_optimised = true
}

build {
  sources = ["amazon-ebs.empty", "amazon-ebs.wrong"]
}
