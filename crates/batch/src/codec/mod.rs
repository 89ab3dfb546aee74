//! Batch data: block inputs to bytes and back.
//!
//! ```text
//! 0x01 ‖ brotli(columns) ‖ signatures (r ‖ s, 64 bytes a transaction, in order)
//! columns = for each column of `wire::Column`: varint length ‖ bytes
//! ```
//!
//! Signatures do not compress, so they stay outside. All else is sorted by field, one column each, because equal fields
//! of neighbours look alike; heartbeats are run-length coded; what L1 or the parent tells (system transaction, deposits,
//! base fee, hashes, senders) is left out. Receivers, and words of call data that look like addresses, go through a
//! dictionary of the addresses seen so far *in this batch* (one that lives on across batches is a later version).
//!
//! Decoding is strict: after reading, the columns are written again and must be the same bytes, so there is one columns
//! encoding of each input. Only the brotli layer is free: any stream that expands to the columns is accepted, because
//! comparing compressed bytes would tie the chain to one release of a compressor. Output, blocks and transactions are
//! bounded before anything is allocated for them.

mod transactions;
mod wire;

use crate::BlockInput;
use baton_primitives::View;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, enc::BrotliEncoderParams};
use wire::{Column, Columns, Reader};

/// First byte of batch data.
const VERSION: u8 = 1;
/// Most bytes of columns.
const MAX_COLUMNS: usize = 8 << 20;
/// Most blocks in one batch.
const MAX_BLOCKS: u64 = 1 << 17;
const SIGNATURE_BYTES: usize = 64;
/// Compression: nearly the best ratio at several MB/s.
const QUALITY: i32 = 9;
const WINDOW_BITS: i32 = 22;

/// Why blocks cannot be encoded; blocks that the rules accept always can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A transaction of a type that batches do not carry.
    #[error("block {block} of the batch, transaction {index}: type {kind:#x} does not belong into a batch")]
    Type {
        /// Position of the block in the batch.
        block: usize,
        /// Position among its pool transactions.
        index: usize,
        /// EIP-2718 type.
        kind: u8,
    },
    /// A transaction for another chain.
    #[error("block {block} of the batch, transaction {index}: chain id {actual}, expected {expected}")]
    ChainId {
        /// Position of the block in the batch.
        block: usize,
        /// Position among its pool transactions.
        index: usize,
        /// Its chain id.
        actual: u64,
        /// The chain's.
        expected: u64,
    },
    /// More than any decoder accepts.
    #[error("{blocks} blocks with {bytes} bytes of columns are too much for one batch")]
    TooLarge {
        /// Number of blocks.
        blocks: usize,
        /// Bytes of columns.
        bytes: usize,
    },
    /// The compressor failed.
    #[error("compression failed: {0}")]
    Compress(String),
}

/// Why bytes are not batch data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Empty, or another format version.
    #[error("batch data begins with {0:?}, expected version 1")]
    Version(Option<u8>),
    /// The compressed part is broken.
    #[error("the compressed part of the batch is malformed or cut off")]
    Brotli,
    /// The compressed part expands beyond the limit.
    #[error("the compressed part of the batch expands to more than {MAX_COLUMNS} bytes")]
    Expansion,
    /// A column ends too early.
    #[error("column {0:?} of the batch ends too early")]
    Short(Column),
    /// A value that the column cannot hold.
    #[error("column {0:?} of the batch has an invalid value")]
    Value(Column),
    /// More blocks than a batch may have.
    #[error("the batch has {0} blocks, at most {MAX_BLOCKS} allowed")]
    Blocks(u64),
    /// The signatures are not those of the transactions.
    #[error("the batch has {transactions} transactions and {bytes} bytes of signatures")]
    Signatures {
        /// Transactions in the columns.
        transactions: u64,
        /// Bytes after the columns.
        bytes: usize,
    },
    /// The columns hold the same values as some other bytes which are their one encoding.
    #[error("the columns of the batch are not in canonical form")]
    NotCanonical,
}

/// Encodes blocks. `chain_id` is that of L2.
///
/// # Errors
/// If a transaction cannot be in a final block, or there is too much data for one batch.
pub fn encode(blocks: &[BlockInput], chain_id: u64) -> Result<Vec<u8>, EncodeError> {
    let mut signatures = Vec::new();
    let columns = columns(blocks, chain_id, &mut signatures)?.into_bytes();
    let too_large = EncodeError::TooLarge { blocks: blocks.len(), bytes: columns.len() };
    if blocks.len() as u64 > MAX_BLOCKS || columns.len() > MAX_COLUMNS {
        return Err(too_large);
    }
    let parameters = BrotliEncoderParams {
        quality: QUALITY,
        lgwin: WINDOW_BITS,
        size_hint: columns.len(),
        ..BrotliEncoderParams::default()
    };
    let mut bytes = vec![VERSION];
    brotli::BrotliCompress(&mut columns.as_slice(), &mut bytes, &parameters)
        .map_err(|e| EncodeError::Compress(e.to_string()))?;
    bytes.extend_from_slice(&signatures);
    Ok(bytes)
}

/// Inverse of [`encode`].
///
/// # Errors
/// If the bytes are not batch data of this chain; never panics, whatever the bytes.
pub fn decode(bytes: &[u8], chain_id: u64) -> Result<Vec<BlockInput>, DecodeError> {
    let Some((&VERSION, body)) = bytes.split_first() else {
        return Err(DecodeError::Version(bytes.first().copied()));
    };
    let (raw, signatures) = decompress(body)?;
    let blocks = read(&raw, signatures, chain_id)?;
    let mut again = Vec::with_capacity(signatures.len());
    let columns = columns(&blocks, chain_id, &mut again).map_err(|_| DecodeError::NotCanonical)?;
    if columns.into_bytes() == raw && again == signatures { Ok(blocks) } else { Err(DecodeError::NotCanonical) }
}

