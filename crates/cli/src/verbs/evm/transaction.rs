//! Transactions as JSON objects (signed, or with a key to sign with) and as RLP.

use super::json::{AccessItem, Delegation, Number, access_list, authorizations};
use alloy::{
    eips::eip2718::Decodable2718,
    primitives::{Address, B256, Bytes, Signature, TxKind},
    rlp::Header,
    signers::{SignerSync, local::PrivateKeySigner},
};
use baton_primitives::{Fields, FieldsError, Transaction, sender};
use serde::Deserialize;

/// A transaction with its sender, or why it is none: text for people.
pub type Read = Result<(Transaction, Address), String>;

/// A transaction in the form of `t8n`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JsonTransaction {
    #[serde(rename = "type")]
    kind: Option<Number>,
    chain_id: Option<Number>,
    nonce: Number,
    #[serde(alias = "gasLimit")]
    gas: Number,
    gas_price: Option<Number>,
    max_fee_per_gas: Option<Number>,
    max_priority_fee_per_gas: Option<Number>,
    max_fee_per_blob_gas: Option<Number>,
    to: Option<String>,
    value: Number,
    #[serde(alias = "data")]
    input: Bytes,
    access_list: Option<Vec<AccessItem>>,
    authorization_list: Option<Vec<Delegation>>,
    #[serde(alias = "yParity")]
    v: Option<Number>,
    r: Option<Number>,
    s: Option<Number>,
    secret_key: Option<B256>,
    protected: Option<bool>,
}

/// Why a JSON object is no transaction.
struct Refused(String);

impl From<FieldsError> for Refused {
    fn from(error: FieldsError) -> Self {
        Self(error.to_string())
    }
}

impl From<String> for Refused {
    fn from(error: String) -> Self {
        Self(error)
    }
}

impl JsonTransaction {
    /// The transaction and its sender. `chain_id` is for those that name none.
    ///
    /// # Errors
    /// If a field does not fit, the type is not one of this chain's, or nobody signed it.
    pub fn read(&self, chain_id: u64) -> Read {
        self.transaction(chain_id).map_err(|Refused(why)| why).and_then(with_sender)
    }

    fn kind(&self) -> Result<u8, String> {
        let implied = if self.max_fee_per_blob_gas.is_some() {
            3
        } else if self.authorization_list.is_some() {
            4
        } else if self.max_fee_per_gas.is_some() {
            2
        } else {
            u64::from(self.access_list.is_some())
        };
        let kind = self.kind.map_or(Ok(implied), Number::u64)?;
        u8::try_from(kind).map_err(|_| format!("transaction type {kind} is not supported"))
    }

    fn transaction(&self, chain_id: u64) -> Result<Transaction, Refused> {
        let kind = self.kind()?;
        let number = |field: Option<Number>| field.unwrap_or_default().u128();
        let price = if kind < 2 { self.gas_price } else { self.max_fee_per_gas };
        let (v, r, s) = (number(self.v)?, self.r.unwrap_or_default().0, self.s.unwrap_or_default().0);
        let is_signed = !r.is_zero() || !s.is_zero();
        // A legacy transaction binds no chain if its v says so, or if the one to be signed is told not to.
        let bare = kind == 0 && if is_signed { v == 27 || v == 28 } else { self.protected == Some(false) };
        let named = if kind == 0 && is_signed && v >= 35 {
            u64::try_from((v - 35) / 2).map_err(|_| format!("{v} is no recovery value"))?
        } else {
            self.chain_id.map_or(Ok(chain_id), Number::u64)?
        };
        let fields = Fields {
            kind,
            chain_id: (!bare).then_some(named),
            nonce: self.nonce.u64()?,
            gas_limit: self.gas.u64()?,
            max_fee_per_gas: number(price)?,
            max_priority_fee_per_gas: number(self.max_priority_fee_per_gas)?,
            to: kind_of(self.to.as_deref())?,
            value: self.value.0,
            input: self.input.clone(),
            access_list: access_list(self.access_list.as_deref().unwrap_or_default()),
            authorization_list: authorizations(self.authorization_list.as_deref().unwrap_or_default())?,
        };
        fields.sign(|hash| match (self.secret_key, is_signed) {
            (Some(key), false) => {
                let signer = PrivateKeySigner::from_bytes(&key).map_err(|error| error.to_string())?;
                Ok(signer.sign_hash_sync(&hash).map_err(|error| error.to_string())?)
            }
            (None, false) => Err("neither a signature nor a key".to_owned().into()),
            (_, true) => {
                let odd = match v {
                    0 | 1 => v == 1,
                    27 | 28 if kind == 0 => v == 28,
                    _ if kind == 0 && v >= 35 => v % 2 == 0,
                    _ => return Err(format!("{v} is no recovery value").into()),
                };
                Ok(Signature::new(r, s, odd))
            }
        })
    }
}

/// Whom a transaction calls: an empty text or none creates.
///
/// # Errors
/// If it is no address.
pub fn kind_of(to: Option<&str>) -> Result<TxKind, String> {
    match to.unwrap_or_default() {
        "" | "0x" => Ok(TxKind::Create),
        address => address.parse().map(TxKind::Call).map_err(|_| format!("{address} is no address")),
    }
}

/// The transaction in these EIP-2718 bytes, all of them, with its sender: the decoder and recovery of the node.
///
/// # Errors
/// If the bytes are not exactly one transaction of this chain's types, or nobody signed it.
pub fn decode(mut bytes: &[u8]) -> Read {
    if let Some(kind @ (0x03 | 0x7d | 0x7e)) = bytes.first() {
        return Err(FieldsError::Type(*kind).to_string());
    }
    let transaction = Transaction::decode_2718(&mut bytes).map_err(|error| error.to_string())?;
    if !bytes.is_empty() {
        return Err("bytes follow the transaction".into());
    }
    with_sender(transaction)
}

/// Splits a list of transactions as a block's body has it.
///
/// # Errors
/// If the bytes are no list.
pub fn split(bytes: &[u8]) -> Result<Vec<Bytes>, String> {
    let mut rest = bytes;
    let outer = Header::decode(&mut rest).map_err(|error| error.to_string())?;
    if !outer.list || outer.payload_length != rest.len() {
        return Err("the transactions are no RLP list".into());
    }
    let mut items = Vec::new();
    while !rest.is_empty() {
        let mut item = rest;
        let header = Header::decode(&mut item).map_err(|error| error.to_string())?;
        let (body, after) = item.split_at_checked(header.payload_length).ok_or("an RLP item ends early")?;
        // A legacy transaction is a list; any other one is a string that holds its bytes.
        let whole = rest.len() - after.len();
        items.push(Bytes::copy_from_slice(if header.list { rest.get(..whole).unwrap_or_default() } else { body }));
        rest = after;
    }
    Ok(items)
}

fn with_sender(transaction: Transaction) -> Read {
    let sender = sender(&transaction).ok_or("nobody can have signed it")?;
    Ok((transaction, sender))
}
