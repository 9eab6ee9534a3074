# An image in a family, kept in the multi-region "us".

variable "gcp_project_id" {
  type        = string
  description = "Project that is built in and that owns the image"
  default     = env("GOOGLE_PROJECT")
}

variable "google_cloud_project" {
  type        = string
  description = "The same under the name that Google's own tools and login action use"
  default     = env("GOOGLE_CLOUD_PROJECT")
}

variable "gcp_zone" {
  type        = string
  description = "Zone of the build instance"
  default     = "us-central1-a"
}

locals {
  # Names and labels of Google Compute have no dots.
  gcp_version = replace(var.version, ".", "-")
}

source "googlecompute" "ubuntu" {
  project_id = var.gcp_project_id != "" ? var.gcp_project_id : var.google_cloud_project

  # Where the family lives: a search without it asks seventeen projects, one after the other, and
  # takes the first that has a family of this name.
  source_image_family     = "ubuntu-2204-lts"
  source_image_project_id = ["ubuntu-os-cloud"]

  zone         = var.gcp_zone
  machine_type = "e2-medium"
  network      = "default"
  subnetwork   = "default"

  disk_size = 50
  disk_type = "pd-ssd"

  image_name              = "company-ubuntu-${local.gcp_version}-${local.timestamp}"
  image_description       = "Company base image, Ubuntu 22.04, version ${var.version}"
  image_family            = "company-ubuntu"
  image_storage_locations = ["us"]

  image_labels = {
    environment = var.environment
    managed_by  = "image-action"
    version     = local.gcp_version
  }

  # Five minutes a wait unless said, and the image of a 50 GB disk may take longer. Its disk would
  # then be deleted under it.
  state_timeout = "20m"

  ssh_username = var.ssh_username
}
