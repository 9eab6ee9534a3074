packer {
  required_version = ">= 2"
}
