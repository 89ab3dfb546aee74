//! Turns final blocks into batch data and back.
