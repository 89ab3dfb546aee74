//! Simulated calls.

use crate::world::{ETHER, LOOP, MIRROR, Plain, REVERT, STORE, block_on, config, signer};
use alloy::{
    primitives::{Address, B256, Bytes, TxKind, U256, hex},
    rpc::types::{BlockOverrides, TransactionRequest, state::AccountOverride},
};
use baton_engine::{BlockRef, Call, CallEnd, CallError, Config, Engine, Estimate, InvalidTransaction};
use std::time::Duration;

fn engine() -> (tempfile::TempDir, Engine) {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { call_timeout: Duration::from_millis(200), call_gas_cap: 1 << 50, ..config(dir.path(), 4) };
    let engine = Engine::open(config).unwrap();
    (dir, engine)
}

fn call(to: Address) -> Call {
    let request = TransactionRequest {
        from: Some(signer(0).address()),
        to: Some(TxKind::Call(to)),
        gas: Some(1_000_000),
        ..TransactionRequest::default()
    };
    Call { request, ..Call::default() }
}

fn store(slot: u64, value: u64) -> Bytes {
    Plain::store(0, slot, value).input
}

#[test]
fn a_call_returns_its_end_its_logs_and_changes_nothing() {
    let (_dir, engine) = engine();
    let mut storing = call(STORE);
    storing.request.input = store(3, 9).into();
    let outcome = engine.call(BlockRef::Final, &storing).unwrap();
    assert!(outcome.is_success() && outcome.logs.len() == 1 && outcome.gas_used > 40_000, "{outcome:?}");
    assert_eq!(engine.state(BlockRef::Final).unwrap().storage_at(STORE, U256::from(3)).unwrap(), U256::ZERO);
    assert_eq!(engine.call(BlockRef::Final, &call(REVERT)).unwrap().end, CallEnd::Revert(Bytes::new()));
    let outcome = engine.call(BlockRef::Final, &call(LOOP)).unwrap();
    assert!(matches!(outcome.end, CallEnd::Halt(_)) && outcome.gas_used == 1_000_000);
    let mut rich = call(Address::repeat_byte(1));
    rich.request.value = Some(U256::from(2_000 * ETHER));
    let refused = engine.call(BlockRef::Final, &rich);
    assert!(matches!(refused, Err(CallError::Invalid(InvalidTransaction::Funds { .. }))), "{refused:?}");
    let mut cheap = call(STORE);
    cheap.request.gas_price = Some(1);
    let refused = engine.call(BlockRef::Final, &cheap);
    assert!(matches!(refused, Err(CallError::Invalid(InvalidTransaction::FeeCap { .. }))));
}

#[test]
fn a_call_of_a_contract_that_cannot_sign_is_allowed() {
    let (_dir, engine) = engine();
    let mut by_contract = call(STORE);
    by_contract.request.from = Some(MIRROR);
    by_contract.request.nonce = Some(77);
    assert!(engine.call(BlockRef::Final, &by_contract).unwrap().is_success());
}

#[test]
fn overrides_change_what_a_call_sees() {
    let (_dir, engine) = engine();
    // Returns its slot 5, and the timestamp.
    let code = Bytes::from(hex!("600554600052 42602052 60406000f3"));
    let target = Address::repeat_byte(0x42);
    let mut overridden = call(target);
    let slots = [(B256::from(U256::from(5)), B256::from(U256::from(99)))].into_iter().collect();
    let account = AccountOverride { code: Some(code), state_diff: Some(slots), ..AccountOverride::default() };
    overridden.state.insert(target, account);
    let from = AccountOverride { balance: Some(U256::from(5_000 * ETHER)), ..AccountOverride::default() };
    overridden.state.insert(signer(0).address(), from);
    overridden.request.value = Some(U256::from(4_000 * ETHER));
    overridden.block = BlockOverrides { time: Some(1234), ..BlockOverrides::default() };
    let CallEnd::Success(output) = engine.call(BlockRef::Final, &overridden).unwrap().end else { panic!() };
    assert_eq!(U256::from_be_slice(&output[..32]), U256::from(99));
    assert_eq!(U256::from_be_slice(&output[32..]), U256::from(1234));
}

