//! Executing a block that someone else proposed.

use crate::{
    engine::Engine,
    error::{BlockFault, ExecuteError, InvalidTransaction, StoreError},
    evm::Failure,
    executed::ExecutedBlock,
    header::{check_fixed, check_system, same_hash, same_number},
    metrics,
    process::{Process, Processed},
    state::StateView,
    store::Snapshot,
    trie::{AccountLeaf, Old, Sweep, Trie},
};
use alloy::{consensus::proofs::calculate_transaction_root, primitives::B256, rlp::Encodable};
use alloy_trie::root::ordered_trie_root_encoded;
use baton_primitives::{RecoveredBlock, Transaction};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

/// What a block must have that only its caller knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The base fee by the caller's rule, wei per gas.
    pub base_fee: u64,
    /// Whether the block ends an epoch, so that the fee vault is emptied after it.
    pub sweep: bool,
}

/// Transactions of a block from which on its roots are computed side by side. Before, a second thread costs more than it saves.
const PARALLEL_FROM: usize = 64;
/// Every how many heights the trie in memory is pruned.
const PRUNE_EVERY: u64 = 16;

impl Engine {
    /// Executes a block on its parent and checks every field of its header. A block executed before, or built here, is not
    /// executed again; a final one is read back.
    ///
    /// # Errors
    /// If the parent is not executed here, the block is invalid, or the store fails.
    pub fn execute(
        &self,
        block: &Arc<RecoveredBlock>,
        expectation: Expectation,
    ) -> Result<Arc<ExecutedBlock>, ExecuteError> {
        let hash = block.hash();
        let _turn = self.turn(hash);
        if let Some(known) = self.unfinalized(&hash) {
            return Ok(known);
        }
        let parent = match self.live_view(block.parent()) {
            Some(parent) => parent,
            None => {
                let unknown = ExecuteError::UnknownParent { block: hash, parent: block.parent() };
                return self.read_back(hash)?.ok_or(unknown);
            }
        };
        self.check_room().map_err(ExecuteError::TooManyUnfinalized)?;
        let start = Instant::now();
        let executed = self.run(block, expectation, &parent).map_err(|error| match error {
            Stop::Fault(fault) => ExecuteError::Invalid { block: hash, fault },
            Stop::Store(error) => ExecuteError::Store(error),
        })?;
        let executed = Arc::new(executed);
        if !self.shared.tree.write().insert(executed.clone()) {
            return Err(ExecuteError::UnknownParent { block: hash, parent: block.parent() });
        }
        metrics::since("baton_engine_execute_seconds", start);
        metrics::executed(&executed);
        Ok(executed)
    }

    /// Refuses if the tree is full.
    pub(crate) fn check_room(&self) -> Result<(), usize> {
        let (blocks, limit) = (self.shared.tree.read().len(), self.shared.config.max_unfinalized);
        if blocks < limit { Ok(()) } else { Err(limit) }
    }

    fn read_back(&self, hash: B256) -> Result<Option<Arc<ExecutedBlock>>, StoreError> {
        let base = self.base();
        let Some(height) = base.height_of(&hash)? else { return Ok(None) };
        if let Some(block) = base.unwritten(height) {
            return Ok(Some(block.clone()));
        }
        let absent = |table: &'static str| StoreError::Absent { table };
        let block = base.snapshot.block(height)?.ok_or(absent("blocks"))?;
        let receipts = base.snapshot.receipts(height)?.ok_or(absent("receipts"))?;
        let outcome = base.snapshot.outcome(height)?.ok_or(absent("outcomes"))?;
        Ok(Some(Arc::new(ExecutedBlock {
            positions: Default::default(),
            receipts: Arc::new(receipts),
            swept: outcome.swept,
            withdrawals_root: outcome.withdrawals_root,
            deposits: outcome.deposits,
            origin: outcome.origin,
            size: outcome.size,
            changes: Default::default(),
            // It is below the final head, so nothing is executed on it.
            trie: Trie::Empty,
            block: Arc::new(block),
        })))
    }

