//! Bytes into EIP-4844 blobs and back.
//!
//! ```text
//! stream = uint32 BE length ‖ data ‖ zeros, cut into blobs of 130,048 bytes
//! 127 bytes of stream -> 4 field elements: each takes 31 bytes into its bytes 1..32, and 6 of the last 3 bytes' 24 bits
//! (most significant first) into its byte 0, so that every element stays below 2^254 and so below the field's modulus
//! ```
//!
//! There is one packing of each data, and unpacking refuses any other.

use alloy::eips::eip4844::{BYTES_PER_BLOB, Blob};

/// Most blobs in one L1 transaction (EIP-7594).
pub const MAX_BLOBS: usize = 6;
/// Bytes of stream in one blob: 127 for every 4 field elements.
pub const BLOB_CAPACITY: usize = BYTES_PER_BLOB / GROUP_FIELDS * GROUP_BYTES;

const GROUP_FIELDS: usize = 128;
const GROUP_BYTES: usize = 127;
const LENGTH_BYTES: usize = 4;

/// Why data does not fit blobs, or blobs hold no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// Too much data for one L1 transaction.
    #[error("{length} bytes do not fit {MAX_BLOBS} blobs, which hold {}", MAX_BLOBS * BLOB_CAPACITY - LENGTH_BYTES)]
    TooLong {
        /// Bytes of data.
        length: usize,
    },
    /// A wrong number of blobs for the length they state.
    #[error("{blobs} blobs cannot hold exactly {length} bytes")]
    Count {
        /// Blobs given.
        blobs: usize,
        /// The length that the first states.
        length: usize,
    },
    /// A field element of 2^254 or more.
    #[error("blob {blob} has a field element with bits above the 254 used, at byte {at}")]
    Element {
        /// The blob.
        blob: usize,
        /// Where in it.
        at: usize,
    },
    /// Something follows the data.
    #[error("the padding after the data is not zero")]
    Padding,
}

fn blobs_for(length: usize) -> usize {
    length.saturating_add(LENGTH_BYTES).div_ceil(BLOB_CAPACITY)
}

/// Packs data into as few blobs as hold it, at least one.
///
/// # Errors
/// If it does not fit [`MAX_BLOBS`].
pub fn pack_blobs(data: &[u8]) -> Result<Vec<Blob>, BlobError> {
    let too_long = BlobError::TooLong { length: data.len() };
    let count = blobs_for(data.len());
    let length = u32::try_from(data.len()).map_err(|_| too_long)?;
    if count > MAX_BLOBS {
        return Err(too_long);
    }
    let mut stream = Vec::with_capacity(count * BLOB_CAPACITY);
    stream.extend_from_slice(&length.to_be_bytes());
    stream.extend_from_slice(data);
    stream.resize(count * BLOB_CAPACITY, 0);
    let mut blobs = vec![Blob::ZERO; count];
    for (blob, part) in blobs.iter_mut().zip(stream.chunks_exact(BLOB_CAPACITY)) {
        for (fields, bytes) in blob.as_chunks_mut::<GROUP_FIELDS>().0.iter_mut().zip(part.as_chunks::<GROUP_BYTES>().0)
        {
            pack_group(bytes, fields);
        }
    }
    Ok(blobs)
}

/// Inverse of [`pack_blobs`].
///
/// # Errors
/// If the blobs are not exactly what [`pack_blobs`] makes of some data.
pub fn unpack_blobs(blobs: &[Blob]) -> Result<Vec<u8>, BlobError> {
    if blobs.is_empty() || blobs.len() > MAX_BLOBS {
        return Err(BlobError::Count { blobs: blobs.len(), length: 0 });
    }
    let mut stream = Vec::with_capacity(blobs.len() * BLOB_CAPACITY);
    for (index, blob) in blobs.iter().enumerate() {
        for (group, fields) in blob.as_chunks::<GROUP_FIELDS>().0.iter().enumerate() {
            if let Some(element) = fields.as_chunks::<32>().0.iter().position(|e| e[0] >= 64) {
                return Err(BlobError::Element { blob: index, at: group * GROUP_FIELDS + element * 32 });
            }
            stream.extend_from_slice(&unpack_group(fields));
        }
    }
    let (prefix, rest) = stream.split_at(LENGTH_BYTES);
    let length = prefix.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
    if blobs_for(length) != blobs.len() {
        return Err(BlobError::Count { blobs: blobs.len(), length });
    }
    let (data, padding) = rest.split_at(length);
    if padding.iter().any(|b| *b != 0) {
        return Err(BlobError::Padding);
    }
    Ok(data.to_vec())
}

