use super::*;
use crate::{Choice, Declined, choose, prevrandao};
use alloy::{
    consensus::{SignableTransaction, TxEip1559},
    primitives::{Address, Bytes, Signature, keccak256},
};
use baton_primitives::{Block, Deposit, ExtraData, Header, Height, block_body};
use proptest::prelude::*;

/// Time of L1 block 0, seconds; blocks come every 12 s.
const START: u64 = 1_790_000_000;

pub(crate) fn deposit(index: u64, l1_hash: B256) -> Deposit {
    Deposit {
        index,
        l1_hash,
        from: Address::repeat_byte(4),
        to: Some(Address::repeat_byte(5)),
        mint: 7,
        value: U256::from(7),
        gas: 100_000,
        data: Bytes::new(),
    }
}

/// L1 block `number` with deposits `first..first + count`.
pub(crate) fn l1_block(number: u64, count: u64, first: u64) -> OriginBlock {
    let hash = keccak256(number.to_be_bytes());
    let origin = L1Origin { number, hash, timestamp: START + 12 * number, base_fee: 1_000_000_000, blob_base_fee: 1 };
    OriginBlock { origin, deposits: (first..first + count).map(|i| deposit(i, hash)).collect() }
}

pub(crate) fn parameters() -> Parameters {
    Parameters { max_origin_lag_s: 60, origin_depth: 2, ..Parameters::devnet() }
}

/// A view of the L1 blocks from 10 on with these numbers of deposits.
pub(crate) fn view(deposits: &[u64]) -> OriginView {
    let mut view = OriginView::new();
    let mut next = 0;
    for (number, count) in (10..).zip(deposits) {
        view.insert(l1_block(number, *count, next)).unwrap();
        next += count;
    }
    view
}

/// A block at `height` on L1 block 10, at that block's time plus 1 s.
pub(crate) fn parent(height: u64) -> Parent {
    let extra = ExtraData { view: View::new(6), parent_view: View::new(5), millis: 0 };
    let header = Header {
        number: height,
        timestamp: START + 121,
        gas_limit: parameters().l2_gas_limit,
        gas_used: 21_000,
        base_fee_per_gas: Some(1_000_000_000),
        extra_data: extra.to_bytes(),
        ..Header::default()
    };
    let call = SystemCall { origin: l1_block(10, 0, 0).origin, deposits: 0 };
    Parent { hash: header.hash_slow(), header, call }
}

/// The header that an honest proposer would seal, but for what execution yields.
pub(crate) fn header(attributes: &Attributes) -> Header {
    Header {
        number: attributes.height.get(),
        parent_hash: attributes.parent,
        timestamp: attributes.timestamp,
        extra_data: attributes.extra_data.clone(),
        beneficiary: attributes.beneficiary,
        gas_limit: attributes.gas_limit,
        base_fee_per_gas: Some(attributes.base_fee),
        mix_hash: attributes.mix_hash,
        parent_beacon_block_root: Some(attributes.parent_beacon_block_root),
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    }
}

pub(crate) fn pool_transaction(bytes: usize) -> Transaction {
    TxEip1559 {
        chain_id: parameters().l2_chain_id,
        to: Address::repeat_byte(9).into(),
        gas_limit: 21_000,
        max_fee_per_gas: 2_000_000_000,
        input: vec![1; bytes].into(),
        ..TxEip1559::default()
    }
    .into_signed(Signature::test_signature())
    .into()
}

const NOW: u64 = (START + 150) * 1000;

/// A block on `parent(height)` with origin 12 (two advanced), parts changed by `change`, as (body, header).
fn proposal(height: u64, change: impl FnOnce(&mut Vec<Transaction>, &mut Header)) -> RecoveredBlock {
    let position = Position { time_millis: NOW - 50, view: View::new(7), parent_view: View::new(6) };
    let attributes = attributes(&parent(height), &position, 12, &view(&[0, 2, 1, 4, 0]), &parameters()).unwrap();
    let mut header = header(&attributes);
    let mut transactions = attributes.forced;
    transactions.push(pool_transaction(10));
    change(&mut transactions, &mut header);
    RecoveredBlock::recover(Block { header, body: block_body(transactions) }).unwrap()
}

fn context() -> Context {
    Context {
        epoch: Epoch::ZERO,
        view: View::new(7),
        parent_view: View::new(6),
        leader_ok: true,
        again: false,
        now_millis: NOW,
        unposted_since_millis: None,
    }
}

fn judge(block: &RecoveredBlock, context: &Context) -> Verdict {
    check_block(&parent(100), block, context, &view(&[0, 2, 1, 4, 0]), &parameters())
}

#[test]
fn an_honest_block_is_valid() {
    assert_eq!(judge(&proposal(100, |_, _| {}), &context()), Verdict::Valid);
}