    /// Waits until no other thread executes the block with this hash, and keeps others waiting meanwhile.
    fn turn(&self, hash: B256) -> Turn<'_> {
        let mut running = self.shared.running.lock();
        while !running.insert(hash) {
            self.shared.ran.wait(&mut running);
        }
        Turn { engine: self, hash }
    }

    fn run(
        &self,
        block: &Arc<RecoveredBlock>,
        expectation: Expectation,
        parent: &StateView,
    ) -> Result<ExecutedBlock, Stop> {
        let (header, transactions) = (block.header(), block.transactions());
        let parameters = self.parameters();
        let most = parameters.max_block_bytes;
        let found = block.block().length();
        if u64::try_from(found).unwrap_or(u64::MAX) > most {
            return Err(BlockFault::Size { found, most }.into());
        }
        let body = &block.block().body;
        if !body.ommers.is_empty() || body.withdrawals.as_ref().is_none_or(|list| !list.is_empty()) {
            return Err(BlockFault::Form("body").into());
        }
        let call = check_system(transactions, header.number, parent.outcome().deposits)?;
        check_fixed(header, parent, parameters, expectation.base_fee, &call)?;
        check_order(transactions)?;

        let running = Instant::now();
        let mut process = Process::start(parent.clone(), parameters.l2_chain_id, header)?;
        if transactions.len() >= PARALLEL_FROM {
            process.warm(transactions.iter().zip(block.senders().iter().copied()))?;
        }
        for (index, (transaction, sender)) in transactions.iter().zip(block.senders()).enumerate() {
            process.transaction(transaction, *sender).map_err(|failure| match failure {
                Failure::Invalid(why) => Stop::Fault(BlockFault::Transaction { index, why }),
                Failure::Store(error) => Stop::Store(error),
            })?;
        }
        same_number("gas_used", header.gas_used, process.gas_used)?;
        if header.logs_bloom != process.bloom {
            return Err(BlockFault::Form("logs_bloom").into());
        }
        let processed = process.finish(expectation.sweep)?;
        metrics::since("baton_engine_run_seconds", running);
        let receipts = std::mem::take(&mut process.receipts);
        let sealed = self.seal(parent, processed, transactions, header.number)?;
        same_hash("transactions_root", header.transactions_root, sealed.transactions_root)?;
        same_hash("receipts_root", header.receipts_root, sealed.receipts_root)?;
        same_hash("state_root", header.state_root, sealed.state_root)?;
        Ok(sealed.executed(block.clone(), receipts, call))
    }

    /// The roots of what a block did. `height` is the block's.
    pub(crate) fn seal(
        &self,
        parent: &StateView,
        processed: Processed,
        transactions: &[Transaction],
        height: u64,
    ) -> Result<Sealed, StoreError> {
        let start = Instant::now();
        let state = || processed.changes.apply(&processed.trie, &*parent.base.snapshot, height);
        let roots =
            || (calculate_transaction_root(transactions), ordered_trie_root_encoded(&processed.encoded_receipts));
        let (state, (transactions_root, receipts_root)) =
            if transactions.len() >= PARALLEL_FROM { rayon::join(state, roots) } else { (state(), roots()) };
        let (mut trie, state_root) = state?;
        let snapshot = &*parent.base.snapshot;
        if let Some(floor) = snapshot.floor() {
            sweep(&mut trie, snapshot, floor, processed.changes.accounts.len(), height)?;
        }
        if height.is_multiple_of(PRUNE_EVERY) {
            self.prune(&mut trie, snapshot, parent.base.written);
        }
        metrics::since("baton_engine_seal_seconds", start);
        Ok(Sealed { processed, trie, state_root, transactions_root, receipts_root })
    }

    /// Forgets the trie nodes that no block within a window below `height` touched.
    fn prune(&self, trie: &mut Trie<AccountLeaf>, snapshot: &Snapshot, height: u64) {
        let mut window = self.shared.node_window.load(Ordering::Relaxed);
        loop {
            let kept = trie.prune(Old { before: height.saturating_sub(window), end: snapshot.log.end });
            let next = next_window(window, kept, self.shared.config.cached_nodes, height);
            let too_many = next < window;
            window = next;
            if !too_many {
                break;
            }
        }
        self.shared.node_window.store(window, Ordering::Relaxed);
    }
}

