locals {
  a = (1 + 2
  b = [for x in [1, 2] x]
  c = { for k, v in {} : k v }
  d = true ? 1
}
