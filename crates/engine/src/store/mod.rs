//! What is on disk: final blocks, their state, and a bounded history of it, in one embedded database.
//!
//! `commit` writes one or several final blocks with everything that follows from them in one atomic transaction: the
//! database is either wholly before or wholly after it, whatever byte the process dies at.

mod addresses;
mod commit;
mod history;
mod log;
mod logs;
mod pack;
mod runs;
mod snapshot;
mod tables;

pub use addresses::AddressHeights;
pub(crate) use history::{Before, Key};
pub use logs::LogHeights;
pub(crate) use snapshot::Snapshot;
pub use tables::Outcome;
pub(crate) use tables::{decode_account, encode_account};

use crate::{
    error::{OpenError, StoreError},
    executed::ExecutedBlock,
    trie::Place,
};
use alloy::primitives::B256;
use log::{Log, Sweeping};
use parking_lot::Mutex;
use redb::{Database, DatabaseError, ReadableDatabase, backends::InMemoryBackend};
use snapshot::trie_row;
use std::path::Path;
use tables::{LAYOUT, META};

/// The database.
#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
    log: Mutex<Log>,
    sweeping: Mutex<Sweeping>,
    history_blocks: Option<u64>,
}

impl Store {
    /// Opens the database in directory `path`, or creates it with `genesis`.
    pub(crate) fn open(
        path: &Path,
        cache_bytes: usize,
        segment_bytes: u64,
        history_blocks: Option<u64>,
        genesis: &ExecutedBlock,
    ) -> Result<Self, OpenError> {
        let name = || path.display().to_string();
        std::fs::create_dir_all(path).map_err(|source| OpenError::Directory { path: name(), source })?;
        let database = Database::builder().set_cache_size(cache_bytes).create(path.join("state.redb"));
        let database = match database {
            Ok(database) => database,
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(OpenError::InUse { path: name() }),
            Err(error) => return Err(OpenError::Store(error.into())),
        };
        let store = Self { database, log: Mutex::new(Log::nowhere()), sweeping: Mutex::default(), history_blocks };
        let expected = genesis.block.hash();
        match store.identity()? {
            None => {
                *store.log.lock() = Log::open(path, segment_bytes, 0, 0)?;
                store.create(genesis)?;
            }
            Some((LAYOUT, found)) if found == expected => {
                let (end, left, place) = trie_row(
                    &store
                        .database
                        .begin_read()
                        .map_err(StoreError::from)?
                        .open_table(META)
                        .map_err(StoreError::from)?,
                )?;
                *store.log.lock() = Log::open(path, segment_bytes, place.map_or(0, Place::oldest), end)?;
                store.sweeping.lock().left = left;
            }
            Some((LAYOUT, found)) => return Err(OpenError::OtherChain { path: name(), found, expected }),
            Some((found, _)) => return Err(OpenError::Layout { path: name(), found, expected: LAYOUT }),
        }
        Ok(store)
    }

    /// A database in memory, with `genesis`.
    pub(crate) fn in_memory(genesis: &ExecutedBlock) -> Result<Self, StoreError> {
        let database = Database::builder().create_with_backend(InMemoryBackend::new())?;
        let (log, sweeping) = (Mutex::new(Log::nowhere()), Mutex::default());
        let store = Self { database, log, sweeping, history_blocks: None };
        store.create(genesis)?;
        Ok(store)
    }

    /// A view of the last commit.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Snapshot::new(&self.database, self.log.lock().view(), self.sweeping.lock().floor)
    }

    fn identity(&self) -> Result<Option<(u64, B256)>, StoreError> {
        let transaction = self.database.begin_read()?;
        let meta = match transaction.open_table(META) {
            Ok(meta) => meta,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let row = |key: &str| -> Result<Vec<u8>, StoreError> {
            let row = meta.get(key)?.ok_or(StoreError::Absent { table: "meta" })?;
            Ok(row.value().to_vec())
        };
        let layout = row("layout")?.try_into().map_err(|_| StoreError::Row { table: "meta" })?;
        let genesis = B256::try_from(row("genesis")?.as_slice()).map_err(|_| StoreError::Row { table: "meta" })?;
        Ok(Some((u64::from_be_bytes(layout), genesis)))
    }
}
