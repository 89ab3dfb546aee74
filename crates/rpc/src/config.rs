//! Limits and manners of the server. Every limit has a named error.

use std::{num::NonZeroUsize, time::Duration};

/// Which hosts, or which origins of browser pages, are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allow {
    /// Every one (`*`): for development.
    Any,
    /// Only these; an empty list allows none.
    Only(Vec<String>),
}

/// Configuration of the server. The defaults are at least as strict as reth's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Largest request body or WebSocket message, bytes.
    pub max_request_bytes: usize,
    /// Largest response (of a whole batch), bytes.
    pub max_response_bytes: usize,
    /// Requests in one batch.
    pub max_batch: usize,
    /// Open connections, HTTP, WebSocket and feed together. One more is answered 503 and closed.
    pub max_connections: usize,
    /// Subscriptions of one WebSocket connection.
    pub max_subscriptions: usize,
    /// Requests of one WebSocket connection (or of one batch) that run at a time; more wait unread.
    pub max_in_flight: NonZeroUsize,
    /// Messages that may wait for a WebSocket reader. When they are so many its connection waits; one that falls too far
    /// behind the chain, or does not read at all, is dropped as a slow consumer.
    pub max_queued_messages: NonZeroUsize,
    /// Bytes of answers that may wait for their readers, of all connections together (at least [`Self::max_response_bytes`]
    /// counts). Beyond, the connection that holds the most is cut off, or gets an error instead of its answer.
    pub max_unread_bytes: usize,
    /// Connected followers of the feed.
    pub max_feeds: usize,
    /// Installed filters.
    pub max_filters: usize,
    /// Time after which a filter that nobody polls is gone.
    pub filter_ttl: Duration,
    /// Blocks that one log query may span.
    pub max_log_blocks: u64,
    /// Logs that one query may return.
    pub max_logs: usize,
    /// Blocks that one `eth_feeHistory` may span.
    pub max_fee_history: u64,
    /// Gas that one simulated call may use.
    pub gas_cap: u64,
    /// Long reads (calls, proofs, log queries) that run at a time.
    pub max_long_reads: NonZeroUsize,
    /// Long reads that may wait for their turn; one more is refused.
    pub max_waiting_reads: usize,
    /// Time after which a long read is cut off.
    pub long_read_timeout: Duration,
    /// Time in which a request must be answered.
    pub request_timeout: Duration,
    /// Time in which headers, and then the body, of an HTTP request must arrive; also how long an idle connection is kept.
    pub read_timeout: Duration,
    /// Time for which a client may take nothing of an answer or a message.
    pub write_timeout: Duration,
    /// Interval of WebSocket pings; a peer silent for two of them is closed.
    pub ping_interval: Duration,
    /// `eth_sendRawTransactionSync` without a timeout waits this long.
    pub sync_timeout: Duration,
    /// The longest timeout that `eth_sendRawTransactionSync` accepts.
    pub max_sync_timeout: Duration,
    /// Origins of browser pages that may read answers (CORS) and open WebSockets.
    pub cors: Allow,
    /// `Host` headers that are answered, against DNS rebinding. IP addresses and absent headers always are.
    pub hosts: Allow,
    /// Whether responses above 1 KiB are compressed for clients that ask.
    pub gzip: bool,
    /// `web3_clientVersion`.
    pub client_version: String,
}

const fn nonzero(value: usize) -> NonZeroUsize {
    match NonZeroUsize::new(value) {
        Some(value) => value,
        None => NonZeroUsize::MIN,
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_request_bytes: 15_000_000,
            max_response_bytes: 160_000_000,
            max_batch: 1_000,
            max_connections: 500,
            max_subscriptions: 1_024,
            max_in_flight: nonzero(32),
            max_queued_messages: nonzero(64),
            max_unread_bytes: 320_000_000,
            max_feeds: 64,
            max_filters: 10_000,
            filter_ttl: Duration::from_secs(300),
            max_log_blocks: 10_000,
            max_logs: 20_000,
            max_fee_history: 1_024,
            gas_cap: 50_000_000,
            max_long_reads: nonzero(8),
            max_waiting_reads: 512,
            long_read_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(30),
            sync_timeout: Duration::from_secs(2),
            max_sync_timeout: Duration::from_secs(30),
            cors: Allow::Only(Vec::new()),
            hosts: Allow::Only(vec!["localhost".into()]),
            gzip: true,
            client_version: format!(
                "baton/v{}/{}-{}/rust",
                env!("CARGO_PKG_VERSION"),
                std::env::consts::OS,
                std::env::consts::ARCH
            ),
        }
    }
}
