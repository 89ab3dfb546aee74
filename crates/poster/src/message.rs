//! What members say to each other about batches.
//!
//! ```text
//! Request   = 03 ‖ 01 ‖ core 640 ‖ signature 48 ‖ blobs u8 ‖ (commitment 48 ‖ proof 48)* ‖ length u32 ‖ data
//! Signature = 03 ‖ 02 ‖ generation u64 ‖ index u64 ‖ core hash 32 ‖ data hash 32 ‖ signature 48
//! Statement = 03 ‖ 03 ‖ core 640 ‖ data hash 32 ‖ signature 48 ‖ signer 32
//! ```
//! Integers are big-endian, a core is abi.encode(core). There is one encoding of each message, and anything else is refused.
//!
//! Who asks has signed what it asks for and says so: everyone who is asked can hold it to that (see `witness`).

use alloy::{
    eips::eip4844::kzg_to_versioned_hash,
    primitives::{B256, Bytes},
    sol_types::SolValue,
};
use baton_batch::Opening;
use baton_bindings::contracts::IBatchInbox;
use baton_primitives::{BatchIndex, Core, Generation, IdentityKey, bls, data_hash_blobs};

/// Format version.
const VERSION: u8 = 3;
const REQUEST: u8 = 1;
const SIGNATURE: u8 = 2;
const STATEMENT: u8 = 3;
/// Bytes of an encoded core: twenty words.
const CORE: usize = 20 * 32;

/// Most bytes of a batch's data: what the blobs of one L1 transaction hold.
pub const MAX_DATA: usize = baton_batch::MAX_BLOBS * baton_batch::BLOB_CAPACITY - 4;
/// Most bytes of a message.
pub const MAX_MESSAGE: usize =
    2 + CORE + bls::Signature::LENGTH + 1 + baton_batch::MAX_BLOBS * Opening::LENGTH + 4 + MAX_DATA;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Please sign this encoding of a batch.
    Request(Request),
    /// The signature of one.
    Signature(Signature),
    /// What a member signed of a batch, told by another.
    Statement(Statement),
}

/// Asks for a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The batch.
    pub core: Core,
    /// The signature of who asks.
    pub signature: bls::Signature,
    /// Its data, to go into blobs.
    pub data: Bytes,
    /// The commitments of those blobs, with their proofs.
    pub openings: Vec<Opening>,
}

impl Request {
    /// Hash of the encoding, if the commitments are those of its blobs.
    pub fn data_hash(&self) -> B256 {
        let hashes: Vec<B256> =
            self.openings.iter().map(|opening| kzg_to_versioned_hash(&opening.commitment)).collect();
        data_hash_blobs(&hashes)
    }
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

/// One member's signature on one encoding of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// The batch.
    pub core: Core,
    /// Hash of the encoding.
    pub data_hash: B256,
    /// The signature.
    pub signature: bls::Signature,
}

