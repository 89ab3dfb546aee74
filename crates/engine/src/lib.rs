//! Executes blocks and keeps the state.
