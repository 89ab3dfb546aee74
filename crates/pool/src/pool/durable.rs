//! What of the pool survives a restart: the journal, written as the pool changes and replayed when it opens.
//!
//! A change puts its record into a list under the pool's lock; whoever has the file then takes the list and appends it. So
//! the file has the order of the changes, whichever thread writes, and a record is in the file when its change returns.

use super::{Pool, waiting::Waiting};
use crate::journal::{Content, Journal, Record};
use alloy::primitives::B256;
use rayon::prelude::*;
use std::sync::Arc;

impl Pool {
    /// Takes what the journal held. What cannot wait again, though it is in no final block, has a fate now.
    pub(super) fn replay(&self, content: Content) {
        let journalled = content.waiting.len();
        {
            let mut waiting = self.shared.waiting.lock();
            content.fates.into_iter().for_each(|(hash, why)| waiting.fates.add(hash, why));
        }
        let is_final = |hash: &B256| {
            self.shared.state.is_final(hash).unwrap_or_else(|error| {
                tracing::warn!(%hash, %error, "a transaction of the journal is tried again");
                false
            })
        };
        // The journal is rewritten now and then, so that most of what it holds has long been in blocks.
        let waiting = content.waiting.into_par_iter();
        let again: Vec<_> = self.shared.recovery.install(|| waiting.filter(|it| !is_final(&it.hash)).collect());
        let raw: Vec<_> = again.iter().map(|it| it.raw.clone()).collect();
        let results = self.take_all(&raw, |place| again[place].local);
        let mut admitted = 0;
        let mut waiting = self.shared.waiting.lock();
        for (it, result) in again.iter().zip(results) {
            match result {
                Ok(_) => admitted += 1,
                Err(why) => waiting.fates.add(it.hash, why.to_string()),
            }
        }
        drop(waiting);
        if journalled > 0 {
            tracing::info!(admitted, journalled, "transactions of the journal wait again");
        }
    }

    /// Appends what has changed to the journal, if there is one. Whoever changes what waits calls it when the pool's lock is
    /// free again. It is not synced: a killed process loses nothing, a machine without power may.
    pub(super) fn write_down(&self) {
        let Some(journal) = &self.shared.journal else { return };
        // The file's lock is held while the list is taken, or a later change could be written first.
        let mut journal = journal.lock();
        let records = self.shared.waiting.lock().unwritten.as_mut().map(std::mem::take).unwrap_or_default();
        if records.is_empty() {
            return;
        }
        match journal.push(&records) {
            Ok(true) => self.rewrite(&mut journal),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "transaction journal cannot be written"),
        }
    }

    /// Writes the journal anew.
    pub(super) fn rewrite_journal(&self) {
        if let Some(journal) = &self.shared.journal {
            self.rewrite(&mut journal.lock());
        }
    }

    fn rewrite(&self, journal: &mut Journal) {
        // Copied, so that nothing waits for the file but who appends to it.
        let records = self.shared.waiting.lock().everything();
        if let Err(error) = journal.rewrite(&records) {
            tracing::error!(%error, "transaction journal cannot be rewritten");
        }
    }
}

impl Waiting {
    /// All that must survive a restart, as it is now; nothing of it is left to be written.
    fn everything(&mut self) -> Vec<Record> {
        if let Some(unwritten) = &mut self.unwritten {
            unwritten.clear();
        }
        // Fates first: what waits may be there for the second time.
        let mut records: Vec<Record> =
            self.fates.all().into_iter().map(|(hash, why)| Record::Fate(hash, why)).collect();
        let mut senders: Vec<_> = self.senders.iter().collect();
        senders.sort_unstable_by_key(|(address, _)| **address);
        for entry in senders.into_iter().flat_map(|(_, sender)| sender.entries.values()) {
            let local = self.local.contains_key(&entry.transaction.hash);
            records.push(Record::Taken { transaction: Arc::clone(&entry.transaction), local });
        }
        records
    }
}
