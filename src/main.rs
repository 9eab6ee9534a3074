//! See `cli`.
fn main() {}
