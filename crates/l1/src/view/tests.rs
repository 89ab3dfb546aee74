use super::*;
use crate::ContractLog;
use alloy::primitives::{Log as RawLog, U256};
use baton_bindings::contracts::inbox::BatchInbox::BatchPosted;
use baton_primitives::{Core, Generation, View};

const MAX_REORG: u64 = 8;
/// Blocks in a batch.
const BLOCKS: u64 = 3;

fn hash(number: u64) -> B256 {
    B256::from(U256::from(number))
}

/// The L1 block with batch `number`.
fn block(number: u64) -> L1Block {
    block_with(number, |_| {})
}

/// The same with a change of the batch's core.
fn block_with(number: u64, change: impl FnOnce(&mut Core)) -> L1Block {
    let mut core = Core {
        version: Core::VERSION,
        generation: Generation::ZERO,
        index: BatchIndex::new(number),
        previous: B256::ZERO,
        epoch: Epoch::ZERO,
        snapshot: SnapshotId::ZERO,
        first_height: Height::new((number - 1) * BLOCKS + 1),
        last_height: Height::new(number * BLOCKS),
        last_view: View::new(number),
        last_block: hash(number),
        last_timestamp: number,
        state_root: B256::ZERO,
        origin_number: number - 1,
        origin_hash: B256::ZERO,
        deposits: 0,
        withdrawals_root: B256::ZERO,
        closing: false,
        fees: U256::ZERO,
        performance: B256::ZERO,
        next_snapshot: SnapshotId::ZERO,
    };
    change(&mut core);
    let blobs = vec![B256::repeat_byte(1)];
    let posted = BatchPosted {
        index: number,
        coreHash: core.hash(),
        dataHash: baton_primitives::data_hash_blobs(&blobs),
        core: (&core).into(),
        blobHashes: blobs,
        ..BatchPosted::default()
    };
    let event = ContractEvent::BatchInbox(BatchInboxEvents::BatchPosted(posted));
    let log = ContractLog { transaction: hash(number), log_index: 0, log: RawLog::default(), event };
    L1Block {
        number,
        hash: hash(number),
        parent: hash(number - 1),
        timestamp: number,
        base_fee: 1,
        blob_base_fee: 1,
        prev_randao: B256::ZERO,
        logs: vec![log],
    }
}

fn view(batches: u64) -> L1View {
    let view = L1View::new(MAX_REORG);
    (1..=batches).for_each(|number| view.extend(&block(number), Vec::new()).unwrap());
    view
}

fn kept(view: &L1View) -> Vec<u64> {
    view.state.read().batches.keys().map(|index| index.get()).collect()
}

#[test]
fn a_height_is_found_in_its_batch() {
    let view = view(20);
    for height in 1..=20 * BLOCKS {
        let found = view.batch_holding(Height::new(height)).unwrap();
        assert_eq!(found.core.index.get(), height.div_ceil(BLOCKS));
    }
    assert!(view.batch_holding(Height::ZERO).is_none() && view.batch_holding(Height::new(61)).is_none());
    assert!(L1View::new(0).batch_holding(Height::new(1)).is_none());
}

#[test]
fn old_batches_go_when_no_reorganization_reaches_them_and_who_holds_them_has_them() {
    const BATCHES: u64 = 1_100;
    let free = view(BATCHES);
    assert_eq!(kept(&free).len(), 1_100, "nobody has released anything");
    free.release(BATCHES);
    assert_eq!(kept(&free), (77..=BATCHES).collect::<Vec<_>>());
    assert!(free.held_batches(10).is_empty() && free.batch_holding(Height::new(1)).is_none());

    let held = view(BATCHES);
    held.hold_batches();
    assert!(held.held_batches(10).is_empty(), "somebody needs the blocks still");
    held.release(BATCHES);
    assert_eq!(kept(&held).len(), 1_100);
    let first: Vec<u64> = held.held_batches(10).iter().map(|b| b.core.index.get()).collect();
    assert_eq!(first, (1..=10).collect::<Vec<_>>());
    held.archived(BatchIndex::new(10));
    assert_eq!(kept(&held)[0], 11);
    assert_eq!(held.held_batches(1_000).len(), 66, "the newest 1,024 stay");
    held.archived(BatchIndex::new(76));
    assert_eq!((kept(&held)[0], held.held_batches(1_000).len()), (77, 0));
}

#[test]
fn what_a_reorganization_reaches_is_not_held_out() {
    let view = view(1_030);
    view.hold_batches();
    // The newest 1,024 stay, and of the others none is among the last blocks.
    view.release(3);
    assert_eq!(view.held_batches(10).len(), 2);
}

#[test]
fn the_batch_that_closed_an_epoch_is_known_beyond_the_newest_batches_and_taken_back_with_its_block() {
    let view = L1View::new(MAX_REORG);
    view.release(u64::MAX);
    // Every twentieth batch closes an epoch.
    for number in 1..=2_000 {
        let closes = |core: &mut Core| {
            core.epoch = Epoch::new((number - 1) / 20);
            core.closing = number.is_multiple_of(20);
        };
        view.extend(&block_with(number, closes), Vec::new()).unwrap();
    }
    let closing = |epoch| view.closing(Epoch::new(epoch)).map(|batch| batch.core.index.get());
    assert!(view.batch(BatchIndex::new(740)).is_none(), "the batches themselves are gone");
    assert_eq!((closing(36), closing(99), closing(100)), (Some(740), Some(2_000), None));
    assert_eq!(closing(35), None, "the newest 64 are kept");
    view.revert(1_999, hash(1_999));
    assert_eq!((closing(98), closing(99)), (Some(1_980), None));
}
