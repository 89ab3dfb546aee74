//! What a log consists of. Pure.
//!
//! ```text
//! frame:   magic 4 | number 8 | length 8 | CRC-32C of number, length and records 4 | records
//! record:  0 version 2 name         a section is made (or made again, empty)
//!          1 name offset 8 bytes    bytes are written
//!          2 name length 8          it is cut or filled with zeros
//!          3 name                   it is removed
//! ```
//!
//! Integers are big-endian, names and bytes have their length (8) in front. A frame is written and synced as one and before the next one
//! is begun, so only the last can be torn.

use commonware_cryptography::{Crc32, Hasher as _};
use std::collections::BTreeMap;

const MAGIC: [u8; 4] = *b"BVL1";
const HEADER: usize = 24;

/// A section's name, as the journal chose it.
pub(super) type Name = Vec<u8>;

/// One change of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    Create { version: u16, name: &'a [u8] },
    Write { name: &'a [u8], offset: u64, bytes: &'a [u8] },
    Resize { name: &'a [u8], length: u64 },
    Remove { name: &'a [u8] },
}

impl<'a> Record<'a> {
    pub(super) fn encode(self, to: &mut Vec<u8>) {
        match self {
            Self::Create { version, name } => {
                to.push(0);
                to.extend(version.to_be_bytes());
                put(name, to);
            }
            Self::Write { name, offset, bytes } => {
                to.push(1);
                put(name, to);
                to.extend(offset.to_be_bytes());
                put(bytes, to);
            }
            Self::Resize { name, length } => {
                to.push(2);
                put(name, to);
                to.extend(length.to_be_bytes());
            }
            Self::Remove { name } => {
                to.push(3);
                put(name, to);
            }
        }
    }

    /// The first record of `from`, which then begins with the next one.
    fn decode(from: &mut &'a [u8]) -> Option<Self> {
        let (kind, rest) = from.split_first()?;
        *from = rest;
        Some(match kind {
            0 => Self::Create { version: u16::from_be_bytes(take(from)?), name: get(from)? },
            1 => Self::Write { name: get(from)?, offset: u64::from_be_bytes(take(from)?), bytes: get(from)? },
            2 => Self::Resize { name: get(from)?, length: u64::from_be_bytes(take(from)?) },
            3 => Self::Remove { name: get(from)? },
            _ => return None,
        })
    }
}

fn put(bytes: &[u8], to: &mut Vec<u8>) {
    to.extend((bytes.len() as u64).to_be_bytes());
    to.extend(bytes);
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*head)
}

fn get<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u64::from_be_bytes(take(from)?)).ok()?;
    let (head, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(head)
}

fn checksum(number: u64, records: &[u8]) -> u32 {
    let length = records.len() as u64;
    Crc32::hash(&[&number.to_be_bytes(), &length.to_be_bytes(), records]).as_u32()
}

/// The frame that holds `records`.
pub(super) fn frame(number: u64, records: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER + records.len());
    frame.extend(MAGIC);
    frame.extend(number.to_be_bytes());
    frame.extend((records.len() as u64).to_be_bytes());
    frame.extend(checksum(number, records).to_be_bytes());
    frame.extend(records);
    frame
}

/// The whole frame at the start of `bytes`: its number and records.
fn unframe(mut bytes: &[u8]) -> Option<(u64, &[u8])> {
    if take(&mut bytes)? != MAGIC {
        return None;
    }
    let number = u64::from_be_bytes(take(&mut bytes)?);
    let length = usize::try_from(u64::from_be_bytes(take(&mut bytes)?)).ok()?;
    let sum = u32::from_be_bytes(take(&mut bytes)?);
    let records = bytes.get(..length)?;
    (checksum(number, records) == sum).then_some((number, records))
}

/// A section as its records made it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) version: u16,
    pub(super) bytes: Vec<u8>,
}

impl Content {
    /// `None` if the bytes would end beyond what a machine can hold.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) -> Option<()> {
        let offset = usize::try_from(offset).ok()?;
        let end = offset.checked_add(bytes.len())?;
        if end > self.bytes.len() {
            self.bytes.resize(end, 0);
        }
        self.bytes.get_mut(offset..end)?.copy_from_slice(bytes);
        Some(())
    }
}

/// What a log holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Replayed {
    pub(super) sections: BTreeMap<Name, Content>,
    /// Whole frames, the number of the next one.
    pub(super) frames: u64,
    /// Where the next frame goes; what is behind was torn by a crash.
    pub(super) end: usize,
}

