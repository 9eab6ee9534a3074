# with: -var port=x -var nothing=1 -var list=[1, -var prot=5

variable "port" {
  type = number
}

variable "list" {
  type    = list(number)
  default = []
}

variable "name" {
  type    = string
  default = "a"
  validation {
    condition     = length(var.name) > 3
    error_message = "A name has more than three letters."
  }
}

source "null" "box" {
  communicator = "none"
}

build {
  sources = ["null.box"]
}
