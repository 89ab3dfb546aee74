//! What this node can prove of others, until L1 has heard it: `<sequencer>-<epoch>`, for kinds other than votes followed by
//! `-<kind>`, one file each, whole or absent.
//!
//! A docket that is full loses what L1 needs least: first what another entry of the same sequencer and kind stands for (the newest one of
//! the sequencer with the most), then absences (the chain tells them again), then what comes. An offence's only proof never
//! gives way to another.

use crate::Error;
use alloy::primitives::Bytes;
use baton_primitives::{Epoch, SequencerId};
use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Most entries that wait: four of each member of a full set.
const MOST: usize = 256;

/// What a sequencer did; the first is worth most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It signed contradicting votes: slashed and jailed.
    Votes,
    /// It signed two cores of one batch: slashed and jailed.
    Batches,
    /// It missed its terms: jailed.
    Absence,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Votes, Self::Batches, Self::Absence];

    /// Its name in logs, metrics and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Votes => "votes",
            Self::Batches => "batches",
            Self::Absence => "absence",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What names an entry: however many statements prove it, it is brought before L1 once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offence {
    /// Who.
    pub sequencer: SequencerId,
    /// In which epoch.
    pub epoch: Epoch,
    /// What.
    pub kind: Kind,
}

/// Proof of an offence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The offence.
    pub offence: Offence,
    /// The call to the `Slasher` that proves it.
    pub call: Bytes,
}

/// What became of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Filed {
    /// The offence waits already.
    Again,
    /// It waits.
    Waits,
    /// The docket is full: it waits, and this one does no longer.
    Instead(Report),
    /// The docket is full of what is worth more: it does not wait.
    Refused(Report),
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
    pub(crate) fn file(&mut self, report: Report) -> io::Result<Filed> {
        if self.open.contains_key(&report.offence) {
            return Ok(Filed::Again);
        }
        let lost = if self.open.len() < MOST { None } else { Some(self.least(report.offence)) };
        if lost == Some(report.offence) {
            return Ok(Filed::Refused(report));
        }
        let path = self.path(report.offence);
        let half = path.with_extension("half");
        let mut file = File::create(&half)?;
        file.write_all(&report.call)?;
        file.sync_all()?;
        fs::rename(&half, &path)?;
        File::open(&self.folder)?.sync_all()?;
        self.open.insert(report.offence, report.call);
        let Some(offence) = lost else { return Ok(Filed::Waits) };
        let call = self.open.get(&offence).cloned().unwrap_or_default();
        self.close(offence)?;
        Ok(Filed::Instead(Report { offence, call }))
    }

    /// What gives way among those that wait and a newcomer.
    fn least(&self, newcomer: Offence) -> Offence {
        let all = || self.open.keys().copied().chain([newcomer]);
        let mut entries = BTreeMap::<_, usize>::new();
        all().for_each(|it| *entries.entry((it.sequencer, it.kind)).or_default() += 1);
        let twice = all().filter_map(|it| {
            let count = entries.get(&(it.sequencer, it.kind)).copied().filter(|count| *count > 1)?;
            Some((it, (it.kind, count, it.epoch, it.sequencer)))
        });
        let twice = twice.max_by_key(|(_, rank)| *rank).map(|(it, _)| it);
        let absence = || all().filter(|it| it.kind == Kind::Absence).max_by_key(|it| (it.epoch, it.sequencer));
        twice.or_else(absence).unwrap_or(newcomer)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
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

    fn path(&self, Offence { sequencer, epoch, kind }: Offence) -> PathBuf {
        self.folder.join(match kind {
            Kind::Votes => format!("{sequencer}-{epoch}"),
            Kind::Batches | Kind::Absence => format!("{sequencer}-{epoch}-{kind}"),
        })
    }
}

