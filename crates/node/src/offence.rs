//! From a contradiction that consensus saw to the call that punishes it.
//!
//! ```text
//! consensus -Evidence-> accuse -Report-> keeper (disk, turn, Slasher)
//! ```

use crate::{error::NodeError, ledger::Ledger, sets::LedgerSets};
use alloy::{primitives::Address, sol_types::SolCall as _};
use baton_bindings::contracts::{ISlasher, Votes, slasher::Slasher::slashVotesCall};
use baton_consensus::{Evidence, EvidenceKind, SignedVote};
use baton_poster::{Kind, Offence, Report};
use baton_primitives::{Generation, Snapshot, bls};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Makes calls to the `Slasher` of the contradictions that consensus sees.
pub(crate) async fn report(
    mut evidence: mpsc::Receiver<Evidence>,
    ledger: Arc<Ledger>,
    receiver: Address,
    reports: mpsc::Sender<Report>,
) -> Result<(), NodeError> {
    let sets = LedgerSets(Arc::clone(&ledger));
    while let Some(found) = evidence.recv().await {
        metrics::counter!("baton_evidence_total").increment(1);
        tracing::error!(?found, "a member signed contradicting votes");
        let Some(snapshot) = sets.known(found.epoch) else {
            tracing::error!(epoch = %found.epoch, "the set of the offence is not known: it is not reported");
            continue;
        };
        let generation = ledger.l1.last_batch().map_or(Generation::ZERO, |b| b.core.generation);
        match accuse(&snapshot, generation, &found, receiver) {
            Some(report) => {
                // The keeper ends with the node only.
                let _ = reports.send(report).await;
            }
            None => tracing::error!(?found, "the evidence does not fit its set: it is not reported"),
        }
    }
    Ok(())
}

/// The call that proves an offence, with the bounty for `receiver`; `None` if the signer is not where the evidence says.
pub fn accuse(snapshot: &Snapshot, generation: Generation, found: &Evidence, receiver: Address) -> Option<Report> {
    let member = snapshot.members.get(found.signer).filter(|m| m.identity == found.identity)?;
    let [first, second] = found.votes;
    let proposal = |vote: SignedVote| Votes::Proposal { parentView: vote.parent_view.get(), blockHash: vote.block };
    let signature = |vote: SignedVote| bls::Signature::from_bytes(&vote.signature).map(|s| s.to_eip2537().into()).ok();
    let kind = match found.kind {
        EvidenceKind::Notarize => 0,
        EvidenceKind::Finalize => 1,
        EvidenceKind::NullifyFinalize => 2,
    };
    let votes = ISlasher::Contradiction {
        kind,
        generation: generation.get(),
        epoch: found.epoch.get(),
        viewNumber: found.view.get(),
        first: proposal(first),
        second: proposal(second),
        firstSignature: signature(first)?,
        secondSignature: signature(second)?,
    };
    let call = slashVotesCall { key: member.vote_key.to_eip2537().into(), votes, receiver };
    let offence = Offence { sequencer: member.id, epoch: found.epoch, kind: Kind::Votes };
    Some(Report { offence, call: call.abi_encode().into() })
}
