//! A chain of empty blocks behind the real ports. It records who built which block, and it can be told to misbehave.

use crate::{Chain, ChainError, Position, ProposeContext, Sets, VerifyContext, testing};
use alloy::primitives::{Address, B256};
use baton_primitives::{Block, Epoch, ExtraData, FinalBlock, Header, Height, RecoveredBlock, Snapshot, block_body};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::watch;

pub(super) fn genesis() -> Arc<RecoveredBlock> {
    let header = Header { extra_data: ExtraData::default().to_bytes(), ..Header::default() };
    Arc::new(RecoveredBlock::recover(Block { header, body: block_body(Vec::new()) }).unwrap())
}

#[derive(Debug, Default)]
struct Blocks {
    finals: Vec<Arc<RecoveredBlock>>,
    executed: BTreeSet<B256>,
    /// Height up to which a crash loses nothing.
    survives: u64,
}

/// Blocks that a crash may lose, at most.
const VOLATILE: u64 = 5;

/// One node's chain. Of the final part a crash loses the last few blocks, of the executed part all.
#[derive(Debug)]
pub(super) struct SmallChain {
    name: u8,
    blocks: Mutex<Blocks>,
    /// Counts changes, so that waiters look again.
    changes: watch::Sender<u64>,
    /// Whether transactions wait.
    work: watch::Sender<bool>,
    /// While false, no block can be verified here: its L1 block has not been seen.
    sees_l1: watch::Sender<bool>,
}

impl SmallChain {
    pub(super) fn new(name: u8) -> Arc<Self> {
        let genesis = genesis();
        let blocks = Blocks { executed: [genesis.hash()].into(), finals: vec![genesis], survives: 0 };
        Arc::new(Self {
            name,
            blocks: Mutex::new(blocks),
            changes: watch::channel(0).0,
            work: watch::channel(false).0,
            sees_l1: watch::channel(true).0,
        })
    }

    /// What a process finds after a crash: the final blocks that had been made to survive it.
    pub(super) fn crash(&self) {
        let mut blocks = self.blocks.lock();
        let survive = usize::try_from(blocks.survives).unwrap() + 1;
        blocks.finals.truncate(survive);
        blocks.executed = blocks.finals.iter().map(|b| b.hash()).collect();
    }

    pub(super) fn set_work(&self, waits: bool) {
        self.work.send_replace(waits);
    }

    pub(super) fn set_sees_l1(&self, sees: bool) {
        self.sees_l1.send_replace(sees);
    }

    pub(super) fn height(&self) -> u64 {
        self.blocks.lock().finals.len() as u64 - 1
    }

    pub(super) fn finals(&self) -> Vec<Arc<RecoveredBlock>> {
        self.blocks.lock().finals.clone()
    }

    /// Resolves once a height is final here.
    pub(super) async fn reaches(&self, height: u64) {
        let mut changes = self.changes.subscribe();
        while self.height() < height {
            changes.changed().await.unwrap();
        }
    }

    fn changed(&self) {
        self.changes.send_modify(|n| *n += 1);
    }

    async fn executed(&self, hash: B256) {
        let mut changes = self.changes.subscribe();
        while !self.blocks.lock().executed.contains(&hash) {
            changes.changed().await.unwrap();
        }
    }
}

impl Chain for SmallChain {
    async fn last_final(&self) -> (Height, B256) {
        let last = self.blocks.lock().finals.last().unwrap().clone();
        (last.height(), last.hash())
    }

    async fn final_hash(&self, height: Height) -> Option<B256> {
        self.blocks.lock().finals.get(usize::try_from(height.get()).unwrap()).map(|b| b.hash())
    }

    async fn is_executed(&self, hash: B256) -> bool {
        self.blocks.lock().executed.contains(&hash)
    }

    async fn work_available(&self, _: B256) {
        self.work.subscribe().wait_for(|w| *w).await.unwrap();
    }

