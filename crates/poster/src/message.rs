//! What members say to each other about batches.
//!
//! ```text
//! Request   = 02 ‖ 01 ‖ generation u64 ‖ index u64 ‖ core hash 32 ‖ blobs u8 ‖ (commitment 48 ‖ proof 48)* ‖ length u32 ‖ data
//! Signature = 02 ‖ 02 ‖ generation u64 ‖ index u64 ‖ core hash 32 ‖ data hash 32 ‖ signature 48
//! ```
//! Integers are big-endian. There is one encoding of each message, and anything else is refused.

use alloy::primitives::{B256, Bytes};
use baton_batch::Opening;
use baton_primitives::{BatchIndex, Generation, bls};

/// Format version.
const VERSION: u8 = 2;
const REQUEST: u8 = 1;
const SIGNATURE: u8 = 2;

/// Most bytes of a batch's data: what the blobs of one L1 transaction hold.
pub const MAX_DATA: usize = baton_batch::MAX_BLOBS * baton_batch::BLOB_CAPACITY - 4;
/// Most bytes of a message.
pub const MAX_MESSAGE: usize = 2 + 8 + 8 + 32 + 1 + baton_batch::MAX_BLOBS * Opening::LENGTH + 4 + MAX_DATA;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Please sign this encoding of a batch.
    Request(Request),
    /// The signature of one.
    Signature(Signature),
}

/// Asks for a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Recoveries so far.
    pub generation: Generation,
    /// The batch.
    pub index: BatchIndex,
    /// Hash of its core.
    pub core_hash: B256,
    /// Its data, to go into blobs.
    pub data: Bytes,
    /// The commitments of those blobs, with their proofs.
    pub openings: Vec<Opening>,
}

/// A signature on one encoding of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Recoveries so far.
    pub generation: Generation,
    /// The batch.
    pub index: BatchIndex,
    /// Hash of its core.
    pub core_hash: B256,
    /// Hash of its encoding.
    pub data_hash: B256,
    /// The member's signature.
    pub signature: bls::Signature,
}

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Unknown version or kind.
    #[error("message version {version} kind {kind} is unknown")]
    Kind {
        /// The version found.
        version: u8,
        /// The kind found.
        kind: u8,
    },
    /// Too short, too long, or followed by more.
    #[error("a message of {0} bytes has the wrong length for its kind")]
    Length(usize),
    /// The signature is no point of the curve.
    #[error(transparent)]
    Signature(#[from] bls::Error),
}

impl Message {
    /// The bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        match self {
            Self::Request(r) => {
                head(&mut out, REQUEST, r.generation, r.index, r.core_hash);
                out.push(u8::try_from(r.openings.len()).unwrap_or(u8::MAX));
                r.openings.iter().for_each(|opening| out.extend_from_slice(&opening.to_bytes()));
                let length = u32::try_from(r.data.len()).unwrap_or(u32::MAX);
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(&r.data);
            }
            Self::Signature(s) => {
                head(&mut out, SIGNATURE, s.generation, s.index, s.core_hash);
                out.extend_from_slice(s.data_hash.as_slice());
                out.extend_from_slice(&s.signature.to_bytes());
            }
        }
        out.into()
    }

    /// Inverse of [`Self::encode`].
    ///
    /// # Errors
    /// If the bytes are not exactly one message.
    pub fn decode(bytes: &Bytes) -> Result<Self, MessageError> {
        let length = MessageError::Length(bytes.len());
        if bytes.len() > MAX_MESSAGE {
            return Err(length);
        }
        let ([version, kind], rest) = bytes.split_first_chunk::<2>().ok_or_else(|| length.clone())?;
        let (generation, rest) = word(rest).ok_or_else(|| length.clone())?;
        let (index, rest) = word(rest).ok_or_else(|| length.clone())?;
        let (core_hash, rest) = rest.split_first_chunk::<32>().ok_or_else(|| length.clone())?;
        let (generation, index) = (Generation::new(generation), BatchIndex::new(index));
        let core_hash = B256::from(core_hash);
        match (*version, *kind) {
            (VERSION, REQUEST) => {
                let ([count], rest) = rest.split_first_chunk::<1>().ok_or_else(|| length.clone())?;
                let count = usize::from(*count);
                let (openings, rest) = rest.split_at_checked(count * Opening::LENGTH).ok_or_else(|| length.clone())?;
                if count > baton_batch::MAX_BLOBS {
                    return Err(length);
                }
                let (openings, _) = openings.as_chunks();
                let openings = openings.iter().map(Opening::from_bytes).collect();
                let (size, data) = rest.split_first_chunk::<4>().ok_or_else(|| length.clone())?;
                let size = usize::try_from(u32::from_be_bytes(*size)).unwrap_or(usize::MAX);
                if data.len() != size || size > MAX_DATA {
                    return Err(length);
                }
                let data = bytes.slice(bytes.len() - size..);
                Ok(Self::Request(Request { generation, index, core_hash, data, openings }))
            }
            (VERSION, SIGNATURE) => {
                let (data_hash, signature) = rest.split_first_chunk::<32>().ok_or_else(|| length.clone())?;
                if signature.len() != bls::Signature::LENGTH {
                    return Err(length);
                }
                let signature = bls::Signature::from_bytes(signature)?;
                let data_hash = B256::from(data_hash);
                Ok(Self::Signature(Signature { generation, index, core_hash, data_hash, signature }))
            }
            (version, kind) => Err(MessageError::Kind { version, kind }),
        }
    }
}

