//! Certifies batches and puts them on L1 exactly once.
