//! What members' messages prove of them: see [`crate::witness`].

use super::Poster;
use crate::{
    message::{Attestation, Message, Request, Signature, Statement},
    ports::{Chain, Ledger, Network, Recipients, Settlement},
    witness::Findings,
};
use baton_primitives::{BatchIndex, IdentityKey};
use std::sync::Arc;
use tokio::sync::mpsc::error::TrySendError;

impl<C: Chain, S: Settlement, N: Network, L: Ledger> Poster<C, S, N, L> {
    /// Who asks says with its signature what it signed.
    pub(super) fn hear_request(&mut self, from: &IdentityKey, request: &Request) {
        let (core, data_hash, signature) = (request.core.clone(), request.data_hash(), request.signature);
        self.hear(from, from, Attestation { core, data_hash, signature }, false);
    }

    /// Who answers too, even if nobody waits for the answer any more.
    pub(super) fn hear_signature(&mut self, from: &IdentityKey, signature: &Signature, verified: bool) {
        let Some(core) = self.witness.core(signature.index, signature.core_hash).cloned() else { return };
        if core.generation != signature.generation {
            return;
        }
        let statement = Attestation { core, data_hash: signature.data_hash, signature: signature.signature };
        self.hear(from, from, statement, verified);
    }

    /// A member tells what another one signed.
    pub(super) fn on_statement(&mut self, from: &IdentityKey, statement: Statement) {
        let own = self.witness.own(statement.attestation.core.index);
        if own.is_some_and(|own| own.snapshot.position(from).is_some()) {
            self.hear(from, &statement.signer, statement.attestation, false);
        }
    }

    fn hear(&mut self, from: &IdentityKey, signer: &IdentityKey, statement: Attestation, verified: bool) {
        let index = statement.core.index;
        let Findings { report, tell } = self.witness.take(from, signer, statement, verified);
        if let (Some(statement), Some(own)) = (tell, self.witness.own(index)) {
            tracing::warn!(%signer, %index, core = %statement.attestation.core.hash(), own = %own.core_hash, "a member signed another core of a batch");
            self.network.send(Recipients::Members(Arc::clone(&own.snapshot)), Message::Statement(statement).encode());
        }
        if let Some(report) = report {
            metrics::counter!("baton_poster_contradictions_total").increment(1);
            let (sequencer, epoch) = (report.offence.sequencer, report.offence.epoch);
            tracing::error!(%signer, %sequencer, %epoch, %index, "a member signed two cores of one batch");
            if self.unreported.iter().all(|waiting| waiting.offence != report.offence) {
                self.unreported.push_back(report);
            }
        }
    }

    /// Whether `from` said with its signature that it signed this node's own core.
    pub(super) fn has_signed(&self, index: BatchIndex, from: &IdentityKey) -> bool {
        self.witness.agrees(index, from)
    }

    /// Gives the keeper what it has room for; the rest waits, one for each member and epoch at most.
    pub(super) fn report(&mut self) {
        while let Some(report) = self.unreported.pop_front() {
            match self.reports.try_send(report) {
                Ok(()) => {}
                Err(TrySendError::Full(report)) => return self.unreported.push_front(report),
                // The node stops.
                Err(TrySendError::Closed(_)) => return,
            }
        }
    }
}
