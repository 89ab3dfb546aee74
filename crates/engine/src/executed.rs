//! A block together with what its execution gave.

use crate::{
    changes::Changes,
    store::Outcome,
    trie::{AccountLeaf, Trie},
};
use alloy::primitives::{B256, U256, map::B256Map};
use baton_primitives::{L1Origin, RecoveredBlock};
use op_alloy_consensus::OpReceipt;
use std::sync::{Arc, OnceLock};

/// A receipt: Ethereum's, with deposits. (Its bloom follows from its logs and is not kept.) A deposit's receipt carries the nonce its sender had and version 1.
pub type Receipt = OpReceipt;

/// An executed block: its state root, receipts root and every other field follow from its parent's state.
#[derive(Debug)]
pub struct ExecutedBlock {
    /// The block.
    pub block: Arc<RecoveredBlock>,
    /// One receipt per transaction.
    pub receipts: Arc<Vec<Receipt>>,
    /// Wei taken from the fee vault after the last transaction; zero except in an epoch's last block.
    pub swept: U256,
    /// Root of the message tree after the block.
    pub withdrawals_root: B256,
    /// Deposits executed in total, this block's included.
    pub deposits: u64,
    /// The block's origin.
    pub origin: L1Origin,
    /// Bytes of the block's RLP.
    pub size: u64,
    pub(crate) changes: Changes,
    pub(crate) trie: Trie<AccountLeaf>,
    /// Made when it is first asked for.
    pub(crate) positions: OnceLock<B256Map<usize>>,
}

impl ExecutedBlock {
    /// The block's hash.
    pub fn hash(&self) -> B256 {
        self.block.hash()
    }

    /// The block's height.
    pub fn height(&self) -> u64 {
        self.block.header().number
    }

    /// Where in the block a transaction is. Clients ask again and again for those that wait, of every block in memory.
    pub(crate) fn position(&self, transaction: &B256) -> Option<usize> {
        let made = || self.block.transactions().iter().enumerate().map(|(at, t)| (t.tx_hash(), at)).collect();
        self.positions.get_or_init(made).get(transaction).copied()
    }

    /// What batch cutting needs to know of it.
    pub const fn outcome(&self) -> Outcome {
        Outcome {
            swept: self.swept,
            withdrawals_root: self.withdrawals_root,
            deposits: self.deposits,
            origin: self.origin,
            size: self.size,
        }
    }
}
