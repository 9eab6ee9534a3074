variable "needed" {
  type = string
}

variable "port" {
  type    = number
  default = 70000
  validation {
    condition     = var.port < 65536
    error_message = "A port is below 65536."
  }
}

source "file" "a" {
  target = var.needed
}

build {
  sources = ["source.file.a"]
}
