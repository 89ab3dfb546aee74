use super::*;
use crate::{
    OriginBlock,
    check::tests::{header, l1_block, parameters, parent, pool_transaction, view},
};
use alloy::primitives::keccak256;
use baton_batch::{BatchContext, BatchRange, Closing, Outcome, core, encode};
use baton_primitives::{Epoch, Generation, Height, Performance, SnapshotId, View};
use proptest::prelude::*;

/// Stands for execution: a header whose state root depends on the parent and every transaction.
fn execute(plan: &Plan) -> (B256, Header) {
    let mut seed = plan.attributes.parent.to_vec();
    for transaction in plan.attributes.forced.iter().chain(&plan.transactions) {
        seed.extend(transaction.tx_hash());
    }
    let header = Header { state_root: keccak256(seed), gas_used: 42_000, ..header(&plan.attributes) };
    (header.hash_slow(), header)
}

fn anchor(tip: &Parent) -> Anchor {
    Anchor {
        index: BatchIndex::ZERO,
        core_hash: B256::ZERO,
        last_height: tip.height(),
        last_block: tip.hash,
        state_root: tip.header.state_root,
    }
}

const WITHDRAWALS: B256 = B256::repeat_byte(8);

fn swept(closing: bool) -> U256 {
    U256::from(if closing { 77 } else { 0 })
}

/// Blocks as (origin, transactions); the batch is encoded, executed and described by a core as a sequencer would.
fn sequence(tip: &mut Parent, before: &Anchor, blocks: &[(u64, usize)], l1: &OriginView) -> (Core, Vec<u8>, Vec<B256>) {
    let (mut inputs, mut hashes) = (Vec::new(), Vec::new());
    let first = tip.height().next();
    for (step, (origin, transactions)) in (1usize..).zip(blocks) {
        let transactions = vec![pool_transaction(step); *transactions];
        let time_millis = (tip.time_millis() + 50).max(l1.origin(*origin).unwrap().timestamp * 1000);
        let input = BlockInput {
            time_millis,
            view: View::new(tip.extra().view.get() + 1),
            parent_view: tip.extra().view,
            origin: *origin,
            transactions: transactions.clone(),
        };
        let position = Position { time_millis, view: input.view, parent_view: input.parent_view };
        let attributes = attributes(tip, &position, *origin, l1, &parameters()).unwrap();
        let call = attributes.call;
        let (hash, header) = execute(&Plan { attributes, transactions });
        *tip = Parent { hash, header, call };
        inputs.push(input);
        hashes.push(hash);
    }
    let closing = tip.height().closes_epoch(parameters().epoch_blocks);
    let range = BatchRange { first, last: tip.height(), closing };
    let context = BatchContext { generation: Generation::ZERO, epoch: Epoch::ZERO, snapshot: SnapshotId::ZERO };
    let outcome = Outcome { system: tip.call, withdrawals_root: WITHDRAWALS, swept: swept(closing) };
    let performance = Performance::default();
    let end = closing.then_some(Closing { performance: &performance, next_snapshot: SnapshotId::ZERO });
    let core = core(before, &context, &range, &tip.header, &outcome, end).unwrap();
    (core, encode(&inputs, parameters().l2_chain_id).unwrap(), hashes)
}

fn derive(derivation: &mut Derivation, l1: &OriginView) -> Result<Vec<B256>, DeriveError> {
    let mut hashes = Vec::new();
    while let Some(plan) = derivation.next(l1)? {
        assert_eq!(derivation.next(l1)?.as_ref(), Some(&plan), "asking again changes nothing");
        let (hash, header) = execute(&plan);
        derivation.executed(hash, &header)?;
        hashes.push(hash);
    }
    let closing = derivation.tip().height().closes_epoch(parameters().epoch_blocks);
    derivation.confirm(WITHDRAWALS, swept(closing))?;
    Ok(hashes)
}

fn setup(height: u64) -> (Parent, Anchor, Derivation, OriginView) {
    let tip = parent(height);
    let anchor = anchor(&tip);
    let derivation = Derivation::new(parameters(), anchor, tip.clone());
    (tip, anchor, derivation, view(&[0, 2, 1, 4, 0]))
}

proptest! {
    /// P3 in small: what was sequenced is what is derived, batch by batch.
    #[test]
    fn derived_equals_final(batches in prop::collection::vec(prop::collection::vec((0u64..2, 0usize..3), 1..5), 1..5)) {
        let (mut tip, mut before, mut derivation, l1) = setup(220);
        let mut origin = 10;
        for batch in batches {
            let blocks: Vec<_> = batch.into_iter().map(|(step, count)| { origin = (origin + step).min(13); (origin, count) }).collect();
            if tip.height().get() + blocks.len() as u64 > 239 { break }
            let (core, data, hashes) = sequence(&mut tip, &before, &blocks, &l1);
            derivation.begin(&core, &data).unwrap();
            prop_assert_eq!(derive(&mut derivation, &l1).unwrap(), hashes);
            before = core.anchor();
            prop_assert_eq!(derivation.anchor(), &before);
            prop_assert_eq!(derivation.tip(), &tip);
        }
    }
}