fn pack_group(bytes: &[u8; GROUP_BYTES], fields: &mut [u8; GROUP_FIELDS]) {
    let [a, b, c] = [bytes[124], bytes[125], bytes[126]];
    let tops = [a >> 2, (a & 3) << 4 | b >> 4, (b & 15) << 2 | c >> 6, c & 63];
    for (i, top) in tops.into_iter().enumerate() {
        fields[32 * i] = top;
        fields[32 * i + 1..32 * i + 32].copy_from_slice(&bytes[31 * i..31 * i + 31]);
    }
}

fn unpack_group(fields: &[u8; GROUP_FIELDS]) -> [u8; GROUP_BYTES] {
    let mut bytes = [0; GROUP_BYTES];
    for i in 0..4 {
        bytes[31 * i..31 * i + 31].copy_from_slice(&fields[32 * i + 1..32 * i + 32]);
    }
    let [a, b, c, d] = [fields[0], fields[32], fields[64], fields[96]];
    bytes[124] = a << 2 | b >> 4;
    bytes[125] = b << 4 | c >> 2;
    bytes[126] = c << 6 | d;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(length: usize, seed: u8) -> Vec<u8> {
        let mut state = u32::from(seed) + 1;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..length).map(|_| next()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn data_round_trips_below_the_modulus(length in 0usize..3 * BLOB_CAPACITY, seed: u8) {
            let data = sample(length, seed);
            let blobs = pack_blobs(&data).unwrap();
            prop_assert!(blobs.iter().all(|b| b.as_chunks::<32>().0.iter().all(|e| e[0] < 64)));
            prop_assert_eq!(unpack_blobs(&blobs).unwrap(), data);
        }

        #[test]
        fn any_changed_byte_gives_an_error_or_other_data(length in 0usize..3_000, at in 0..BYTES_PER_BLOB, flip in 1u8..) {
            let data = sample(length, 3);
            let mut blobs = pack_blobs(&data).unwrap();
            blobs[0][at] ^= flip;
            prop_assert_ne!(unpack_blobs(&blobs), Ok(data));
        }
    }

    #[test]
    fn the_edges_of_capacity_fit_exactly() {
        for (length, count) in [(0, 1), (BLOB_CAPACITY - 4, 1), (BLOB_CAPACITY - 3, 2), (6 * BLOB_CAPACITY - 4, 6)] {
            let data = sample(length, 1);
            let blobs = pack_blobs(&data).unwrap();
            assert_eq!(blobs.len(), count);
            assert_eq!(unpack_blobs(&blobs).unwrap(), data);
        }
        let length = 6 * BLOB_CAPACITY - 3;
        assert_eq!(pack_blobs(&sample(length, 1)), Err(BlobError::TooLong { length }));
    }

    #[test]
    fn other_packings_of_the_same_data_are_refused() {
        let mut blobs = pack_blobs(b"baton").unwrap();
        blobs.push(Blob::ZERO);
        assert_eq!(unpack_blobs(&blobs), Err(BlobError::Count { blobs: 2, length: 5 }));
        blobs.pop();
        blobs[0][BYTES_PER_BLOB - 1] = 1;
        assert_eq!(unpack_blobs(&blobs), Err(BlobError::Padding));
        blobs[0][64] = 64;
        assert_eq!(unpack_blobs(&blobs), Err(BlobError::Element { blob: 0, at: 64 }));
        assert_eq!(unpack_blobs(&[]), Err(BlobError::Count { blobs: 0, length: 0 }));
    }
}
