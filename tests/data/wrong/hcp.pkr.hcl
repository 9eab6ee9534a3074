hcp_packer_registry {
  bucket_name   = "a"
  labels        = { a = "b" }
  bucket_labels = { a = "b" }
}

hcp_packer_registry {
  bucket_name = "other"
}

source "null" "box" {
  communicator = "none"
}

build {
  sources = ["null.box"]
}
