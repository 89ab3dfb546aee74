//! Accepted batches of all time, by height. The view of L1 keeps the newest in memory; what it lets go is written here first, a
//! row each. L1 is read anew at each start, which checks the rows: what a former run wrote is not written again.
//!
//! ```text
//! L1 view -held batches-> Batches (disk) -archived-> L1 view lets them go
//! ```

use crate::error::NodeError;
use baton_l1::{AcceptedBatch, L1View};
use baton_primitives::Height;
use baton_rpc::types::{BatchInfo, BatchStatus, BlockRef};
use redb::{Database, ReadableDatabase, TableDefinition};
use std::{path::Path, sync::Arc};
use tokio_util::sync::CancellationToken;

/// Batches written together: each commit costs a sync of the disk.
const TOGETHER: usize = 64;
/// Last height -> the batch as `rollup_batchOf` tells it, JSON.
const TABLE: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("batches");

/// Why a row cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchesError {
    /// The database.
    #[error("{0}")]
    Database(#[from] redb::Error),
    /// A row is not what was written.
    #[error("a row cannot be read: {0}")]
    Row(#[from] serde_json::Error),
}

macro_rules! from_database {
    ($($error:ident),*) => {
        $(impl From<redb::$error> for BatchesError {
            fn from(error: redb::$error) -> Self {
                Self::Database(error.into())
            }
        })*
    };
}
from_database!(DatabaseError, TransactionError, TableError, StorageError, CommitError);

/// The batches that left the view of L1.
#[derive(Debug)]
pub(crate) struct Batches {
    database: Database,
}

impl Batches {
    /// Opens or creates the file.
    pub(crate) fn open(path: &Path) -> Result<Self, BatchesError> {
        let database = Database::create(path)?;
        let write = database.begin_write()?;
        write.open_table(TABLE)?;
        write.commit()?;
        Ok(Self { database })
    }

    /// The batch that holds a height, if it is here. Its status is of no account.
    pub(crate) fn holding(&self, height: Height) -> Result<Option<BatchInfo>, BatchesError> {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        let Some(row) = table.range(height.get()..)?.next().transpose()? else { return Ok(None) };
        let batch: BatchInfo = serde_json::from_slice(row.1.value())?;
        Ok((batch.core.first_height <= height).then_some(batch))
    }

    /// Writes batches, contiguous and ascending. If L1 has others than in a former run, all later ones of that run go.
    pub(crate) fn keep(&self, batches: &[Arc<AcceptedBatch>]) -> Result<(), BatchesError> {
        let rows = batches.iter().map(|batch| {
            let row = serde_json::to_vec(&batch_info(batch, BatchStatus::Settled))?;
            Ok((batch.core.last_height.get(), row))
        });
        let rows = rows.collect::<Result<Vec<_>, serde_json::Error>>()?;
        let known = self.database.begin_read()?.open_table(TABLE)?;
        let mut is_new = false;
        for (height, row) in &rows {
            is_new |= known.get(height)?.is_none_or(|known| known.value() != row.as_slice());
        }
        drop(known);
        if !is_new {
            return Ok(());
        }
        let write = self.database.begin_write()?;
        {
            let mut table = write.open_table(TABLE)?;
            let first = batches.first().map_or(0, |batch| batch.core.first_height.get());
            table.retain_in(first.., |_, _| false)?;
            for (height, row) in &rows {
                table.insert(height, row.as_slice())?;
            }
        }
        write.commit()?;
        Ok(())
    }
}

/// A batch as `rollup_batchOf` tells it.
pub(crate) fn batch_info(batch: &AcceptedBatch, status: BatchStatus) -> BatchInfo {
    BatchInfo {
        index: batch.core.index.get(),
        core_hash: batch.core_hash,
        core: batch.core.clone(),
        status,
        lane: batch.lane,
        blobs: batch.blob_hashes.clone(),
        l1_transaction: batch.transaction,
        l1_block: BlockRef { number: batch.l1_number, hash: batch.l1_hash, timestamp: batch.l1_timestamp },
        poster: batch.poster,
    }
}

/// Keeps what the view of L1 lets go, until `stop`. The view must hold batches from before anything is released.
pub(crate) async fn archive(batches: Arc<Batches>, l1: L1View, stop: CancellationToken) -> Result<(), NodeError> {
    let mut heads = l1.subscribe();
    loop {
        heads.mark_unchanged();
        loop {
            let held = l1.held_batches(TOGETHER);
            let Some(last) = held.last().map(|batch| batch.core.index).filter(|_| held.len() == TOGETHER) else {
                break;
            };
            let batches = Arc::clone(&batches);
            let kept = tokio::task::spawn_blocking(move || batches.keep(&held)).await;
            let kept = kept.map_err(|_| NodeError::Ended("keeping batches"))?;
            kept.map_err(|error| NodeError::Batches(error.to_string()))?;
            l1.archived(last);
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            changed = heads.changed() => changed.map_err(|_| NodeError::Ended("L1 watcher"))?,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use alloy::primitives::{Address, B256, Bytes, U256};
    use baton_primitives::{BatchIndex, Core, Epoch, Generation, Lane, SnapshotId, View};

    /// Batch `index` of ten blocks; another for another `tag`.
    pub(crate) fn batch(index: u64, tag: u8) -> Arc<AcceptedBatch> {
        let core = Core {
            version: Core::VERSION,
            generation: Generation::ZERO,
            index: BatchIndex::new(index),
            previous: B256::ZERO,
            epoch: Epoch::ZERO,
            snapshot: SnapshotId::ZERO,
            first_height: Height::new(index * 10 - 9),
            last_height: Height::new(index * 10),
            last_view: View::new(index),
            last_block: B256::repeat_byte(tag),
            last_timestamp: index,
            state_root: B256::ZERO,
            origin_number: index,
            origin_hash: B256::ZERO,
            deposits: 0,
            withdrawals_root: B256::ZERO,
            closing: false,
            fees: U256::from(7),
            performance: B256::ZERO,
            next_snapshot: SnapshotId::ZERO,
        };
        Arc::new(AcceptedBatch {
            core_hash: core.hash(),
            core,
            data_hash: B256::ZERO,
            lane: Lane::Blobs,
            blob_hashes: vec![B256::repeat_byte(3)],
            calldata: None,
            signers: U256::from(15),
            performance: Bytes::new(),
            poster: Address::repeat_byte(4),
            transaction: B256::repeat_byte(5),
            l1_number: index + 100,
            l1_hash: B256::repeat_byte(6),
            l1_timestamp: index,
        })
    }

    #[test]
    fn every_height_finds_its_batch_after_a_restart_too_and_a_replaced_chain_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("batches.redb");
        let batches = Batches::open(&path).unwrap();
        assert_eq!(batches.holding(Height::new(1)).unwrap(), None);
        for first in [1, 11, 21] {
            batches.keep(&(first..first + 10).map(|index| batch(index, 1)).collect::<Vec<_>>()).unwrap();
        }
        drop(batches);
        let batches = Batches::open(&path).unwrap();
        let check = |height: u64, tag: u8| {
            let expected = batch_info(&batch(height.div_ceil(10), tag), BatchStatus::Settled);
            assert_eq!(batches.holding(Height::new(height)).unwrap(), Some(expected), "{height}");
        };
        (1..=300).for_each(|height| check(height, 1));
        assert_eq!(batches.holding(Height::ZERO).unwrap(), None);
        assert_eq!(batches.holding(Height::new(301)).unwrap(), None);
        // Read again from L1: the same, then others.
        batches.keep(&(1..=10).map(|index| batch(index, 1)).collect::<Vec<_>>()).unwrap();
        check(300, 1);
        batches.keep(&(11..=15).map(|index| batch(index, 2)).collect::<Vec<_>>()).unwrap();
        check(100, 1);
        check(101, 2);
        check(150, 2);
        assert_eq!(batches.holding(Height::new(151)).unwrap(), None);
    }
}
