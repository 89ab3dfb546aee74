//! Joins actors, supervises, drains. No rules here.