fn head(out: &mut Vec<u8>, kind: u8, generation: Generation, index: BatchIndex, core_hash: B256) {
    out.extend_from_slice(&[VERSION, kind]);
    out.extend_from_slice(&generation.get().to_be_bytes());
    out.extend_from_slice(&index.get().to_be_bytes());
    out.extend_from_slice(core_hash.as_slice());
}

fn word(bytes: &[u8]) -> Option<(u64, &[u8])> {
    bytes.split_first_chunk::<8>().map(|(word, rest)| (u64::from_be_bytes(*word), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(data: Vec<u8>) -> Message {
        Message::Request(Request {
            generation: Generation::new(1),
            index: BatchIndex::new(2),
            core_hash: B256::repeat_byte(3),
            openings: vec![Opening { commitment: [6; 48], proof: [7; 48] }; data.len().div_ceil(50).min(6)],
            data: data.into(),
        })
    }

    fn signature() -> Message {
        Message::Signature(Signature {
            generation: Generation::new(1),
            index: BatchIndex::new(2),
            core_hash: B256::repeat_byte(3),
            data_hash: B256::repeat_byte(4),
            signature: bls::SecretKey::from_seed(&[5; 32]).sign(b"m"),
        })
    }

    #[test]
    fn messages_round_trip_and_every_truncation_or_addition_is_refused() {
        for message in [request(vec![9; 100]), request(Vec::new()), signature()] {
            let bytes = message.encode();
            assert_eq!(Message::decode(&bytes), Ok(message));
            for length in 0..bytes.len() {
                assert!(Message::decode(&bytes.slice(..length)).is_err(), "{length}");
            }
            let mut more = bytes.to_vec();
            more.push(0);
            assert!(Message::decode(&more.into()).is_err());
        }
    }

    #[test]
    fn data_beyond_the_blobs_of_one_transaction_is_refused() {
        assert!(Message::decode(&request(vec![0; MAX_DATA]).encode()).is_ok());
        assert!(Message::decode(&request(vec![0; MAX_DATA + 1]).encode()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_whatever_decodes_encodes_to_itself(mut bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..4) {
            if bytes.len() > 1 {
                bytes[0] = VERSION;
                bytes[1] = kind;
            }
            let bytes = Bytes::from(bytes);
            if let Ok(message) = Message::decode(&bytes) {
                prop_assert_eq!(message.encode(), bytes);
            }
        }

        #[test]
        fn a_flipped_byte_never_yields_the_same_message(at in 0usize..178, flip in 1u8..) {
            let message = signature();
            let mut bytes = message.encode().to_vec();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            prop_assert_ne!(Message::decode(&bytes.into()).ok(), Some(message));
        }
    }
}
