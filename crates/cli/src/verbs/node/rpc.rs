//! The flags of the JSON-RPC server: every limit and manner that it has.

use baton_rpc::{Allow, Config};
use clap::{ArgAction, Args};
use std::{fmt, num::NonZeroUsize, str::FromStr, time::Duration};

/// A time of at least a millisecond.
#[derive(Clone, Copy, Debug)]
struct Millis(Duration);

impl FromStr for Millis {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(0) => Err("it must be at least 1 ms".into()),
            Ok(millis) => Ok(Self(Duration::from_millis(millis))),
            Err(error) => Err(format!("not a number of milliseconds: {error}")),
        }
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_millis().fmt(f)
    }
}

/// One flag for each field of the server's configuration.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "JSON-RPC")]
pub(super) struct RpcFlags {
    /// Origins that browsers may call from; `*` allows all.
    #[arg(long = "rpc.cors", env = "BATON_RPC_CORS", value_delimiter = ',', value_name = "ORIGIN")]
    cors: Vec<String>,
    /// `Host` headers that are answered, against DNS rebinding; `*` allows all. IP addresses always are.
    #[arg(
        long = "rpc.hosts",
        env = "BATON_RPC_HOSTS",
        value_delimiter = ',',
        default_value = "localhost",
        value_name = "HOST"
    )]
    hosts: Vec<String>,
    /// Compress answers above 1 KiB for clients that ask for it.
    #[arg(long = "rpc.gzip", env = "BATON_RPC_GZIP", action = ArgAction::Set, default_value_t = Config::default().gzip)]
    gzip: bool,
    /// Largest request body or WebSocket message.
    #[arg(long = "rpc.max-request-bytes", env = "BATON_RPC_MAX_REQUEST_BYTES", default_value_t = Config::default().max_request_bytes, value_name = "BYTES")]
    max_request_bytes: usize,
    /// Largest answer, of a whole batch.
    #[arg(long = "rpc.max-response-bytes", env = "BATON_RPC_MAX_RESPONSE_BYTES", default_value_t = Config::default().max_response_bytes, value_name = "BYTES")]
    max_response_bytes: usize,
    /// Requests in one batch.
    #[arg(long = "rpc.max-batch", env = "BATON_RPC_MAX_BATCH", default_value_t = Config::default().max_batch, value_name = "COUNT")]
    max_batch: usize,
    /// Open connections; one more is answered 503 and closed.
    #[arg(long = "rpc.max-connections", env = "BATON_RPC_MAX_CONNECTIONS", default_value_t = Config::default().max_connections, value_name = "COUNT")]
    max_connections: usize,
    /// Subscriptions of one WebSocket connection.
    #[arg(long = "rpc.max-subscriptions", env = "BATON_RPC_MAX_SUBSCRIPTIONS", default_value_t = Config::default().max_subscriptions, value_name = "COUNT")]
    max_subscriptions: usize,
    /// Requests of one WebSocket connection or of one batch that run at a time.
    #[arg(long = "rpc.max-in-flight", env = "BATON_RPC_MAX_IN_FLIGHT", default_value_t = Config::default().max_in_flight, value_name = "COUNT")]
    max_in_flight: NonZeroUsize,
    /// Messages that may wait for a WebSocket reader before its connection waits.
    #[arg(long = "rpc.max-queued-messages", env = "BATON_RPC_MAX_QUEUED_MESSAGES", default_value_t = Config::default().max_queued_messages, value_name = "COUNT")]
    max_queued_messages: NonZeroUsize,
    /// Answers that may wait unread, over all connections; then who holds the most is cut off.
    #[arg(long = "rpc.max-unread-bytes", env = "BATON_RPC_MAX_UNREAD_BYTES", default_value_t = Config::default().max_unread_bytes, value_name = "BYTES")]
    max_unread_bytes: usize,
    /// Connected followers of the feed.
    #[arg(long = "rpc.max-feeds", env = "BATON_RPC_MAX_FEEDS", default_value_t = Config::default().max_feeds, value_name = "COUNT")]
    max_feeds: usize,
    /// Installed filters.
    #[arg(long = "rpc.max-filters", env = "BATON_RPC_MAX_FILTERS", default_value_t = Config::default().max_filters, value_name = "COUNT")]
    max_filters: usize,
    /// Time after which a filter that nobody polls is gone.
    #[arg(long = "rpc.filter-ttl-ms", env = "BATON_RPC_FILTER_TTL_MS", default_value_t = Millis(Config::default().filter_ttl), value_name = "MS")]
    filter_ttl: Millis,
    /// Blocks that one query for logs may span, and that one search by address may read.
    #[arg(long = "rpc.max-log-blocks", env = "BATON_RPC_MAX_LOG_BLOCKS", default_value_t = Config::default().max_log_blocks, value_name = "BLOCKS")]
    max_log_blocks: u64,
    /// Logs that one query may return.
    #[arg(long = "rpc.max-logs", env = "BATON_RPC_MAX_LOGS", default_value_t = Config::default().max_logs, value_name = "COUNT")]
    max_logs: usize,
    /// Blocks that one `eth_feeHistory` may span.
    #[arg(long = "rpc.max-fee-history", env = "BATON_RPC_MAX_FEE_HISTORY", default_value_t = Config::default().max_fee_history, value_name = "BLOCKS")]
    max_fee_history: u64,
    /// Gas that one simulated call may use.
    #[arg(long = "rpc.gas-cap", env = "BATON_RPC_GAS_CAP", default_value_t = Config::default().gas_cap, value_name = "GAS")]
    gas_cap: u64,
    /// Long reads (calls, proofs, traces, queries for logs) that run at a time.
    #[arg(long = "rpc.max-long-reads", env = "BATON_RPC_MAX_LONG_READS", default_value_t = Config::default().max_long_reads, value_name = "COUNT")]
    max_long_reads: NonZeroUsize,
    /// Long reads that may wait for their turn; one more is refused.
    #[arg(long = "rpc.max-waiting-reads", env = "BATON_RPC_MAX_WAITING_READS", default_value_t = Config::default().max_waiting_reads, value_name = "COUNT")]
    max_waiting_reads: usize,
    /// Time after which a long read is cut off.
    #[arg(long = "rpc.long-read-timeout-ms", env = "BATON_RPC_LONG_READ_TIMEOUT_MS", default_value_t = Millis(Config::default().long_read_timeout), value_name = "MS")]
    long_read_timeout: Millis,
    /// Time in which a request must be answered.
    #[arg(long = "rpc.request-timeout-ms", env = "BATON_RPC_REQUEST_TIMEOUT_MS", default_value_t = Millis(Config::default().request_timeout), value_name = "MS")]
    request_timeout: Millis,
    /// Time in which headers, and then the body, of a request must arrive; an idle connection is kept as long.
    #[arg(long = "rpc.read-timeout-ms", env = "BATON_RPC_READ_TIMEOUT_MS", default_value_t = Millis(Config::default().read_timeout), value_name = "MS")]
    read_timeout: Millis,
    /// Time for which a client may take nothing of an answer or a message.
    #[arg(long = "rpc.write-timeout-ms", env = "BATON_RPC_WRITE_TIMEOUT_MS", default_value_t = Millis(Config::default().write_timeout), value_name = "MS")]
    write_timeout: Millis,
    /// Interval of WebSocket pings; a peer silent for two of them is closed.
    #[arg(long = "rpc.ping-interval-ms", env = "BATON_RPC_PING_INTERVAL_MS", default_value_t = Millis(Config::default().ping_interval), value_name = "MS")]
    ping_interval: Millis,
    /// How long `eth_sendRawTransactionSync` without a timeout waits.
    #[arg(long = "rpc.sync-timeout-ms", env = "BATON_RPC_SYNC_TIMEOUT_MS", default_value_t = Millis(Config::default().sync_timeout), value_name = "MS")]
    sync_timeout: Millis,
    /// The longest timeout that `eth_sendRawTransactionSync` accepts.
    #[arg(long = "rpc.max-sync-timeout-ms", env = "BATON_RPC_MAX_SYNC_TIMEOUT_MS", default_value_t = Millis(Config::default().max_sync_timeout), value_name = "MS")]
    max_sync_timeout: Millis,
}

