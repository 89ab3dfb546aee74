//! Transactions into columns and back.

use super::{
    DecodeError, EncodeError, SIGNATURE_BYTES,
    wire::{ADDRESS, Column, Columns, Reader},
};
use alloy::{
    consensus::{SignableTransaction, Signed, Transaction as _, TxEip1559, TxEip2930, TxEip7702, TxLegacy, Typed2718},
    eips::{eip2930::AccessList, eip7702::SignedAuthorization},
    primitives::{Address, Bytes, Signature, TxKind, U256},
    rlp::Encodable,
};
use baton_primitives::Transaction;
use std::collections::HashMap;

const VALUE: [Column; 3] = [Column::ValueExponents, Column::ValueLengths, Column::ValueBytes];
const WORD: [Column; 3] = [Column::WordExponents, Column::WordLengths, Column::WordBytes];
/// Call data of a selector and up to this many words is coded by word.
const MAX_WORDS: usize = 32;

/// The transaction types of a batch, with their number in [`Column::Kinds`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Type 0 without chain id (before EIP-155).
    Unprotected,
    Legacy,
    Eip2930,
    Eip1559,
    Eip7702,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Unprotected, Self::Legacy, Self::Eip2930, Self::Eip1559, Self::Eip7702];

    fn to_byte(self, creates: bool, parity: bool) -> u8 {
        (self as u8) << 2 | u8::from(creates) << 1 | u8::from(parity)
    }

    fn from_byte(byte: u8) -> Result<(Self, bool, bool), DecodeError> {
        let kind = Self::ALL.get(usize::from(byte >> 2)).ok_or(DecodeError::Value(Column::Kinds))?;
        Ok((*kind, byte & 2 != 0, byte & 1 != 0))
    }
}

/// Whether call data is coded as a selector and words.
const fn is_words(creates: bool, length: usize) -> bool {
    !creates && length >= 4 && (length - 4).is_multiple_of(32) && (length - 4) / 32 <= MAX_WORDS
}

/// Whether a word looks like an address: 12 zero bytes, then not three more.
fn as_address(word: &[u8; 32]) -> Option<Address> {
    let (zeros, address) = word.split_at(12);
    let is_address = zeros.iter().all(|b| *b == 0) && address.iter().take(3).any(|b| *b != 0);
    is_address.then(|| Address::from_slice(address))
}

/// Why a transaction is refused, before its place is known.
pub(super) enum Refused {
    Type(u8),
    ChainId(u64),
}

impl Refused {
    pub(super) fn at(self, block: usize, index: usize, expected: u64) -> EncodeError {
        match self {
            Self::Type(kind) => EncodeError::Type { block, index, kind },
            Self::ChainId(actual) => EncodeError::ChainId { block, index, actual, expected },
        }
    }
}

/// Writes transactions, in order.
pub(super) struct Writer<'a> {
    chain_id: u64,
    columns: &'a mut Columns,
    signatures: &'a mut Vec<u8>,
    dictionary: HashMap<Address, u64>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(chain_id: u64, columns: &'a mut Columns, signatures: &'a mut Vec<u8>) -> Self {
        Self { chain_id, columns, signatures, dictionary: HashMap::new() }
    }

    pub(super) fn write(&mut self, transaction: &Transaction) -> Result<(), Refused> {
        let (kind, signature) = match transaction {
            Transaction::Legacy(t) if t.tx().chain_id.is_none() => (Kind::Unprotected, t.signature()),
            Transaction::Legacy(t) => (Kind::Legacy, t.signature()),
            Transaction::Eip2930(t) => (Kind::Eip2930, t.signature()),
            Transaction::Eip1559(t) => (Kind::Eip1559, t.signature()),
            Transaction::Eip7702(t) => (Kind::Eip7702, t.signature()),
            Transaction::Deposit(_) | Transaction::PostExec(_) => return Err(Refused::Type(transaction.ty())),
        };
        if let Some(other) = transaction.chain_id().filter(|id| *id != self.chain_id) {
            return Err(Refused::ChainId(other));
        }
        let creates = transaction.is_create();
        self.columns.byte(Column::Kinds, kind.to_byte(creates, signature.v()));
        self.columns.varint(Column::Nonces, transaction.nonce());
        self.columns.varint(Column::GasLimits, transaction.gas_limit());
        self.columns.wide_varint(Column::Fees, transaction.max_fee_per_gas());
        if let Some(tip) = transaction.max_priority_fee_per_gas() {
            self.columns.wide_varint(Column::Tips, tip);
        }
        if let Some(to) = transaction.to() {
            self.address(Column::Receivers, to);
        }
        self.columns.number(VALUE, transaction.value());
        self.input(creates, transaction.input());
        if let Some(list) = transaction.access_list() {
            list.encode(self.columns.of(Column::Lists));
        }
        if let Transaction::Eip7702(t) = transaction {
            t.tx().authorization_list.encode(self.columns.of(Column::Lists));
        }
        self.signatures.extend_from_slice(&signature.r().to_be_bytes::<32>());
        self.signatures.extend_from_slice(&signature.s().to_be_bytes::<32>());
        Ok(())
    }

    fn address(&mut self, column: Column, address: Address) {
        let next = self.dictionary.len() as u64 + 1;
        let known = *self.dictionary.entry(address).or_insert(next);
        if known == next {
            self.columns.varint(column, 0);
            self.columns.of(Column::Addresses).extend_from_slice(address.as_slice());
        } else {
            self.columns.varint(column, known);
        }
    }

    fn input(&mut self, creates: bool, input: &[u8]) {
        self.columns.varint(Column::InputLengths, input.len() as u64);
        if !is_words(creates, input.len()) {
            self.columns.of(Column::Inputs).extend_from_slice(input);
            return;
        }
        let (selector, words) = input.split_at(4);
        self.columns.of(Column::Selectors).extend_from_slice(selector);
        for word in words.as_chunks::<32>().0 {
            match as_address(word) {
                Some(address) => {
                    self.columns.byte(Column::WordExponents, ADDRESS);
                    self.address(Column::WordAddresses, address);
                }
                None => self.columns.number(WORD, U256::from_be_bytes(*word)),
            }
        }
    }
}

