source "null" "box" {
  communicator = "none"
}
