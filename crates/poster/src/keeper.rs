//! Chores that the contracts leave to anyone, done by every node with its poster account: taking and sealing snapshots,
//! proving that its own sequencer is ready, and bringing before the `Slasher` the contradictions that it saw and the members that missed
//! their terms.
//!
//! Each chore is asked for on L1 before it is done, and simulated before it is sent, so that doing it twice costs nothing.
//! Members take turns: the first at once, the others each some L1 blocks later if it is still to do.

use crate::{
    Docket, KeeperConfig, Kind, Offence, Report,
    absence::{self, Closed},
    docket::Filed,
    ports::{Call, Ledger, Sent, Settlement, Standing},
};
use alloy::{
    primitives::{Address, Bytes, keccak256},
    sol_types::SolCall,
};
use baton_bindings::contracts::pool::SequencerPool::{
    activateCall, entryCall, nextSnapshotBlockCall, sealCall, snapshotBlocksCall, snapshotCountCall, takeSnapshotCall,
};
use baton_primitives::{Epoch, IdentityKey, SequencerId, Snapshot, readiness_message};
use std::collections::HashMap;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// L1 blocks from the taking of a snapshot to the block whose header seals it (`SequencerPool.SEAL_DELAY`).
const SEAL_DELAY: u64 = 8;
/// `ISequencerPool.Status`: with keys but not in the set, and kept out for a while.
const OUTSIDE: [u8; 2] = [1, 3];
/// L1 blocks between two attempts at one chore.
const PAUSE: u64 = 3;
/// Errors after which an offence is over, and what they mean.
const ENDS: [(&str, &str); 8] = [
    ("Slasher_AlreadyPunished", "it was punished before"),
    ("Slasher_UnknownKey", "no sequencer ever had the key"),
    ("Slasher_NotMember", "the key is no member's of the epoch"),
    ("Slasher_NoConflict", "the votes do not contradict"),
    ("Slasher_BadSignatures", "the signatures are not the key's"),
    ("Staking_SlashTooLate", "the stake that answered for it is free"),
    ("Slasher_NotAbsent", "it led enough, had announced it, or was jailed since"),
    ("Slasher_WrongPerformance", "a reorganization of L1 changed what was certified"),
];
/// Closed epochs, the newest included, of which absence is judged (`Slasher.jailAbsent`).
const JUDGED: u64 = 2;

/// The actor that does chores. Construction starts nothing.
#[derive(Debug)]
pub struct Keeper<S, L> {
    config: KeeperConfig,
    settlement: S,
    ledger: L,
    /// Offences as consensus sees them, and those that wait for L1.
    offences: mpsc::Receiver<Report>,
    docket: Docket,
    /// L1 head before which an offence is left to the members before this one.
    turns: HashMap<Offence, u64>,
    /// The newest closed epoch, in which absence was looked for.
    judged: Option<Epoch>,
    /// L1 head before which a chore is not tried again.
    not_before: HashMap<&'static str, u64>,
}

/// What the pool says about snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Snapshots {
    count: u64,
    next_block: u64,
    last_taken: u64,
    last_sealed: u64,
}

/// A chore of everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chore {
    Take,
    Seal { id: u64, header: u64 },
}

impl Snapshots {
    /// The chore that is due at this L1 head for the member whose turn is `rank`-th.
    const fn due(&self, head: u64, rank: u64, turn: u64) -> Option<Chore> {
        let wait = rank.saturating_mul(turn);
        if self.count == 0 {
            return None;
        }
        if self.last_sealed == 0 {
            let header = self.last_taken.saturating_add(SEAL_DELAY);
            // The header's hash is in the history one block later.
            let due = head >= header.saturating_add(1).saturating_add(wait);
            return if due { Some(Chore::Seal { id: self.count - 1, header }) } else { None };
        }
        if head >= self.next_block.saturating_add(wait) { Some(Chore::Take) } else { None }
    }
}

/// Whose turn a chore is: members rotate with the number of the chore, everyone else comes last.
fn rank(newest: Option<&Snapshot>, identity: &IdentityKey, number: u64) -> u64 {
    let Some(snapshot) = newest.filter(|s| !s.members.is_empty()) else { return 0 };
    let members = snapshot.members.len() as u64;
    match snapshot.position(identity) {
        Some(position) => (position as u64 + members - number % members) % members,
        None => members,
    }
}

