//! What is on disk: final blocks, their state, and a bounded history of it, in one embedded database.
//!
//! `commit` writes one or several final blocks with everything that follows from them in one atomic transaction: the
//! database is either wholly before or wholly after it, whatever byte the process dies at.

mod addresses;
mod commit;
mod logs;
mod snapshot;
mod tables;

pub use addresses::AddressHeights;
pub use logs::LogHeights;
pub(crate) use snapshot::{Nothing, Snapshot};
pub use tables::Outcome;

use crate::{
    error::{OpenError, StoreError},
    executed::ExecutedBlock,
};
use alloy::primitives::B256;
use redb::{Database, DatabaseError, ReadableDatabase, backends::InMemoryBackend};
use std::path::Path;
use tables::{LAYOUT, META};

/// The database.
#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
    history_blocks: Option<u64>,
}

impl Store {
    /// Opens the database in directory `path`, or creates it with `genesis`.
    pub(crate) fn open(
        path: &Path,
        cache_bytes: usize,
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
        let store = Self { database, history_blocks };
        let expected = genesis.block.hash();
        match store.identity()? {
            None => store.create(genesis)?,
            Some((LAYOUT, found)) if found == expected => {}
            Some((LAYOUT, found)) => return Err(OpenError::OtherChain { path: name(), found, expected }),
            Some((found, _)) => return Err(OpenError::Layout { path: name(), found, expected: LAYOUT }),
        }
        Ok(store)
    }

    /// A database in memory, with `genesis`.
    pub(crate) fn in_memory(genesis: &ExecutedBlock) -> Result<Self, StoreError> {
        let database = Database::builder().create_with_backend(InMemoryBackend::new())?;
        let store = Self { database, history_blocks: None };
        store.create(genesis)?;
        Ok(store)
    }

    /// A view of the last commit.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Snapshot::new(&self.database)
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
