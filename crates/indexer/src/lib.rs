//! Writes what happened to Postgres, in order, reversibly.

pub mod embedded;
