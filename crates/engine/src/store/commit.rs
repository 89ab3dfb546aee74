//! The one write path.

use super::{
    Store,
    addresses::write_addresses,
    history::{CHANGES, prune_history, write_history},
    log::segment_of,
    logs::write_logs,
    pack::Packer,
    runs::{Index, RUN_LIST, RUNS, entry},
    tables::{BLOCKS, CODES, HEADERS, HEIGHTS, LAYOUT, META, OUTCOMES, PIECE, RECEIPTS},
};
use crate::{error::StoreError, executed::ExecutedBlock, trie::Place};
use alloy::rlp::Encodable;
use redb::{Table, WriteTransaction};

/// Changed accounts from which on the log and the database are written side by side.
const PARALLEL_FROM: usize = 128;

type Pieces<'a> = Table<'a, (u64, u32), &'static [u8]>;

impl Store {
    /// Writes the genesis into an empty database.
    pub(super) fn create(&self, genesis: &ExecutedBlock) -> Result<(), StoreError> {
        let transaction = self.begin()?;
        {
            let mut meta = transaction.open_table(META)?;
            meta.insert("layout", LAYOUT.to_be_bytes().as_slice())?;
            meta.insert("genesis", genesis.block.hash().as_slice())?;
            // Tables that the genesis does not write to must exist for readers all the same.
            for table in [CHANGES, RUNS, RUN_LIST, CODES] {
                transaction.open_table(table)?;
            }
        }
        self.write(transaction, &[genesis], None, 0)
    }

    /// Writes final blocks, ascending and contiguous, that follow the stored head.
    pub(crate) fn commit(&self, blocks: &[&ExecutedBlock], oldest: u64) -> Result<(), StoreError> {
        let transaction = self.begin()?;
        let head = blocks.last().map_or(0, |block| block.height());
        let keep_from = self.history_blocks.map_or(0, |blocks| head.saturating_sub(blocks)).max(oldest);
        self.write(transaction, blocks, Some(oldest), keep_from)
    }

    /// The state trie goes to the log, which is synced before the database's commit that makes it count.
    fn write(
        &self,
        transaction: WriteTransaction,
        blocks: &[&ExecutedBlock],
        oldest: Option<u64>,
        keep_from: u64,
    ) -> Result<(), StoreError> {
        let Some(top) = blocks.last() else { return Ok(()) };
        let mut log = self.log.lock();
        log.guarded(|log| {
            let mut trie = || Ok::<_, StoreError>((top.trie.write(log)?, log.sync()?));
            let rest = || write(&transaction, blocks, oldest, keep_from);
            let many = blocks.iter().map(|block| block.changes.accounts.len()).sum::<usize>() >= PARALLEL_FROM;
            let (trie, rest) = if many { rayon::join(trie, rest) } else { (trie(), rest()) };
            let (place, end) = trie?;
            rest?;
            let needed = place.map_or_else(|| segment_of(end), Place::oldest);
            let mut sweeping = self.sweeping.lock();
            let after = sweeping.after(end, needed);
            write_trie(&transaction, end, after.left, place)?;
            transaction.commit()?;
            *sweeping = after;
            log.forget(needed)
        })
    }

    fn begin(&self) -> Result<WriteTransaction, StoreError> {
        let mut transaction = self.database.begin_write()?;
        // Saves the page allocator with each commit: a killed process reopens at once, whatever the size.
        transaction.set_quick_repair(true);
        Ok(transaction)
    }
}

/// `oldest` is the oldest height whose state is kept so far (`None` for the genesis), `keep_from` the new one.
fn write(
    transaction: &WriteTransaction,
    blocks: &[&ExecutedBlock],
    oldest: Option<u64>,
    keep_from: u64,
) -> Result<(), StoreError> {
    write_blocks(transaction, blocks)?;
    write_logs(transaction, blocks)?;
    write_addresses(transaction, blocks)?;
    write_codes(transaction, blocks)?;
    if let Some(oldest) = oldest {
        write_history(transaction, blocks)?;
        prune_history(transaction, oldest.saturating_add(1)..=keep_from)?;
    }
    let mut meta = transaction.open_table(META)?;
    let head = blocks.last().map_or(0, |block| block.height());
    meta.insert("head", head.to_be_bytes().as_slice())?;
    meta.insert("history", keep_from.to_be_bytes().as_slice())?;
    Ok(())
}

fn write_trie(transaction: &WriteTransaction, end: u64, left: u32, place: Option<Place>) -> Result<(), StoreError> {
    let mut row = [end.to_be_bytes().as_slice(), &left.to_be_bytes()].concat();
    row.extend(place.iter().flat_map(Place::encode));
    transaction.open_table(META)?.insert("trie", row.as_slice())?;
    Ok(())
}

fn write_blocks(transaction: &WriteTransaction, blocks: &[&ExecutedBlock]) -> Result<(), StoreError> {
    let mut headers = transaction.open_table(HEADERS)?;
    let mut bodies = transaction.open_table(BLOCKS)?;
    let mut receipts = transaction.open_table(RECEIPTS)?;
    let mut outcomes = transaction.open_table(OUTCOMES)?;
    let mut heights = transaction.open_table(HEIGHTS)?;
    let mut index = Vec::new();
    let mut packer = Packer::new()?;
    for executed in blocks {
        let (height, block) = (executed.height(), &executed.block);
        let mut row = block.hash().to_vec();
        block.header().encode(&mut row);
        headers.insert(height, row.as_slice())?;

        let senders = u32::try_from(block.senders().len()).unwrap_or(u32::MAX);
        row.clear();
        row.extend_from_slice(&senders.to_be_bytes());
        block.senders().iter().for_each(|sender| row.extend_from_slice(sender.as_slice()));
        block.block().encode(&mut row);
        put_pieces(&mut bodies, height, &packer.pack(&row)?)?;

        row.clear();
        executed.receipts.encode(&mut row);
        put_pieces(&mut receipts, height, &packer.pack(&row)?)?;

        outcomes.insert(height, executed.outcome().encode().as_slice())?;
        heights.insert(block.hash().as_slice(), height.to_be_bytes().as_slice())?;
        for (position, transaction) in (0..).zip(block.transactions()) {
            let hash = transaction.tx_hash();
            let digest = hash.first_chunk().copied().unwrap_or_default();
            index.push(entry(digest, height << 24 | position));
        }
    }
    Index::Transactions.add(transaction, index, blocks.last().map_or(0, |block| block.height()))
}

fn write_codes(transaction: &WriteTransaction, blocks: &[&ExecutedBlock]) -> Result<(), StoreError> {
    let mut table = transaction.open_table(CODES)?;
    for (hash, code) in blocks.iter().flat_map(|block| &block.changes.codes) {
        table.insert(hash.as_slice(), code.original_byte_slice())?;
    }
    Ok(())
}

fn put_pieces(table: &mut Pieces<'_>, height: u64, row: &[u8]) -> Result<(), StoreError> {
    for (index, piece) in (0..).zip(row.chunks(PIECE)) {
        table.insert((height, index), piece)?;
    }
    Ok(())
}
