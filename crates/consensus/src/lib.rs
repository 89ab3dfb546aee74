//! Agrees on blocks: the only crate that sees commonware.
