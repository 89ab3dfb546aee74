//! The chain as this node holds it: engine, pool and the view of L1 side by side, and the one way in which a block becomes
//! final here.

use crate::certificates::Certificates;
use alloy::primitives::B256;
use baton_derive::{OriginBlock, OriginView, Parent, base_fee};
use baton_engine::{BlockRef, Engine, ExecutedBlock, Expectation, StoreError};
use baton_l1::L1View;
use baton_pool::{Account, Pool, State, StateError};
use baton_primitives::{FinalBlock, Height, L1Origin, Parameters, RecoveredBlock, SystemCall};
use baton_rpc::ports::ExecutedBlock as RpcBlock;
use std::sync::Arc;
use tokio::sync::{broadcast, watch};

/// Final blocks that a slow listener may lag behind before it must read the store.
const HEADS_BACKLOG: usize = 1_024;

/// Why the chain cannot go on. Always fatal.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A block that consensus or L1 holds for final is not what execution gives.
    #[error("block {height} {hash} is final but does not execute here: {reason}")]
    Execution {
        /// Its height.
        height: Height,
        /// Its hash.
        hash: B256,
        /// What differs.
        reason: String,
    },
    /// The store.
    #[error("the store failed: {0}")]
    Store(String),
    /// A parent that is not here.
    #[error("block {0} is not known here")]
    Unknown(B256),
}

/// The chain as this node holds it.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) engine: Engine,
    pub(crate) pool: Pool,
    pub(crate) l1: L1View,
    pub(crate) parameters: Parameters,
    pub(crate) genesis: Arc<RecoveredBlock>,
    pub(crate) certificates: Certificates,
    genesis_origin: L1Origin,
    /// Grows with every block executed here, final or not.
    executed: watch::Sender<u64>,
    head: watch::Sender<Height>,
    blocks: broadcast::Sender<RpcBlock>,
}

impl Ledger {
    pub(crate) fn new(
        engine: Engine,
        pool: Pool,
        l1: L1View,
        genesis: Arc<RecoveredBlock>,
        genesis_origin: L1Origin,
        certificates: Certificates,
    ) -> Self {
        let parameters = engine.parameters().clone();
        let head = Height::new(engine.head().0);
        Self {
            engine,
            pool,
            l1,
            parameters,
            genesis,
            certificates,
            genesis_origin,
            executed: watch::Sender::new(0),
            head: watch::Sender::new(head),
            blocks: broadcast::Sender::new(HEADS_BACKLOG),
        }
    }

    /// The last final height, now and as it changes.
    pub(crate) fn head(&self) -> watch::Receiver<Height> {
        self.head.subscribe()
    }

    /// Changes whenever a block has been executed.
    pub(crate) fn executed(&self) -> watch::Receiver<u64> {
        self.executed.subscribe()
    }

