//! One log: sections in memory, what they need to come back in one file.

use super::frame::{self, Content, Name, Record};
use commonware_runtime::{
    Blob, BlobVersion, Error, Handle, IoBufMut, IoBufs, IoBufsMut, ReadOptions, Storage, WriteOptions,
};
use futures::lock::Mutex as AsyncMutex;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// Bytes of a log from which on it is written anew, with what is left of its sections.
pub(super) const COMPACT: u64 = 16 * 1024 * 1024;

/// The sections of one partition.
pub(super) struct Log<E: Storage> {
    storage: E,
    partition: String,
    sections: Mutex<Sections>,
    file: AsyncMutex<File<E::Blob>>,
}

/// What readers see, and what of it is not in the file yet.
#[derive(Default)]
struct Sections {
    open: BTreeMap<Name, Arc<Mutex<Cell>>>,
    /// Records since the last frame.
    waiting: Vec<u8>,
    /// Records ever made, in bytes, and how many of these survive a crash.
    made: u64,
    durable: u64,
}

/// A section; handles of a removed one go on reading it.
struct Cell {
    name: Name,
    content: Content,
    removed: bool,
}

struct File<B> {
    blob: B,
    generation: u64,
    end: u64,
    frames: u64,
    compact_at: u64,
    /// A write was begun and its end is not known: nothing more can be promised.
    broken: bool,
}

impl Sections {
    fn record(&mut self, record: Record<'_>) {
        let before = self.waiting.len();
        record.encode(&mut self.waiting);
        self.made += (self.waiting.len() - before) as u64;
    }

    /// Everything is in the file, of what was made up to `made`.
    fn settle(&mut self, made: u64) {
        let written = usize::try_from(made - self.durable).unwrap_or(usize::MAX);
        self.waiting.drain(..written.min(self.waiting.len()));
        self.durable = made;
    }
}

fn corrupt(partition: &str, generation: u64, reason: String) -> Error {
    Error::BlobCorrupt(partition.into(), generation.to_string(), reason)
}

