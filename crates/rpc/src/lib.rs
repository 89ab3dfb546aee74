//! Answers JSON-RPC.
