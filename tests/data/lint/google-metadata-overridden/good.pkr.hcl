source "googlecompute" "base" {
  project_id   = "project"
  zone         = "europe-west1-b"
  ssh_username = "packer"
  image_name   = "base"
  source_image_family = "ubuntu-2404-lts-amd64"
  metadata       = { banner = "text" }
  metadata_files = { motd = "motd.txt" }
}

build {
  sources = ["source.googlecompute.base"]
}
