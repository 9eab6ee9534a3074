# Everything that differs between two builds of this image. Values for an environment stand in
# dev.pkrvars.hcl and prod.pkrvars.hcl; what a single cloud needs stands in that cloud's file.

variable "version" {
  type        = string
  description = "Version of the image: three numbers. Two clouds take nothing else"
  default     = "1.0.0"

  # An Azure gallery refuses any other form, but only when the build is half an hour old; and the
  # labels and names of Google Compute have no place for a "+" or a capital letter.
  validation {
    condition     = can(regex("^[0-9]+[.][0-9]+[.][0-9]+$", var.version))
    error_message = "The version must be three numbers, such as 1.4.0."
  }
}

variable "environment" {
  type        = string
  description = "Where the image will be used"
  default     = "dev"

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "Environment must be dev, staging, or prod."
  }
}

variable "ssh_username" {
  type        = string
  description = "User that provisions the machine; the Ubuntu images of all three clouds know it"
  default     = "ubuntu"
}

variable "tags" {
  type        = map(string)
  description = "Tags for every resource that can carry them"
  default = {
    ManagedBy = "image-action"
    Project   = "infrastructure"
  }
}

variable "ansible_vault_password" {
  type        = string
  description = "Opens the vault files of the playbook, if it has any"
  default     = ""
  sensitive   = true
}

locals {
  # timestamp() is another moment on each call; a local is worked out once, so that the three
  # images of a run carry the same time in their names.
  started   = timestamp()
  timestamp = formatdate("YYYYMMDD-hhmmss", local.started)

  is_prod = var.environment == "prod"

  common_tags = merge(var.tags, {
    BuildTime   = local.timestamp
    Environment = var.environment
    Version     = var.version
  })
}
