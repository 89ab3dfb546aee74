//! What the watcher emits.
#![allow(clippy::wildcard_enum_match_arm, reason = "wide enums of other crates, all others alike")]

use alloy::{
    primitives::{B256, Bytes, Log as RawLog, U256},
    rpc::types::Log,
    sol_types::SolEventInterface,
};
use baton_bindings::{
    Addresses,
    contracts::{
        inbox::{BatchInbox, BatchInbox::BatchInboxEvents},
        pool::SequencerPool::SequencerPoolEvents,
        portal::Portal::PortalEvents,
        revenue::RevenueShare::RevenueShareEvents,
        staking::Staking::StakingEvents,
    },
};
use baton_primitives::{Core, Deposit, L1Origin, Lane, data_hash_blobs, data_hash_calldata};
use std::sync::Arc;

/// L1 moved. Events are in order: each block's parent is the block of the event before, or the one reverted to.
#[derive(Clone, Debug)]
pub enum L1Event {
    /// One more block.
    Block(Arc<L1Block>),
    /// All blocks above this one are gone.
    Revert {
        /// The newest block that remains.
        to: u64,
        /// Its hash.
        hash: B256,
    },
}

/// An L1 block with the contracts' logs.
#[derive(Clone, Debug)]
pub struct L1Block {
    /// Number.
    pub number: u64,
    /// Hash.
    pub hash: B256,
    /// Hash of the block before.
    pub parent: B256,
    /// Time, seconds.
    pub timestamp: u64,
    /// Wei per gas.
    pub base_fee: u128,
    /// Wei per blob gas.
    pub blob_base_fee: u128,
    /// PREVRANDAO.
    pub prev_randao: B256,
    /// Logs of the contracts, in order.
    pub logs: Vec<ContractLog>,
}

impl L1Block {
    /// The block as L2 sees it.
    pub const fn origin(&self) -> L1Origin {
        L1Origin {
            number: self.number,
            hash: self.hash,
            timestamp: self.timestamp,
            base_fee: self.base_fee,
            blob_base_fee: self.blob_base_fee,
        }
    }
}

/// A log of one of the contracts.
#[derive(Clone, Debug)]
pub struct ContractLog {
    /// Hash of its transaction.
    pub transaction: B256,
    /// Its position among all logs of the block.
    pub log_index: u64,
    /// Address, topics and data as they are.
    pub log: RawLog,
    /// What it says.
    pub event: ContractEvent,
}

/// An event of one of the contracts.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // Most are batches or deposits; they live in one vector a block.
pub enum ContractEvent {
    /// Of `Staking`.
    Staking(StakingEvents),
    /// Of `SequencerPool`.
    SequencerPool(SequencerPoolEvents),
    /// Of `BatchInbox`.
    BatchInbox(BatchInboxEvents),
    /// Of `Portal`.
    Portal(PortalEvents),
    /// Of `RevenueShare`.
    RevenueShare(RevenueShareEvents),
    /// An event that the interfaces do not have.
    Unknown,
}

/// Decodes a log by its contract and first topic.
pub(crate) fn decode(contracts: &Addresses, log: &Log) -> Result<ContractEvent, alloy::sol_types::Error> {
    let (raw, address) = (&log.inner, log.address());
    let topic = log.topics().first();
    let known = |selectors: &[[u8; 32]]| topic.is_some_and(|t| selectors.contains(&t.0));
    macro_rules! of {
        ($variant:ident, $events:ident) => {
            if known($events::SELECTORS) {
                $events::decode_log(raw).map(|l| ContractEvent::$variant(l.data))
            } else {
                Ok(ContractEvent::Unknown)
            }
        };
    }
    if address == contracts.inbox {
        of!(BatchInbox, BatchInboxEvents)
    } else if address == contracts.portal {
        of!(Portal, PortalEvents)
    } else if address == contracts.pool {
        of!(SequencerPool, SequencerPoolEvents)
    } else if address == contracts.staking {
        of!(Staking, StakingEvents)
    } else if address == contracts.revenue {
        of!(RevenueShare, RevenueShareEvents)
    } else {
        Ok(ContractEvent::Unknown)
    }
}