impl<S: Settlement, L: Ledger> Keeper<S, L> {
    /// A keeper over these ports.
    pub fn new(
        config: KeeperConfig,
        settlement: S,
        ledger: L,
        offences: mpsc::Receiver<Report>,
        docket: Docket,
    ) -> Self {
        let (turns, judged, not_before) = (HashMap::new(), None, HashMap::new());
        Self { config, settlement, ledger, offences, docket, turns, judged, not_before }
    }

    /// Runs until `shutdown`.
    pub fn start(self, shutdown: CancellationToken) -> JoinHandle<()> {
        tokio::spawn(async move {
            let _ = shutdown.run_until_cancelled_owned(Box::pin(self.run())).await;
        })
    }

    async fn run(mut self) {
        let mut standing: watch::Receiver<Option<Standing>> = self.settlement.standing();
        let mut head = 0;
        loop {
            self.take_reports();
            let now = *standing.borrow_and_update();
            if let Some(now) = now.filter(|n| n.l1_head != head) {
                head = now.l1_head;
                self.round(&now).await;
            }
            tokio::select! {
                changed = standing.changed() => if changed.is_err() { return },
                Some(report) = self.offences.recv() => self.note(report),
            }
        }
    }

    fn take_reports(&mut self) {
        while let Ok(report) = self.offences.try_recv() {
            self.note(report);
        }
    }

    fn note(&mut self, report: Report) {
        let Offence { sequencer, epoch, kind } = report.offence;
        let lost = match self.docket.file(report) {
            Ok(Filed::Again) => return,
            Ok(Filed::Refused(lost)) => Some(lost),
            Ok(filed @ (Filed::Waits | Filed::Instead(_))) => {
                if kind == Kind::Absence {
                    tracing::info!(%sequencer, %epoch, "a member missed terms: L1 is asked whether to jail it");
                } else {
                    tracing::warn!(%sequencer, %epoch, %kind, "an offence waits to be punished on L1");
                }
                if let Filed::Instead(lost) = filed { Some(lost) } else { None }
            }
            Err(error) => {
                tracing::error!(%sequencer, %epoch, %kind, %error, "an offence cannot be written to disk");
                None
            }
        };
        if let Some(lost) = lost {
            self.lose(&lost);
        }
        self.measure();
    }

    /// Tells of what a full docket lost: the operator may still send the call.
    fn lose(&mut self, lost: &Report) {
        let Offence { sequencer, epoch, kind } = lost.offence;
        self.turns.remove(&lost.offence);
        metrics::counter!("baton_keeper_offences_lost_total", "kind" => kind.name()).increment(1);
        tracing::warn!(%sequencer, %epoch, %kind, slasher = %self.config.slasher, call = %lost.call,
            "too many offences wait: this one is no longer brought before the Slasher by this node");
    }

    fn measure(&self) {
        metrics::gauge!("baton_keeper_offences_waiting").set(self.docket.len() as f64);
    }

    async fn round(&mut self, standing: &Standing) {
        self.judge();
        for report in self.docket.all() {
            self.prosecute(standing, report).await;
        }
        for done in [self.snapshots(standing).await, self.readiness(standing).await] {
            if let Err(reason) = done {
                tracing::debug!(reason, "a chore is looked at again in the next L1 block");
            }
        }
    }

    /// Brings an offence before the `Slasher`, in turn with the other members who may have seen it.
    async fn prosecute(&mut self, standing: &Standing, report: Report) {
        let Offence { sequencer, epoch, kind } = report.offence;
        let newest = self.settlement.sealed().last().and_then(|(id, _)| self.settlement.snapshot(*id));
        let rank = rank(newest.as_deref(), &self.config.identity, epoch.get());
        let turn = self.config.turn;
        let due = self.turns.entry(report.offence).or_insert_with(|| standing.l1_head + rank * turn);
        if *due > standing.l1_head {
            return;
        }
        *due = standing.l1_head + PAUSE;
        let over = self.is_late(report.offence) || self.bring(&report).await;
        if over {
            self.turns.remove(&report.offence);
            if let Err(error) = self.docket.close(report.offence) {
                tracing::error!(%sequencer, %epoch, %kind, %error, "a closed offence cannot be taken off the disk");
            }
            self.measure();
        }
    }