#[test]
fn every_changed_header_field_is_a_fault() {
    type Change = fn(&mut Header);
    let changes: [(&str, Change); 16] = [
        ("parent_hash", |h| h.parent_hash = B256::ZERO),
        ("number", |h| h.number += 1),
        ("timestamp", |h| h.timestamp += 1),
        ("gas_limit", |h| h.gas_limit += 1),
        ("gas_used", |h| h.gas_used = h.gas_limit + 1),
        ("base_fee_per_gas", |h| h.base_fee_per_gas = Some(1)),
        ("beneficiary", |h| h.beneficiary = Address::ZERO),
        ("mix_hash", |h| h.mix_hash = prevrandao(B256::ZERO, Height::new(h.number))),
        ("parent_beacon_block_root", |h| h.parent_beacon_block_root = None),
        ("ommers_hash", |h| h.ommers_hash = B256::ZERO),
        ("difficulty", |h| h.difficulty = U256::from(1)),
        ("nonce", |h| h.nonce = B64::with_last_byte(1)),
        ("withdrawals_root", |h| h.withdrawals_root = None),
        ("blob_gas_used", |h| h.blob_gas_used = Some(131_072)),
        ("excess_blob_gas", |h| h.excess_blob_gas = None),
        ("requests_hash", |h| h.requests_hash = None),
    ];
    for (field, change) in changes {
        let block = proposal(100, |_, header| change(header));
        let mut context = context();
        if field == "timestamp" {
            // The time itself is free: it must only not differ from the one judged, so it shows as a time in the future.
            context.now_millis = block.time_millis() - 1_000;
            assert!(matches!(judge(&block, &context), Verdict::Wait(Wait::Future { .. })), "{field}");
            continue;
        }
        match judge(&block, &context) {
            Verdict::Invalid(Fault::Number { field: f, .. } | Fault::Hash { field: f, .. } | Fault::Form(f)) => {
                assert_eq!(f, field);
            }
            other @ (Verdict::Valid | Verdict::Invalid(_) | Verdict::Wait(_)) => panic!("{field}: {other:?}"),
        }
    }
}

#[test]
fn extra_data_must_be_that_of_the_consensus_context() {
    let with = |view: u64, parent_view: u64| {
        proposal(100, |_, header| {
            let extra = ExtraData { view: View::new(view), parent_view: View::new(parent_view), millis: 950 };
            header.extra_data = extra.to_bytes();
        })
    };
    assert_eq!(judge(&with(7, 6), &context()), Verdict::Valid);
    assert!(matches!(judge(&with(8, 6), &context()), Verdict::Invalid(Fault::Number { field: "extra_data.view", .. })));
    assert!(matches!(
        judge(&with(7, 5), &context()),
        Verdict::Invalid(Fault::Number { field: "extra_data.parent_view", .. })
    ));
    assert!(matches!(
        judge(&proposal(100, |_, h| h.extra_data = Bytes::new()), &context()),
        Verdict::Invalid(Fault::Extra(_))
    ));
    assert_eq!(
        judge(&with(7, 6), &Context { leader_ok: false, ..context() }),
        Verdict::Invalid(Fault::Leader(View::new(7)))
    );
    assert!(matches!(
        judge(&with(7, 6), &Context { epoch: Epoch::new(1), ..context() }),
        Verdict::Invalid(Fault::Epoch { .. })
    ));
}

#[test]
fn only_the_last_block_of_an_epoch_may_be_proposed_again() {
    let later = Context { view: View::new(9), parent_view: View::new(8), again: true, ..context() };
    assert!(matches!(judge(&proposal(100, |_, _| {}), &later), Verdict::Invalid(Fault::Again { .. })));
    let judge = |context: &Context| {
        let block = proposal(238, |_, _| {});
        check_block(&parent(238), &block, context, &view(&[0, 2, 1, 4, 0]), &parameters())
    };
    assert_eq!(judge(&later), Verdict::Valid);
    assert!(matches!(judge(&Context { view: View::new(7), ..later }), Verdict::Invalid(Fault::Again { .. })));
}

#[test]
fn forced_transactions_can_be_neither_dropped_nor_reordered_nor_forged() {
    type Change = fn(&mut Vec<Transaction>);
    let changes: [(usize, Change); 4] = [
        (3, |t| drop(t.remove(3))),
        (1, |t| t.swap(1, 2)),
        (2, |t| t[2] = deposit(1, B256::ZERO).transaction()),
        (1, |t| t.insert(1, deposit(9, B256::ZERO).transaction())),
    ];
    for (index, change) in changes {
        let block = proposal(100, |transactions, _| change(transactions));
        assert_eq!(judge(&block, &context()), Verdict::Invalid(Fault::Forced { index }));
    }
    let block = proposal(100, |transactions, _| transactions.push(deposit(3, B256::ZERO).transaction()));
    assert_eq!(judge(&block, &context()), Verdict::Invalid(Fault::Type { index: 5, kind: 0x7e }));
    let block = proposal(100, |transactions, _| drop(transactions.remove(0)));
    assert!(matches!(judge(&block, &context()), Verdict::Invalid(Fault::System(_))));
}