/// Has a part of the nodes whose records are in segments below `floor` written anew with the block at `height`, which changes
/// `changed` accounts: twice as many as those, so that a busy chain's log shrinks faster than it grows.
fn sweep(
    trie: &mut Trie<AccountLeaf>,
    source: &Snapshot,
    floor: u32,
    changed: usize,
    height: u64,
) -> Result<(), StoreError> {
    let slice = u8::try_from(height % 16).unwrap_or(0);
    trie.sweep(&mut Sweep { source, floor, stamp: height, budget: 1_024 + 2 * changed, slice: Some(slice) })
}

/// The window of heights after a prune that kept `kept` nodes of `limit`: as wide as memory allows.
fn next_window(window: u64, kept: usize, limit: usize, height: u64) -> u64 {
    if kept > limit {
        (window.min(height) / 2).max(1)
    } else if kept < limit / 2 {
        window.saturating_mul(2).min(height.saturating_mul(2).max(PRUNE_EVERY))
    } else {
        window
    }
}

/// A block's effects with their roots.
pub(crate) struct Sealed {
    processed: Processed,
    trie: Trie<AccountLeaf>,
    pub(crate) state_root: B256,
    pub(crate) transactions_root: B256,
    pub(crate) receipts_root: B256,
}

impl Sealed {
    pub(crate) fn executed(
        self,
        block: Arc<RecoveredBlock>,
        receipts: Vec<crate::Receipt>,
        call: baton_primitives::SystemCall,
    ) -> ExecutedBlock {
        let size = u64::try_from(block.block().length()).unwrap_or(u64::MAX);
        ExecutedBlock {
            positions: Default::default(),
            block,
            receipts: Arc::new(receipts),
            swept: self.processed.swept,
            withdrawals_root: self.processed.withdrawals_root,
            deposits: call.deposits,
            origin: call.origin,
            size,
            changes: self.processed.changes,
            trie: self.trie,
        }
    }
}

/// Deposits come first, then everything else.
pub(crate) fn check_order(transactions: &[Transaction]) -> Result<(), BlockFault> {
    let forced = transactions.iter().take_while(|transaction| transaction.is_deposit()).count();
    for (index, transaction) in transactions.iter().enumerate().skip(forced) {
        let kind = match transaction {
            Transaction::Deposit(_) => 0x7e,
            Transaction::PostExec(_) => 0x7d,
            Transaction::Legacy(_) | Transaction::Eip2930(_) | Transaction::Eip1559(_) | Transaction::Eip7702(_) => {
                continue;
            }
        };
        return Err(BlockFault::Transaction { index, why: InvalidTransaction::Type(kind) });
    }
    Ok(())
}

/// Why an execution stops.
enum Stop {
    Fault(BlockFault),
    Store(StoreError),
}

impl From<BlockFault> for Stop {
    fn from(fault: BlockFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The right to execute one block; released on drop.
struct Turn<'a> {
    engine: &'a Engine,
    hash: B256,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.engine.shared.running.lock().remove(&self.hash);
        self.engine.shared.ran.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_of_kept_nodes_follows_memory() {
        assert_eq!(next_window(1_024, 10, 100, 10_000), 2_048);
        assert_eq!(next_window(1_024, 60, 100, 10_000), 1_024);
        assert_eq!(next_window(1 << 40, 101, 100, 10_000), 5_000, "at once, however wide it had become");
        assert_eq!(next_window(1, 101, 100, 10_000), 1);
    }
}
