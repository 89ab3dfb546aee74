//! Finalization certificates for followers: the newest in memory, and on disk one for each epoch's last block and every
//! [`STRIDE`]th height, so that a follower that begins anywhere soon meets one.

use alloy::primitives::Bytes;
use baton_primitives::Height;
use parking_lot::Mutex;
use redb::{Database, Durability, ReadableDatabase, TableDefinition};
use std::{collections::BTreeMap, path::Path};

/// Heights between certificates that are kept for good.
const STRIDE: u64 = 32;
/// Newest certificates in memory.
const RECENT: usize = 512;
const TABLE: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("certificates");

pub(crate) struct Certificates {
    database: Database,
    recent: Mutex<BTreeMap<Height, Bytes>>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").field("recent", &self.recent.lock().len()).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Opens or creates the file.
    pub(crate) fn open(path: &Path) -> Result<Self, redb::Error> {
        let database = Database::create(path)?;
        let write = database.begin_write()?;
        write.open_table(TABLE)?;
        write.commit()?;
        Ok(Self { database, recent: Mutex::default() })
    }

    /// Keeps a certificate. A write that fails costs followers a detour, nothing else.
    pub(crate) fn keep(&self, height: Height, certificate: &Bytes, closes_epoch: bool) {
        let mut recent = self.recent.lock();
        recent.insert(height, certificate.clone());
        while recent.len() > RECENT {
            recent.pop_first();
        }
        drop(recent);
        if (closes_epoch || height.get().is_multiple_of(STRIDE))
            && let Err(error) = self.store(height, certificate)
        {
            tracing::error!(%height, %error, "certificate not stored: followers that begin below must find another");
        }
    }

    /// The certificate of exactly this height, if it is kept.
    pub(crate) fn get(&self, height: Height) -> Result<Option<Bytes>, redb::Error> {
        if let Some(certificate) = self.recent.lock().get(&height) {
            return Ok(Some(certificate.clone()));
        }
        let read = self.database.begin_read()?;
        let table = read.open_table(TABLE)?;
        Ok(table.get(height.get())?.map(|guard| Bytes::copy_from_slice(guard.value())))
    }

    fn store(&self, height: Height, certificate: &Bytes) -> Result<(), redb::Error> {
        let mut write = self.database.begin_write()?;
        // Lost certificates come again with later blocks: no need to wait for the disk.
        write.set_durability(Durability::None)?;
        write.open_table(TABLE)?.insert(height.get(), certificate.as_ref())?;
        write.commit()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_ends_and_strides_are_kept_for_good_and_the_rest_for_a_while() {
        let directory = tempfile::tempdir().unwrap();
        let certificates = Certificates::open(&directory.path().join("certificates.redb")).unwrap();
        for height in 1..=1_000u64 {
            let bytes = Bytes::from(height.to_be_bytes().to_vec());
            certificates.keep(Height::new(height), &bytes, height == 239);
        }
        let kept = |height| certificates.get(Height::new(height)).unwrap().is_some();
        assert!(kept(32) && kept(239) && kept(999) && kept(489));
        assert!(!kept(33) && !kept(488));
    }
}