impl<E: Storage> Log<E> {
    /// Opens or makes the log of a partition.
    ///
    /// # Errors
    /// If the storage fails, or lost something that was synced.
    pub(super) async fn open(storage: E, partition: &str) -> Result<Self, Error> {
        let mut generations = match storage.scan(partition).await {
            Ok(names) => {
                names.into_iter().map(|name| generation_of(partition, &name)).collect::<Result<Vec<_>, _>>()?
            }
            Err(Error::PartitionMissing(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        generations.sort_unstable();
        // The newest whose first frame is whole: a crash may have cut one short while it was written anew.
        let mut chosen = None;
        for generation in generations.iter().rev().copied() {
            let (blob, length) = storage.open(partition, &generation.to_be_bytes()).await?;
            let length = usize::try_from(length).map_err(|_| Error::OffsetOverflow)?;
            let bytes = blob.read_at(0, length, ReadOptions::DONT_CACHE).await?.coalesce();
            let replayed = frame::replay(bytes.as_ref()).map_err(|reason| corrupt(partition, generation, reason))?;
            let oldest = Some(&generation) == generations.first();
            if oldest && generation > 0 && replayed.frames == 0 {
                // The file before it was removed when its first frame was synced.
                return Err(corrupt(partition, generation, "its first frame is damaged".into()));
            }
            if oldest || replayed.frames > 0 {
                chosen = Some((generation, blob, length, replayed));
                break;
            }
        }
        let (generation, blob, length, replayed) = match chosen {
            Some(chosen) => chosen,
            None => {
                let (blob, _) = storage.open(partition, &0u64.to_be_bytes()).await?;
                (0, blob, 0, frame::Replayed::default())
            }
        };
        if replayed.end < length {
            blob.resize(replayed.end as u64).await?;
            blob.sync().await?;
        }
        for other in generations.into_iter().filter(|other| *other != generation) {
            storage.remove(partition, Some(&other.to_be_bytes())).await?;
        }
        let open = replayed.sections.into_iter().map(|(name, content)| {
            let cell = Cell { name: name.clone(), content, removed: false };
            (name, Arc::new(Mutex::new(cell)))
        });
        let file = File {
            blob,
            generation,
            end: replayed.end as u64,
            frames: replayed.frames,
            compact_at: COMPACT,
            broken: false,
        };
        let sections = Sections { open: open.collect(), ..Sections::default() };
        Ok(Self { storage, partition: partition.into(), sections: Mutex::new(sections), file: AsyncMutex::new(file) })
    }

    pub(super) fn names(&self) -> Vec<Name> {
        self.sections.lock().open.keys().cloned().collect()
    }

    /// The section of a name, made if there is none. What can be read of it survives a crash.
    pub(super) async fn section(
        self: &Arc<Self>,
        name: &[u8],
        versions: std::ops::RangeInclusive<BlobVersion>,
    ) -> Result<(Section<E>, u64, BlobVersion), Error> {
        let (cell, version, length) = {
            let mut sections = self.sections.lock();
            let cell = if let Some(cell) = sections.open.get(name) {
                cell.clone()
            } else {
                let version = versions.end().get();
                sections.record(Record::Create { version, name });
                let content = Content { version, bytes: Vec::new() };
                let cell = Arc::new(Mutex::new(Cell { name: name.to_vec(), content, removed: false }));
                sections.open.insert(name.to_vec(), cell.clone());
                cell
            };
            let (version, length) = {
                let Content { version, bytes } = &cell.lock().content;
                (BlobVersion::new(*version), bytes.len() as u64)
            };
            (cell, version, length)
        };
        if !versions.contains(&version) {
            return Err(Error::BlobVersionMismatch { expected: versions, found: version });
        }
        if length > 0 {
            self.sync().await?;
        }
        Ok((Section { log: self.clone(), cell }, length, version))
    }

    /// Removes a section, for good with the next sync: what a crash brings back of a vote journal is older than what it keeps.
    pub(super) fn remove(&self, name: &[u8]) -> Result<(), Error> {
        let mut sections = self.sections.lock();
        let Some(cell) = sections.open.remove(name) else {
            return Err(Error::BlobMissing(self.partition.clone(), format!("{name:02x?}")));
        };
        cell.lock().removed = true;
        sections.record(Record::Remove { name });
        Ok(())
    }

    /// Nothing of what handles still write is kept, and nothing more goes to the file.
    pub(super) fn remove_all(&self) {
        let mut sections = self.sections.lock();
        sections.open.values().for_each(|cell| cell.lock().removed = true);
        sections.open.clear();
        let made = sections.made;
        sections.settle(made);
    }

    /// Everything recorded before survives a crash when this returns.
    async fn sync(&self) -> Result<(), Error> {
        let target = self.sections.lock().made;
        let mut file = self.file.lock().await;
        if file.broken {
            return Err(corrupt(&self.partition, file.generation, "an earlier write did not end".into()));
        }
        let (frame, made) = {
            let sections = self.sections.lock();
            if sections.durable >= target {
                return Ok(());
            }
            (frame::frame(file.frames, &sections.waiting), sections.made)
        };
        let length = frame.len() as u64;
        file.broken = true;
        file.blob.write_at(file.end, frame, WriteOptions::SYNC).await?;
        file.broken = false;
        file.end += length;
        file.frames += 1;
        self.sections.lock().settle(made);
        if file.end >= file.compact_at { self.compact(&mut file).await } else { Ok(()) }
    }

    /// Writes what is left into the next file, then removes this one.
    async fn compact(&self, file: &mut File<E::Blob>) -> Result<(), Error> {
        let (records, made) = {
            let sections = self.sections.lock();
            let mut records = Vec::new();
            for (name, cell) in &sections.open {
                let Content { version, bytes } = &cell.lock().content;
                Record::Create { version: *version, name }.encode(&mut records);
                Record::Write { name, offset: 0, bytes }.encode(&mut records);
            }
            (records, sections.made)
        };
        let frame = frame::frame(0, &records);
        let (generation, length) = (file.generation + 1, frame.len() as u64);
        file.broken = true;
        let (blob, _) = self.storage.open(&self.partition, &generation.to_be_bytes()).await?;
        blob.write_at(0, frame, WriteOptions::SYNC).await?;
        let compact_at = COMPACT.max(4 * length);
        let former =
            std::mem::replace(file, File { blob, generation, end: length, frames: 1, compact_at, broken: false });
        self.sections.lock().settle(made);
        let name = former.generation.to_be_bytes();
        drop(former);
        self.storage.remove(&self.partition, Some(&name)).await
    }
}

fn generation_of(partition: &str, name: &[u8]) -> Result<u64, Error> {
    let bytes = name.try_into().map_err(|_| Error::PartitionCorrupt(partition.into()))?;
    Ok(u64::from_be_bytes(bytes))
}

/// A handle of a section.
pub(crate) struct Section<E: Storage> {
    log: Arc<Log<E>>,
    cell: Arc<Mutex<Cell>>,
}

impl<E: Storage> Section<E> {
    /// Changes the section and notes it, in one step for whoever syncs.
    fn change(
        &self,
        change: impl FnOnce(&mut Content) -> Option<()>,
        record: impl FnOnce(&mut Sections, &[u8]),
    ) -> Result<(), Error> {
        let mut sections = self.log.sections.lock();
        let mut cell = self.cell.lock();
        change(&mut cell.content).ok_or(Error::OffsetOverflow)?;
        if !cell.removed {
            record(&mut sections, &cell.name);
        }
        Ok(())
    }
}

impl<E: Storage> Blob for Section<E> {
    async fn read_at_buf(
        &self,
        offset: u64,
        len: usize,
        bufs: impl Into<IoBufsMut> + Send,
        _options: ReadOptions,
    ) -> Result<IoBufsMut, Error> {
        use bytes::BufMut as _;
        let mut bufs = bufs.into();
        let cell = self.cell.lock();
        let offset = usize::try_from(offset).map_err(|_| Error::OffsetOverflow)?;
        let end = offset.checked_add(len).ok_or(Error::OffsetOverflow)?;
        let bytes = cell.content.bytes.get(offset..end).ok_or(Error::BlobInsufficientLength)?;
        if bufs.len() > len {
            return Ok(IoBufMut::from(bytes).into());
        }
        // They may come empty, or with something in them that is to be overwritten.
        bufs.put_bytes(0, len - bufs.len());
        bufs.copy_from_slice(bytes);
        Ok(bufs)
    }

    async fn read_at(&self, offset: u64, len: usize, options: ReadOptions) -> Result<IoBufsMut, Error> {
        self.read_at_buf(offset, len, IoBufMut::with_capacity(len), options).await
    }

    async fn write_at(&self, offset: u64, bufs: impl Into<IoBufs> + Send, options: WriteOptions) -> Result<(), Error> {
        let bytes = bufs.into().coalesce();
        let bytes = bytes.as_ref();
        self.change(
            |content| content.write(offset, bytes),
            |sections, name| sections.record(Record::Write { name, offset, bytes }),
        )?;
        if options.contains(WriteOptions::SYNC) { self.log.sync().await } else { Ok(()) }
    }

    async fn resize(&self, length: u64) -> Result<(), Error> {
        let new = usize::try_from(length).map_err(|_| Error::OffsetOverflow)?;
        self.change(
            |content| {
                content.bytes.resize(new, 0);
                Some(())
            },
            |sections, name| sections.record(Record::Resize { name, length }),
        )
    }

    async fn sync(&self) -> Result<(), Error> {
        self.log.sync().await
    }

    async fn start_sync(&self) -> Handle<()> {
        Handle::ready(self.log.sync().await)
    }
}

#[cfg(test)]
#[path = "log/tests.rs"]
mod tests;