#[test]
fn a_closing_batch_carries_the_swept_fees() {
    let (mut tip, before, mut derivation, l1) = setup(237);
    let (core, data, _) = sequence(&mut tip, &before, &[(10, 1), (11, 1)], &l1);
    assert!(core.closing);
    derivation.begin(&core, &data).unwrap();
    derive(&mut derivation, &l1).unwrap();
    assert_eq!(derivation.anchor().last_height, Height::new(239));
}

#[test]
fn l1_not_yet_seen_is_retried_and_goes_on_where_it_stopped() {
    let (mut tip, before, mut derivation, l1) = setup(100);
    let (core, data, hashes) = sequence(&mut tip, &before, &[(10, 0), (11, 1), (13, 2)], &l1);
    derivation.begin(&core, &data).unwrap();
    let error = derive(&mut derivation, &view(&[0, 2])).unwrap_err();
    assert_eq!((error.class(), derivation.tip().height()), (Class::Retry, Height::new(102)));
    assert_eq!(derive(&mut derivation, &l1).unwrap(), hashes[2..]);
}

#[test]
fn a_replaced_l1_resets_to_the_anchor() {
    let (mut tip, before, mut derivation, l1) = setup(100);
    let (core, data, hashes) = sequence(&mut tip, &before, &[(10, 0), (11, 1), (13, 2)], &l1);
    derivation.begin(&core, &data).unwrap();
    let plan = derivation.next(&l1).unwrap().unwrap();
    let (hash, executed) = execute(&plan);
    derivation.executed(hash, &executed).unwrap();
    let mut other = OriginView::new();
    let ten = l1_block(10, 0, 0);
    other.insert(OriginBlock { origin: baton_primitives::L1Origin { hash: B256::ZERO, ..ten.origin }, ..ten }).unwrap();
    other.insert(l1_block(11, 2, 0)).unwrap();
    assert_eq!(derivation.next(&other).unwrap_err().class(), Class::Reset);
    derivation.rewind(before, parent(100));
    derivation.begin(&core, &data).unwrap();
    assert_eq!(derive(&mut derivation, &l1).unwrap(), hashes);
}

#[test]
fn batches_out_of_order_are_refused() {
    let (mut tip, before, mut derivation, l1) = setup(100);
    let (first, first_data, _) = sequence(&mut tip, &before, &[(10, 0)], &l1);
    let (second, second_data, _) = sequence(&mut tip, &first.anchor(), &[(11, 1)], &l1);
    assert_eq!(derivation.begin(&second, &second_data).unwrap_err().class(), Class::Reset);
    derivation.begin(&first, &first_data).unwrap();
    assert!(matches!(derivation.begin(&first, &first_data), Err(DeriveError::Order { .. })));
    derive(&mut derivation, &l1).unwrap();
    assert_eq!(derivation.begin(&first, &first_data).unwrap_err().class(), Class::Reset);
    derivation.begin(&second, &second_data).unwrap();
    derive(&mut derivation, &l1).unwrap();
}

#[test]
fn accepted_data_that_does_not_decode_is_fatal() {
    let (mut tip, before, mut derivation, l1) = setup(100);
    let (core, mut data, _) = sequence(&mut tip, &before, &[(10, 2)], &l1);
    data.push(0);
    let error = derivation.begin(&core, &data).unwrap_err();
    assert!(matches!(error, DeriveError::Undecodable { .. }));
    assert_eq!(error.class(), Class::Fatal);
}

#[test]
fn a_core_that_its_data_does_not_execute_to_is_fatal() {
    type Change = fn(&mut Core);
    let changes: [(&str, Change); 8] = [
        ("state root", |c| c.state_root = B256::ZERO),
        ("origin number", |c| c.origin_number += 1),
        ("origin hash", |c| c.origin_hash = B256::ZERO),
        ("deposits", |c| c.deposits += 1),
        ("withdrawals root", |c| c.withdrawals_root = B256::ZERO),
        ("fees", |c| c.fees = U256::from(1)),
        ("last view", |c| c.last_view = View::new(99)),
        ("last block", |c| c.last_block = B256::ZERO),
    ];
    for (name, change) in changes {
        let (mut tip, before, mut derivation, l1) = setup(100);
        let (mut core, data, _) = sequence(&mut tip, &before, &[(10, 2), (11, 0)], &l1);
        change(&mut core);
        derivation.begin(&core, &data).unwrap();
        match derive(&mut derivation, &l1) {
            Err(error @ DeriveError::Mismatch { .. }) => {
                assert_eq!(error.class(), Class::Fatal);
                assert!(error.to_string().contains(name), "{error}");
            }
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(derivation.anchor(), &before, "a batch that does not match is never an anchor");
    }
}

#[test]
fn impossible_cores_are_refused_at_once() {
    let changes: [fn(&mut Core); 5] = [
        |c| c.version = 2,
        |c| c.last_height = Height::new(100),
        |c| c.epoch = Epoch::new(1),
        |c| c.closing = true,
        |c| c.last_height = Height::new(105),
    ];
    for change in changes {
        let (mut tip, before, mut derivation, l1) = setup(100);
        let (mut core, data, _) = sequence(&mut tip, &before, &[(10, 2), (11, 0)], &l1);
        change(&mut core);
        assert!(matches!(derivation.begin(&core, &data), Err(DeriveError::Core { .. })));
    }
}
