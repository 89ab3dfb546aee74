//! The chain from L1 alone: accepted batches and their data, deposits and origins, executed anew (P3). Nothing that a node
//! says is used, except blobs, which L1's versioned hashes check.
//!
//! ```text
//! L1 view -> accepted batch -> blobs -> derive -> engine -> the core's block hash, or a named error
//! ```

use crate::{
    certificates::Certificates,
    config::Config,
    error::NodeError,
    genesis::genesis_of,
    ledger::{FinalState, Ledger},
    run::{Tasks, endpoints, last_write, lock, open_engine, watch_l1},
    sequencing::engine_attributes,
};
use alloy::{
    eips::eip4844::Blob,
    primitives::{Address, B256},
};
use baton_batch::unpack_blobs;
use baton_bindings::Deployment;
use baton_derive::{Class, Derivation, Plan};
use baton_engine::{Budget, Candidate, ExecutedBlock, InvalidTransaction, TransactionSource};
use baton_l1::{AcceptedBatch, BlobConfig, BlobSource, L1View};
use baton_pool::Pool;
use baton_primitives::{Anchor, BatchIndex, FinalBlock, Lane, RecoveredBlock};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Where to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// At the newest batch that L1 has accepted when it is reached.
    Head,
    /// At this batch; waits for it.
    Batch(BatchIndex),
}

/// What was derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derived {
    /// The last batch derived.
    pub anchor: Anchor,
    /// Blocks executed in this run.
    pub blocks: u64,
}

/// Derives the chain into `config.data_dir` until the goal is reached. `on_batch` hears of every batch.
///
/// # Errors
/// If L1 cannot be followed, blobs are nowhere to be had, or what L1 accepted does not execute to its core.
pub async fn derive(
    config: &Config,
    members: Vec<Url>,
    until: Until,
    mut on_batch: impl FnMut(&Anchor) + Send,
) -> Result<Derived, NodeError> {
    let deployment = Deployment::load(&config.deployment)?;
    let _lock = lock(&config.data_dir)?;
    let (genesis, genesis_block) = genesis_of(&deployment)?;
    let origin = genesis.origin;
    let mut tasks = Tasks { set: JoinSet::new(), stop: CancellationToken::new() };
    let endpoints = endpoints(config, &deployment)?;
    let l1 = watch_l1(&mut tasks, &endpoints, &deployment);
    let blobs =
        BlobSource::new(BlobConfig { beacons: config.beacon_urls(), members, timeout: Duration::from_secs(10) })?;
    let engine = open_engine(config, genesis).await?;
    let parameters = engine.parameters();
    let pool = baton_pool::Config::new(parameters.l2_chain_id, parameters.l2_gas_limit);
    let pool = Pool::open(pool, FinalState(engine.clone())).map_err(NodeError::Pool)?;
    let certificates = Certificates::open(&config.data_dir.join("certificates.redb"))?;
    let state = engine.clone();
    let ledger = Arc::new(Ledger::new(engine, pool, l1.view.clone(), Arc::new(genesis_block), origin, certificates));

    let mut deriver = Deriver { ledger, blobs, derivation: None, blocks: 0 };
    let never = CancellationToken::new();
    let outcome = tokio::select! {
        failed = tasks.first_end_or(&never) => Err(failed.err().unwrap_or(NodeError::Ended("L1 watcher"))),
        reached = deriver.run(&l1.view, until, &mut on_batch) => reached,
    };
    tasks.end().await;
    last_write(state).await.and(outcome)
}

struct Deriver {
    ledger: Arc<Ledger>,
    blobs: BlobSource,
    derivation: Option<Derivation>,
    blocks: u64,
}

impl Deriver {
    async fn run(
        &mut self,
        l1: &L1View,
        until: Until,
        on_batch: &mut (impl FnMut(&Anchor) + Send),
    ) -> Result<Derived, NodeError> {
        let mut heads = l1.subscribe();
        loop {
            heads.mark_unchanged();
            if l1.heads().synced
                && let Some(started) = l1.started()
            {
                while let Some(batch) = self.next(l1, started.anchor)? {
                    if !self.apply(&batch).await? {
                        break;
                    }
                    let anchor = self.anchor(started.anchor);
                    on_batch(&anchor);
                    if until == Until::Batch(anchor.index) {
                        return Ok(Derived { anchor, blocks: self.blocks });
                    }
                }
                let anchor = self.anchor(started.anchor);
                let newest = l1.last_batch().map_or(BatchIndex::ZERO, |b| b.core.index);
                if until == Until::Head && anchor.index == newest {
                    return Ok(Derived { anchor, blocks: self.blocks });
                }
            }
            if heads.changed().await.is_err() {
                return Err(NodeError::Ended("L1 watcher"));
            }
        }
    }

    fn anchor(&self, genesis: Anchor) -> Anchor {
        self.derivation.as_ref().map_or(genesis, |d| *d.anchor())
    }

    /// The batch to derive next. Goes back where L1 replaced what was derived, which the state, being final, survives only
    /// if the same blocks come again.
    fn next(&mut self, l1: &L1View, genesis: Anchor) -> Result<Option<Arc<AcceptedBatch>>, NodeError> {
        let anchor = self.anchor(genesis);
        let replaced =
            anchor.index > BatchIndex::ZERO && l1.batch(anchor.index).is_none_or(|b| b.core_hash != anchor.core_hash);
        if self.derivation.is_none() || replaced {
            self.rewind(l1, genesis)?;
        }
        Ok(l1.batch(self.anchor(genesis).index.next()))
    }

