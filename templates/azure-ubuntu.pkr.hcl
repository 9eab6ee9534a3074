# A version in a shared image gallery. The gallery, its image definition (generation V2) and the
# network exist beforehand.

variable "azure_subscription_id" {
  type        = string
  description = "Subscription of the build and of the gallery"
  default     = env("ARM_SUBSCRIPTION_ID")
}

variable "azure_tenant_id" {
  type        = string
  description = "Tenant of the identity below; found out when empty"
  default     = env("ARM_TENANT_ID")
}

variable "azure_client_id" {
  type        = string
  description = "Application that builds; empty means: whoever is logged in with the az command"
  default     = env("ARM_CLIENT_ID")
}

variable "azure_client_secret" {
  type        = string
  description = "Its secret; empty means that the workflow proves who it is by its own token"
  default     = env("ARM_CLIENT_SECRET")
  sensitive   = true
}

variable "oidc_request_url" {
  type        = string
  description = "Where a GitHub job with the permission id-token: write asks for its token"
  default     = env("ACTIONS_ID_TOKEN_REQUEST_URL")
}

variable "oidc_request_token" {
  type        = string
  description = "What it shows there"
  default     = env("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
  sensitive   = true
}

variable "azure_resource_group" {
  type        = string
  description = "Resource group of the gallery and of the network"
  default     = "packer-images-rg"
}

variable "azure_location" {
  type        = string
  description = "Location of the build; the gallery replicates to it and to eastus"
  default     = "westus2"
}

locals {
  azure_has_secret = var.azure_client_secret != ""

  # A gallery keeps each version once, so a second build of 1.4.0 would be refused. Only prod makes
  # the version that was asked for; elsewhere the build's time makes 0.20250131.90500. The numbers
  # have no leading zeros there, hence parseint.
  azure_version = local.is_prod ? var.version : join(".", [
    "0",
    formatdate("YYYYMMDD", local.started),
    parseint(formatdate("hhmmss", local.started), 10),
  ])
}

source "azure-arm" "ubuntu" {
  subscription_id = var.azure_subscription_id

  # The login of the az command lives in the home folder of whoever called it, and a container
  # action sees neither the folder nor the command. So it serves only where nothing else is set.
  use_azure_cli_auth = var.azure_client_id == ""
  tenant_id          = var.azure_client_id != "" && var.azure_tenant_id != "" ? var.azure_tenant_id : null
  client_id          = var.azure_client_id != "" ? var.azure_client_id : null
  client_secret      = local.azure_has_secret ? var.azure_client_secret : null
  oidc_request_url   = var.azure_client_id != "" && !local.azure_has_secret ? var.oidc_request_url : null
  oidc_request_token = var.azure_client_id != "" && !local.azure_has_secret ? var.oidc_request_token : null

  shared_image_gallery_destination {
    subscription         = var.azure_subscription_id
    resource_group       = var.azure_resource_group
    gallery_name         = "company_images"
    image_name           = "ubuntu-22.04"
    image_version        = local.azure_version
    replication_regions  = distinct([var.azure_location, "eastus"])
    storage_account_type = "Standard_LRS"
  }

  os_type         = "Linux"
  image_publisher = "Canonical"
  image_offer     = "0001-com-ubuntu-server-jammy"
  image_sku       = "22_04-lts-gen2"

  location        = var.azure_location
  vm_size         = "Standard_D2s_v3"
  os_disk_size_gb = 50

  # In a network of one's own the machine gets a private address only, which a runner of GitHub's
  # cannot reach. The subnet's security group has to let port 22 in.
  virtual_network_name                   = "packer-vnet"
  virtual_network_subnet_name            = "packer-subnet"
  virtual_network_resource_group_name    = var.azure_resource_group
  private_virtual_network_with_public_ip = true

  # No `communicator = "ssh"`: the default is the same, but naming it switches passwords on.
  ssh_username = var.ssh_username

  azure_tags = local.common_tags
}