    /// Whether it is an absence that L1 does not judge any more.
    fn is_late(&self, Offence { sequencer, epoch, kind }: Offence) -> bool {
        let running = self.settlement.running_epoch().filter(|_| kind == Kind::Absence);
        let late = running.is_some_and(|running| epoch.saturating_add(JUDGED) < running);
        if late {
            tracing::info!(%sequencer, %epoch, "an absence is closed: it is too old");
        }
        late
    }

    /// Simulates and sends; whether that was the end of it.
    async fn bring(&self, report: &Report) -> bool {
        let Offence { sequencer, epoch, kind } = report.offence;
        let to = self.config.slasher;
        match self.ledger.would_succeed(to, report.call.clone()).await {
            Ok(()) => {
                let label = if kind == Kind::Absence { "jail" } else { "slash" };
                let input = report.call.clone();
                match self.ledger.send(Call { label, to, input, blobs: Vec::new() }).await {
                    Sent::Included { transaction, l1_number } => {
                        tracing::warn!(%sequencer, %epoch, %kind, %transaction, l1_number, "an offence was punished");
                        metrics::counter!("baton_keeper_offences_total", "kind" => kind.name()).increment(1);
                        true
                    }
                    Sent::Refused { reason } | Sent::Reverted { reason, .. } | Sent::Failed { reason } => {
                        tracing::info!(%sequencer, %epoch, %kind, reason, "an offence is brought before the Slasher again");
                        false
                    }
                }
            }
            Err(reason) if ENDS.iter().any(|(error, _)| reason.contains(error)) => {
                let why = ENDS.iter().find(|(error, _)| reason.contains(error)).map_or("", |(_, why)| why);
                tracing::info!(%sequencer, %epoch, %kind, reason, why, "an offence is closed");
                true
            }
            // An epoch that is not yet open on L1, or L1 out of reach.
            Err(reason) => {
                tracing::debug!(%sequencer, %epoch, %kind, reason, "an offence waits");
                false
            }
        }
    }

    /// Looks for members that missed their terms, once when an epoch has closed. The own sequencer is left to the others.
    fn judge(&mut self) {
        let closed = self.settlement.running_epoch().and_then(Epoch::previous);
        let Some(epoch) = closed.filter(|epoch| self.judged != Some(*epoch)) else { return };
        self.judged = Some(epoch);
        let (mut closed, mut performance) = (Vec::new(), Vec::new());
        for epoch in absence::window(epoch) {
            let batch = self.settlement.closed_epoch(epoch);
            performance.push(batch.as_ref().map(|batch| batch.performance.clone()).unwrap_or_default());
            let snapshot = self.settlement.epoch_snapshot(epoch).and_then(|id| self.settlement.snapshot(id));
            if let (Some(batch), Some(snapshot)) = (batch, snapshot) {
                let terms = batch.last_view.term(self.config.term_views);
                closed.push(Closed { epoch, snapshot, terms, performance: batch.performance });
            }
        }
        let own = self.settlement.sequencer_of(&self.config.identity);
        for id in absence::absent(&closed).into_iter().filter(|id| Some(*id) != own) {
            self.note(absence::accuse(id, epoch, performance.clone()));
        }
    }

    async fn snapshots(&mut self, standing: &Standing) -> Result<(), String> {
        let count = self.ask(&snapshotCountCall {}).await?;
        let Some(last) = count.checked_sub(1) else { return Ok(()) };
        let blocks = self.ask(&snapshotBlocksCall { id: last }).await?;
        let seen = Snapshots {
            count,
            next_block: self.ask(&nextSnapshotBlockCall {}).await?,
            last_taken: blocks.takenBlock,
            last_sealed: blocks.sealBlock,
        };
        let newest = self.settlement.sealed().last().and_then(|(id, _)| self.settlement.snapshot(*id));
        let rank = rank(newest.as_deref(), &self.config.identity, count);
        match seen.due(standing.l1_head, rank, self.config.turn) {
            None => Ok(()),
            Some(Chore::Take) => self.chore("take_snapshot", standing, takeSnapshotCall {}.abi_encode().into()).await,
            Some(Chore::Seal { id, header }) => {
                let header = self.ledger.header(header).await?;
                self.chore("seal_snapshot", standing, sealCall { id, header }.abi_encode().into()).await
            }
        }
    }

