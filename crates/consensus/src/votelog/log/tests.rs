use super::*;
use commonware_runtime::{DEFAULT_BLOB_VERSION, Runner as _, Supervisor as _, deterministic};
use std::ops::RangeInclusive;

const PARTITION: &str = "votes";
const VERSIONS: RangeInclusive<BlobVersion> = DEFAULT_BLOB_VERSION..=DEFAULT_BLOB_VERSION;

type TestLog = Log<deterministic::Context>;

async fn open(context: &deterministic::Context) -> Arc<TestLog> {
    Arc::new(Log::open(context.child("log"), PARTITION).await.unwrap())
}

async fn section(log: &Arc<TestLog>, name: &[u8]) -> Section<deterministic::Context> {
    log.section(name, VERSIONS).await.unwrap().0
}

async fn write(section: &Section<deterministic::Context>, offset: u64, bytes: &[u8]) {
    section.write_at(offset, bytes.to_vec(), WriteOptions::default()).await.unwrap();
}

async fn read(log: &Arc<TestLog>, name: &[u8]) -> Vec<u8> {
    let (section, length, _) = log.section(name, VERSIONS).await.unwrap();
    let length = usize::try_from(length).unwrap();
    let bytes = section.read_at(0, length, ReadOptions::default()).await.unwrap();
    bytes.coalesce().as_ref().to_vec()
}

/// Does `before`, crashes so that everything unsynced is lost, and does `after`.
fn crash_between<A, B>(
    before: impl FnOnce(deterministic::Context) -> A,
    after: impl FnOnce(deterministic::Context) -> B,
) where
    A: Future<Output = ()>,
    B: Future<Output = ()>,
{
    let ((), checkpoint) = deterministic::Runner::default().start_and_recover(before);
    deterministic::Runner::from(checkpoint).start(after);
}

#[test]
fn a_crash_takes_what_was_not_synced_and_nothing_else() {
    crash_between(
        |context| async move {
            let log = open(&context).await;
            let (one, two) = (section(&log, b"one").await, section(&log, b"two").await);
            write(&one, 0, b"kept").await;
            write(&two, 1, b"kept too").await;
            one.sync().await.unwrap();
            write(&one, 4, b" and lost").await;
            section(&log, b"three").await;
        },
        |context| async move {
            let log = open(&context).await;
            assert_eq!(log.names(), [b"one".to_vec(), b"two".to_vec()]);
            assert_eq!(read(&log, b"one").await, b"kept");
            assert_eq!(read(&log, b"two").await, b"\0kept too");
        },
    );
}

#[test]
fn every_way_to_sync_survives() {
    crash_between(
        |context| async move {
            let log = open(&context).await;
            let one = section(&log, b"one").await;
            one.write_at(0, b"a".to_vec(), WriteOptions::SYNC).await.unwrap();
            write(&one, 1, b"bcd").await;
            one.start_sync().await.await.unwrap();
            one.resize(3).await.unwrap();
            one.sync().await.unwrap();
            write(&section(&log, b"two").await, 0, b"read").await;
            // Whoever opens a section reads nothing that a crash could take.
            section(&log, b"two").await;
        },
        |context| async move {
            let log = open(&context).await;
            assert_eq!(read(&log, b"one").await, b"abc");
            assert_eq!(read(&log, b"two").await, b"read");
            write(&section(&log, b"one").await, 3, b"e").await;
            assert_eq!(read(&log, b"one").await, b"abce");
        },
    );
}

#[test]
fn a_removed_section_is_still_read_and_never_written() {
    crash_between(
        |context| async move {
            let log = open(&context).await;
            let one = section(&log, b"one").await;
            write(&one, 0, b"old").await;
            log.remove(b"one").unwrap();
            assert!(log.remove(b"one").is_err());
            let again = section(&log, b"one").await;
            write(&again, 0, b"new!").await;
            write(&one, 0, b"ghost").await;
            let bytes = one.read_at(0, 5, ReadOptions::default()).await.unwrap();
            assert_eq!(bytes.coalesce().as_ref(), b"ghost");
            again.sync().await.unwrap();
            log.remove(b"one").unwrap();
            section(&log, b"two").await.write_at(0, b"x".to_vec(), WriteOptions::SYNC).await.unwrap();
            again.sync().await.unwrap();
        },
        |context| async move {
            let log = open(&context).await;
            assert_eq!(log.names(), [b"two".to_vec()]);
        },
    );
}

