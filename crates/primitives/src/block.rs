//! L2 blocks: Ethereum's, with deposits.
#![allow(clippy::wildcard_enum_match_arm, reason = "wide enums of other crates, all others alike")]

use crate::{Height, SystemCall, View, origin::OriginError};
use alloy::{
    consensus::{BlockBody, transaction::SignerRecoverable},
    eips::eip4895::Withdrawals,
    primitives::{Address, B256, Bytes},
    rlp::{Decodable, Encodable},
};
use op_alloy_consensus::OpTxEnvelope;
use rayon::prelude::*;
use std::sync::Arc;

/// An L2 transaction: types 0, 1, 2, 4 and the deposit 0x7E. (The library's further type 0x7D is never valid here.)
pub type Transaction = OpTxEnvelope;
/// An L2 header: Ethereum's.
pub type Header = alloy::consensus::Header;
/// An L2 block: Ethereum's with L2 transactions.
pub type Block = alloy::consensus::Block<Transaction>;

/// Least hashes and least senders that are worth another thread: waking one, and its search for more work, costs some 20 us.
const HASHES_A_THREAD: usize = 64;
const SENDERS_A_THREAD: usize = 4;

/// What `extra_data` carries: where in consensus the block was proposed, and the milliseconds of its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtraData {
    /// View in which it was first proposed.
    pub view: View,
    /// View of its parent (0 for the first block of an epoch).
    pub parent_view: View,
    /// Milliseconds after the header's seconds, 0..=999.
    pub millis: u16,
}

/// Why `extra_data` does not decode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtraDataError {
    /// Wrong length or version.
    #[error("extra data must be 25 bytes that begin with 1, got {length} bytes")]
    Form {
        /// The length found.
        length: usize,
    },
    /// Milliseconds out of range.
    #[error("extra data has {0} milliseconds, at most 999 allowed")]
    Millis(u64),
}

impl ExtraData {
    const VERSION: u8 = 1;

    /// The 25 bytes.
    pub fn to_bytes(self) -> Bytes {
        let mut bytes = Vec::with_capacity(25);
        bytes.push(Self::VERSION);
        bytes.extend_from_slice(&self.view.get().to_be_bytes());
        bytes.extend_from_slice(&self.parent_view.get().to_be_bytes());
        bytes.extend_from_slice(&u64::from(self.millis).to_be_bytes());
        bytes.into()
    }

    /// Inverse of [`Self::to_bytes`].
    ///
    /// # Errors
    /// If the bytes are not exactly of that form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ExtraDataError> {
        let form = ExtraDataError::Form { length: bytes.len() };
        let (version, rest) = bytes.split_first().ok_or_else(|| form.clone())?;
        let ([view, parent, millis], []) = rest.as_chunks::<8>() else { return Err(form) };
        if *version != Self::VERSION {
            return Err(form);
        }
        let millis = u64::from_be_bytes(*millis);
        let millis = u16::try_from(millis).ok().filter(|m| *m < 1000).ok_or(ExtraDataError::Millis(millis))?;
        Ok(Self {
            view: View::new(u64::from_be_bytes(*view)),
            parent_view: View::new(u64::from_be_bytes(*parent)),
            millis,
        })
    }
}

/// A block with its hash and its senders, each computed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredBlock {
    hash: B256,
    block: Block,
    senders: Vec<Address>,
}

/// Why bytes or a block cannot become a [`RecoveredBlock`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// The RLP does not decode, or bytes follow it.
    #[error("block does not decode: {0}")]
    Rlp(String),
    /// A transaction of a type that no block may hold.
    #[error("transaction {index} has type {kind:#x}, which no block may hold")]
    Type {
        /// Its position.
        index: usize,
        /// Its EIP-2718 type.
        kind: u8,
    },
    /// A signature from which no sender can be recovered.
    #[error("transaction {index} has an invalid signature")]
    Signature {
        /// Its position.
        index: usize,
    },
    /// The body has ommers, or its withdrawals are not the empty list.
    #[error("block body must have no ommers and an empty list of withdrawals")]
    Body,
}

