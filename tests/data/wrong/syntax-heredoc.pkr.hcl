locals {
  script = <<EOT
echo
  EOT2
}
