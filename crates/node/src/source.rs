//! The pool as the engine draws from it: what the parent chain holds already is passed over.

use alloy::primitives::{Address, B256};
use baton_engine::{Candidate, InvalidTransaction, StateView, TransactionSource};
use baton_pool::{Best, Pool};
use std::{collections::HashMap, sync::Arc};

/// The pool's best transactions on top of one parent.
pub(crate) struct Source<'a> {
    pool: &'a Pool,
    best: Best,
    parent: StateView,
    next_nonces: HashMap<Address, u64>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(pool: &'a Pool, base_fee: u64, parent: StateView) -> Self {
        Self { pool, best: pool.best(base_fee), parent, next_nonces: HashMap::new() }
    }

    fn next_nonce(&mut self, sender: Address) -> Option<u64> {
        if let Some(nonce) = self.next_nonces.get(&sender) {
            return Some(*nonce);
        }
        let nonce = self.parent.nonce(sender).ok()?;
        self.next_nonces.insert(sender, nonce);
        Some(nonce)
    }
}

impl TransactionSource for Source<'_> {
    fn next(&mut self) -> Option<Candidate> {
        while let Some(best) = self.best.next() {
            // The pool counts from the last final state; blocks between it and the parent hold the first few already.
            match self.next_nonce(best.sender) {
                Some(next) if best.nonce < next => {}
                Some(_) => return Some(Candidate { transaction: Arc::clone(&best.transaction), sender: best.sender }),
                None => return None,
            }
        }
        None
    }

    fn skip(&mut self, _: B256, sender: Address) {
        self.best.skip_sender(sender);
    }

    fn invalid(&mut self, hash: B256, sender: Address, why: &InvalidTransaction) {
        self.best.skip_sender(sender);
        if !why.is_temporary() {
            tracing::debug!(%hash, %why, "transaction can never be included");
            self.pool.reject(hash, why.to_string());
        }
    }

    fn is_closed(&self, sender: &Address) -> bool {
        self.best.is_skipped(sender)
    }
}
