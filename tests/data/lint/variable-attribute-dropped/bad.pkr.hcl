variable "disk" {
  type = object({
    size = number
    kind = optional(string)
  })
  default = {
    size = 1
    knd  = "ssd"
  }
}

source "null" "box" {
  communicator = "none"
}

build {
  sources = ["source.null.box"]

}
