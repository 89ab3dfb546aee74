//! Answers JSON-RPC.
//!
//! ```text
//! TCP -> server (permit, host, CORS) -> http | ws -> envelope (parse) -> context (one, batch) -> methods (typed) -> ports
//!                                       ws <- hub (heads) <- Chain::subscribe            feed <- Chain::final_block
//! ```
//!
//! The node implements [`ports`] and runs one [`Server`]. Requests stay slices of their body until a handler reads its
//! parameters typed; answers are written as they are serialized. Everything that a caller can make grow has a limit in
//! [`Config`] and an error that names it. What only the operator may do is on a listener of its own ([`serve_admin`]).

mod admin;
mod config;
mod context;
mod convert;
mod envelope;
mod error;
mod feed;
mod filters;
mod http;
mod hub;
mod io;
mod logs;
mod methods;
mod params;
pub mod ports;
mod server;
pub mod types;
mod unread;
mod ws;

pub use admin::{Admin, serve_admin};
pub use config::{Allow, Config};
pub use error::{RpcError, code};
pub use feed::{decode as decode_feed, encode as encode_feed};
pub use server::Server;