    /// Activates the own sequencer where it has keys and stake and is not active, unless its owner took it out. While it is
    /// jailed the pool refuses.
    async fn readiness(&mut self, standing: &Standing) -> Result<(), String> {
        let Some(id) = self.settlement.sequencer_of(&self.config.identity) else { return Ok(()) };
        if self.settlement.left_by_owner(id) || self.not_before("activate") > standing.l1_head {
            return Ok(());
        }
        let entry = self.ask(&entryCall { id: id.get() }).await?;
        if !OUTSIDE.contains(&entry.status) || entry.keys.blsKey[..] != self.config.vote_key.public().to_eip2537() {
            return Ok(());
        }
        let input = self.activation(standing, id, entry.nonce).await?;
        self.chore("activate", standing, input).await
    }

    async fn activation(&self, standing: &Standing, id: SequencerId, nonce: u64) -> Result<Bytes, String> {
        // One below the head: its hash is known to the contract in the head's own context, where calls are simulated.
        let number = standing.l1_head.saturating_sub(1);
        let l1_hash = keccak256(self.ledger.header(number).await?);
        let anchor = standing.anchor.core_hash;
        let (chain_id, pool) = (self.config.l1_chain_id, self.config.pool);
        let message = readiness_message(chain_id, pool, standing.generation, id, nonce, number, l1_hash, anchor);
        let signature = self.config.vote_key.sign(&message).to_eip2537().into();
        Ok(activateCall { id: id.get(), l1Number: number, anchor, signature }.abi_encode().into())
    }

    async fn chore(&mut self, label: &'static str, standing: &Standing, input: Bytes) -> Result<(), String> {
        if self.not_before(label) > standing.l1_head {
            return Ok(());
        }
        let to: Address = self.config.pool;
        self.not_before.insert(label, standing.l1_head + PAUSE);
        self.ledger.would_succeed(to, input.clone()).await.map_err(|e| format!("{label}: {e}"))?;
        let sent = self.ledger.send(Call { label, to, input, blobs: Vec::new() }).await;
        match &sent {
            Sent::Included { transaction, l1_number } => tracing::info!(label, %transaction, l1_number, "chore done"),
            Sent::Refused { reason } => tracing::debug!(label, reason, "chore was done by another"),
            // Simulated before it was sent, so somebody else's was first in the same block.
            Sent::Reverted { reason, .. } => {
                tracing::info!(label, reason, "chore was done by another in the same block")
            }
            Sent::Failed { reason } => tracing::warn!(label, reason, "chore failed"),
        }
        let done = matches!(sent, Sent::Included { .. });
        metrics::counter!("baton_keeper_chores_total", "chore" => label, "done" => done.to_string()).increment(1);
        Ok(())
    }

    fn not_before(&self, label: &'static str) -> u64 {
        self.not_before.get(label).copied().unwrap_or_default()
    }

