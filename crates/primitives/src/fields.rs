//! Making a signed transaction of any type from its fields.

use crate::Transaction;
use alloy::{
    consensus::{SignableTransaction, Signed, TxEip1559, TxEip2930, TxEip7702, TxLegacy},
    eips::{eip2930::AccessList, eip7702::SignedAuthorization},
    primitives::{B256, Bytes, Signature, TxKind, U256},
};

/// The fields that transactions of types 0, 1, 2 and 4 have; a type ignores those it lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// EIP-2718 type.
    pub kind: u8,
    /// Chain id; a legacy transaction may have none, for the others that is 0.
    pub chain_id: Option<u64>,
    /// Nonce.
    pub nonce: u64,
    /// Gas limit.
    pub gas_limit: u64,
    /// Most wei per gas: the gas price of types 0 and 1.
    pub max_fee_per_gas: u128,
    /// Most wei per gas for the beneficiary.
    pub max_priority_fee_per_gas: u128,
    /// Whom it calls, or that it creates.
    pub to: TxKind,
    /// Wei.
    pub value: U256,
    /// Call data or init code.
    pub input: Bytes,
    /// What is warm from the start.
    pub access_list: AccessList,
    /// Whose code becomes a delegation.
    pub authorization_list: Vec<SignedAuthorization>,
}

/// Why fields are of no transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldsError {
    /// The type cannot be in a block of this chain.
    #[error("transaction type {0:#x} is not supported")]
    Type(u8),
    /// Delegations and a creation exclude each other.
    #[error("EIP-7702 transaction cannot be used to create contract")]
    Create,
}

impl Fields {
    /// The transaction with the signature that `sign` makes of its hash.
    ///
    /// # Errors
    /// If there is no such transaction, or `sign` fails.
    pub fn sign<E: From<FieldsError>>(self, sign: impl FnOnce(B256) -> Result<Signature, E>) -> Result<Transaction, E> {
        let Self { nonce, gas_limit, max_fee_per_gas, max_priority_fee_per_gas, to, value, input, .. } = self;
        let (chain_id, access_list) = (self.chain_id.unwrap_or_default(), self.access_list);
        let gas_price = max_fee_per_gas;
        match self.kind {
            0 => signed(TxLegacy { chain_id: self.chain_id, nonce, gas_price, gas_limit, to, value, input }, sign),
            1 => signed(TxEip2930 { chain_id, nonce, gas_price, gas_limit, to, value, access_list, input }, sign),
            2 => signed(
                TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to,
                    value,
                    access_list,
                    input,
                },
                sign,
            ),
            4 => {
                let TxKind::Call(to) = to else { return Err(FieldsError::Create.into()) };
                let authorization_list = self.authorization_list;
                signed(
                    TxEip7702 {
                        chain_id,
                        nonce,
                        gas_limit,
                        max_fee_per_gas,
                        max_priority_fee_per_gas,
                        to,
                        value,
                        access_list,
                        authorization_list,
                        input,
                    },
                    sign,
                )
            }
            other => Err(FieldsError::Type(other).into()),
        }
    }

    /// The transaction with a zero signature: what is still to be signed, in a form that decodes.
    ///
    /// # Errors
    /// If there is no such transaction.
    pub fn unsigned(self) -> Result<Transaction, FieldsError> {
        self.sign(|_| Ok(Signature::new(U256::ZERO, U256::ZERO, false)))
    }
}

fn signed<T, E>(transaction: T, sign: impl FnOnce(B256) -> Result<Signature, E>) -> Result<Transaction, E>
where
    T: SignableTransaction<Signature>,
    Transaction: From<Signed<T>>,
{
    let signature = sign(transaction.signature_hash())?;
    Ok(transaction.into_signed(signature).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::eips::eip2718::{Decodable2718, Encodable2718};

    #[test]
    fn unsigned_transactions_of_every_type_decode() {
        for kind in [0, 1, 2, 4] {
            let to = TxKind::Call(Default::default());
            let made = Fields { kind, chain_id: Some(7), to, ..Fields::default() }.unsigned().unwrap();
            assert_eq!(made.tx_type() as u8, kind);
            assert_eq!(Transaction::decode_2718(&mut made.encoded_2718().as_slice()).unwrap(), made);
        }
        assert_eq!(Fields { kind: 3, ..Fields::default() }.unsigned(), Err(FieldsError::Type(3)));
        assert_eq!(Fields { kind: 4, ..Fields::default() }.unsigned(), Err(FieldsError::Create));
    }
}
