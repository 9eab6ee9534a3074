source "azure-arm" "base" {
  use_azure_cli_auth                = true
  subscription_id                   = "00000000-0000-0000-0000-000000000000"
  location                          = "westeurope"
  os_type                           = "Linux"
  image_publisher                   = "Canonical"
  image_offer                       = "ubuntu-24_04-lts"
  image_sku                         = "server"
  managed_image_name                = "base"
  managed_image_resource_group_name = "images"
  vm_size                           = "Standard_B2s"
  keep_os_disk = true
}

build {
  sources = ["source.azure-arm.base"]
}
