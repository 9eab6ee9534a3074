source "azure-arm" "empty" {
}

source "azure-arm" "wrong" {
  subscription_id                   = "not-a-uuid"
  client_id                         = "x"
  os_type                           = "BeOS"
  vm_size                           = "Standard_B2s"
  location                          = "westeurope"
  build_resource_group_name         = "group."
  image_publisher                   = "Canonical"
  image_offer                       = "x"
  managed_image_name                = "image-"
  managed_image_resource_group_name = "group"
  image_url                         = "https://x"
  disk_caching_type                 = "maybe"
  virtual_network_subnet_name       = "subnet"
  polling_duration_timeout          = "15"

  shared_image_gallery_destination {
    gallery_name  = "g"
    image_version = "1.0"
  }
}

build {
  sources = ["azure-arm.empty", "azure-arm.wrong"]
}
