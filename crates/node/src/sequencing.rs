//! The chain as consensus drives it: builds, checks and finalizes blocks on blocking threads, with the rules of `derive` and
//! the work of `engine`.

use crate::{
    ledger::{Ledger, LedgerError},
    source::Source,
};
use alloy::primitives::{Address, B256};
use baton_batch::MAX_BLOCK_DATA;
use baton_consensus::{Chain, ChainError, ProposeContext, VerifyContext};
use baton_derive::{Attributes, Context, Position, Verdict, attributes, base_fee, check_block, choose};
use baton_engine::{BlockAttributes, BlockRef, Budget, ExecuteError, ExecutedBlock, NoTransactions, TransactionSource};
use baton_primitives::{FinalBlock, Height, RecoveredBlock};
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// How often a block that waits for the clock is looked at again.
const CLOCK_STEP: Duration = Duration::from_millis(10);

/// The chain in `ledger`, driven by consensus.
#[derive(Clone, Debug)]
pub(crate) struct Sequencing {
    ledger: Arc<Ledger>,
    /// Carries the blocking work: the consensus runtime keeps its threads to itself.
    runtime: Handle,
}

/// What became of looking at a block once.
enum Looked {
    Decided(bool),
    /// L1, the parent or the clock must move first.
    Wait(String),
}

impl Sequencing {
    pub(crate) const fn new(ledger: Arc<Ledger>, runtime: Handle) -> Self {
        Self { ledger, runtime }
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Ledger) -> T + Send + 'static) -> Option<T> {
        let ledger = Arc::clone(&self.ledger);
        // Fails only when the runtime shuts down or the work panicked, which the supervisor reports.
        self.runtime.spawn_blocking(move || work(&ledger)).await.ok()
    }

    /// Writes to the store; answers the height up to which final blocks survive a crash.
    async fn written(
        &self,
        work: impl FnOnce(&Ledger) -> Result<u64, LedgerError> + Send + 'static,
    ) -> Result<Height, ChainError> {
        match self.blocking(work).await {
            Some(Ok(height)) => Ok(Height::new(height)),
            Some(Err(error)) => Err(ChainError(error.to_string())),
            None => Err(ChainError("finalizing panicked or the node is shutting down".into())),
        }
    }
}

impl Ledger {
    fn build(&self, context: &ProposeContext) -> Result<Arc<ExecutedBlock>, String> {
        let started = Instant::now();
        let position = context.position;
        let parent = self.parent(position.parent).map_err(|e| e.to_string())?;
        let origins = self.origins(parent.call.origin.number);
        let choice = choose(&parent, &origins, context.now_millis, &self.parameters).map_err(|e| e.to_string())?;
        let place =
            Position { time_millis: choice.time_millis, view: position.view, parent_view: position.parent_view };
        let attributes =
            attributes(&parent, &place, choice.origin.number, &origins, &self.parameters).map_err(|e| e.to_string())?;
        let base_fee = attributes.base_fee;
        let attributes = engine_attributes(attributes);
        // Voters hold pool transactions to a lower limit than the block, so that they fit one batch.
        let max_bytes = self.parameters.max_block_bytes.min(MAX_BLOCK_DATA);
        let budget = Budget { deadline: started + context.budget / 2, max_bytes };
        let mut pool;
        let mut nothing = NoTransactions;
        let source: &mut dyn TransactionSource = if self.may_take_transactions(choice.time_millis) {
            let state = self.engine.state(BlockRef::Hash(parent.hash)).map_err(|e| e.to_string())?;
            pool = Source::new(&self.pool, base_fee, state);
            &mut pool
        } else {
            &mut nothing
        };
        let executed = self.engine.build(&attributes, source, budget).map_err(|e| e.to_string())?;
        metrics::histogram!("baton_build_seconds").record(started.elapsed().as_secs_f64());
        Ok(executed)
    }

    /// Time of the oldest final block that no accepted batch holds, ms.
    fn unposted_since_millis(&self) -> Option<u64> {
        let anchor = self.l1.anchor()?;
        let oldest = self.engine.block_at(anchor.last_height.next().get()).ok().flatten()?;
        Some(oldest.time_millis())
    }

    fn may_take_transactions(&self, now_millis: u64) -> bool {
        let limit = self.parameters.unposted_limit_s.saturating_mul(1000);
        self.unposted_since_millis().is_none_or(|since| now_millis.saturating_sub(since) <= limit)
    }

    fn look(&self, context: &VerifyContext, block: &Arc<RecoveredBlock>) -> Looked {
        let position = context.position;
        let parent = match self.parent(position.parent) {
            Ok(parent) => parent,
            Err(LedgerError::Unknown(hash)) => return Looked::Wait(format!("parent {hash} is not executed here")),
            Err(error) => return Looked::Wait(error.to_string()),
        };
        let origins = self.origins(parent.call.origin.number);
        let context = Context {
            epoch: position.epoch,
            view: position.view,
            parent_view: position.parent_view,
            leader_ok: true,
            again: false,
            now_millis: context.now_millis,
            unposted_since_millis: self.unposted_since_millis(),
        };
        match check_block(&parent, block, &context, &origins, &self.parameters) {
            Verdict::Valid => {}
            Verdict::Wait(why) => return Looked::Wait(why.to_string()),
            Verdict::Invalid(fault) => {
                tracing::warn!(height = %block.height(), hash = %block.hash(), %fault, "refused a proposed block");
                return Looked::Decided(false);
            }
        }
        let started = Instant::now();
        let expectation = match self.expectation(&parent, block) {
            Ok(expectation) => expectation,
            Err(_) => return Looked::Decided(false),
        };
        match self.engine.execute(block, expectation) {
            Ok(_) => {
                self.note_executed();
                metrics::histogram!("baton_execute_seconds").record(started.elapsed().as_secs_f64());
                Looked::Decided(true)
            }
            Err(error @ ExecuteError::Invalid { .. }) => {
                tracing::warn!(height = %block.height(), hash = %block.hash(), %error, "refused a proposed block");
                Looked::Decided(false)
            }
            Err(error) => Looked::Wait(error.to_string()),
        }
    }

