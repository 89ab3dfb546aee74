//! Typed parameters out of the raw array, in order, with geth's error texts.

use crate::error::{RpcError, code};
use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    primitives::{B256, U256},
};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
use std::fmt;

/// The parameters of one call. Handlers take them one by one from the left.
#[derive(Debug)]
pub(crate) struct Params<'a> {
    items: Vec<&'a RawValue>,
    next: usize,
}

impl<'a> Params<'a> {
    /// Splits the array.
    ///
    /// # Errors
    /// If it is an object: no Ethereum method has named parameters.
    pub(crate) fn new(raw: Option<&'a RawValue>) -> Result<Self, RpcError> {
        let Some(raw) = raw else { return Ok(Self { items: Vec::new(), next: 0 }) };
        if !raw.get().starts_with('[') {
            return Err(RpcError::params("non-array args"));
        }
        let items = serde_json::from_str(raw.get()).map_err(|e| RpcError::params(e.to_string()))?;
        Ok(Self { items, next: 0 })
    }

    /// The next parameter, which must be there.
    ///
    /// # Errors
    /// If it is missing, null or of another type.
    pub(crate) fn required<T: Deserialize<'a>>(&mut self) -> Result<T, RpcError> {
        let index = self.next;
        self.optional()?.ok_or_else(|| RpcError::params(format!("missing value for required argument {index}")))
    }

    /// The next parameter, which may be null or left out.
    ///
    /// # Errors
    /// If it is of another type.
    pub(crate) fn optional<T: Deserialize<'a>>(&mut self) -> Result<Option<T>, RpcError> {
        let index = self.next;
        let Some(raw) = self.items.get(index) else { return Ok(None) };
        self.next += 1;
        if raw.get() == "null" {
            return Ok(None);
        }
        serde_json::from_str(raw.get())
            .map(Some)
            .map_err(|e| RpcError::params(format!("invalid argument {index}: {}", without_position(&e))))
    }

    /// Ends the list.
    ///
    /// # Errors
    /// If parameters are left over.
    pub(crate) fn end(&self) -> Result<(), RpcError> {
        if self.items.len() > self.next {
            return Err(RpcError::params(format!("too many arguments, want at most {}", self.next)));
        }
        Ok(())
    }
}

/// serde's words without ` at line 1 column 7`, which would point into one parameter.
pub(crate) fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(head, _)| head.to_owned())
}

/// A block number, tag, hash, or EIP-1898 object. A bare number is taken as well as a 0x-quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At(pub(crate) BlockId);

