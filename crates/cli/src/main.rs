//! The `baton` binary: flags, keys, verbs.
fn main() {}