#[test]
fn a_call_that_runs_too_long_is_stopped() {
    let (_dir, engine) = engine();
    let mut endless = call(LOOP);
    endless.request.gas = Some(1 << 50);
    assert!(matches!(engine.call(BlockRef::Final, &endless), Err(CallError::Timeout(200))));
}

#[test]
fn an_estimate_is_enough_and_little_more_is_needed() {
    let (_dir, engine) = engine();
    let mut storing = call(STORE);
    storing.request.input = store(3, 9).into();
    storing.request.gas = None;
    let Estimate::Enough(gas) = engine.estimate_gas(BlockRef::Final, &storing).unwrap() else { panic!() };
    let plain = Plain { gas, ..Plain::store(0, 3, 9) };
    let block = block_on(&engine, engine.genesis_hash(), vec![plain.sign(&signer(0), 2, None)]);
    let used = block.block.header().gas_used - alloy::consensus::TxReceipt::cumulative_gas_used(&block.receipts[0]);
    assert!(alloy::consensus::TxReceipt::status(&block.receipts[1]) && gas >= used && gas <= used * 102 / 100);
    let mut transfer = call(Address::repeat_byte(3));
    transfer.request.value = Some(U256::from(1));
    assert_eq!(engine.estimate_gas(BlockRef::Final, &transfer).unwrap(), Estimate::Enough(21_000));
    let failing = engine.estimate_gas(BlockRef::Final, &call(REVERT)).unwrap();
    let Estimate::Fails { gas: 1_000_000, outcome } = failing else { panic!("{failing:?}") };
    assert_eq!(outcome.end, CallEnd::Revert(Bytes::new()));
    let mut starved = call(STORE);
    starved.request.gas = Some(20_000);
    assert_eq!(engine.estimate_gas(BlockRef::Final, &starved).unwrap(), Estimate::Never { gas: 20_000 });
}

#[test]
fn an_access_list_names_the_slots_a_call_touches() {
    let (_dir, engine) = engine();
    let mut storing = call(STORE);
    storing.request.gas_price = Some(2_000_000_000);
    storing.request.input = store(3, 9).into();
    let (list, outcome) = engine.access_list(BlockRef::Final, &storing).unwrap();
    assert!(outcome.is_success());
    assert_eq!(list.0.len(), 1);
    assert_eq!((list.0[0].address, &list.0[0].storage_keys), (STORE, &vec![B256::from(U256::from(3))]));
}

#[test]
fn a_precompile_answers_where_it_was_moved_and_is_cold_there() {
    let (_dir, engine) = engine();
    let (place, target) = (Address::repeat_byte(0x44), Address::repeat_byte(0x42));
    let identity = Address::with_last_byte(4);
    let read = |probed: Address| {
        // Returns what one look at the probed account's balance costs, then what its precompile answers to its own code.
        let (probed, at) = (hex::encode(probed), hex::encode(place));
        let code = format!("5a73{probed}31505a900360005260206020602060006000 73{at}5af15060406000f3").replace(' ', "");
        let mut moved = call(target);
        let code = AccountOverride { code: Some(hex::decode(code).unwrap().into()), ..AccountOverride::default() };
        moved.state.insert(target, code);
        let account = AccountOverride { move_precompile_to: Some(place), ..AccountOverride::default() };
        moved.state.insert(identity, account);
        let CallEnd::Success(output) = engine.call(BlockRef::Final, &moved).unwrap().end else { panic!() };
        (U256::from_be_slice(&output[..32]), U256::from_be_slice(&output[32..]))
    };
    let (cold, answer) = read(place);
    assert!(cold >= U256::from(2_600) && answer == cold, "{cold}, {answer}");
    let (warm, _) = read(identity);
    assert!(warm < U256::from(200), "{warm}: Ethereum's address of it stays warm, as in geth");
}
