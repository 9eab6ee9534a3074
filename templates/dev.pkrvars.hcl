# The image of a pull request: image-action build -var-file=templates/dev.pkrvars.hcl templates
environment   = "dev"
instance_type = "t3.medium"