fn columns(blocks: &[BlockInput], chain_id: u64, signatures: &mut Vec<u8>) -> Result<Columns, EncodeError> {
    let mut columns = Columns::default();
    columns.varint(Column::Blocks, blocks.len() as u64);
    columns.runs(Column::Times, differences(blocks.iter().map(|b| b.time_millis), 0));
    columns.runs(Column::Views, differences(blocks.iter().map(|b| b.view.get()), 1));
    columns.runs(Column::Parents, parent_differences(blocks));
    columns.runs(Column::Origins, differences(blocks.iter().map(|b| b.origin), 0));
    columns.runs(Column::Counts, blocks.iter().map(|b| b.transactions.len() as u64));
    let mut writer = transactions::Writer::new(chain_id, &mut columns, signatures);
    for (block, input) in blocks.iter().enumerate() {
        for (index, transaction) in input.transactions.iter().enumerate() {
            writer.write(transaction).map_err(|refused| refused.at(block, index, chain_id))?;
        }
    }
    Ok(columns)
}

fn read(raw: &[u8], signatures: &[u8], chain_id: u64) -> Result<Vec<BlockInput>, DecodeError> {
    let mut reader = Reader::new(raw)?;
    let count = reader.varint(Column::Blocks)?;
    if count > MAX_BLOCKS {
        return Err(DecodeError::Blocks(count));
    }
    let times = sums(reader.runs(Column::Times, count)?, 0);
    let views = sums(reader.runs(Column::Views, count)?, 1);
    let parents = reader.runs(Column::Parents, count)?;
    let origins = sums(reader.runs(Column::Origins, count)?, 0);
    let counts = reader.runs(Column::Counts, count)?;
    let transactions = counts.iter().fold(0u64, |sum, c| sum.saturating_add(*c));
    let (signatures_each, rest) = signatures.as_chunks::<SIGNATURE_BYTES>();
    if !rest.is_empty() || signatures_each.len() as u64 != transactions {
        return Err(DecodeError::Signatures { transactions, bytes: signatures.len() });
    }
    let mut signatures = signatures_each.iter();
    let mut decoder = transactions::Decoder::new(chain_id, &mut reader);
    let mut blocks = Vec::with_capacity(counts.len());
    let mut previous = 0;
    for ((((time_millis, view), parent), origin), count) in times.zip(views).zip(parents).zip(origins).zip(counts) {
        let parent_view = View::new(wire::unzigzag(previous, parent));
        previous = view;
        let count = usize::try_from(count).map_err(|_| DecodeError::Value(Column::Counts))?;
        let transactions = signatures.by_ref().take(count).map(|s| decoder.read(s)).collect::<Result<_, _>>()?;
        blocks.push(BlockInput { time_millis, view: View::new(view), parent_view, origin, transactions });
    }
    reader.finish()?;
    Ok(blocks)
}

/// Differences from the value before plus `step`, wrapping, zigzag; the first from zero.
fn differences(values: impl Iterator<Item = u64>, step: u64) -> impl Iterator<Item = u64> {
    let mut expected = 0u64;
    values.map(move |value| {
        let difference = wire::zigzag(expected, value);
        expected = value.wrapping_add(step);
        difference
    })
}

fn sums(differences: Vec<u64>, step: u64) -> impl Iterator<Item = u64> {
    let mut expected = 0u64;
    differences.into_iter().map(move |difference| {
        let value = wire::unzigzag(expected, difference);
        expected = value.wrapping_add(step);
        value
    })
}

/// A block's parent view is nearly always the view of the block before it.
fn parent_differences(blocks: &[BlockInput]) -> impl Iterator<Item = u64> {
    let mut previous = 0;
    blocks.iter().map(move |block| {
        let difference = wire::zigzag(previous, block.parent_view.get());
        previous = block.view.get();
        difference
    })
}

/// The columns, and what follows the compressed part.
fn decompress(body: &[u8]) -> Result<(Vec<u8>, &[u8]), DecodeError> {
    // `new_strict` refuses windows above 16 MiB, so the decoder's own memory is bounded too.
    let mut state = BrotliState::new_strict(Default::default(), Default::default(), Default::default());
    let state: &mut BrotliState<brotli_alloc::Bytes, brotli_alloc::Words, brotli_alloc::Codes> = &mut state;
    let (mut input_left, mut input_at, mut total) = (body.len(), 0, 0);
    let mut columns = Vec::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        let (mut room, mut filled) = (chunk.len(), 0);
        let result = BrotliDecompressStream(
            &mut input_left,
            &mut input_at,
            body,
            &mut room,
            &mut filled,
            &mut chunk,
            &mut total,
            state,
        );
        columns.extend_from_slice(chunk.get(..filled).unwrap_or_default());
        if columns.len() > MAX_COLUMNS {
            return Err(DecodeError::Expansion);
        }
        match result {
            BrotliResult::ResultSuccess => return Ok((columns, body.get(input_at..).unwrap_or_default())),
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => return Err(DecodeError::Brotli),
        }
    }
}

mod brotli_alloc {
    use brotli::{HeapAlloc, HuffmanCode};

    pub(super) type Bytes = HeapAlloc<u8>;
    pub(super) type Words = HeapAlloc<u32>;
    pub(super) type Codes = HeapAlloc<HuffmanCode>;
}

#[cfg(test)]
mod tests;
