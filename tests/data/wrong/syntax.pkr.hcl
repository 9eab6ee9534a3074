source "file" "a" {
  target = "a.txt
}
