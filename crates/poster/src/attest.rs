//! Encodings: making one's own, and checking another member's before signing it.

use crate::message::MAX_DATA;
use alloy::{
    eips::eip4844::Blob,
    primitives::{B256, Bytes},
};
use baton_batch::{BlockInput, CommittedBlob, Opening, check_openings, commit, decode, encode, open, pack_blobs};
use baton_primitives::data_hash_blobs;
use std::sync::Arc;

/// Data and the blobs that carry it.
#[derive(Clone, Debug)]
pub(crate) struct Encoding {
    pub(crate) data: Bytes,
    pub(crate) blobs: Vec<CommittedBlob>,
    /// What the others check the commitments by; none if nobody else signs.
    pub(crate) openings: Vec<Opening>,
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
    #[error("the commitments are not those of the {blobs} blobs which the data fills")]
    Openings { blobs: usize },
}

/// Encodes a batch, with openings if `others` sign it too. Takes long: not for the event loop.
pub(crate) fn make(inputs: &[BlockInput], l2_chain_id: u64, others: bool) -> Result<Encoding, EncodingError> {
    let data = encode(inputs, l2_chain_id).map_err(|e| EncodingError::Encode(e.to_string()))?;
    let data = Bytes::from(data);
    let blobs: Option<Vec<_>> = pack(&data)?.into_iter().map(commit).collect();
    let blobs = blobs.ok_or(EncodingError::Commitment)?;
    let openings: Option<Vec<_>> = if others { blobs.iter().map(open).collect() } else { Some(Vec::new()) };
    Ok(bind(data, blobs, openings.ok_or(EncodingError::Commitment)?))
}

/// Checks that data decodes to exactly these blocks and that the openings are those of its blobs, and finds the hash that
/// binds it. Takes long: not for the event loop.
pub(crate) fn check(
    data: Bytes,
    openings: Vec<Opening>,
    inputs: &[BlockInput],
    l2_chain_id: u64,
) -> Result<Encoding, EncodingError> {
    if data.len() > MAX_DATA {
        return Err(EncodingError::TooLong(data.len()));
    }
    let decoded = decode(&data, l2_chain_id).map_err(|e| EncodingError::Decode(e.to_string()))?;
    if decoded != inputs {
        return Err(EncodingError::Differs { got: decoded.len(), expected: inputs.len() });
    }
    let blobs = pack(&data)?;
    if !check_openings(&blobs, &openings) {
        return Err(EncodingError::Openings { blobs: blobs.len() });
    }
    let committed =
        |(blob, opening): (Blob, &Opening)| CommittedBlob { blob: Arc::new(blob), commitment: opening.commitment };
    let blobs = blobs.into_iter().zip(&openings).map(committed).collect();
    Ok(bind(data, blobs, openings))
}

fn pack(data: &Bytes) -> Result<Vec<Blob>, EncodingError> {
    pack_blobs(data).map_err(|_| EncodingError::TooLong(data.len()))
}

fn bind(data: Bytes, blobs: Vec<CommittedBlob>, openings: Vec<Opening>) -> Encoding {
    let hashes: Vec<B256> = blobs.iter().map(CommittedBlob::versioned_hash).collect();
    let data_hash = data_hash_blobs(&hashes);
    Encoding { data, blobs, openings, data_hash }
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
        let own = make(&blocks(5), 1, true).unwrap();
        assert_eq!(make(&blocks(5), 1, false).unwrap().data_hash, own.data_hash);
        let look = |blocks: &[BlockInput]| check(own.data.clone(), own.openings.clone(), blocks, 1);
        assert_eq!(look(&blocks(5)).unwrap().data_hash, own.data_hash);
        let differs = EncodingError::Differs { got: 5, expected: 4 };
        assert_eq!(look(&blocks(4)).unwrap_err(), differs);
        let mut other = blocks(5);
        other[2].time_millis += 1;
        assert!(matches!(look(&other), Err(EncodingError::Differs { .. })));
    }

    #[test]
    fn the_right_data_with_the_commitments_of_other_blobs_is_not_signed() {
        let (own, other) = (make(&blocks(5), 1, true).unwrap(), make(&blocks(6), 1, true).unwrap());
        let wrong = EncodingError::Openings { blobs: 1 };
        for openings in [other.openings.clone(), Vec::new(), [own.openings.clone(), other.openings].concat()] {
            assert_eq!(check(own.data.clone(), openings, &blocks(5), 1).unwrap_err(), wrong);
        }
    }

    #[test]
    fn rubbish_does_not_decode_and_does_not_panic() {
        let own = make(&blocks(3), 1, true).unwrap();
        for at in 0..own.data.len() {
            let mut data = own.data.to_vec();
            data[at] ^= 0x55;
            assert!(check(data.into(), own.openings.clone(), &blocks(3), 1).is_err(), "{at}");
        }
        assert!(check(Bytes::new(), Vec::new(), &blocks(3), 1).is_err());
        assert_eq!(
            check(vec![1; MAX_DATA + 1].into(), Vec::new(), &[], 1).unwrap_err(),
            EncodingError::TooLong(MAX_DATA + 1)
        );
    }
}
