//! Answers questions from Postgres, read-only; serves the dashboard.
//!
//! ```text
//! client -GET-> limits -> routes (one or two queries over schema baton) -> { data, next, meta }
//! client -SSE-> events <- broadcast <- one listener on Postgres' channel `baton` (told at every commit of the indexer)
//! ```
//!
//! It knows only what the indexer wrote: it never calls a node and never writes. Every answer says in `meta` how far the index
//! is; every error is an RFC 9457 problem that says what to do. Requests in flight, list lengths, statement times and event
//! streams are bounded.

mod config;
mod error;
mod events;
mod limits;
mod openapi;
mod page;
mod reply;
mod routes;
mod server;

pub use config::Config;
pub use error::ApiError;
pub use openapi::document;
pub use server::{Server, serve};
