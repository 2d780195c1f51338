//! The `roadstead` command.
fn main() {}
