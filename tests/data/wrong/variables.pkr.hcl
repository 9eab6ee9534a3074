variable "Not a name" {
}

variable "list" {
  type    = list
  default = []
}

variable "int" {
  type = int
}

variable "number" {
  type    = number
  default = "many"
}

variable "object" {
  type = object({
    a = string
    b = optional(number, "x")
  })
  default = { a = [] }
}

variable "twice" {
  default = 1
}

variable "twice" {
  default = 2
}

variable "extra" {
  defualt = 1
}

variable "quoted" {
  type = "string"
}

variable "rule" {
  default = 1
  validation {
    condition     = var.other > 1
    error_message = "no"
  }
  validation {
    condition = true
  }
}

variable "function" {
  default = file("x")
}

variables {
  short = upper("a") + 1
}