/// A batch that `BatchInbox` accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedBatch {
    /// Its core.
    pub core: Core,
    /// Hash of its core.
    pub core_hash: B256,
    /// Hash of its encoding.
    pub data_hash: B256,
    /// Where its data lies.
    pub lane: Lane,
    /// Versioned hashes of its blobs; empty in the calldata lane.
    pub blob_hashes: Vec<B256>,
    /// Its data in the calldata lane.
    pub calldata: Option<Bytes>,
    /// Who certified it, by position in the snapshot.
    pub signers: U256,
    /// Performance bytes; empty unless closing.
    pub performance: Bytes,
    /// Who posted it.
    pub poster: alloy::primitives::Address,
    /// The posting transaction.
    pub transaction: B256,
    /// The L1 block that holds it.
    pub l1_number: u64,
    /// Hash of that block.
    pub l1_hash: B256,
    /// Time of that block, seconds.
    pub l1_timestamp: u64,
}

impl L1Block {
    /// The batches accepted in this block, in order.
    ///
    /// # Errors
    /// If a batch's hashes contradict its content, which `BatchInbox` cannot emit.
    pub fn batches(&self) -> Result<Vec<AcceptedBatch>, String> {
        let mut batches: Vec<AcceptedBatch> = Vec::new();
        let mut data: Vec<(u64, B256, Bytes)> = Vec::new();
        for log in &self.logs {
            let ContractEvent::BatchInbox(event) = &log.event else { continue };
            if let BatchInboxEvents::BatchData(e) = event {
                data.push((e.index, log.transaction, e.data.clone()));
            } else if let BatchInboxEvents::BatchPosted(posted) = event {
                batches.push(self.batch(posted, log.transaction)?);
            }
        }
        for batch in batches.iter_mut().filter(|b| b.lane == Lane::Calldata) {
            let index = batch.core.index;
            let found = data.iter().find(|(i, transaction, _)| *i == index.get() && *transaction == batch.transaction);
            let (_, _, bytes) = found.ok_or_else(|| format!("batch {index} has neither blobs nor data"))?;
            if data_hash_calldata(bytes) != batch.data_hash {
                return Err(format!("the data of batch {index} does not hash to its data hash {}", batch.data_hash));
            }
            batch.calldata = Some(bytes.clone());
        }
        Ok(batches)
    }

    fn batch(&self, posted: &BatchInbox::BatchPosted, transaction: B256) -> Result<AcceptedBatch, String> {
        let core = Core::from(&posted.core);
        let index = posted.index;
        if core.hash() != posted.coreHash || core.index.get() != index {
            return Err(format!("the core of batch {index} does not hash to {}", posted.coreHash));
        }
        let lane = if posted.blobHashes.is_empty() { Lane::Calldata } else { Lane::Blobs };
        if lane == Lane::Blobs && data_hash_blobs(&posted.blobHashes) != posted.dataHash {
            return Err(format!("the blobs of batch {index} do not hash to its data hash {}", posted.dataHash));
        }
        Ok(AcceptedBatch {
            core,
            core_hash: posted.coreHash,
            data_hash: posted.dataHash,
            lane,
            blob_hashes: posted.blobHashes.clone(),
            calldata: None,
            signers: posted.signers,
            performance: posted.performance.clone(),
            poster: posted.poster,
            transaction,
            l1_number: self.number,
            l1_hash: self.hash,
            l1_timestamp: self.timestamp,
        })
    }

    /// The deposits queued in this block, in order.
    pub fn deposits(&self) -> Vec<Deposit> {
        let portal = self.logs.iter().filter_map(|log| match &log.event {
            ContractEvent::Portal(PortalEvents::Deposited(deposited)) => Some(deposited.deposit(self.hash)),
            _ => None,
        });
        portal.collect()
    }
}