#[test]
fn what_l1_has_not_shown_is_waited_for() {
    let block = proposal(100, |_, _| {});
    let judge = |view: &OriginView| check_block(&parent(100), &block, &context(), view, &parameters());
    let mut shallow = view(&[0, 2, 1, 4, 0]);
    shallow.set_head(13);
    assert_eq!(judge(&shallow), Verdict::Wait(Wait::Shallow { origin: 12, needed: 14, head: 13 }));
    let mut unseen = view(&[0, 2]);
    unseen.set_head(14);
    assert_eq!(judge(&unseen), Verdict::Wait(Wait::L1(AttributesError::Unseen { number: 12 })));
    let mut other = view(&[0, 2, 1, 4, 0]);
    other.revert_above(11);
    let mut replaced = l1_block(12, 1, 2);
    replaced.origin.hash = B256::repeat_byte(1);
    replaced.deposits[0].l1_hash = B256::repeat_byte(1);
    other.insert(replaced).unwrap();
    other.set_head(14);
    assert!(matches!(judge(&other), Verdict::Wait(Wait::OtherOrigin { number: 12, .. })));
    let mut reorganized = OriginView::new();
    let mut ten = l1_block(10, 0, 0);
    ten.origin.hash = B256::repeat_byte(2);
    reorganized.insert(ten).unwrap();
    for (number, count, first) in [(11, 2, 0), (12, 1, 2), (13, 4, 3), (14, 0, 7)] {
        reorganized.insert(l1_block(number, count, first)).unwrap();
    }
    assert!(matches!(judge(&reorganized), Verdict::Wait(Wait::L1(AttributesError::OtherL1 { number: 10, .. }))));
}

#[test]
fn misstated_facts_of_l1_are_a_fault() {
    let misstate = |change: fn(&mut SystemCall)| {
        proposal(100, |transactions, header| {
            let mut call = SystemCall::of(transactions).unwrap();
            change(&mut call);
            transactions[0] = baton_primitives::system_transaction(Height::new(header.number), &call);
        })
    };
    assert_eq!(judge(&misstate(|c| c.origin.blob_base_fee = 0), &context()), Verdict::Invalid(Fault::Misstated(12)));
    assert_eq!(judge(&misstate(|c| c.deposits += 1), &context()), Verdict::Invalid(Fault::Forced { index: 0 }));
    assert_eq!(
        judge(&misstate(|c| c.origin.number = 9), &context()),
        Verdict::Invalid(Fault::Backwards { parent: 10, found: 9 })
    );
    assert_eq!(judge(&misstate(|c| c.origin.number = 10), &context()), Verdict::Invalid(Fault::Misstated(10)));
}

#[test]
fn time_is_bounded_by_parent_origin_and_clock() {
    let (p, parameters) = (parent(100), parameters());
    let origin = l1_block(12, 0, 0).origin;
    let times = |time| check_times(&p, time, &origin, &parameters);
    let earliest = p.time_millis() + parameters.block_time_ms;
    assert_eq!(
        check_times(&p, earliest - 1, &p.call.origin, &parameters),
        Err(Fault::Early { earliest, found: earliest - 1 })
    );
    assert_eq!(check_times(&p, earliest, &p.call.origin, &parameters), Ok(()));
    let start = origin.timestamp * 1000;
    assert_eq!(times(start), Ok(()));
    assert!(matches!(times(start - 1), Err(Fault::BeforeOrigin { .. })));
    assert_eq!(times(start + 60_000), Ok(()));
    assert_eq!(times(start + 60_001), Err(Fault::Lag { latest: start + 60_000, found: start + 60_001 }));
    let block = proposal(100, |_, _| {});
    let early = Context { now_millis: block.time_millis() - MAX_DRIFT_MS - 1, ..context() };
    assert_eq!(judge(&block, &early), Verdict::Wait(Wait::Future { at_millis: early.now_millis + 1 }));
    assert_eq!(judge(&block, &Context { now_millis: early.now_millis + 1, ..early }), Verdict::Valid);
}