    /// Whether a child of `parent` would carry something.
    fn has_work(&self, parent: B256) -> bool {
        let unfinalized = self.unfinalized_hashes(parent);
        let Ok(parent) = self.parent(parent) else { return false };
        if self.pool.has_payable(base_fee(&parent.header, &parent.call.origin), &unfinalized) {
            return true;
        }
        let reachable = self.l1.heads().head.number.saturating_sub(self.parameters.origin_depth.saturating_add(1));
        self.l1.deposits_up_to(reachable).is_some_and(|total| total > parent.call.deposits)
    }

    /// Hashes of the transactions between the last final block and `parent`.
    fn unfinalized_hashes(&self, parent: B256) -> HashSet<B256> {
        let mut hashes = HashSet::new();
        let mut next = self.engine.unfinalized(&parent);
        while let Some(executed) = next {
            hashes.extend(executed.block.transactions().iter().filter(|t| !t.is_deposit()).map(|t| t.tx_hash()));
            next = self.engine.unfinalized(&executed.block.parent());
        }
        hashes
    }
}

pub(crate) fn engine_attributes(attributes: Attributes) -> BlockAttributes {
    BlockAttributes {
        parent: attributes.parent,
        timestamp: attributes.timestamp,
        extra_data: attributes.extra_data,
        gas_limit: attributes.gas_limit,
        base_fee: attributes.base_fee,
        mix_hash: attributes.mix_hash,
        parent_beacon_block_root: attributes.parent_beacon_block_root,
        forced: attributes.forced,
        sweep: attributes.sweep,
    }
}

impl Chain for Sequencing {
    async fn last_final(&self) -> (Height, B256) {
        let (height, hash) = self.ledger.engine.head();
        (Height::new(height), hash)
    }

    async fn final_hash(&self, height: Height) -> Option<B256> {
        self.blocking(move |ledger| ledger.engine.header_at(height.get()).ok().flatten().map(|(hash, _)| hash))
            .await
            .flatten()
    }

    async fn is_executed(&self, hash: B256) -> bool {
        if self.ledger.engine.unfinalized(&hash).is_some() {
            return true;
        }
        self.blocking(move |ledger| ledger.engine.is_final(&hash).unwrap_or(false)).await.unwrap_or(false)
    }

    async fn work_available(&self, parent: B256) {
        let (mut ready, mut l1) = (self.ledger.pool.ready(), self.ledger.l1.subscribe());
        loop {
            ready.mark_unchanged();
            l1.mark_unchanged();
            if self.ledger.has_work(parent) {
                return;
            }
            tokio::select! {
                _ = ready.changed() => {}
                _ = l1.changed() => {}
            }
        }
    }

    async fn propose(&self, context: ProposeContext) -> Option<Arc<RecoveredBlock>> {
        match self.blocking(move |ledger| ledger.build(&context)).await? {
            Ok(executed) => {
                self.ledger.note_executed();
                Some(Arc::clone(&executed.block))
            }
            Err(reason) => {
                tracing::warn!(position = ?context.position, reason, "declined to propose");
                None
            }
        }
    }

    async fn verify(&self, context: VerifyContext, block: Arc<RecoveredBlock>) -> bool {
        let (mut l1, mut executed) = (self.ledger.l1.subscribe(), self.ledger.executed());
        let started = Instant::now();
        loop {
            l1.mark_unchanged();
            executed.mark_unchanged();
            let elapsed = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let now = VerifyContext { now_millis: context.now_millis.saturating_add(elapsed), ..context };
            let candidate = Arc::clone(&block);
            let Some(looked) = self.blocking(move |ledger| ledger.look(&now, &candidate)).await else { return false };
            match looked {
                Looked::Decided(verdict) => return verdict,
                Looked::Wait(why) => {
                    tracing::debug!(height = %block.height(), hash = %block.hash(), why, "a proposed block must wait");
                    tokio::select! {
                        _ = l1.changed() => {}
                        _ = executed.changed() => {}
                        () = tokio::time::sleep(CLOCK_STEP) => {}
                    }
                }
            }
        }
    }

    fn executed_block(&self, hash: B256) -> Option<Arc<RecoveredBlock>> {
        self.ledger.engine.unfinalized(&hash).map(|executed| Arc::clone(&executed.block))
    }

    fn known_senders(&self, transactions: &[B256]) -> Vec<Option<Address>> {
        self.ledger.pool.senders(transactions)
    }

    async fn finalized(&self, block: FinalBlock) -> Result<Height, ChainError> {
        self.written(move |ledger| ledger.finalize(&block).map(|()| ledger.engine.synced())).await
    }

    async fn sync(&self) -> Result<Height, ChainError> {
        self.written(|ledger| ledger.engine.sync().map_err(|e| LedgerError::Store(e.to_string()))).await
    }
}
