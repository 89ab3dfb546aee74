//! Encodings: making one's own, and checking another member's before signing it.

use crate::message::MAX_DATA;
use alloy::{
    eips::eip4844::Blob,
    primitives::{B256, Bytes},
};
use baton_batch::{BlockInput, decode, encode, pack_blobs, versioned_hash};
use baton_primitives::data_hash_blobs;

/// Data and the blobs that carry it.
#[derive(Clone, Debug)]
pub(crate) struct Encoding {
    pub(crate) data: Bytes,
    pub(crate) blobs: Vec<(B256, Blob)>,
    pub(crate) data_hash: B256,
}

/// Why an encoding is not made or not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EncodingError {
    #[error("the batch does not encode: {0}")]
    Encode(String),
    #[error("the data does not decode: {0}")]
    Decode(String),
    #[error("the data decodes to {got} blocks which are not the {expected} final ones")]
    Differs { got: usize, expected: usize },
    #[error("the data has {0} bytes, which no transaction's blobs hold")]
    TooLong(usize),
    #[error("a block of the batch is not at hand")]
    Unavailable,
    #[error("a blob has no commitment")]
    Commitment,
}

/// Encodes a batch. Takes long: not for the event loop.
pub(crate) fn make(inputs: &[BlockInput], l2_chain_id: u64) -> Result<Encoding, EncodingError> {
    let data = encode(inputs, l2_chain_id).map_err(|e| EncodingError::Encode(e.to_string()))?;
    carry(data.into())
}

/// Checks that data decodes to exactly these blocks, and finds the hash that binds it. Takes long: not for the event loop.
pub(crate) fn check(data: Bytes, inputs: &[BlockInput], l2_chain_id: u64) -> Result<Encoding, EncodingError> {
    if data.len() > MAX_DATA {
        return Err(EncodingError::TooLong(data.len()));
    }
    let decoded = decode(&data, l2_chain_id).map_err(|e| EncodingError::Decode(e.to_string()))?;
    if decoded != inputs {
        return Err(EncodingError::Differs { got: decoded.len(), expected: inputs.len() });
    }
    carry(data)
}

fn carry(data: Bytes) -> Result<Encoding, EncodingError> {
    let blobs = pack_blobs(&data).map_err(|_| EncodingError::TooLong(data.len()))?;
    let hashed: Option<Vec<_>> = blobs.into_iter().map(|blob| Some((versioned_hash(blob.as_slice())?, blob))).collect();
    let blobs = hashed.ok_or(EncodingError::Commitment)?;
    let hashes: Vec<B256> = blobs.iter().map(|(h, _)| *h).collect();
    Ok(Encoding { data, data_hash: data_hash_blobs(&hashes), blobs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_primitives::View;

    fn blocks(count: u64) -> Vec<BlockInput> {
        let block = |i| BlockInput {
            time_millis: 1_000 * i,
            view: View::new(i),
            parent_view: View::new(i - 1),
            origin: 5,
            transactions: Vec::new(),
        };
        (1..=count).map(block).collect()
    }

    #[test]
    fn a_peer_finds_the_same_hash_for_the_same_data_and_refuses_other_blocks() {
        let own = make(&blocks(5), 1).unwrap();
        assert_eq!(check(own.data.clone(), &blocks(5), 1).unwrap().data_hash, own.data_hash);
        let differs = EncodingError::Differs { got: 5, expected: 4 };
        assert_eq!(check(own.data.clone(), &blocks(4), 1).unwrap_err(), differs);
        let mut other = blocks(5);
        other[2].time_millis += 1;
        assert!(matches!(check(own.data, &other, 1), Err(EncodingError::Differs { .. })));
    }

    #[test]
    fn rubbish_does_not_decode_and_does_not_panic() {
        let own = make(&blocks(3), 1).unwrap();
        for at in 0..own.data.len() {
            let mut data = own.data.to_vec();
            data[at] ^= 0x55;
            assert!(check(data.into(), &blocks(3), 1).is_err(), "{at}");
        }
        assert!(check(Bytes::new(), &blocks(3), 1).is_err());
        assert_eq!(check(vec![1; MAX_DATA + 1].into(), &[], 1).unwrap_err(), EncodingError::TooLong(MAX_DATA + 1));
    }
}