#[test]
fn blocks_have_a_limit_of_bytes_and_pool_transactions_a_lower_one() {
    let most = usize::try_from(MAX_BLOCK_DATA).unwrap();
    let fits = proposal(100, |transactions, _| transactions[4] = pool_transaction(most - 200));
    assert_eq!(judge(&fits, &context()), Verdict::Valid);
    let long = proposal(100, |transactions, _| transactions[4] = pool_transaction(most));
    assert!(matches!(judge(&long, &context()), Verdict::Invalid(Fault::Bytes { most: MAX_BLOCK_DATA, .. })));
    let small = Parameters { max_block_bytes: 1_000, ..parameters() };
    let block = proposal(100, |_, _| {});
    let verdict = check_block(&parent(100), &block, &context(), &view(&[0, 2, 1, 4, 0]), &small);
    assert!(matches!(verdict, Verdict::Invalid(Fault::Bytes { what: "the block", most: 1_000, .. })));
}

#[test]
fn while_batches_are_not_posted_only_heartbeats_and_deposits_pass() {
    let limit = parameters().unposted_limit_s * 1000;
    let context = |age| Context { unposted_since_millis: Some(NOW - age), ..context() };
    let block = proposal(100, |_, _| {});
    assert_eq!(judge(&block, &context(limit)), Verdict::Valid);
    let since_millis = NOW - limit - 1;
    assert_eq!(judge(&block, &context(limit + 1)), Verdict::Wait(Wait::Unposted { since_millis }));
    let heartbeat = proposal(100, |transactions, _| drop(transactions.pop()));
    assert_eq!(judge(&heartbeat, &context(limit + 1)), Verdict::Valid);
}

#[test]
fn several_l1_blocks_at_once_need_room_for_their_deposits() {
    // 310 deposits of 100,000 gas are more than half of 60 million.
    let crowded = view(&[0, 310, 1, 0, 0, 0, 0]);
    let choice = choose(&parent(100), &crowded, NOW, &parameters()).unwrap();
    assert_eq!(choice.origin.number, 11, "one L1 block always fits, but no second one with it");
    let blocks = crowded.range(10, 12).unwrap();
    assert!(matches!(check_advance(&blocks, &parameters()), Err(Fault::DepositGas { blocks: 2, .. })));
    assert_eq!(check_advance(&blocks[..1], &parameters()), Ok(()));
}

#[test]
fn a_proposer_goes_one_block_deeper_and_never_beyond_its_clock() {
    let p = parent(100);
    let view = view(&[0; 8]);
    // Head 17, depth 2, one deeper: 14, whose time is START + 168; at NOW (START + 150) only 12 has happened.
    assert_eq!(choose(&p, &view, NOW, &parameters()).unwrap().origin.number, 12);
    let late = (START + 200) * 1000;
    assert_eq!(
        choose(&p, &view, late, &parameters()),
        Ok(Choice { origin: l1_block(14, 0, 0).origin, time_millis: late })
    );
}

#[test]
fn after_an_outage_of_l1_time_waits_for_the_origins() {
    let p = parent(100);
    let now = NOW + 3_600_000;
    // Nothing new of L1: the block's time may run to the lag's end, not further.
    let choice = choose(&p, &view(&[0]), now, &parameters()).unwrap();
    assert_eq!(choice.time_millis, (START + 120 + 60) * 1000);
    let mut last = p.clone();
    last.header.timestamp = START + 120 + 60;
    assert!(matches!(choose(&last, &view(&[0]), now, &parameters()), Err(Declined::Lag { origin: 10, .. })));
    // As soon as one more L1 block is deep enough, however full, blocks go on.
    assert_eq!(choose(&last, &view(&[0, 310, 310, 0, 0]), now, &parameters()).unwrap().origin.number, 11);
}

proptest! {
    /// What an honest proposer chooses, an honest voter who sees the same L1 (or one block less) accepts.
    #[test]
    fn voters_accept_what_proposers_choose(
        deposits in prop::collection::vec(0u64..400, 1..30), behind in 0u64..2, since in 0u64..400_000, blocks in 1u64..8,
    ) {
        let parameters = parameters();
        // L1 block 10 is the parent's origin: its deposits are executed.
        let full = view(&[&[0], deposits.as_slice()].concat());
        let mut seen = full.clone();
        seen.set_head(full.head().saturating_sub(behind));
        let mut tip = parent(100);
        let mut now = tip.time_millis() + since;
        for step in 0..blocks {
            let Ok(choice) = choose(&tip, &full, now, &parameters) else { break };
            let position = Position { time_millis: choice.time_millis, view: View::new(7 + step), parent_view: View::new(6 + step) };
            let attributes = attributes(&tip, &position, choice.origin.number, &full, &parameters).unwrap();
            let header = header(&attributes);
            let block = RecoveredBlock::recover(Block { header, body: block_body(attributes.forced.clone()) }).unwrap();
            let context = Context {
                view: position.view, parent_view: position.parent_view, now_millis: now.max(choice.time_millis), ..context()
            };
            prop_assert_eq!(check_block(&tip, &block, &context, &seen, &parameters), Verdict::Valid);
            tip = Parent::of(&block).unwrap();
            now += parameters.block_time_ms;
        }
    }
}
