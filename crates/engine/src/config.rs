//! Settings.

use crate::genesis::Genesis;
use std::{path::PathBuf, time::Duration};

/// Settings of an [`crate::Engine`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Data directory; created if absent.
    pub path: PathBuf,
    /// The chain.
    pub genesis: Genesis,
    /// Page cache of the database, bytes.
    pub database_cache_bytes: usize,
    /// Bytes of a file of the log in which the state trie is, at most 64 MiB.
    pub trie_segment_bytes: u64,
    /// Accounts cached in memory.
    pub cached_accounts: usize,
    /// Storage slots cached in memory.
    pub cached_slots: usize,
    /// Contracts whose analysed code is cached.
    pub cached_codes: usize,
    /// Trie nodes kept in memory, about.
    pub cached_nodes: usize,
    /// Longest time in which final blocks are not written to the disk, and so lost to a process that is killed: for who is given
    /// them again. Several blocks written together cost far less. They are written by a thread of their own, from the first block on
    /// that becomes final after this time, or when many wait. Zero writes each block at once.
    pub sync_interval: Duration,
    /// Final heights below the head whose state can be read; `None` keeps all (an archive).
    pub history_blocks: Option<u64>,
    /// Executed blocks that are not final: more are refused.
    pub max_unfinalized: usize,
    /// Most gas of one simulated call.
    pub call_gas_cap: u64,
    /// Longest time of one simulated call.
    pub call_timeout: Duration,
}

impl Config {
    /// Moderate settings for a chain in a directory.
    pub const fn new(path: PathBuf, genesis: Genesis) -> Self {
        Self {
            path,
            genesis,
            database_cache_bytes: 64 * 1024 * 1024,
            trie_segment_bytes: 16 * 1024 * 1024,
            cached_accounts: 200_000,
            cached_slots: 400_000,
            cached_codes: 1_000,
            cached_nodes: 400_000,
            sync_interval: Duration::ZERO,
            history_blocks: Some(1_024),
            max_unfinalized: 1_024,
            call_gas_cap: 50_000_000,
            call_timeout: Duration::from_secs(5),
        }
    }
}
