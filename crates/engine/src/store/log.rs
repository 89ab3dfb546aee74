//! The log of the state trie's nodes: records one after the other, in files of about one size, the segments.
//!
//! A record is a length (2 bytes) and as many bytes; none crosses segments. Records are appended and synced before the
//! database's commit that names the root's place and the log's end, and nobody reads above that end: a process that dies
//! between the two leaves a tail which the next one cuts off. Segments below the oldest that the root still needs are deleted
//! after a commit; who still reads an older state has them open.

use crate::{
    error::StoreError,
    trie::{Sink, Source},
};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Positions of a segment, and its most bytes: a position is the segment's number times this, plus the place in it.
pub(crate) const SEGMENT: u64 = 64 * 1024 * 1024;

/// Bytes gathered before they are written.
const BUFFER: usize = 1024 * 1024;

/// Most bytes of a record that are read at once: nearly all are shorter.
const READ: usize = 768;

type Segments = BTreeMap<u32, Arc<File>>;

/// The segment of a position.
pub(crate) fn segment_of(at: u64) -> u32 {
    u32::try_from(at / SEGMENT).unwrap_or(u32::MAX)
}

/// What can be read as of one commit.
#[derive(Clone, Debug)]
pub(crate) struct LogView {
    segments: Arc<Segments>,
    /// The position after the last record.
    pub(crate) end: u64,
}

impl Source for LogView {
    fn record(&self, at: u64) -> Result<Vec<u8>, StoreError> {
        let broken = || StoreError::Record { at };
        if at >= self.end {
            return Err(broken());
        }
        let file = self.segments.get(&segment_of(at)).ok_or_else(broken)?;
        let mut buffer = [0; READ];
        let mut read = 0;
        // A read may be cut short by a signal, and is at the end of the file.
        while read < 2 {
            match file.read_at(&mut buffer[read..], at % SEGMENT + read as u64)? {
                0 => return Err(broken()),
                more => read += more,
            }
        }
        let length = usize::from(u16::from_be_bytes([buffer[0], buffer[1]]));
        if length + 2 <= read {
            return Ok(buffer[2..length + 2].to_vec());
        }
        let mut record = vec![0; length];
        file.read_exact_at(&mut record, at % SEGMENT + 2).map_err(|_| broken())?;
        Ok(record)
    }
}

/// The log, for its one writer.
#[derive(Debug)]
pub(crate) struct Log {
    /// `None`: nothing can be written.
    directory: Option<PathBuf>,
    segments: Arc<Segments>,
    /// Bytes from which on a segment is full.
    full: u64,
    end: u64,
    /// Records above `end` that are not written yet.
    buffer: Vec<u8>,
    /// Whether something could not be written: nodes may have places then that lead nowhere.
    failed: bool,
}

impl Log {
    /// Without files: for a state that is wholly in memory.
    pub(crate) fn nowhere() -> Self {
        Self { directory: None, segments: Arc::default(), full: SEGMENT, end: 0, buffer: Vec::new(), failed: false }
    }

    /// Opens the segments from `oldest` on; what is above `end`, or below `oldest`, goes. New segments have `full` bytes.
    pub(crate) fn open(directory: &Path, full: u64, oldest: u32, end: u64) -> Result<Self, StoreError> {
        let last = segment_of(end);
        let mut segments = Segments::new();
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            let Some(number) = number_of(&path) else { continue };
            let length = match number {
                _ if number < oldest || number > last => 0,
                _ if number == last => end % SEGMENT,
                _ => SEGMENT,
            };
            if length == 0 {
                std::fs::remove_file(&path)?;
                continue;
            }
            let file = OpenOptions::new().read(true).write(true).open(&path)?;
            let found = file.metadata()?.len();
            if number == last && found < length {
                return Err(StoreError::Record { at: u64::from(number) * SEGMENT + found });
            }
            if found > length {
                file.set_len(length)?;
            }
            segments.insert(number, Arc::new(file));
        }
        if !end.is_multiple_of(SEGMENT) && !segments.contains_key(&last) {
            return Err(StoreError::Record { at: u64::from(last) * SEGMENT });
        }
        let (directory, segments, full) = (Some(directory.to_owned()), Arc::new(segments), full.min(SEGMENT));
        Ok(Self { directory, segments, full, end, buffer: Vec::new(), failed: false })
    }

    pub(crate) fn view(&self) -> LogView {
        LogView { segments: self.segments.clone(), end: self.end }
    }

    /// Runs what writes: if it fails, this log writes no more.
    pub(crate) fn guarded<T>(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.failed {
            return Err(StoreError::LogFailed);
        }
        let result = write(self);
        self.failed = result.is_err();
        result
    }

    /// Puts all records on the disk; answers the log's end.
    pub(crate) fn sync(&mut self) -> Result<u64, StoreError> {
        if !self.buffer.is_empty() {
            self.flush()?;
        }
        if let Some(file) = self.segments.get(&segment_of(self.end.saturating_sub(1))) {
            file.sync_data()?;
        }
        Ok(self.end)
    }

    /// Deletes the segments below this one.
    pub(crate) fn forget(&mut self, oldest: u32) -> Result<(), StoreError> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let kept = self.segments.range(oldest..).map(|(number, file)| (*number, file.clone())).collect();
        for number in self.segments.range(..oldest).map(|(number, _)| *number) {
            std::fs::remove_file(directory.join(name_of(number)))?;
        }
        self.segments = Arc::new(kept);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let Some(directory) = &self.directory else { return Err(StoreError::LogFailed) };
        let number = segment_of(self.end);
        let file = match self.segments.get(&number) {
            Some(file) => file.clone(),
            None => {
                let path = directory.join(name_of(number));
                let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
                // The name must be on the disk before a commit counts on the file.
                File::open(directory)?.sync_all()?;
                let file = Arc::new(file);
                Arc::make_mut(&mut self.segments).insert(number, file.clone());
                file
            }
        };
        file.write_all_at(&self.buffer, self.end % SEGMENT)?;
        self.end += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Sink for Log {
    fn put(&mut self, record: &[u8]) -> Result<(u64, u32), StoreError> {
        let length = u16::try_from(record.len()).map_err(|_| StoreError::Row { table: "trie" })?;
        let mut at = self.end + self.buffer.len() as u64;
        if !at.is_multiple_of(SEGMENT) && at % SEGMENT + record.len() as u64 + 2 > self.full {
            // The rest of this segment stays empty, and is on the disk before anything in the next one.
            self.flush()?;
            if let Some(file) = self.segments.get(&segment_of(self.end)) {
                file.sync_data()?;
            }
            self.end = (self.end / SEGMENT + 1) * SEGMENT;
            at = self.end;
        }
        self.buffer.extend_from_slice(&length.to_be_bytes());
        self.buffer.extend_from_slice(record);
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok((at, segment_of(at)))
    }
}

