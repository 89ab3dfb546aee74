//! JSON forms of what Ethereum has no word for (`rollup_*`). Numbers are 0x-quantities, as in `eth_*`.

use alloy::{
    primitives::{Address, B256, U256},
    serde::quantity,
};
use baton_primitives::{Core, Lane};
use serde::{Deserialize, Serialize};

/// A block by number and hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockRef {
    /// Number.
    #[serde(with = "quantity")]
    pub number: u64,
    /// Hash; zero where it is not known yet.
    pub hash: B256,
    /// Time, seconds.
    #[serde(with = "quantity")]
    pub timestamp: u64,
}

/// `rollup_syncStatus`: where the node stands on both chains.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncStatus {
    /// Whether it follows the head.
    pub synced: bool,
    /// Why not, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `sequencer` or `follower`.
    pub role: String,
    /// Whether its key votes in the running epoch. After a restart it asks its peers first what it has signed.
    #[serde(default)]
    pub voting: bool,
    /// Newest L1 block seen.
    pub head_l1: BlockRef,
    /// Newest finalized L1 block seen.
    pub finalized_l1: BlockRef,
    /// L1 origin of the last final L2 block.
    pub current_l1: BlockRef,
    /// Last final L2 block: `latest`.
    pub latest_l2: BlockRef,
    /// Last posted L2 block: `safe`.
    pub safe_l2: BlockRef,
    /// Last settled L2 block: `finalized`.
    pub finalized_l2: BlockRef,
    /// Highest L2 block known to exist, which the node is catching up to while it is not synced.
    #[serde(with = "quantity")]
    pub target_l2: u64,
    /// Running epoch.
    #[serde(with = "quantity")]
    pub epoch: u64,
    /// Recoveries so far.
    #[serde(with = "quantity")]
    pub generation: u64,
    /// Index of the last accepted batch.
    #[serde(with = "quantity")]
    pub batch: u64,
    /// Connected peers.
    #[serde(with = "quantity")]
    pub peers: u64,
}

/// `admin_nodeInfo`: what this node is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeInfo {
    /// Version of the program.
    pub version: String,
    /// EIP-155 chain id.
    #[serde(with = "quantity")]
    pub chain_id: u64,
    /// Hash of the genesis block.
    pub genesis: B256,
    /// Where it keeps what it writes.
    pub data_dir: String,
    /// Where it serves JSON-RPC.
    pub rpc: String,
    /// Where it awaits members; a follower does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p2p: Option<String>,
    /// Seconds since its start.
    #[serde(with = "quantity")]
    pub uptime_seconds: u64,
    /// Where it stands.
    pub status: SyncStatus,
}

/// `admin_peers`: the members of the serving set, and how many of them are connected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Peers {
    /// Connected peers.
    #[serde(with = "quantity")]
    pub connected: u64,
    /// The members of the serving set.
    pub members: Vec<SequencerRef>,
}

/// One member of the serving set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SequencerRef {
    /// Its id in the pool.
    #[serde(with = "quantity")]
    pub id: u64,
    /// Owner.
    pub owner: Address,
    /// Account of its node.
    pub operator: Address,
    /// Network identity (ed25519).
    pub identity: B256,
    /// Stake in base units.
    pub stake: U256,
    /// `host:port`.
    pub endpoint: String,
}

/// One term of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TermLeader {
    /// Term, from 1 in each epoch.
    #[serde(with = "quantity")]
    pub term: u64,
    /// First view of the term.
    #[serde(with = "quantity")]
    pub first_view: u64,
    /// Last view of the term.
    #[serde(with = "quantity")]
    pub last_view: u64,
    /// Who leads it.
    pub leader: SequencerRef,
}

/// `rollup_leader`: who leads now and next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaderSchedule {
    /// The epoch.
    #[serde(with = "quantity")]
    pub epoch: u64,
    /// The snapshot that serves it.
    #[serde(with = "quantity")]
    pub snapshot: u64,
    /// View of the last final block (0 in an epoch that has none yet, or for another epoch).
    #[serde(with = "quantity")]
    pub view: u64,
    /// The running term (or the first, for another epoch).
    pub current: TermLeader,
    /// The terms after it, a few.
    pub next: Vec<TermLeader>,
}

/// Where a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchStatus {
    /// Accepted on L1.
    Posted,
    /// Accepted in a finalized L1 block.
    Settled,
}

/// `rollup_batchOf`: an accepted batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchInfo {
    /// Index.
    #[serde(with = "quantity")]
    pub index: u64,
    /// Core hash.
    pub core_hash: B256,
    /// The core.
    pub core: Core,
    /// Posted or settled.
    pub status: BatchStatus,
    /// Where the data lies.
    pub lane: Lane,
    /// Versioned hashes of its blobs, in order; empty on the calldata lane.
    pub blobs: Vec<B256>,
    /// L1 transaction that posted it.
    pub l1_transaction: B256,
    /// L1 block that holds that transaction.
    pub l1_block: BlockRef,
    /// Account that posted it.
    pub poster: Address,
}

/// `rollup_transactionFate`: how far a transaction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// Waiting in a pool.
    Pending,
    /// In a block that a quorum finalized.
    Final,
    /// In a batch on L1.
    Posted,
    /// In a batch on finalized L1.
    Settled,
    /// Taken, then dropped by rule.
    Rejected,
    /// Never seen by this node.
    Unknown,
}

/// Answer of `rollup_transactionFate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransactionFate {
    /// The transaction.
    pub transaction_hash: B256,
    /// How far it is.
    pub status: Fate,
    /// Its block, once final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<BlockRef>,
    /// Its batch, once posted.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "quantity::opt")]
    pub batch: Option<u64>,
    /// Why it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
