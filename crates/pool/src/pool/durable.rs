//! What of the pool survives a restart: the journal, written as the pool changes and replayed when it opens.

use super::Pool;
use crate::journal::{Content, Journal};
use alloy::{
    eips::Encodable2718,
    primitives::{B256, Bytes},
};
use std::io;

impl Pool {
    /// Takes what the journal held. What cannot wait again, though it is in no final block, has a fate now.
    pub(super) fn replay(&self, content: Content) {
        let journalled = content.waiting.len();
        {
            let mut waiting = self.shared.waiting.lock();
            content.fates.into_iter().for_each(|(hash, why)| waiting.fates.recall(hash, why));
        }
        let is_final = |hash: &B256| {
            self.shared.state.is_final(hash).unwrap_or_else(|error| {
                tracing::warn!(%hash, %error, "a transaction of the journal is tried again");
                false
            })
        };
        let (hashes, raw): (Vec<B256>, Vec<Bytes>) =
            content.waiting.into_iter().filter(|(hash, _)| !is_final(hash)).unzip();
        let results = self.admit_all(&raw);
        let mut waiting = self.shared.waiting.lock();
        let mut admitted = 0;
        for (hash, result) in hashes.into_iter().zip(results) {
            match result {
                Ok(_) => admitted += 1,
                Err(why) => waiting.fates.recall(hash, why.to_string()),
            }
        }
        drop(waiting);
        if journalled > 0 {
            tracing::info!(admitted, journalled, "transactions of the journal wait again");
        }
    }

    /// Appends what was admitted.
    pub(super) fn write_down<'a>(&self, admitted: impl IntoIterator<Item = &'a [u8]>) {
        self.append(|journal| journal.push(admitted));
    }

    /// Lets the journal know why transactions left. Whoever changes what waits calls it when the lock is free again.
    pub(super) fn write_fates(&self, fates: &[(B256, String)]) {
        if !fates.is_empty() {
            self.append(|journal| journal.push_fates(fates));
        }
    }

    /// Appends to the journal, if there is one. It is not synced: a killed process loses nothing, a machine without power may.
    fn append(&self, write: impl FnOnce(&mut Journal) -> io::Result<bool>) {
        let Some(journal) = &self.shared.journal else { return };
        let written = write(&mut journal.lock());
        match written {
            Ok(true) => self.rewrite_journal(),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "transaction journal cannot be written"),
        }
    }

    /// Writes the journal anew: what waits, and what is remembered.
    pub(super) fn rewrite_journal(&self) {
        let Some(journal) = &self.shared.journal else { return };
        // Locked first: what is appended meanwhile must not be lost.
        let mut journal = journal.lock();
        let raw: Vec<Bytes> =
            self.content(None).iter().map(|(t, _)| Bytes::from(t.transaction.encoded_2718())).collect();
        // Copied, so that nothing waits for the file but who appends to it.
        let fates = self.shared.waiting.lock().fates.all();
        if let Err(error) = journal.rewrite(&fates, &raw) {
            tracing::error!(%error, "transaction journal cannot be rewritten");
        }
    }
}
