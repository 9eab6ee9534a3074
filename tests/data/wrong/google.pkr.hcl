source "googlecompute" "empty" {
}

source "googlecompute" "wrong" {
  project_id           = "project"
  zone                 = "europe-west1-b"
  source_image         = "x"
  image_name           = "Not_A_Name"
  image_family         = "5"
  image_labels         = { "Key" = "Value" }
  disk_size            = "big"
  on_host_maintenance  = "REST"
  omit_external_ip     = true
  accelerator_count    = 1
  credentials_file     = "nothing.json"
  access_token         = "x"
  state_timeout        = "5"
  machine_typ          = "e2-small"

  disk_attachment {
    volume_type = "floppy"
  }
}

build {
  sources = ["googlecompute.empty", "googlecompute.wrong"]
}