fn offence_of(name: &str) -> Option<Offence> {
    let (sequencer, rest) = name.split_once('-')?;
    let (epoch, kind) = match rest.split_once('-') {
        None => (rest, Kind::Votes),
        Some((epoch, name)) => (epoch, Kind::ALL.into_iter().find(|kind| kind.name() == name)?),
    };
    Some(Offence { sequencer: SequencerId::new(sequencer.parse().ok()?), epoch: Epoch::new(epoch.parse().ok()?), kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offence(sequencer: u64, epoch: u64, kind: Kind) -> Offence {
        Offence { sequencer: SequencerId::new(sequencer), epoch: Epoch::new(epoch), kind }
    }

    fn report(sequencer: u64, call: &'static [u8]) -> Report {
        Report { offence: offence(sequencer, 4, Kind::Votes), call: Bytes::from_static(call) }
    }

    fn file(docket: &mut Docket, offence: Offence) -> Filed {
        docket.file(Report { offence, call: Bytes::from_static(b"call") }).unwrap()
    }

    /// What the docket loses when this comes.
    fn lost(docket: &mut Docket, newcomer: Offence) -> Offence {
        let lost = match file(docket, newcomer) {
            Filed::Instead(lost) => {
                assert!(docket.open.contains_key(&newcomer) && lost.call == Bytes::from_static(b"call"));
                lost.offence
            }
            Filed::Refused(refused) => {
                assert_eq!(refused.offence, newcomer);
                newcomer
            }
            filed @ (Filed::Again | Filed::Waits) => panic!("{filed:?}"),
        };
        assert!(docket.len() == MOST && !docket.open.contains_key(&lost));
        lost
    }

    /// A docket filled up with votes' contradictions of sequencers from 1,000 on.
    fn full(folder: &Path, others: &[Offence]) -> Docket {
        let mut docket = Docket::open(folder).unwrap();
        let rest = (1_000..).map(|sequencer| offence(sequencer, 9, Kind::Votes));
        for offence in others.iter().copied().chain(rest).take(MOST) {
            assert_eq!(file(&mut docket, offence), Filed::Waits);
        }
        docket
    }

    #[test]
    fn an_offence_waits_over_restarts_until_it_is_closed_and_waits_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut docket = Docket::open(folder.path()).unwrap();
        assert_eq!(docket.file(report(7, b"first")).unwrap(), Filed::Waits);
        assert_eq!(docket.file(report(7, b"another contradiction of the epoch")).unwrap(), Filed::Again);
        assert_eq!(docket.file(report(8, b"second")).unwrap(), Filed::Waits);
        let others = [offence(7, 4, Kind::Batches), offence(7, 4, Kind::Absence)];
        others.iter().for_each(|it| assert_eq!(file(&mut docket, *it), Filed::Waits, "of another kind"));
        fs::write(folder.path().join("9-4.half"), b"cut").unwrap();
        fs::write(folder.path().join("9-4-batches.half"), b"cut").unwrap();
        let mut docket = Docket::open(folder.path()).unwrap();
        for it in others {
            assert_eq!(docket.open.get(&it), Some(&Bytes::from_static(b"call")));
            docket.close(it).unwrap();
        }
        assert_eq!(docket.all(), [report(7, b"first"), report(8, b"second")]);
        docket.close(report(7, b"").offence).unwrap();
        assert_eq!(Docket::open(folder.path()).unwrap().all(), [report(8, b"second")]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_full_docket_loses_the_newest_of_who_has_the_most_of_one_kind() {
        let folder = tempfile::tempdir().unwrap();
        let twice = [offence(1, 3, Kind::Votes), offence(1, 5, Kind::Votes)];
        let thrice = [7, 6, 8].map(|epoch| offence(2, epoch, Kind::Votes));
        let mut docket = full(folder.path(), &[twice.as_slice(), &thrice].concat());
        assert_eq!(lost(&mut docket, offence(3, 1, Kind::Votes)), offence(2, 8, Kind::Votes));
        // Two each now, and the newest of all is the one that comes.
        assert_eq!(lost(&mut docket, offence(3, 2, Kind::Votes)), offence(2, 7, Kind::Votes));
        assert_eq!(lost(&mut docket, offence(3, 9, Kind::Votes)), offence(3, 9, Kind::Votes));
        assert_eq!(lost(&mut docket, offence(4, 1, Kind::Votes)), offence(1, 5, Kind::Votes));
        // As it is in memory, so it is on disk.
        assert_eq!(Docket::open(folder.path()).unwrap().all(), docket.all());
    }

    #[test]
    fn absences_give_way_before_slashes_and_the_only_proof_of_an_offence_never_does() {
        let folder = tempfile::tempdir().unwrap();
        let doubles = [offence(1, 3, Kind::Batches), offence(1, 4, Kind::Batches)];
        let absences = [offence(1, 3, Kind::Absence), offence(2, 2, Kind::Absence), offence(2, 1, Kind::Absence)];
        let mut docket = full(folder.path(), &[doubles.as_slice(), &absences].concat());
        assert_eq!(lost(&mut docket, offence(10, 1, Kind::Batches)), absences[1], "told twice, and only a jail");
        assert_eq!(lost(&mut docket, offence(11, 1, Kind::Batches)), doubles[1], "the other one slashes as well");
        assert_eq!(lost(&mut docket, offence(12, 1, Kind::Batches)), absences[0], "the newest absence");
        assert_eq!(lost(&mut docket, offence(13, 1, Kind::Absence)), offence(13, 1, Kind::Absence), "itself");
        assert_eq!(lost(&mut docket, offence(14, 1, Kind::Votes)), absences[2]);
        let before = docket.all();
        assert_eq!(lost(&mut docket, offence(15, 1, Kind::Votes)), offence(15, 1, Kind::Votes), "all are only ones");
        assert_eq!(docket.all(), before);
    }
}
