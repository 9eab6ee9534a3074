source "googlecompute" "base" {
  project_id   = "project"
  zone         = "europe-west1-b"
  ssh_username = "packer"
  image_name   = "base"
  source_image        = "ubuntu-2404-noble-amd64-v20250101"
  source_image_family = "ubuntu-2404-lts-amd64"
}

build {
  sources = ["source.googlecompute.base"]
}
