//! Offences that this node can prove, until L1 has punished them: `<sequencer>-<epoch>`, one file each, whole or absent.

use crate::Error;
use alloy::primitives::Bytes;
use baton_primitives::{Epoch, SequencerId};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Most offences that wait. Each (sequencer, epoch) is one, so that only many offenders at once can fill it.
const MOST: usize = 256;

/// What names an offence: however many statements contradict, it is punished once.
pub type Offence = (SequencerId, Epoch);

/// Proof of an offence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whose offence it is, and in which epoch.
    pub offence: Offence,
    /// The call to the `Slasher` that proves it.
    pub call: Bytes,
}

/// The offences that wait, on disk.
#[derive(Debug)]
pub struct Docket {
    folder: PathBuf,
    open: BTreeMap<Offence, Bytes>,
}

impl Docket {
    /// Opens or makes the folder.
    ///
    /// # Errors
    /// If it cannot be read or made.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Io { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let mut open = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            match path.file_name().and_then(|n| n.to_str()).and_then(offence_of) {
                Some(offence) => drop(open.insert(offence, fs::read(&path).map_err(failed)?.into())),
                // What a crash left half-written.
                None => fs::remove_file(&path).map_err(failed)?,
            }
        }
        Ok(Self { folder: folder.to_owned(), open })
    }

    /// Adds an offence, unless it is there. Durable when it returns.
    pub(crate) fn file(&mut self, report: Report) -> io::Result<bool> {
        if self.open.contains_key(&report.offence) || self.open.len() == MOST {
            return Ok(false);
        }
        let path = self.path(report.offence);
        let half = path.with_extension("half");
        let mut file = File::create(&half)?;
        file.write_all(&report.call)?;
        file.sync_all()?;
        fs::rename(&half, &path)?;
        File::open(&self.folder)?.sync_all()?;
        self.open.insert(report.offence, report.call);
        Ok(true)
    }

    /// The offences, with the calls that prove them.
    pub(crate) fn all(&self) -> Vec<Report> {
        self.open.iter().map(|(offence, call)| Report { offence: *offence, call: call.clone() }).collect()
    }

    /// Takes an offence off.
    pub(crate) fn close(&mut self, offence: Offence) -> io::Result<()> {
        self.open.remove(&offence);
        fs::remove_file(self.path(offence))
    }

    fn path(&self, (sequencer, epoch): Offence) -> PathBuf {
        self.folder.join(format!("{sequencer}-{epoch}"))
    }
}

fn offence_of(name: &str) -> Option<Offence> {
    let (sequencer, epoch) = name.split_once('-')?;
    Some((SequencerId::new(sequencer.parse().ok()?), Epoch::new(epoch.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(sequencer: u64, call: &'static [u8]) -> Report {
        Report { offence: (SequencerId::new(sequencer), Epoch::new(4)), call: Bytes::from_static(call) }
    }

    #[test]
    fn an_offence_waits_over_restarts_until_it_is_closed_and_waits_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut docket = Docket::open(folder.path()).unwrap();
        assert!(docket.file(report(7, b"first")).unwrap());
        assert!(!docket.file(report(7, b"another contradiction of the epoch")).unwrap());
        assert!(docket.file(report(8, b"second")).unwrap());
        fs::write(folder.path().join("9-4.half"), b"cut").unwrap();
        let mut docket = Docket::open(folder.path()).unwrap();
        assert_eq!(docket.all(), [report(7, b"first"), report(8, b"second")]);
        docket.close(report(7, b"").offence).unwrap();
        assert_eq!(Docket::open(folder.path()).unwrap().all(), [report(8, b"second")]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