#[test]
fn a_long_log_is_written_anew_and_its_former_file_goes() {
    const SECTIONS: u64 = 40;
    crash_between(
        |context| async move {
            let log = open(&context).await;
            // Each section is written over and over, all but the last few are removed.
            for view in 0..SECTIONS {
                let name = view.to_be_bytes();
                let of_view = section(&log, &name).await;
                for round in 0..16u8 {
                    of_view.write_at(0, vec![round; 64 * 1024], WriteOptions::SYNC).await.unwrap();
                }
                if view >= 4 {
                    log.remove(&(view - 4).to_be_bytes()).unwrap();
                }
            }
            assert!(log.file.lock().await.generation >= 2);
            assert!(log.file.lock().await.end < COMPACT);
            assert_eq!(context.scan(PARTITION).await.unwrap().len(), 1);
        },
        |context| async move {
            let log = open(&context).await;
            let names: Vec<_> = (SECTIONS - 4..SECTIONS).map(|view| view.to_be_bytes().to_vec()).collect();
            // The removal of one more was not synced.
            assert_eq!(log.names()[log.names().len() - 4..], names);
            for name in &names {
                assert_eq!(read(&log, name).await, vec![15; 64 * 1024]);
            }
        },
    );
}

#[test]
fn a_log_that_was_cut_short_while_written_anew_leaves_the_former_one() {
    crash_between(
        |context| async move {
            let log = open(&context).await;
            let one = section(&log, b"one").await;
            one.write_at(0, b"kept".to_vec(), WriteOptions::SYNC).await.unwrap();
            let (next, _) = context.open(PARTITION, &1u64.to_be_bytes()).await.unwrap();
            let frame = frame::frame(0, &[9; 100]);
            next.write_at(0, frame[..frame.len() - 1].to_vec(), WriteOptions::SYNC).await.unwrap();
        },
        |context| async move {
            let log = open(&context).await;
            assert_eq!(read(&log, b"one").await, b"kept");
            assert_eq!(context.scan(PARTITION).await.unwrap(), [0u64.to_be_bytes().to_vec()]);
            section(&log, b"one").await.write_at(4, b"!".to_vec(), WriteOptions::SYNC).await.unwrap();
            drop(log);
            assert_eq!(read(&open(&context).await, b"one").await, b"kept!");
        },
    );
}

#[test]
fn a_file_that_lost_what_was_synced_is_not_opened() {
    deterministic::Runner::default().start(|context| async move {
        let log = open(&context).await;
        let one = section(&log, b"one").await;
        for byte in 0..3u8 {
            one.write_at(u64::from(byte), vec![byte], WriteOptions::SYNC).await.unwrap();
        }
        drop((one, log));
        let (blob, _) = context.open(PARTITION, &0u64.to_be_bytes()).await.unwrap();
        blob.write_at(25, vec![0xff], WriteOptions::SYNC).await.unwrap();
        drop(blob);
        let refused = Log::open(context.child("log"), PARTITION).await.err().unwrap();
        assert!(refused.to_string().contains("frame 0 is damaged"), "{refused}");
    });
}

#[test]
fn a_write_that_was_given_up_ends_the_log() {
    use futures::FutureExt as _;
    deterministic::Runner::default().start(|context| async move {
        let log = open(&context).await;
        let one = section(&log, b"one").await;
        write(&one, 0, b"a").await;
        log.file.lock().await.broken = true;
        assert!(one.sync().now_or_never().unwrap().is_err());
        write(&one, 0, b"b").await;
        assert!(one.sync().await.is_err());
    });
}

#[test]
fn the_only_file_without_a_whole_first_frame_is_a_new_log_or_an_error() {
    for (generation, opens) in [(0u64, true), (1, false)] {
        deterministic::Runner::default().start(|context| async move {
            let (blob, _) = context.open(PARTITION, &generation.to_be_bytes()).await.unwrap();
            blob.write_at(0, b"torn".to_vec(), WriteOptions::SYNC).await.unwrap();
            drop(blob);
            assert_eq!(Log::open(context.child("log"), PARTITION).await.is_ok(), opens, "{generation}");
        });
    }
}

#[test]
fn a_removed_log_writes_nothing_more() {
    deterministic::Runner::default().start(|context| async move {
        let log = open(&context).await;
        let one = section(&log, b"one").await;
        write(&one, 0, b"a").await;
        log.remove_all();
        write(&one, 1, b"b").await;
        one.sync().await.unwrap();
        assert_eq!((log.file.lock().await.end, log.names().len()), (0, 0));
        assert_eq!(one.read_at(0, 2, ReadOptions::default()).await.unwrap().coalesce().as_ref(), b"ab");
    });
}