impl RecoveredBlock {
    /// Joins parts that are known to belong together (the builder's own, or read back from the own store).
    pub fn new_unchecked(hash: B256, block: Block, senders: Vec<Address>) -> Self {
        Self { hash, block, senders }
    }

    /// Hashes the header and recovers every sender.
    ///
    /// # Errors
    /// If a transaction has a forbidden type or a bad signature, or the body has ommers or withdrawals.
    pub fn recover(block: Block) -> Result<Self, RecoverError> {
        Self::recover_with(block, |hashes| vec![None; hashes.len()])
    }

    /// As [`Self::recover`], for who knows some senders already: `known` gets the hashes of all signed transactions and answers
    /// one for one. A hash covers the signature, so it has one sender.
    ///
    /// # Errors
    /// As [`Self::recover`].
    pub fn recover_with(
        block: Block,
        known: impl FnOnce(&[B256]) -> Vec<Option<Address>>,
    ) -> Result<Self, RecoverError> {
        let empty = Some(Withdrawals::default());
        if !block.body.ommers.is_empty() || block.body.withdrawals != empty {
            return Err(RecoverError::Body);
        }
        let transactions = &block.body.transactions;
        let hashes: Vec<B256> =
            transactions.par_iter().with_min_len(HASHES_A_THREAD).map(|transaction| transaction.tx_hash()).collect();
        let known = known(&hashes);
        // Recovery is the largest cost of a block: spread over all cores.
        let recovered = |(index, transaction): (usize, &Transaction)| {
            if matches!(transaction, Transaction::PostExec(_)) {
                return Err(RecoverError::Type { index, kind: 0x7d });
            }
            let known = known.get(index).copied().flatten();
            known.or_else(|| sender(transaction)).ok_or(RecoverError::Signature { index })
        };
        let senders = transactions
            .par_iter()
            .with_min_len(SENDERS_A_THREAD)
            .enumerate()
            .map(recovered)
            .collect::<Result<_, _>>()?;
        Ok(Self { hash: block.header.hash_slow(), block, senders })
    }

    /// Decodes what [`Self::encode`] wrote, and recovers.
    ///
    /// # Errors
    /// As [`Self::recover`], or if the bytes are not exactly one block.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecoverError> {
        Self::decode_with(bytes, |hashes| vec![None; hashes.len()])
    }

    /// As [`Self::decode`], with senders that are known already: see [`Self::recover_with`].
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_with(
        mut bytes: &[u8],
        known: impl FnOnce(&[B256]) -> Vec<Option<Address>>,
    ) -> Result<Self, RecoverError> {
        let block = Block::decode(&mut bytes).map_err(|e| RecoverError::Rlp(e.to_string()))?;
        if !bytes.is_empty() {
            return Err(RecoverError::Rlp(format!("{} bytes follow the block", bytes.len())));
        }
        Self::recover_with(block, known)
    }

    /// The block as RLP, the form of wire and storage.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.block.length());
        self.block.encode(&mut out);
        out.into()
    }

    /// The block hash: keccak256 of the header.
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// The header.
    pub const fn header(&self) -> &Header {
        &self.block.header
    }

    /// The block.
    pub const fn block(&self) -> &Block {
        &self.block
    }

    /// The transactions.
    pub fn transactions(&self) -> &[Transaction] {
        &self.block.body.transactions
    }

    /// The sender of each transaction.
    pub fn senders(&self) -> &[Address] {
        &self.senders
    }

    /// Height.
    pub const fn height(&self) -> Height {
        Height::new(self.block.header.number)
    }

    /// Hash of the parent.
    pub const fn parent(&self) -> B256 {
        self.block.header.parent_hash
    }

    /// Views and milliseconds.
    ///
    /// # Errors
    /// If the extra data is malformed (possible only for blocks not yet verified).
    pub fn extra(&self) -> Result<ExtraData, ExtraDataError> {
        ExtraData::from_bytes(&self.block.header.extra_data)
    }

    /// Its time in milliseconds since the Unix epoch; milliseconds count as 0 where the extra data is malformed.
    pub fn time_millis(&self) -> u64 {
        let millis = self.extra().map_or(0, |e| u64::from(e.millis));
        self.block.header.timestamp.saturating_mul(1000).saturating_add(millis)
    }

    /// Its origin and deposit count. The genesis has none: its origin is in the deployment file.
    ///
    /// # Errors
    /// If the first transaction is not a system transaction.
    pub fn system_call(&self) -> Result<SystemCall, OriginError> {
        SystemCall::of(self.transactions())
    }
}