    /// Begins at the newest accepted batch whose last block is in the state, or at the genesis.
    fn rewind(&mut self, l1: &L1View, genesis: Anchor) -> Result<(), NodeError> {
        let mut index = l1.last_batch().map_or(BatchIndex::ZERO, |b| b.core.index);
        let mut anchor = genesis;
        while index > BatchIndex::ZERO {
            if let Some(batch) = l1.batch(index)
                && self.ledger.engine.is_final(&batch.core.last_block).unwrap_or(false)
            {
                anchor = batch.core.anchor();
                break;
            }
            index = index.previous().unwrap_or(BatchIndex::ZERO);
        }
        let tip = self.ledger.parent(anchor.last_block)?;
        tracing::info!(batch = %anchor.index, height = %anchor.last_height, "derivation begins");
        self.derivation = Some(Derivation::new(self.ledger.parameters.clone(), anchor, tip));
        Ok(())
    }

    /// Executes a batch; `false` if L1 must be seen further first.
    async fn apply(&mut self, batch: &AcceptedBatch) -> Result<bool, NodeError> {
        let data = self.data(batch).await?;
        let ledger = Arc::clone(&self.ledger);
        let Some(mut derivation) = self.derivation.clone() else { return Ok(false) };
        let core = batch.core.clone();
        let executed = tokio::task::spawn_blocking(move || {
            derivation.begin(&core, &data)?;
            let blocks = execute(&ledger, &mut derivation)?;
            Ok::<_, NodeError>((derivation, blocks))
        });
        match executed.await.map_err(|_| NodeError::Ended("derivation"))? {
            Ok((derivation, blocks)) => {
                self.blocks += blocks;
                self.derivation = Some(derivation);
                Ok(true)
            }
            Err(NodeError::Derive(error)) if error.class() != Class::Fatal => {
                tracing::debug!(%error, "derivation waits for L1");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn data(&self, batch: &AcceptedBatch) -> Result<Vec<u8>, NodeError> {
        let index = batch.core.index;
        if batch.lane == Lane::Calldata {
            return Ok(batch.calldata.as_ref().map(|data| data.to_vec()).unwrap_or_default());
        }
        let blobs: Vec<Blob> = self.blobs.fetch(&batch.blob_hashes, batch.l1_number, batch.l1_timestamp).await?;
        unpack_blobs(&blobs).map_err(|e| NodeError::Data { batch: index, reason: e.to_string() })
    }
}

/// Executes every block of the batch that `derivation` is in, and confirms its core.
fn execute(ledger: &Ledger, derivation: &mut Derivation) -> Result<u64, NodeError> {
    let mut blocks = 0;
    let mut last: Option<Arc<ExecutedBlock>> = None;
    loop {
        let view = ledger.origins(derivation.tip().call.origin.number);
        let Some(plan) = derivation.next(&view)? else { break };
        let executed = build(ledger, plan)?;
        derivation.executed(executed.hash(), executed.block.header())?;
        ledger.finalize(&FinalBlock { block: Arc::clone(&executed.block), certificate: None })?;
        blocks += 1;
        last = Some(executed);
    }
    if let Some(last) = last {
        derivation.confirm(last.withdrawals_root, last.swept)?;
    }
    Ok(blocks)
}

/// Builds the block that a plan describes: exactly its transactions, none left out.
fn build(ledger: &Ledger, plan: Plan) -> Result<Arc<ExecutedBlock>, NodeError> {
    let height = plan.attributes.height;
    let parent = plan.attributes.parent;
    let failed = |reason: String| crate::ledger::LedgerError::Execution { height, hash: parent, reason };
    let forced = plan.attributes.forced.len();
    let expected = forced + plan.transactions.len();
    let block = baton_primitives::Block {
        header: baton_primitives::Header::default(),
        body: baton_primitives::block_body(plan.transactions.clone()),
    };
    let recovered = RecoveredBlock::recover(block).map_err(|e| failed(e.to_string()))?;
    let candidates = plan
        .transactions
        .into_iter()
        .zip(recovered.senders())
        .map(|(transaction, sender)| Candidate { transaction: Arc::new(transaction), sender: *sender })
        .collect::<Vec<_>>();
    let mut given = Given { candidates: candidates.into_iter(), refused: None };
    let budget =
        Budget { deadline: Instant::now() + Duration::from_secs(3_600), max_bytes: ledger.parameters.max_block_bytes };
    let attributes = engine_attributes(plan.attributes);
    let executed = ledger.engine.build(&attributes, &mut given, budget).map_err(|e| failed(e.to_string()))?;
    if let Some(why) = given.refused {
        return Err(failed(why).into());
    }
    if executed.receipts.len() != expected {
        return Err(failed(format!("{} of {expected} transactions were included", executed.receipts.len())).into());
    }
    Ok(executed)
}

/// The transactions that a batch names, in its order.
struct Given {
    candidates: std::vec::IntoIter<Candidate>,
    refused: Option<String>,
}

impl TransactionSource for Given {
    fn next(&mut self) -> Option<Candidate> {
        self.candidates.next()
    }

    fn skip(&mut self, _: B256, sender: Address) {
        self.refused.get_or_insert_with(|| format!("a transaction of {sender} does not fit"));
    }

    fn invalid(&mut self, hash: B256, _: Address, why: &InvalidTransaction) {
        self.refused.get_or_insert_with(|| format!("transaction {hash} cannot be included: {why}"));
    }

    fn is_closed(&self, _: &Address) -> bool {
        false
    }
}
