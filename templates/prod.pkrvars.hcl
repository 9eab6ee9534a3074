# The image of a release: image-action build -var-file=templates/prod.pkrvars.hcl templates
# Copied to two more regions, shared with two accounts, hardened by the role cis_hardening.
environment   = "prod"
instance_type = "t3.large"

tags = {
  ManagedBy = "image-action"
  Project   = "infrastructure"
  Stage     = "release"
}
