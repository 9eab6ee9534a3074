source 'null' 'box' {
}
