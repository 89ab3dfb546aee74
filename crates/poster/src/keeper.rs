//! Chores that the contracts leave to anyone, done by every node with its poster account: taking and sealing snapshots,
//! proving that its own sequencer is ready, and bringing the contradictions that it saw before the `Slasher`.
//!
//! Each chore is asked for on L1 before it is done, and simulated before it is sent, so that doing it twice costs nothing.
//! Members take turns: the first at once, the others each some L1 blocks later if it is still to do.

use crate::{
    Docket, KeeperConfig, Offence, Report,
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
use baton_primitives::{IdentityKey, SequencerId, Snapshot, readiness_message};
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
const ENDS: [(&str, &str); 6] = [
    ("Slasher_AlreadyPunished", "it was punished before"),
    ("Slasher_UnknownKey", "no sequencer ever had the key"),
    ("Slasher_NotMember", "the key is no member's of the epoch"),
    ("Slasher_NoConflict", "the votes do not contradict"),
    ("Slasher_BadSignatures", "the signatures are not the key's"),
    ("Staking_SlashTooLate", "the stake that answered for it is free"),
];

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
        let (turns, not_before) = (HashMap::new(), HashMap::new());
        Self { config, settlement, ledger, offences, docket, turns, not_before }
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
                tracing::warn!(%sequencer, %epoch, %kind, "an offence waits to be punished on L1");
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
        let to = self.config.slasher;
        let over = match self.ledger.would_succeed(to, report.call.clone()).await {
            Ok(()) => {
                match self.ledger.send(Call { label: "slash", to, input: report.call, blobs: Vec::new() }).await {
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
        };
        if over {
            self.turns.remove(&report.offence);
            if let Err(error) = self.docket.close(report.offence) {
                tracing::error!(%sequencer, %epoch, %kind, %error, "a closed offence cannot be taken off the disk");
            }
            self.measure();
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
    use crate::testing::snapshot;

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
        let stranger = baton_primitives::IdentitySecret::from_bytes([77; 32]).public();
        assert_eq!(rank(Some(&snapshot), &stranger, 5), 4);
    }
}
