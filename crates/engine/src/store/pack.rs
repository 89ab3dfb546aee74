//! Bodies and receipts are compressed: their hashes, signatures and addresses are noise, the rest says the same again and again.
//!
//! ```text
//!   row: length before u32, zstd frame
//! ```

use crate::error::StoreError;

/// Cheap enough to go unnoticed beside the write itself; higher levels gain a percent on what is mostly noise.
const LEVEL: i32 = 1;

/// Most bytes a row has before, far above what a block's limits allow: more is not written, since it would not be read.
const MOST: usize = 1 << 28;

/// Compresses rows.
pub(super) struct Packer(zstd::bulk::Compressor<'static>);

impl Packer {
    pub(super) fn new() -> Result<Self, StoreError> {
        zstd::bulk::Compressor::new(LEVEL).map(Self).map_err(StoreError::Compression)
    }

    pub(super) fn pack(&mut self, row: &[u8]) -> Result<Vec<u8>, StoreError> {
        let fits = u32::try_from(row.len()).ok().filter(|_| row.len() <= MOST);
        let length = fits.ok_or_else(|| StoreError::Compression(std::io::ErrorKind::FileTooLarge.into()))?;
        let frame = self.0.compress(row).map_err(StoreError::Compression)?;
        Ok([length.to_be_bytes().as_slice(), &frame].concat())
    }
}

/// Inverse of [`Packer::pack`]; `table` is where the row is from.
pub(super) fn unpack(packed: &[u8], table: &'static str) -> Result<Vec<u8>, StoreError> {
    let malformed = || StoreError::Row { table };
    let (length, frame) = packed.split_first_chunk().ok_or_else(malformed)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok().filter(|length| *length <= MOST);
    let length = length.ok_or_else(malformed)?;
    let row = zstd::bulk::decompress(frame, length).map_err(|_| malformed())?;
    if row.len() == length { Ok(row) } else { Err(malformed()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_round_trip_and_damaged_ones_are_errors() {
        let mut packer = Packer::new().unwrap();
        for row in [Vec::new(), b"one".to_vec(), (0..=255).cycle().take(100_000).collect()] {
            let packed = packer.pack(&row).unwrap();
            assert_eq!(unpack(&packed, "blocks").unwrap(), row);
            assert!(unpack(&packed[..packed.len() - 1], "blocks").is_err());
            // A length that is not the row's, and one that nobody writes.
            for length in [1u32 + u32::try_from(row.len()).unwrap(), u32::MAX] {
                let mut wrong = packed.clone();
                wrong[..4].copy_from_slice(&length.to_be_bytes());
                assert!(unpack(&wrong, "blocks").is_err(), "{length}");
            }
        }
        assert!(unpack(b"abc", "blocks").is_err());
        assert!(matches!(packer.pack(&vec![0; MOST + 1]), Err(StoreError::Compression(_))));
    }
}