/// Reads transactions, in order.
pub(super) struct Decoder<'a, 'b> {
    chain_id: u64,
    columns: &'a mut Reader<'b>,
    dictionary: Vec<Address>,
}

/// What all types have.
struct Common {
    chain_id: u64,
    nonce: u64,
    gas_limit: u64,
    fee: u128,
    tip: u128,
    to: TxKind,
    value: U256,
    input: Bytes,
}

impl<'a, 'b> Decoder<'a, 'b> {
    pub(super) fn new(chain_id: u64, columns: &'a mut Reader<'b>) -> Self {
        Self { chain_id, columns, dictionary: Vec::new() }
    }

    pub(super) fn read(&mut self, signature: &[u8; SIGNATURE_BYTES]) -> Result<Transaction, DecodeError> {
        let (kind, creates, parity) = Kind::from_byte(self.columns.byte(Column::Kinds)?)?;
        let (r, s) = signature.split_at(32);
        let signature = Signature::new(U256::from_be_slice(r), U256::from_be_slice(s), parity);
        let common = Common {
            chain_id: self.chain_id,
            nonce: self.columns.varint(Column::Nonces)?,
            gas_limit: self.columns.varint(Column::GasLimits)?,
            fee: self.columns.wide_varint(Column::Fees)?,
            tip: match kind {
                Kind::Eip1559 | Kind::Eip7702 => self.columns.wide_varint(Column::Tips)?,
                Kind::Unprotected | Kind::Legacy | Kind::Eip2930 => 0,
            },
            to: if creates { TxKind::Create } else { TxKind::Call(self.address(Column::Receivers)?) },
            value: self.columns.number(VALUE)?,
            input: self.input(creates)?,
        };
        Ok(match kind {
            Kind::Unprotected => Transaction::Legacy(signed(legacy(common, false), signature)),
            Kind::Legacy => Transaction::Legacy(signed(legacy(common, true), signature)),
            Kind::Eip2930 => {
                let access_list = self.columns.rlp::<AccessList>(Column::Lists)?;
                let Common { chain_id, nonce, gas_limit, fee: gas_price, tip: _, to, value, input } = common;
                let transaction = TxEip2930 { chain_id, nonce, gas_price, gas_limit, to, value, access_list, input };
                Transaction::Eip2930(signed(transaction, signature))
            }
            Kind::Eip1559 => {
                let access_list = self.columns.rlp::<AccessList>(Column::Lists)?;
                let Common { chain_id, nonce, gas_limit, fee, tip, to, value, input } = common;
                let transaction = TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: fee,
                    max_priority_fee_per_gas: tip,
                    to,
                    value,
                    access_list,
                    input,
                };
                Transaction::Eip1559(signed(transaction, signature))
            }
            Kind::Eip7702 => {
                let access_list = self.columns.rlp::<AccessList>(Column::Lists)?;
                let authorization_list = self.columns.rlp::<Vec<SignedAuthorization>>(Column::Lists)?;
                let Common { chain_id, nonce, gas_limit, fee, tip, to, value, input } = common;
                let TxKind::Call(to) = to else { return Err(DecodeError::Value(Column::Kinds)) };
                let transaction = TxEip7702 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: fee,
                    max_priority_fee_per_gas: tip,
                    to,
                    value,
                    access_list,
                    authorization_list,
                    input,
                };
                Transaction::Eip7702(signed(transaction, signature))
            }
        })
    }

    fn address(&mut self, column: Column) -> Result<Address, DecodeError> {
        let Some(index) = self.columns.varint(column)?.checked_sub(1) else {
            let address = Address::from(self.columns.array::<20>(Column::Addresses)?);
            self.dictionary.push(address);
            return Ok(address);
        };
        let known = usize::try_from(index).ok().and_then(|i| self.dictionary.get(i));
        known.copied().ok_or(DecodeError::Value(column))
    }

    fn input(&mut self, creates: bool) -> Result<Bytes, DecodeError> {
        let length = self.columns.varint(Column::InputLengths)?;
        let length = usize::try_from(length).map_err(|_| DecodeError::Value(Column::InputLengths))?;
        if !is_words(creates, length) {
            return Ok(Bytes::copy_from_slice(self.columns.take(Column::Inputs, length)?));
        }
        // At most `MAX_WORDS` words, so the length is bounded here.
        let mut input = Vec::with_capacity(length);
        input.extend_from_slice(&self.columns.array::<4>(Column::Selectors)?);
        while input.len() < length {
            let exponent = self.columns.byte(Column::WordExponents)?;
            let word = if exponent == ADDRESS {
                self.address(Column::WordAddresses)?.into_word()
            } else {
                let [exponents, lengths, bytes] = WORD;
                self.columns.scaled(exponent, exponents, lengths, bytes)?.into()
            };
            input.extend_from_slice(word.as_slice());
        }
        Ok(input.into())
    }
}

fn signed<T: SignableTransaction<Signature>>(transaction: T, signature: Signature) -> Signed<T> {
    Signed::new_unhashed(transaction, signature)
}

fn legacy(common: Common, protected: bool) -> TxLegacy {
    let Common { chain_id, nonce, gas_limit, fee: gas_price, tip: _, to, value, input } = common;
    TxLegacy { chain_id: protected.then_some(chain_id), nonce, gas_price, gas_limit, to, value, input }
}
