//! The blobs of batches, kept for whoever asks: `<index>/<versioned hash>`, one file each, whole or absent.

use crate::Error;
use alloy::{
    eips::eip4844::{BYTES_PER_BLOB, Blob},
    primitives::B256,
};
use baton_batch::CommittedBlob;
use baton_primitives::BatchIndex;
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Blobs on disk. Clones are handles to the same folder.
#[derive(Clone, Debug)]
pub struct Archive {
    folder: Arc<PathBuf>,
    /// Held while files change: a node may keep the same blob for its own post and for another's at once.
    changing: Arc<parking_lot::Mutex<()>>,
    known: Arc<parking_lot::RwLock<HashMap<B256, BatchIndex>>>,
}

impl Archive {
    /// Opens or makes the folder.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(io)?;
        let mut known = HashMap::new();
        for entry in fs::read_dir(folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let Some(index) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else { continue };
            for blob in fs::read_dir(entry.path()).map_err(io)? {
                let blob = blob.map_err(io)?;
                match blob.file_name().to_str().and_then(|n| n.parse::<B256>().ok()) {
                    Some(hash) => drop(known.insert(hash, BatchIndex::new(index))),
                    // What a crash left half-written.
                    None => fs::remove_file(blob.path()).map_err(io)?,
                }
            }
        }
        let (changing, known) = (Arc::default(), Arc::new(parking_lot::RwLock::new(known)));
        Ok(Self { folder: Arc::new(folder.to_owned()), changing, known })
    }

    /// The blob with this versioned hash, if it is kept. Reads a file.
    pub fn get(&self, hash: &B256) -> Option<Blob> {
        let index = *self.known.read().get(hash)?;
        let bytes = fs::read(self.path(index).join(hash.to_string())).ok()?;
        (bytes.len() == BYTES_PER_BLOB).then(|| Blob::from_slice(&bytes))
    }

    /// Keeps blobs of a batch.
    pub(crate) fn put(&self, index: BatchIndex, blobs: &[CommittedBlob]) -> Result<(), Error> {
        let _changing = self.changing.lock();
        let folder = self.path(index);
        let write = || -> io::Result<()> {
            fs::create_dir_all(&folder)?;
            for (hash, CommittedBlob { blob, .. }) in blobs.iter().map(|it| (it.versioned_hash(), it)) {
                if self.known.read().get(&hash) == Some(&index) {
                    continue;
                }
                let temporary = folder.join(format!("{hash}.new"));
                let mut file = File::create(&temporary)?;
                file.write_all(blob.as_slice())?;
                file.sync_all()?;
                fs::rename(&temporary, folder.join(hash.to_string()))?;
                self.known.write().insert(hash, index);
            }
            File::open(&folder)?.sync_all()
        };
        write().map_err(|source| Error::Io { path: folder.clone(), source })
    }

    /// Deletes the blobs of a batch but these: encodings that nobody posted.
    pub(crate) fn keep_only(&self, index: BatchIndex, hashes: &[B256]) -> Result<(), Error> {
        let _changing = self.changing.lock();
        let folder = self.path(index);
        let mut known = self.known.write();
        let surplus: Vec<B256> =
            known.iter().filter(|(hash, i)| **i == index && !hashes.contains(hash)).map(|(h, _)| *h).collect();
        for hash in surplus {
            known.remove(&hash);
            let path = folder.join(hash.to_string());
            fs::remove_file(&path).map_err(|source| Error::Io { path, source })?;
        }
        Ok(())
    }

    /// Deletes the blobs of all batches below this one.
    pub(crate) fn forget_below(&self, index: BatchIndex) -> Result<(), Error> {
        let _changing = self.changing.lock();
        let old: Vec<BatchIndex> = {
            let mut known = self.known.write();
            let mut old: Vec<_> = known.values().filter(|i| **i < index).copied().collect();
            known.retain(|_, i| *i >= index);
            old.sort_unstable();
            old.dedup();
            old
        };
        for index in old {
            let path = self.path(index);
            fs::remove_dir_all(&path).map_err(|source| Error::Io { path, source })?;
        }
        Ok(())
    }

    fn path(&self, index: BatchIndex) -> PathBuf {
        self.folder.join(index.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The archive takes names on trust.
    fn named(blob: Blob, name: u8) -> CommittedBlob {
        CommittedBlob { blob: Arc::new(blob), commitment: [name; 48] }
    }

    #[test]
    fn the_same_blob_kept_by_many_at_once_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::open(folder.path()).unwrap();
        for round in 0..20u8 {
            let index = BatchIndex::new(round.into());
            let blobs = [named(Blob::repeat_byte(round), round)];
            let hash = blobs[0].versioned_hash();
            std::thread::scope(|scope| {
                let writers: Vec<_> = (0..8).map(|_| scope.spawn(|| archive.put(index, &blobs))).collect();
                writers.into_iter().for_each(|writer| writer.join().unwrap().unwrap());
            });
            assert_eq!(archive.get(&hash), Some(*blobs[0].blob));
        }
    }

    #[test]
    fn blobs_survive_a_restart_and_half_written_ones_vanish() {
        let folder = tempfile::tempdir().unwrap();
        let blob = Blob::repeat_byte(7);
        let blobs = [named(blob, 1), named(blob, 2)];
        let [hash, other] = blobs.each_ref().map(CommittedBlob::versioned_hash);
        let archive = Archive::open(folder.path()).unwrap();
        archive.put(BatchIndex::new(3), &blobs).unwrap();
        archive.keep_only(BatchIndex::new(3), &[hash]).unwrap();
        fs::write(folder.path().join("3").join(format!("{other}.new")), b"half").unwrap();
        let archive = Archive::open(folder.path()).unwrap();
        assert_eq!(archive.get(&hash), Some(blob));
        assert_eq!(archive.get(&other), None);
        assert_eq!(fs::read_dir(folder.path().join("3")).unwrap().count(), 1);
        archive.forget_below(BatchIndex::new(4)).unwrap();
        assert_eq!(archive.get(&hash), None);
    }
}
