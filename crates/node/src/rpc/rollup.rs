//! Sync status, leaders, batches and blobs.

use super::{Backend, store};
use crate::batches::batch_info;
use alloy::primitives::{B256, Bytes};
use baton_consensus::Role;
use baton_primitives::{Epoch, ExtraData, Height, Member, Snapshot, Term, View};
use baton_rpc::{
    ports::{Chain, ReadError, Rollup},
    types::{BatchInfo, BatchStatus, BlockRef, LeaderSchedule, SequencerRef, SyncStatus, TermLeader},
};
use baton_schedule::Schedule;
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Terms shown after the running one.
const NEXT_TERMS: u64 = 4;
/// Final blocks that a synced node may still have to execute.
const MAX_BEHIND: u64 = 16;
/// A follower, which hears of no block before it has it, is synced while its last block is younger.
const MAX_AGE: Duration = Duration::from_secs(15);

impl Rollup for Backend {
    fn sync_status(&self) -> SyncStatus {
        let ledger = &self.ledger;
        let (l1, heads) = (ledger.l1.heads(), self.tags());
        let consensus = self.consensus.as_ref().map(|status| status.borrow().clone());
        let latest = self.block_ref(heads.latest);
        let target = consensus.as_ref().map_or(heads.latest, |c| c.tip.max(heads.latest));
        let parameters = ledger.engine.parameters();
        let reason = if !l1.synced {
            Some(format!("reading L1: at block {}", l1.head.number))
        } else if target.saturating_since(heads.latest) > MAX_BEHIND {
            Some(format!("catching up: at block {} of {target}", heads.latest))
        } else if consensus.is_none() && age(latest.timestamp) > MAX_AGE {
            Some(format!("no final block for {} s", age(latest.timestamp).as_secs()))
        } else {
            None
        };
        let origin = ledger.engine.outcome(heads.latest.get()).ok().flatten().map(|o| o.origin).unwrap_or_default();
        SyncStatus {
            synced: reason.is_none(),
            reason,
            role: if consensus.is_some() { "sequencer" } else { "follower" }.into(),
            voting: consensus.as_ref().is_some_and(|c| c.role == Role::Signer),
            head_l1: BlockRef { number: l1.head.number, hash: l1.head.hash, timestamp: l1.timestamp },
            finalized_l1: BlockRef {
                number: l1.finalized.number,
                hash: l1.finalized.hash,
                timestamp: ledger.l1.origin(l1.finalized.number).map_or(0, |o| o.timestamp),
            },
            current_l1: BlockRef { number: origin.number, hash: origin.hash, timestamp: origin.timestamp },
            latest_l2: latest,
            safe_l2: self.block_ref(heads.safe),
            finalized_l2: self.block_ref(heads.finalized),
            target_l2: target.get(),
            epoch: heads.latest.next().epoch(parameters.epoch_blocks).get(),
            generation: ledger.l1.last_batch().map_or(0, |b| b.core.generation.get()),
            batch: ledger.l1.anchor().map_or(0, |a| a.index.get()),
            peers: self.peers() as u64,
        }
    }

    fn leaders(&self, epoch: Option<Epoch>) -> Result<Option<LeaderSchedule>, ReadError> {
        let parameters = self.ledger.engine.parameters();
        let head = self.head();
        let running = head.next().epoch(parameters.epoch_blocks);
        let epoch = epoch.unwrap_or(running);
        let Some(snapshot) = self.sets.known(epoch) else { return Ok(None) };
        // In the running epoch consensus knows the view in progress, the chain the one of its last block.
        let in_progress = self.consensus.as_ref().map(|s| s.borrow().clone()).filter(|s| s.epoch == epoch);
        let view = match in_progress {
            Some(status) => status.view,
            None if epoch == running && head.epoch(parameters.epoch_blocks) == epoch => self.last_view(head)?,
            None => View::ZERO,
        };
        let schedule = Schedule::new(Arc::clone(&snapshot), epoch, parameters.term_views)
            .map_err(|e| ReadError::Internal(e.to_string()))?;
        let current = schedule.term(View::new(view.get().max(1)));
        let shown = |term: Term| {
            let leader = schedule.leader_of_term(term);
            let member = snapshot.members.get(leader);
            member.map(|member| term_leader(term, parameters.term_views, member))
        };
        let Some(first) = shown(current) else { return Ok(None) };
        let next = (1..=NEXT_TERMS).filter_map(|n| shown(current.saturating_add(n))).collect();
        Ok(Some(LeaderSchedule {
            epoch: epoch.get(),
            snapshot: Snapshot::clone(&snapshot).id.get(),
            view: view.get(),
            current: first,
            next,
        }))
    }

    fn batch_of(&self, height: Height) -> Result<Option<BatchInfo>, ReadError> {
        let l1 = &self.ledger.l1;
        let found = match l1.batch_holding(height) {
            Some(batch) => Some(batch_info(&batch, BatchStatus::Posted)),
            // It is not posted, or no longer in memory.
            None => self.batches.holding(height).map_err(|error| ReadError::Internal(error.to_string()))?,
        };
        Ok(found.map(|mut batch| {
            let settled = batch.l1_block.number <= l1.heads().finalized.number;
            batch.status = if settled { BatchStatus::Settled } else { BatchStatus::Posted };
            batch
        }))
    }

    fn blob(&self, versioned_hash: B256) -> Result<Option<Bytes>, ReadError> {
        Ok((self.blobs)(versioned_hash))
    }

    fn peers(&self) -> usize {
        self.consensus.as_ref().map_or(0, |status| status.borrow().peers)
    }
}

impl Backend {
    /// The members of the serving set; none while it is not known.
    pub(crate) fn members(&self) -> Vec<SequencerRef> {
        let epoch = self.head().next().epoch(self.ledger.engine.parameters().epoch_blocks);
        let snapshot = self.sets.known(epoch);
        snapshot.map(|snapshot| snapshot.members.iter().map(sequencer_ref).collect()).unwrap_or_default()
    }

    /// Hash of the genesis block.
    pub(crate) fn genesis_hash(&self) -> B256 {
        self.ledger.engine.genesis_hash()
    }

    fn block_ref(&self, height: Height) -> BlockRef {
        let header = Chain::header(self, height).ok().flatten();
        let (hash, timestamp) = header.map_or((B256::ZERO, 0), |(hash, header)| (hash, header.timestamp));
        BlockRef { number: height.get(), hash, timestamp }
    }

    fn last_view(&self, head: Height) -> Result<View, ReadError> {
        let header = self.ledger.engine.header_at(head.get()).map_err(store)?;
        let extra = header.and_then(|(_, header)| ExtraData::from_bytes(&header.extra_data).ok());
        Ok(extra.map_or(View::ZERO, |extra| extra.view))
    }
}

fn term_leader(term: Term, term_views: u64, member: &Member) -> TermLeader {
    let last_view = term.get().saturating_mul(term_views);
    TermLeader {
        term: term.get(),
        first_view: last_view.saturating_sub(term_views) + 1,
        last_view,
        leader: sequencer_ref(member),
    }
}

fn sequencer_ref(member: &Member) -> SequencerRef {
    SequencerRef {
        id: member.id.get(),
        owner: member.owner,
        operator: member.operator,
        identity: member.identity.0,
        stake: alloy::primitives::U256::from(member.stake),
        endpoint: member.endpoint.clone(),
    }
}

fn age(timestamp: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_secs(timestamp))
}
