//! How the watcher is doing.

use std::time::Duration;

/// How the watcher is doing, for health checks and logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether the last look at L1 succeeded.
    pub connected: bool,
    /// The endpoint that is followed.
    pub endpoint: Option<String>,
    /// The newest block followed.
    pub head: u64,
    /// The newest block that the endpoint has.
    pub remote_head: u64,
    /// Wall-clock age of the newest block followed.
    pub lag: Duration,
    /// Why the last look failed.
    pub error: Option<String>,
}

impl Status {
    pub(crate) const fn starting() -> Self {
        Self { connected: false, endpoint: None, head: 0, remote_head: 0, lag: Duration::ZERO, error: None }
    }
}
