//! Scenarios over real Anvil, Postgres and processes.
