//! The JSON of `t8n` and state tests, as other implementations write it: numbers as JSON numbers, decimals or hexadecimals with or
//! without leading zeros.

use alloy::{
    eips::{
        eip2930::{AccessList, AccessListItem},
        eip7702::{Authorization, SignedAuthorization},
    },
    primitives::{Address, B256, Bytes, U256},
};
use baton_engine::GenesisAccount;
use serde::{Deserialize, Deserializer, de::Error};
use std::collections::BTreeMap;

/// A number of up to 256 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub U256);

impl Number {
    /// Reads text in any of the forms.
    ///
    /// # Errors
    /// If it is not a number, or too large.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parsed = match text.trim_start_matches("0x:bigint ").strip_prefix("0x") {
            Some("") => return Ok(Self(U256::ZERO)),
            Some(digits) => U256::from_str_radix(digits, 16),
            None => U256::from_str_radix(text, 10),
        };
        parsed.map(Self).map_err(|error| format!("{text:?} is not a number of 256 bits: {error}"))
    }

    /// The number as one of 64 bits.
    ///
    /// # Errors
    /// If it is larger.
    pub fn u64(self) -> Result<u64, String> {
        u64::try_from(self.0).map_err(|_| format!("{} is more than 64 bits hold", self.0))
    }

    /// The number as one of 128 bits.
    ///
    /// # Errors
    /// If it is larger.
    pub fn u128(self) -> Result<u128, String> {
        u128::try_from(self.0).map_err(|_| format!("{} is more than 128 bits hold", self.0))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(number) => Ok(Self(U256::from(number))),
            Form::Text(text) => Self::parse(&text).map_err(D::Error::custom),
        }
    }
}

/// An account of an allocation.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Account {
    balance: Number,
    nonce: Number,
    code: Option<Bytes>,
    storage: BTreeMap<String, Number>,
}

/// Accounts by address.
pub type Alloc = BTreeMap<Address, Account>;

/// The accounts as the engine takes them.
///
/// # Errors
/// If a number is too large.
pub fn accounts(alloc: Alloc) -> Result<BTreeMap<Address, GenesisAccount>, String> {
    let account = |(address, account): (Address, Account)| {
        let slot = |(slot, value): (String, Number)| Ok((Number::parse(&slot)?.0, value.0));
        let mut storage: BTreeMap<U256, U256> = account.storage.into_iter().map(slot).collect::<Result<_, String>>()?;
        storage.retain(|_, value| !value.is_zero());
        let (balance, nonce, code) = (account.balance.0, account.nonce.u64()?, account.code.unwrap_or_default());
        Ok((address, GenesisAccount { balance, nonce, code, storage }))
    };
    alloc.into_iter().map(account).collect()
}

/// The accounts as JSON, in geth's form: what is zero or empty is left out, but for the balance.
pub fn alloc(accounts: &BTreeMap<Address, GenesisAccount>) -> serde_json::Value {
    let account = |account: &GenesisAccount| {
        let mut json = serde_json::json!({ "balance": account.balance });
        if account.nonce != 0 {
            json["nonce"] = format!("{:#x}", account.nonce).into();
        }
        if !account.code.is_empty() {
            json["code"] = account.code.to_string().into();
        }
        if !account.storage.is_empty() {
            let slot =
                |(slot, value): (&U256, &U256)| (B256::from(*slot).to_string(), B256::from(*value).to_string().into());
            json["storage"] = account.storage.iter().map(slot).collect::<serde_json::Map<_, _>>().into();
        }
        json
    };
    let entry = |(address, value): (&Address, &GenesisAccount)| (format!("{address:#x}"), account(value));
    serde_json::Value::Object(accounts.iter().map(entry).collect())
}

/// An item of an access list.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessItem {
    address: Address,
    #[serde(default)]
    storage_keys: Option<Vec<Number>>,
}

/// The access list of these items.
pub fn access_list(items: &[AccessItem]) -> AccessList {
    let item = |item: &AccessItem| AccessListItem {
        address: item.address,
        storage_keys: item.storage_keys.iter().flatten().map(|key| B256::from(key.0)).collect(),
    };
    items.iter().map(item).collect::<Vec<_>>().into()
}

/// A signed authorization of EIP-7702.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delegation {
    chain_id: Number,
    address: Address,
    nonce: Number,
    #[serde(alias = "v")]
    y_parity: Number,
    r: Number,
    s: Number,
}

/// The authorizations as transactions carry them.
///
/// # Errors
/// If a number is larger than its field.
pub fn authorizations(list: &[Delegation]) -> Result<Vec<SignedAuthorization>, String> {
    let one = |item: &Delegation| {
        let inner = Authorization { chain_id: item.chain_id.0, address: item.address, nonce: item.nonce.u64()? };
        let parity = u8::try_from(item.y_parity.0).map_err(|_| "a parity is more than 8 bits hold".to_owned())?;
        Ok(SignedAuthorization::new_unchecked(inner, parity, item.r.0, item.s.0))
    };
    list.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_every_form() {
        let read = |text: &str| serde_json::from_str::<Number>(text).map(|number| number.0);
        for text in ["10", "\"10\"", "\"0xa\"", "\"0x0a\"", "\"0x:bigint 0xa\""] {
            assert_eq!(read(text).unwrap(), U256::from(10), "{text}");
        }
        assert_eq!(read("\"0x\"").unwrap(), U256::ZERO);
        assert!(read("\"ten\"").is_err());
        assert!(read(&format!("\"0x1{}\"", "0".repeat(64))).is_err(), "257 bits");
    }
}