    /// Every final block with its receipts.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<RpcBlock> {
        self.blocks.subscribe()
    }

    pub(crate) fn note_executed(&self) {
        self.executed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A block as something to build on.
    pub(crate) fn parent(&self, hash: B256) -> Result<Parent, LedgerError> {
        if let Some(executed) = self.engine.unfinalized(&hash) {
            let call = SystemCall { origin: executed.origin, deposits: executed.deposits };
            return Ok(Parent { hash, header: executed.block.header().clone(), call });
        }
        let store = |e: StoreError| LedgerError::Store(e.to_string());
        let header = self.engine.header(&hash).map_err(store)?.ok_or(LedgerError::Unknown(hash))?;
        let outcome = self.engine.outcome(header.number).map_err(store)?.ok_or(LedgerError::Unknown(hash))?;
        // The genesis calls nothing: where the chain begins on L1 is told beside it.
        let origin = if header.number == 0 { self.genesis_origin } else { outcome.origin };
        Ok(Parent { hash, header, call: SystemCall { origin, deposits: outcome.deposits } })
    }

    /// L1 from the parent's origin to the head, as derivation's rules read it.
    pub(crate) fn origins(&self, from: u64) -> OriginView {
        let head = self.l1.heads().head.number;
        let mut view = OriginView::new();
        for number in from..=head {
            let (Some(origin), Some(deposits)) = (self.l1.origin(number), self.l1.deposits(number)) else { break };
            // A reorganization between two reads shows as a gap or a foreign deposit: the view simply ends before it.
            if view.insert(OriginBlock { origin, deposits: deposits.to_vec() }).is_err() {
                break;
            }
        }
        view.set_head(head);
        view
    }

    /// What the rules expect of a block beyond its own fields.
    pub(crate) fn expectation(&self, parent: &Parent, block: &RecoveredBlock) -> Result<Expectation, LedgerError> {
        let call = block.system_call().map_err(|e| LedgerError::Execution {
            height: block.height(),
            hash: block.hash(),
            reason: e.to_string(),
        })?;
        Ok(Expectation {
            base_fee: base_fee(&parent.header, &call.origin),
            sweep: block.height().closes_epoch(self.parameters.epoch_blocks),
        })
    }

    /// Makes a block final: executes it if need be, commits it, and tells everyone. Nothing happens if it is final already.
    /// Blocks; call it off the async threads.
    pub(crate) fn finalize(&self, block: &FinalBlock) -> Result<(), LedgerError> {
        let (height, hash) = (block.block.height(), block.block.hash());
        let execution = |reason: String| LedgerError::Execution { height, hash, reason };
        if height > Height::new(self.engine.head().0) {
            if self.engine.unfinalized(&hash).is_none() {
                let parent = self.parent(block.block.parent())?;
                let expectation = self.expectation(&parent, &block.block)?;
                self.engine.execute(&block.block, expectation).map_err(|e| execution(e.to_string()))?;
                self.note_executed();
            }
            for executed in self.engine.finalize(hash).map_err(|e| execution(e.to_string()))? {
                self.announce(&executed);
            }
        } else if !self.engine.is_final(&hash).map_err(|e| LedgerError::Store(e.to_string()))? {
            return Err(execution("another block is final at this height".into()));
        }
        if let Some(certificate) = &block.certificate {
            self.certificates.keep(height, certificate, height.closes_epoch(self.parameters.epoch_blocks));
        }
        Ok(())
    }

    fn announce(&self, executed: &Arc<ExecutedBlock>) {
        self.pool.on_final(&executed.block);
        self.l1.release(executed.origin.number);
        metrics::gauge!("baton_final_height").set(executed.height() as f64);
        metrics::counter!("baton_final_transactions_total").increment(executed.receipts.len() as u64);
        let receipts = Arc::clone(&executed.receipts);
        self.head.send_replace(Height::new(executed.height()));
        // No listener is no error.
        let _ = self.blocks.send(RpcBlock { block: Arc::clone(&executed.block), receipts });
    }
}

/// How the code of an account that delegates by EIP-7702 begins; such an account still signs transactions.
const DELEGATION: &[u8] = &[0xef, 0x01, 0x00];

/// The last final state, for the pool.
#[derive(Clone, Debug)]
pub(crate) struct FinalState(pub(crate) Engine);

impl State for FinalState {
    fn account(&self, address: alloy::primitives::Address) -> Result<Account, StateError> {
        let failed = |e: String| StateError(e);
        let view = self.0.state(BlockRef::Final).map_err(|e| failed(e.to_string()))?;
        let nonce = view.nonce(address).map_err(|e| failed(e.to_string()))?;
        let balance = view.balance(address).map_err(|e| failed(e.to_string()))?;
        let code = view.code(address).map_err(|e| failed(e.to_string()))?;
        Ok(Account { nonce, balance, is_contract: !code.is_empty() && !code.starts_with(DELEGATION) })
    }

    fn is_final(&self, transaction: &B256) -> Result<bool, StateError> {
        let found = self.0.transaction(transaction).map_err(|e| StateError(e.to_string()))?;
        Ok(found.is_some_and(|location| location.is_final))
    }
}