    async fn ask<C: SolCall>(&self, call: &C) -> Result<C::Return, String> {
        let data = self.ledger.view(self.config.pool, call.abi_encode().into()).await?;
        C::abi_decode_returns_validate(&data).map_err(|e| format!("{}: {e}", C::SIGNATURE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ports::ClosedEpoch,
        testing::{key, snapshot},
    };
    use alloy::primitives::B256;
    use baton_primitives::{BatchIndex, IdentitySecret, SnapshotId};
    use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
    use parking_lot::Mutex;
    use std::sync::Arc;

    /// L1 of which nothing is known yet.
    #[derive(Clone)]
    struct Unknown;

    impl Settlement for Unknown {
        fn standing(&self) -> watch::Receiver<Option<Standing>> {
            watch::Sender::new(None).subscribe()
        }
        fn snapshot(&self, _: SnapshotId) -> Option<Arc<Snapshot>> {
            None
        }
        fn sealed(&self) -> Vec<(SnapshotId, u64)> {
            Vec::new()
        }
        fn sequencer_of(&self, _: &IdentityKey) -> Option<SequencerId> {
            None
        }
        fn left_by_owner(&self, _: SequencerId) -> bool {
            false
        }
        fn blob_hashes(&self, _: BatchIndex) -> Option<Vec<B256>> {
            None
        }
        fn epoch_snapshot(&self, _: Epoch) -> Option<SnapshotId> {
            None
        }
        fn running_epoch(&self) -> Option<Epoch> {
            None
        }
        fn closed_epoch(&self, _: Epoch) -> Option<ClosedEpoch> {
            None
        }
    }

    impl Ledger for Unknown {
        fn account(&self) -> Address {
            Address::ZERO
        }
        async fn send(&self, _: Call) -> Sent {
            Sent::Failed { reason: "no L1".into() }
        }
        async fn view(&self, _: Address, _: Bytes) -> Result<Bytes, String> {
            Err("no L1".into())
        }
        async fn would_succeed(&self, _: Address, _: Bytes) -> Result<(), String> {
            Err("no L1".into())
        }
        async fn header(&self, _: u64) -> Result<Bytes, String> {
            Err("no L1".into())
        }
    }

    /// What is counted, each time.
    #[derive(Default)]
    struct Counted(Mutex<Vec<Key>>);

    impl Recorder for Counted {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            self.0.lock().push(key.clone());
            Counter::noop()
        }
        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn what_a_full_docket_loses_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let config = KeeperConfig {
            l1_chain_id: 1,
            pool: Address::ZERO,
            slasher: Address::ZERO,
            vote_key: key(0),
            identity: IdentitySecret::from_bytes([1; 32]).public(),
            term_views: 30,
            turn: 4,
        };
        let (_reports, offences) = mpsc::channel(1);
        let docket = Docket::open(folder.path()).unwrap();
        let mut keeper = Keeper::new(config, Unknown, Unknown, offences, docket);
        let counted = Counted::default();
        let mut note = |sequencer, kind| {
            let offence = Offence { sequencer: SequencerId::new(sequencer), epoch: Epoch::ZERO, kind };
            metrics::with_local_recorder(&counted, || keeper.note(Report { offence, call: Bytes::new() }));
        };
        (0..255).for_each(|sequencer| note(sequencer, Kind::Votes));
        note(255, Kind::Absence);
        assert!(counted.0.lock().is_empty(), "there was room");
        // The absence gives way; then nothing does, and what comes is lost.
        note(256, Kind::Votes);
        note(257, Kind::Batches);
        let lost = |kind: &'static str| Key::from_parts("baton_keeper_offences_lost_total", &[("kind", kind)]);
        assert_eq!(*counted.0.lock(), [lost("absence"), lost("batches")]);
    }

    #[test]
    fn a_snapshot_is_taken_when_due_and_sealed_one_block_after_its_header() {
        let sealed = Snapshots { count: 3, next_block: 50, last_taken: 40, last_sealed: 49 };
        assert_eq!(sealed.due(49, 0, 2), None);
        assert_eq!(sealed.due(50, 0, 2), Some(Chore::Take));
        assert_eq!(sealed.due(50, 1, 2), None);
        assert_eq!(sealed.due(52, 1, 2), Some(Chore::Take));
        let unsealed = Snapshots { last_sealed: 0, ..sealed };
        assert_eq!(unsealed.due(48, 0, 2), None);
        assert_eq!(unsealed.due(49, 0, 2), Some(Chore::Seal { id: 2, header: 48 }));
        assert_eq!(unsealed.due(50, 1, 2), None);
        assert_eq!(Snapshots { count: 0, ..sealed }.due(99, 0, 2), None);
    }

    #[test]
    fn members_rotate_and_strangers_come_last() {
        let snapshot = snapshot(4);
        for number in 0..9 {
            let mut ranks: Vec<_> =
                snapshot.members.iter().map(|m| rank(Some(&snapshot), &m.identity, number)).collect();
            let first = usize::try_from(number % 4).unwrap();
            assert_eq!(ranks[first], 0);
            ranks.sort_unstable();
            assert_eq!(ranks, [0, 1, 2, 3]);
        }
        let stranger = IdentitySecret::from_bytes([77; 32]).public();
        assert_eq!(rank(Some(&snapshot), &stranger, 5), 4);
    }
}