    async fn propose(&self, context: ProposeContext) -> Option<Arc<RecoveredBlock>> {
        let ProposeContext { position, now_millis, .. } = context;
        assert!(self.is_executed(position.parent).await, "asked to build on a parent that was never executed");
        let Position { view, parent_view, .. } = position;
        let extra = ExtraData { view, parent_view, millis: u16::try_from(now_millis % 1000).unwrap() };
        let header = Header {
            number: position.height().get(),
            parent_hash: position.parent,
            timestamp: now_millis / 1000,
            beneficiary: Address::repeat_byte(self.name),
            extra_data: extra.to_bytes(),
            ..Header::default()
        };
        let block = Arc::new(RecoveredBlock::recover(Block { header, body: block_body(Vec::new()) }).unwrap());
        self.blocks.lock().executed.insert(block.hash());
        self.changed();
        Some(block)
    }

    async fn verify(&self, context: VerifyContext, block: Arc<RecoveredBlock>) -> bool {
        self.sees_l1.subscribe().wait_for(|sees| *sees).await.unwrap();
        self.executed(block.parent()).await;
        assert!(block.time_millis() <= context.now_millis, "asked to verify a block of the future");
        assert_eq!(block.height(), context.position.height());
        self.blocks.lock().executed.insert(block.hash());
        self.changed();
        true
    }

    fn executed_block(&self, _: B256) -> Option<Arc<RecoveredBlock>> {
        None
    }

    fn known_senders(&self, transactions: &[B256]) -> Vec<Option<Address>> {
        vec![None; transactions.len()]
    }

    async fn finalized(&self, block: FinalBlock) -> Result<Height, ChainError> {
        let block = block.block;
        let mut blocks = self.blocks.lock();
        let height = usize::try_from(block.height().get()).unwrap();
        match blocks.finals.get(height) {
            Some(known) if known.hash() == block.hash() => return Ok(Height::new(blocks.survives)),
            Some(known) => {
                return Err(ChainError(format!("{} and {} are final at {height}", known.hash(), block.hash())));
            }
            None if height != blocks.finals.len() => return Err(ChainError(format!("gap below {height}"))),
            None if blocks.finals.last().unwrap().hash() != block.parent() => {
                return Err(ChainError(format!("{height} does not follow its parent")));
            }
            None => {}
        }
        blocks.executed.insert(block.hash());
        blocks.finals.push(block);
        let height = blocks.finals.len() as u64 - 1;
        if height >= blocks.survives + VOLATILE {
            blocks.survives = height;
        }
        let survives = blocks.survives;
        drop(blocks);
        self.changed();
        Ok(Height::new(survives))
    }

    async fn sync(&self) -> Result<Height, ChainError> {
        let mut blocks = self.blocks.lock();
        blocks.survives = blocks.finals.len() as u64 - 1;
        Ok(Height::new(blocks.survives))
    }
}

/// The sets of the epochs: fixed beforehand, and known only once the last block of the epoch before the last is final.
#[derive(Debug)]
pub(super) struct SmallSets {
    chain: Arc<SmallChain>,
    epoch_blocks: u64,
    /// From an epoch on, a set.
    plan: BTreeMap<u64, Snapshot>,
}

impl SmallSets {
    pub(super) fn new(chain: Arc<SmallChain>, epoch_blocks: u64, plan: BTreeMap<u64, Vec<u8>>) -> Arc<Self> {
        let plan = plan.keys().map(|epoch| (*epoch, planned(&plan, *epoch))).collect();
        Arc::new(Self { chain, epoch_blocks, plan })
    }

    /// One set for all epochs.
    pub(super) fn fixed(chain: Arc<SmallChain>, epoch_blocks: u64, set: Snapshot) -> Arc<Self> {
        Arc::new(Self { chain, epoch_blocks, plan: [(0, set)].into() })
    }
}

/// The snapshot that a plan names for an epoch.
pub(super) fn planned(plan: &BTreeMap<u64, Vec<u8>>, epoch: u64) -> Snapshot {
    let (from, members) = plan.range(..=epoch).next_back().unwrap();
    testing::snapshot_of(*from, members)
}

impl Sets for SmallSets {
    async fn set_of(&self, epoch: Epoch) -> Arc<Snapshot> {
        if let Some(known_by) = epoch.get().checked_sub(2) {
            self.chain.reaches(Epoch::new(known_by).last_height(self.epoch_blocks).get()).await;
        }
        Arc::new(self.plan.range(..=epoch.get()).next_back().unwrap().1.clone())
    }
}
