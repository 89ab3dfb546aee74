//! Says who leads, from a snapshot, an epoch and a term.