fn name_of(segment: u32) -> String {
    format!("trie-{segment:08}.log")
}

fn number_of(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.strip_prefix("trie-")?.strip_suffix(".log")?.parse().ok()
}

/// When the log's old segments are freed: once it is longer than after the last time by half, or by eight times that if it is
/// short ([`MANY`] segments are too few to make blocks wait for). What the state needs, and what was appended meanwhile, is what is
/// left then; so the log's length stays in proportion to the state.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sweeping {
    /// The first segment that is not to be freed, while others are.
    pub(crate) floor: Option<u32>,
    /// Segments after the last time.
    pub(crate) left: u32,
}

/// Segments that are never worth the work.
const FEW: u32 = 4;
const MANY: u32 = 32;

impl Sweeping {
    /// After a commit with which the log ends at `end`, and the trie needs nothing below segment `oldest`.
    pub(crate) fn after(mut self, end: u64, oldest: u32) -> Self {
        let last = segment_of(end);
        let length = last.saturating_sub(oldest);
        if self.floor.is_some_and(|floor| oldest >= floor) {
            (self.floor, self.left) = (None, length);
        }
        let more = (self.left / 2).max(MANY.min(8 * self.left.min(MANY)));
        if self.floor.is_none() && length > FEW.max(self.left + more) {
            self.floor = Some(last);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(segment: u32) -> u64 {
        u64::from(segment) * SEGMENT
    }

    #[test]
    fn a_log_is_swept_when_it_has_grown_and_until_nothing_old_is_needed() {
        let start = Sweeping::default();
        assert_eq!(start.after(at(4), 0).floor, None);
        let sweeping = start.after(at(5), 0);
        assert_eq!((sweeping.floor, sweeping.left), (Some(5), 0));
        let still = sweeping.after(at(7), 4);
        assert_eq!((still.floor, still.left), (Some(5), 0), "segment 4 is still needed");
        let done = still.after(at(7), 5);
        assert_eq!((done.floor, done.left), (None, 2));
        assert_eq!(done.after(at(23), 5).floor, None);
        assert_eq!(done.after(at(24), 5).floor, Some(24));
        let long = Sweeping { floor: None, left: 100 };
        assert_eq!((long.after(at(150), 0).floor, long.after(at(151), 0).floor), (None, Some(151)));
    }

    #[test]
    fn a_log_that_failed_writes_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(dir.path(), 100, 0, 0).unwrap();
        let (at, _) = log.guarded(|log| log.put(&[1, 2, 3])).unwrap();
        assert!(matches!(log.guarded(|_| Err::<(), _>(StoreError::Record { at: 0 })), Err(StoreError::Record { .. })));
        assert!(matches!(log.guarded(|log| log.sync()), Err(StoreError::LogFailed)));
        assert!(matches!(log.view().record(at), Err(StoreError::Record { .. })), "it was not synced");
    }

    #[test]
    fn every_record_is_read_back_from_whichever_segment_it_is_in() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(dir.path(), 2_000, 0, 0).unwrap();
        let records: Vec<Vec<u8>> = (0..200u8).map(|number| vec![number; usize::from(number) * 9]).collect();
        let places: Vec<(u64, u32)> = records.iter().map(|record| log.put(record).unwrap()).collect();
        let end = log.sync().unwrap();
        let read = |view: &LogView| places.iter().map(|(at, _)| view.record(*at).unwrap()).collect::<Vec<_>>();
        assert_eq!(read(&log.view()), records);
        assert!(places.iter().all(|(at, segment)| segment_of(*at) == *segment));
        let before = log.view();
        log.forget(50).unwrap();
        assert_eq!(read(&before), records, "who had it keeps it");
        let forgotten = places.iter().filter(|(at, _)| log.view().record(*at).is_err());
        assert_eq!(forgotten.count(), places.iter().filter(|(_, segment)| *segment < 50).count());
        let again = Log::open(dir.path(), 2_000, 50, end).unwrap();
        assert_eq!(again.view().record(places[199].0).unwrap(), records[199]);
        assert!(again.view().record(end).is_err());
    }
}
