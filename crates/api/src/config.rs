//! What the API is told.
#![allow(clippy::unwrap_used, reason = "of constants, at compile time")]

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

/// How the API runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Postgres, as the indexer's; a role that may only read is enough. The API starts without it and says so in its answers.
    pub database_url: String,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Requests answered at the same time; further ones get a 503.
    pub max_requests: NonZeroUsize,
    /// Event streams open at the same time; further ones get a 503.
    pub max_streams: NonZeroUsize,
    /// Connections to Postgres.
    pub max_connections: NonZeroUsize,
    /// How long one query may take.
    pub statement_timeout: Duration,
}

impl Config {
    /// The usual limits.
    pub const fn new(database_url: String, listen: SocketAddr) -> Self {
        Self {
            database_url,
            listen,
            max_requests: NonZeroUsize::new(256).unwrap(),
            max_streams: NonZeroUsize::new(512).unwrap(),
            max_connections: NonZeroUsize::new(8).unwrap(),
            statement_timeout: Duration::from_secs(5),
        }
    }
}