impl Default for At {
    fn default() -> Self {
        Self(BlockId::Number(BlockNumberOrTag::Latest))
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = At;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a block number, tag, hash or EIP-1898 object")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<At, E> {
                Ok(At(BlockId::Number(number.into())))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<At, E> {
                if text.len() == 66
                    && let Ok(hash) = text.parse::<B256>()
                {
                    return Ok(At(BlockId::Hash(hash.into())));
                }
                let tag = match text {
                    "latest" => BlockNumberOrTag::Latest,
                    "pending" => BlockNumberOrTag::Pending,
                    "safe" => BlockNumberOrTag::Safe,
                    "finalized" => BlockNumberOrTag::Finalized,
                    "earliest" => BlockNumberOrTag::Earliest,
                    number => {
                        let digits = number.strip_prefix("0x").ok_or_else(|| {
                            E::custom(format!("hex string without 0x prefix, or unknown tag: {number:.40}"))
                        })?;
                        let number = u64::from_str_radix(digits, 16)
                            .ok()
                            .filter(|_| !digits.starts_with('+'))
                            .ok_or_else(|| E::custom(format!("invalid block number: {number:.40}")))?;
                        number.into()
                    }
                };
                Ok(At(BlockId::Number(tag)))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<At, A::Error> {
                BlockId::deserialize(de::value::MapAccessDeserializer::new(map)).map(At)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A count that may come as a JSON number or as a 0x-quantity: clients disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number(pub(crate) u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = U256::deserialize(deserializer)?;
        u64::try_from(value).map(Self).map_err(|_| de::Error::custom("number above 2^64"))
    }
}

/// A storage slot: 0x-hex of up to 32 bytes, with or without leading zeros (geth takes both).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) U256);

impl<'de> Deserialize<'de> for Slot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").ok_or_else(|| de::Error::custom("hex string without 0x prefix"))?;
        if digits.len() > 64 {
            return Err(de::Error::custom(format!(
                "storage key too long (want at most 32 bytes): {} digits",
                digits.len()
            )));
        }
        U256::from_str_radix(if digits.is_empty() { "0" } else { digits }, 16)
            .map(Self)
            .map_err(|_| de::Error::custom("storage key is not hex"))
    }
}

/// What a block reference that points nowhere means for reads that need a block.
pub(crate) fn unknown_block(at: BlockId) -> RpcError {
    let what = match at {
        BlockId::Hash(hash) => format!("header for hash {} not found", hash.block_hash),
        BlockId::Number(_) => "header not found".to_owned(),
    };
    RpcError::new(code::NOT_FOUND, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::Address;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn parameters_come_in_order_and_trailing_ones_may_be_left_out() {
        let raw = raw(r#"["0x0000000000000000000000000000000000000001", null]"#);
        let mut params = Params::new(Some(&raw)).unwrap();
        assert_eq!(params.required::<Address>().unwrap(), Address::with_last_byte(1));
        assert_eq!(params.optional::<At>().unwrap(), None);
        assert_eq!(params.optional::<At>().unwrap(), None);
        params.end().unwrap();
    }

    #[test]
    fn wrong_parameters_are_named_by_position() {
        let text = raw(r#"["0x1", 2, 3]"#);
        let mut params = Params::new(Some(&text)).unwrap();
        let error = params.required::<Address>().unwrap_err();
        assert_eq!(error.code, code::INVALID_PARAMS);
        assert!(error.message.starts_with("invalid argument 0: "), "{}", error.message);
        assert_eq!(params.end().unwrap_err().message, "too many arguments, want at most 1");
        let mut params = Params::new(None).unwrap();
        assert_eq!(params.required::<Address>().unwrap_err().message, "missing value for required argument 0");
        assert_eq!(Params::new(Some(&raw("{}"))).unwrap_err().message, "non-array args");
    }

    #[test]
    fn blocks_are_named_by_number_tag_hash_or_object() {
        let hash = B256::repeat_byte(7);
        for (text, want) in [
            ("\"0x10\"".to_owned(), BlockId::number(16)),
            ("16".to_owned(), BlockId::number(16)),
            ("\"safe\"".to_owned(), BlockId::safe()),
            (format!("\"{hash}\""), BlockId::hash(hash)),
            (format!("{{\"blockHash\":\"{hash}\",\"requireCanonical\":true}}"), BlockId::hash_canonical(hash)),
            ("{\"blockNumber\":\"0x2\"}".to_owned(), BlockId::number(2)),
        ] {
            assert_eq!(serde_json::from_str::<At>(&text).unwrap().0, want, "{text}");
        }
        for text in
            ["\"0x\"", "\"\"", "\"+1\"", "\"0x+1\"", "\"newest\"", "-1", "1.5", "\"0x10000000000000000\"", "{}", "[]"]
        {
            assert!(serde_json::from_str::<At>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn slots_may_be_short_but_not_long() {
        for (text, want) in [("\"0x\"", 0u64), ("\"0x1\"", 1), ("\"0x0001\"", 1)] {
            assert_eq!(serde_json::from_str::<Slot>(text).unwrap().0, U256::from(want));
        }
        let long = format!("\"0x{}\"", "0".repeat(65));
        assert!(serde_json::from_str::<Slot>(&long).is_err());
        assert!(serde_json::from_str::<Slot>("\"1\"").is_err());
        assert!(serde_json::from_str::<Slot>("\"0xg\"").is_err());
    }
}