/// A body in the form every L2 block has: no ommers, an empty list of withdrawals.
pub fn block_body(transactions: Vec<Transaction>) -> BlockBody<Transaction> {
    BlockBody { transactions, ommers: Vec::new(), withdrawals: Some(Withdrawals::default()) }
}

/// Who signed the transaction, or sent the deposit; none if nobody can have, or the signature has another form than the one that
/// EIP-2 leaves (s in the lower half): else anyone could give a transaction a second hash.
pub fn sender(transaction: &Transaction) -> Option<Address> {
    // The trait's recovery; the types have one of their own of the same name that takes any s.
    match transaction {
        Transaction::Deposit(deposit) => Some(deposit.from),
        Transaction::Legacy(t) => SignerRecoverable::recover_signer(t).ok(),
        Transaction::Eip2930(t) => SignerRecoverable::recover_signer(t).ok(),
        Transaction::Eip1559(t) => SignerRecoverable::recover_signer(t).ok(),
        Transaction::Eip7702(t) => SignerRecoverable::recover_signer(t).ok(),
        Transaction::PostExec(_) => None,
    }
}

/// A block that a quorum finalized.
#[derive(Clone, Debug)]
pub struct FinalBlock {
    /// The block.
    pub block: Arc<RecoveredBlock>,
    /// The engine's finalization certificate for it, where one exists; a certificate covers all ancestors.
    pub certificate: Option<Bytes>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::{
        consensus::{SignableTransaction, TxLegacy},
        primitives::{Signature, U256},
    };

    #[test]
    fn extra_data_round_trips_and_refuses_other_forms() {
        let extra = ExtraData { view: View::new(7), parent_view: View::new(5), millis: 950 };
        assert_eq!(ExtraData::from_bytes(&extra.to_bytes()), Ok(extra));
        assert!(ExtraData::from_bytes(&[]).is_err());
        assert!(ExtraData::from_bytes(&[1; 24]).is_err());
        let mut bytes = extra.to_bytes().to_vec();
        bytes[24] = 0xe8;
        bytes[23] = 3;
        assert_eq!(ExtraData::from_bytes(&bytes), Err(ExtraDataError::Millis(1000)));
    }

    #[test]
    fn senders_that_are_known_are_not_recovered_again() {
        let transfer = TxLegacy { gas_limit: 21_000, ..TxLegacy::default() };
        let signed = |v: u8| {
            Transaction::from(transfer.clone().into_signed(Signature::new(U256::from(v), U256::from(1), false)))
        };
        let body = block_body(vec![signed(1), signed(2)]);
        let block = Block { header: Header::default(), body };
        let known = Address::repeat_byte(9);
        let second = block.body.transactions[1].tx_hash();
        let recovered = RecoveredBlock::recover_with(block.clone(), |hashes| {
            hashes.iter().map(|hash| (*hash == second).then_some(known)).collect()
        });
        let alone = RecoveredBlock::recover(block).unwrap();
        let senders = recovered.unwrap().senders().to_vec();
        assert_eq!(senders, [alone.senders()[0], known]);
        assert_ne!(alone.senders()[1], known);
    }

    #[test]
    fn a_block_round_trips_and_trailing_bytes_are_refused() {
        let call = SystemCall::default();
        let body = block_body(vec![crate::system_transaction(Height::new(1), &call)]);
        let block = Block { header: Header { number: 1, ..Header::default() }, body };
        let recovered = RecoveredBlock::recover(block).unwrap();
        assert_eq!(recovered.system_call().unwrap(), call);
        let mut bytes = recovered.encode().to_vec();
        assert_eq!(RecoveredBlock::decode(&bytes), Ok(recovered));
        bytes.push(0);
        assert!(matches!(RecoveredBlock::decode(&bytes), Err(RecoverError::Rlp(_))));
    }
}