/// What a member signed of a batch, told by another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What it signed.
    pub attestation: Attestation,
    /// Who signed.
    pub signer: IdentityKey,
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
    /// The core is not encoded as the contracts do.
    #[error("a core that is not what abi.encode gives")]
    Core,
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
                out.extend_from_slice(&[VERSION, REQUEST]);
                out.extend_from_slice(&IBatchInbox::Core::from(&r.core).abi_encode());
                out.extend_from_slice(&r.signature.to_bytes());
                out.push(u8::try_from(r.openings.len()).unwrap_or(u8::MAX));
                r.openings.iter().for_each(|opening| out.extend_from_slice(&opening.to_bytes()));
                let length = u32::try_from(r.data.len()).unwrap_or(u32::MAX);
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(&r.data);
            }
            Self::Signature(s) => {
                out.extend_from_slice(&[VERSION, SIGNATURE]);
                out.extend_from_slice(&s.generation.get().to_be_bytes());
                out.extend_from_slice(&s.index.get().to_be_bytes());
                out.extend_from_slice(s.core_hash.as_slice());
                out.extend_from_slice(s.data_hash.as_slice());
                out.extend_from_slice(&s.signature.to_bytes());
            }
            Self::Statement(Statement { attestation: a, signer }) => {
                out.extend_from_slice(&[VERSION, STATEMENT]);
                out.extend_from_slice(&IBatchInbox::Core::from(&a.core).abi_encode());
                out.extend_from_slice(a.data_hash.as_slice());
                out.extend_from_slice(&a.signature.to_bytes());
                out.extend_from_slice(signer.0.as_slice());
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
        match (*version, *kind) {
            (VERSION, REQUEST) => {
                let (core, rest) = core(rest, &length)?;
                let (signature, rest) = signature(rest, &length)?;
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
                Ok(Self::Request(Request { core, signature, data, openings }))
            }
            (VERSION, SIGNATURE) => {
                let (generation, rest) = word(rest).ok_or_else(|| length.clone())?;
                let (index, rest) = word(rest).ok_or_else(|| length.clone())?;
                let (core_hash, rest) = hash(rest, &length)?;
                let (data_hash, rest) = hash(rest, &length)?;
                let (generation, index) = (Generation::new(generation), BatchIndex::new(index));
                let signature = last(signature(rest, &length)?, length)?;
                Ok(Self::Signature(Signature { generation, index, core_hash, data_hash, signature }))
            }
            (VERSION, STATEMENT) => {
                let (core, rest) = core(rest, &length)?;
                let (data_hash, rest) = hash(rest, &length)?;
                let (signature, rest) = signature(rest, &length)?;
                let signer = IdentityKey(last(hash(rest, &length)?, length)?);
                Ok(Self::Statement(Statement { attestation: Attestation { core, data_hash, signature }, signer }))
            }
            (version, kind) => Err(MessageError::Kind { version, kind }),
        }
    }
}

fn core<'a>(bytes: &'a [u8], length: &MessageError) -> Result<(Core, &'a [u8]), MessageError> {
    let (core, rest) = bytes.split_at_checked(CORE).ok_or_else(|| length.clone())?;
    let core = IBatchInbox::Core::abi_decode_validate(core).map_err(|_| MessageError::Core)?;
    Ok((Core::from(&core), rest))
}

fn signature<'a>(bytes: &'a [u8], length: &MessageError) -> Result<(bls::Signature, &'a [u8]), MessageError> {
    let (signature, rest) = bytes.split_at_checked(bls::Signature::LENGTH).ok_or_else(|| length.clone())?;
    Ok((bls::Signature::from_bytes(signature)?, rest))
}

fn hash<'a>(bytes: &'a [u8], length: &MessageError) -> Result<(B256, &'a [u8]), MessageError> {
    bytes.split_first_chunk::<32>().map(|(hash, rest)| (B256::from(hash), rest)).ok_or_else(|| length.clone())
}

/// The last field: nothing may follow.
fn last<T>((field, rest): (T, &[u8]), length: MessageError) -> Result<T, MessageError> {
    if rest.is_empty() { Ok(field) } else { Err(length) }
}

fn word(bytes: &[u8]) -> Option<(u64, &[u8])> {
    bytes.split_first_chunk::<8>().map(|(word, rest)| (u64::from_be_bytes(*word), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::core;
    use proptest::prelude::*;

    fn request(data: Vec<u8>) -> Message {
        Message::Request(Request {
            core: core(2, 7),
            signature: bls::SecretKey::from_seed(&[5; 32]).sign(b"m"),
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

    fn statement() -> Message {
        let signature = bls::SecretKey::from_seed(&[5; 32]).sign(b"m");
        let attestation = Attestation { core: core(3, 9), data_hash: B256::repeat_byte(4), signature };
        Message::Statement(Statement { attestation, signer: IdentityKey(B256::repeat_byte(6)) })
    }

    #[test]
    fn messages_round_trip_and_every_truncation_or_addition_is_refused() {
        for message in [request(vec![9; 100]), request(Vec::new()), signature(), statement()] {
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
        fn no_bytes_panic_and_whatever_decodes_encodes_to_itself(mut bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..5) {
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