impl RpcFlags {
    /// The server's configuration.
    pub(super) fn config(&self) -> Config {
        Config {
            max_request_bytes: self.max_request_bytes,
            max_response_bytes: self.max_response_bytes,
            max_batch: self.max_batch,
            max_connections: self.max_connections,
            max_subscriptions: self.max_subscriptions,
            max_in_flight: self.max_in_flight,
            max_queued_messages: self.max_queued_messages,
            max_unread_bytes: self.max_unread_bytes,
            max_feeds: self.max_feeds,
            max_filters: self.max_filters,
            filter_ttl: self.filter_ttl.0,
            max_log_blocks: self.max_log_blocks,
            max_logs: self.max_logs,
            max_fee_history: self.max_fee_history,
            gas_cap: self.gas_cap,
            max_long_reads: self.max_long_reads,
            max_waiting_reads: self.max_waiting_reads,
            long_read_timeout: self.long_read_timeout.0,
            request_timeout: self.request_timeout.0,
            read_timeout: self.read_timeout.0,
            write_timeout: self.write_timeout.0,
            ping_interval: self.ping_interval.0,
            sync_timeout: self.sync_timeout.0,
            max_sync_timeout: self.max_sync_timeout.0,
            cors: allow(&self.cors),
            hosts: allow(&self.hosts),
            gzip: self.gzip,
            client_version: Config::default().client_version,
        }
    }
}

fn allow(names: &[String]) -> Allow {
    if names.iter().any(|name| name == "*") { Allow::Any } else { Allow::Only(names.to_vec()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::node::walk::{self, every_field_has_a_flag_and_its_default};

    fn parse(flags: &[&str]) -> Result<Config, String> {
        walk::parse::<RpcFlags>(flags).map(|flags| flags.config())
    }

    #[test]
    fn every_field_has_a_flag() {
        let shown = |flag: &str| match flag {
            "rpc.gzip" => ("false", "false"),
            flag if flag.ends_with("-ms") => ("12345", "12.345s"),
            _ => ("12345", "12345"),
        };
        let fields = every_field_has_a_flag_and_its_default(RpcFlags::config, &Config::default(), shown);
        // The client's version is no setting.
        assert_eq!(fields.changed, fields.all - 1);
    }

    #[test]
    fn a_star_allows_all_and_no_time_is_zero() {
        assert_eq!(parse(&["--rpc.cors", "https://a,*"]).unwrap().cors, Allow::Any);
        assert!(parse(&["--rpc.ping-interval-ms", "0"]).unwrap_err().contains("at least 1 ms"));
        assert!(parse(&["--rpc.max-in-flight", "0"]).is_err());
        assert!(parse(&["--rpc.read-timeout-ms", "soon"]).unwrap_err().contains("milliseconds"));
    }
}
