//! Admits, orders and evicts transactions.
