packer {
  required_version = ">= 1.9"
  requird_plugins {
  }
  required_plugins {
    amazon = {
      version = ">= 99"
      source  = "github.com/hashicorp/amazon"
    }
    azure = {
      version = "newest"
      source  = "github.com/hashicorp/azure"
    }
    docker = {
      version = ">= 1"
      source  = "docker"
    }
    plain = "1.0"
  }
}

source "null" "box" {
  communicator = "none"
}

build {
  sources = ["null.box"]
}