/// Reads a log. A frame that is not whole ends it, if it is the last.
///
/// # Errors
/// If there are frames behind one that is damaged, or a whole frame makes no sense: then the disk lost something that was synced.
pub(super) fn replay(log: &[u8]) -> Result<Replayed, String> {
    let mut replayed = Replayed::default();
    loop {
        let rest = log.get(replayed.end..).unwrap_or_default();
        let Some((_, mut records)) = unframe(rest).filter(|(number, _)| *number == replayed.frames) else { break };
        replayed.end += HEADER + records.len();
        while !records.is_empty() {
            let record = Record::decode(&mut records);
            record
                .and_then(|record| apply(&mut replayed.sections, record))
                .ok_or_else(|| format!("frame {} makes no sense", replayed.frames))?;
        }
        replayed.frames += 1;
    }
    let behind = log.get(replayed.end + 1..).unwrap_or_default();
    let later = behind
        .windows(MAGIC.len())
        .enumerate()
        .filter(|(_, window)| *window == MAGIC)
        .filter_map(|(at, _)| unframe(behind.get(at..)?))
        .find(|(number, _)| *number > replayed.frames);
    match later {
        Some((number, _)) => Err(format!("frame {} is damaged, frame {number} is whole", replayed.frames)),
        None => Ok(replayed),
    }
}

fn apply(sections: &mut BTreeMap<Name, Content>, record: Record<'_>) -> Option<()> {
    match record {
        Record::Create { version, name } => {
            sections.insert(name.to_vec(), Content { version, bytes: Vec::new() });
        }
        Record::Write { name, offset, bytes } => sections.get_mut(name)?.write(offset, bytes)?,
        Record::Resize { name, length } => sections.get_mut(name)?.bytes.resize(usize::try_from(length).ok()?, 0),
        Record::Remove { name } => drop(sections.remove(name)?),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(each: &[&[Record<'_>]]) -> Vec<u8> {
        let encoded = (0..).zip(each).map(|(number, records)| {
            let mut bytes = Vec::new();
            records.iter().for_each(|record| record.encode(&mut bytes));
            frame(number, &bytes)
        });
        encoded.flatten().collect()
    }

    const LOG: [&[Record<'static>]; 3] = [
        &[Record::Create { version: 3, name: b"one" }, Record::Write { name: b"one", offset: 2, bytes: b"abc" }],
        &[Record::Create { version: 0, name: b"two" }, Record::Resize { name: b"one", length: 4 }],
        &[Record::Write { name: b"one", offset: 1, bytes: b"x" }, Record::Remove { name: b"two" }],
    ];

    #[test]
    fn a_log_is_what_its_records_made() {
        let log = frames(&LOG);
        let replayed = replay(&log).unwrap();
        let one = Content { version: 3, bytes: b"\0xab".to_vec() };
        assert_eq!(replayed, Replayed { sections: [(b"one".to_vec(), one)].into(), frames: 3, end: log.len() });
        assert_eq!(replay(&[]), Ok(Replayed::default()));
    }

    #[test]
    fn a_log_that_ends_anywhere_has_the_frames_that_are_whole() {
        let log = frames(&LOG);
        let ends: Vec<usize> = (0..=LOG.len()).map(|count| frames(&LOG[..count]).len()).collect();
        for length in 0..log.len() {
            let whole = ends.iter().filter(|end| **end <= length).count() - 1;
            let replayed = replay(&log[..length]).unwrap();
            assert_eq!((replayed.frames, replayed.end), (whole as u64, ends[whole]), "{length}");
            assert_eq!(replayed, replay(&frames(&LOG[..whole])).unwrap());
        }
    }

    #[test]
    fn a_torn_last_frame_is_no_frame_a_damaged_earlier_one_is_an_error() {
        let log = frames(&LOG);
        let last = frames(&LOG[..2]).len();
        for at in 0..log.len() {
            let mut damaged = log.clone();
            damaged[at] ^= 1;
            match replay(&damaged) {
                Ok(replayed) => assert!(at >= last && replayed.frames == 2 && replayed.end == last, "{at}"),
                Err(_) => assert!(at < last, "{at}"),
            }
        }
    }

    #[test]
    fn what_a_crash_left_behind_a_shorter_frame_is_not_read_again() {
        let torn = frames(&LOG);
        let mut log = frames(&LOG[..2]);
        // Number 2 once more, over the torn one; behind it lies the rest of that.
        let mut bytes = Vec::new();
        Record::Remove { name: b"two" }.encode(&mut bytes);
        log.extend(frame(2, &bytes));
        log.extend(&torn[log.len()..]);
        let replayed = replay(&log).unwrap();
        assert_eq!((replayed.frames, replayed.sections.len()), (3, 1));
    }

    #[test]
    fn records_of_what_is_not_there_are_an_error() {
        for record in [
            Record::Write { name: b"one", offset: 0, bytes: b"a" },
            Record::Resize { name: b"one", length: 1 },
            Record::Remove { name: b"one" },
        ] {
            assert!(replay(&frames(&[&[record]])).is_err(), "{record:?}");
        }
        let far = Record::Write { name: b"one", offset: u64::MAX, bytes: b"a" };
        assert!(replay(&frames(&[&[Record::Create { version: 0, name: b"one" }, far]])).is_err());
        assert!(replay(&frame(0, &[9])).is_err());
    }
}
