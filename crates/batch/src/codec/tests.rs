use super::*;
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy},
    eips::{
        eip2718::Encodable2718,
        eip2930::{AccessList, AccessListItem},
        eip7702::{Authorization, SignedAuthorization},
    },
    primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256},
};
use baton_primitives::{Deposit, Transaction};
use proptest::prelude::*;
use std::{fs, path::PathBuf};

const CHAIN: u64 = 13_370;

fn address() -> impl Strategy<Value = Address> {
    prop_oneof![
        (0u8..20).prop_map(|i| Address::from_word(keccak256([i]))),
        any::<[u8; 20]>().prop_map(Address::from),
        Just(Address::ZERO),
        Just(Address::with_last_byte(9)),
    ]
}

fn number() -> impl Strategy<Value = U256> {
    prop_oneof![
        Just(U256::ZERO),
        Just(U256::MAX),
        any::<[u8; 32]>().prop_map(U256::from_be_bytes),
        any::<u64>().prop_map(U256::from),
        (1u64..1_000, 0u64..70).prop_map(|(m, e)| U256::from(m) * U256::from(10).pow(U256::from(e))),
    ]
}

fn word() -> impl Strategy<Value = B256> {
    prop_oneof![number().prop_map(B256::from), address().prop_map(|a| a.into_word())]
}

fn input() -> impl Strategy<Value = Bytes> {
    let words = (any::<[u8; 4]>(), prop::collection::vec(word(), 0..35))
        .prop_map(|(selector, words)| selector.into_iter().chain(words.into_iter().flatten()).collect::<Bytes>());
    prop_oneof![Just(Bytes::new()), words, prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from)]
}

fn access_list() -> impl Strategy<Value = AccessList> {
    let item = (address(), prop::collection::vec(word(), 0..3))
        .prop_map(|(address, storage_keys)| AccessListItem { address, storage_keys });
    prop::collection::vec(item, 0..3).prop_map(AccessList)
}

fn signature() -> impl Strategy<Value = Signature> {
    (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<bool>())
        .prop_map(|(r, s, v)| Signature::new(U256::from_be_bytes(r), U256::from_be_bytes(s), v))
}

fn authorizations() -> impl Strategy<Value = Vec<SignedAuthorization>> {
    let one = (number(), address(), any::<u64>(), any::<u8>(), number(), number()).prop_map(
        |(chain_id, address, nonce, parity, r, s)| {
            SignedAuthorization::new_unchecked(Authorization { chain_id, address, nonce }, parity, r, s)
        },
    );
    prop::collection::vec(one, 0..3)
}

fn transaction() -> impl Strategy<Value = Transaction> {
    let common = (any::<u64>(), any::<u64>(), any::<u128>(), 0u128..100, number(), input());
    let lists = (access_list(), authorizations());
    (0u8..5, prop::option::of(address()), common, lists, signature()).prop_map(
        |(kind, to, (nonce, gas_limit, fee, tip, value, input), (access_list, authorization_list), signature)| {
            let kind_of = to.map_or(TxKind::Create, TxKind::Call);
            let chain_id = CHAIN;
            match kind {
                0 | 1 => TxLegacy {
                    chain_id: (kind == 1).then_some(chain_id),
                    nonce,
                    gas_price: fee,
                    gas_limit,
                    to: kind_of,
                    value,
                    input,
                }
                .into_signed(signature)
                .into(),
                2 => TxEip2930 { chain_id, nonce, gas_price: fee, gas_limit, to: kind_of, value, access_list, input }
                    .into_signed(signature)
                    .into(),
                3 => TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: fee,
                    max_priority_fee_per_gas: tip,
                    to: kind_of,
                    value,
                    access_list,
                    input,
                }
                .into_signed(signature)
                .into(),
                _ => TxEip7702 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: fee,
                    max_priority_fee_per_gas: tip,
                    to: to.unwrap_or_default(),
                    value,
                    access_list,
                    authorization_list,
                    input,
                }
                .into_signed(signature)
                .into(),
            }
        },
    )
}

fn block() -> impl Strategy<Value = BlockInput> {
    let transactions = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(transaction(), 0..6)];
    let count = prop_oneof![any::<u64>(), 0u64..3, Just(150)];
    (count.clone(), count.clone(), count.clone(), count, transactions).prop_map(
        |(time_millis, view, parent, origin, transactions)| BlockInput {
            time_millis,
            view: View::new(view),
            parent_view: View::new(parent),
            origin,
            transactions,
        },
    )
}

/// `count` blocks without transactions, `step` ms apart.
fn heartbeats(count: u64, step: u64) -> Vec<BlockInput> {
    let block = |i: u64| BlockInput {
        time_millis: 1_790_000_000_000 + i * step,
        view: View::new(i + 1),
        parent_view: View::new(i),
        origin: 5_000 + i * step / 12_000,
        transactions: Vec::new(),
    };
    (0..count).map(block).collect()
}

fn compress(columns: &[u8]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    brotli::BrotliCompress(&mut &columns[..], &mut bytes, &BrotliEncoderParams::default()).unwrap();
    bytes
}

proptest! {
    #[test]
    fn any_blocks_round_trip(blocks in prop::collection::vec(block(), 0..12)) {
        let bytes = encode(&blocks, CHAIN).unwrap();
        let decoded = decode(&bytes, CHAIN).unwrap();
        prop_assert_eq!(&decoded, &blocks);
        for (a, b) in decoded.iter().flat_map(|b| &b.transactions).zip(blocks.iter().flat_map(|b| &b.transactions)) {
            prop_assert_eq!(a.tx_hash(), b.tx_hash());
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes, CHAIN);
        let mut versioned = vec![VERSION];
        versioned.extend(&bytes);
        let _ = decode(&versioned, CHAIN);
        // Past the compressor, where random bytes rarely get.
        let _ = decode(&compress(&bytes), CHAIN);
    }

    #[test]
    fn changed_columns_give_an_error_or_other_blocks(
        blocks in prop::collection::vec(block(), 1..6), at: prop::sample::Index, flip in 1u8..,
    ) {
        let mut signatures = Vec::new();
        let mut raw = columns(&blocks, CHAIN, &mut signatures).unwrap().into_bytes();
        let at = at.index(raw.len());
        raw[at] ^= flip;
        let mut bytes = compress(&raw);
        bytes.extend(&signatures);
        prop_assert_ne!(decode(&bytes, CHAIN), Ok(blocks));
    }

    #[test]
    fn cut_off_or_extended_data_is_refused(blocks in prop::collection::vec(block(), 1..6), at: prop::sample::Index) {
        let mut bytes = encode(&blocks, CHAIN).unwrap();
        prop_assert!(decode(&bytes[..at.index(bytes.len())], CHAIN).is_err());
        bytes.push(0);
        prop_assert!(decode(&bytes, CHAIN).is_err());
        bytes.extend([0; 63]);
        prop_assert!(decode(&bytes, CHAIN).is_err());
    }
}

#[test]
fn columns_have_one_encoding() {
    let blocks = heartbeats(3, 150);
    let mut canonical = Columns::default();
    canonical.varint(Column::Blocks, 3);
    let mut split = columns(&blocks, CHAIN, &mut Vec::new()).unwrap();
    assert!(decode(&compress(&split.into_bytes()), CHAIN).is_ok());
    split = columns(&blocks, CHAIN, &mut Vec::new()).unwrap();
    // The same three counts in two runs instead of one.
    *split.of(Column::Counts) = vec![0, 1, 0, 2];
    assert_eq!(decode(&compress(&split.into_bytes()), CHAIN), Err(DecodeError::NotCanonical));
    split = columns(&blocks, CHAIN, &mut Vec::new()).unwrap();
    // A varint with a superfluous byte.
    *split.of(Column::Blocks) = vec![0x83, 0];
    assert_eq!(decode(&compress(&split.into_bytes()), CHAIN), Err(DecodeError::NotCanonical));
    split = columns(&blocks, CHAIN, &mut Vec::new()).unwrap();
    split.byte(Column::Inputs, 1);
    assert_eq!(decode(&compress(&split.into_bytes()), CHAIN), Err(DecodeError::NotCanonical));
}

#[test]
fn bombs_are_refused_before_they_expand() {
    let zeros = compress(&vec![0; 64 << 20]);
    assert!(zeros.len() < 100_000);
    assert_eq!(decode(&zeros, CHAIN), Err(DecodeError::Expansion));
    let mut many = Columns::default();
    many.varint(Column::Blocks, u64::MAX);
    assert_eq!(decode(&compress(&many.into_bytes()), CHAIN), Err(DecodeError::Blocks(u64::MAX)));
    let mut counts = columns(&heartbeats(1, 0), CHAIN, &mut Vec::new()).unwrap();
    counts.of(Column::Counts).clear();
    counts.runs(Column::Counts, [u64::MAX].into_iter());
    let error = DecodeError::Signatures { transactions: u64::MAX, bytes: 0 };
    assert_eq!(decode(&compress(&counts.into_bytes()), CHAIN), Err(error));
}

#[test]
fn what_cannot_be_in_a_batch_is_not_encoded() {
    let mut blocks = heartbeats(2, 150);
    let deposit = Deposit {
        index: 0,
        l1_hash: B256::ZERO,
        from: Address::ZERO,
        to: None,
        mint: 0,
        value: U256::ZERO,
        gas: 21_000,
        data: Bytes::new(),
    };
    blocks[1].transactions = vec![deposit.transaction()];
    assert_eq!(encode(&blocks, CHAIN), Err(EncodeError::Type { block: 1, index: 0, kind: 0x7e }));
    blocks[1].transactions = vec![transfer(0, 0)];
    assert_eq!(encode(&blocks, 1), Err(EncodeError::ChainId { block: 1, index: 0, actual: CHAIN, expected: 1 }));
}

/// Pseudo-random, the same in every run.
fn random(seed: u64) -> u64 {
    u64::from_be_bytes(keccak256(seed.to_be_bytes())[..8].try_into().unwrap())
}

fn sign(transaction: TxEip1559, seed: u64) -> Transaction {
    let r = U256::from_be_bytes(keccak256((2 * seed).to_be_bytes()).0);
    let s = U256::from_be_bytes(keccak256((2 * seed + 1).to_be_bytes()).0) >> 1;
    transaction.into_signed(Signature::new(r, s, random(seed) & 1 == 1)).into()
}

fn account(seed: u64) -> Address {
    Address::from_word(keccak256((random(seed) % 500).to_be_bytes()))
}

fn base(seed: u64, nonce: u64) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1_000_000,
        to: account(seed).into(),
        value: U256::from(1 + random(seed + 7) % 10_000) * U256::from(10u64.pow(14)),
        ..TxEip1559::default()
    }
}

/// Among 500 accounts, with four digits of amount. (An address new to the batch costs its 20 bytes.)
fn transfer(seed: u64, nonce: u64) -> Transaction {
    sign(base(seed, nonce), seed)
}

fn token_transfer(seed: u64, nonce: u64) -> Transaction {
    let amount = U256::from(1 + random(seed + 5) % 10_000) * U256::from(10u64.pow(14));
    let mut input = vec![0xa9, 0x05, 0x9c, 0xbb];
    input.extend(account(seed + 3).into_word());
    input.extend(amount.to_be_bytes::<32>());
    let to = Address::repeat_byte(0x77).into();
    sign(TxEip1559 { to, value: U256::ZERO, gas_limit: 60_000, input: input.into(), ..base(seed, nonce) }, seed)
}

fn bytes_each(make: impl Fn(u64, u64) -> Transaction) -> f64 {
    let mut blocks = heartbeats(50, 200);
    for (i, block) in (0u64..).zip(&mut blocks) {
        block.transactions = (0..100).map(|j| make(1_000_000 + 100 * i + j, random(i * 100 + j) % 50)).collect();
    }
    let bytes = encode(&blocks, CHAIN).unwrap();
    assert_eq!(decode(&bytes, CHAIN).unwrap(), blocks);
    f64::from(u32::try_from(bytes.len()).unwrap()) / 5_000.0
}

#[test]
fn an_eth_transfer_costs_at_most_72_bytes_and_an_erc20_transfer_80() {
    let (eth, erc20) = (bytes_each(transfer), bytes_each(token_transfer));
    assert!(eth <= 72.0, "an ETH transfer costs {eth} bytes");
    assert!(erc20 <= 80.0, "an ERC-20 transfer costs {erc20} bytes");
}

#[test]
fn heartbeats_cost_nearly_nothing() {
    let few = encode(&heartbeats(1_500, 300), CHAIN).unwrap().len();
    assert!(few < 200, "1,500 heartbeats cost {few} bytes");
}

/// Writes the vector when `BATON_BLESS` is set. Committed data must decode for ever: a chain's history is written in it.
#[test]
fn committed_batch_data_still_decodes_to_its_blocks() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/batch.json");
    let mut blocks = heartbeats(8, 150);
    let list = AccessList(vec![AccessListItem { address: account(1), storage_keys: vec![B256::with_last_byte(7)] }]);
    let signature = Signature::new(U256::from(11), U256::from(12), true);
    let fields =
        |nonce| (CHAIN, nonce, 2_000_000_000u128, 300_000u64, U256::from(5) * U256::from(10).pow(U256::from(17)));
    let (chain_id, nonce, fee, gas_limit, value) = fields(300);
    let authorization = Authorization { chain_id: U256::from(CHAIN), address: account(3), nonce: 1 };
    blocks[2].transactions = vec![transfer(1, 0), token_transfer(2, 1), token_transfer(2, 2)];
    blocks[3].transactions = vec![
        TxLegacy {
            chain_id: None,
            nonce,
            gas_price: fee,
            gas_limit,
            to: TxKind::Create,
            value,
            input: vec![0x60; 40].into(),
        }
        .into_signed(signature)
        .into(),
        TxLegacy {
            chain_id: Some(chain_id),
            nonce,
            gas_price: fee,
            gas_limit,
            to: account(1).into(),
            value,
            input: Bytes::new(),
        }
        .into_signed(signature)
        .into(),
        TxEip2930 {
            chain_id,
            nonce,
            gas_price: fee,
            gas_limit,
            to: account(2).into(),
            value,
            access_list: list.clone(),
            input: vec![1, 2, 3].into(),
        }
        .into_signed(signature)
        .into(),
    ];
    blocks[7].transactions = vec![
        TxEip7702 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas: fee,
            max_priority_fee_per_gas: 1,
            to: account(3),
            value,
            access_list: list,
            authorization_list: vec![SignedAuthorization::new_unchecked(
                authorization,
                1,
                U256::from(8),
                U256::from(9),
            )],
            input: Bytes::new(),
        }
        .into_signed(signature)
        .into(),
    ];
    let mut signatures = Vec::new();
    let raw = columns(&blocks, CHAIN, &mut signatures).unwrap().into_bytes();
    if std::env::var_os("BATON_BLESS").is_some() {
        let rows = |b: &BlockInput| {
            let transactions: Vec<_> = b.transactions.iter().map(|t| hex(&t.encoded_2718())).collect();
            serde_json::json!({
                "timeMillis": b.time_millis, "view": b.view, "parentView": b.parent_view, "origin": b.origin,
                "transactions": transactions,
            })
        };
        let vector = serde_json::json!({
            "chainId": CHAIN, "data": hex(&encode(&blocks, CHAIN).unwrap()), "columns": hex(&raw),
            "blocks": blocks.iter().map(rows).collect::<Vec<_>>(),
        });
        fs::write(&path, serde_json::to_string_pretty(&vector).unwrap() + "\n").unwrap();
    }
    let vector: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let bytes = |field: &str| vector[field].as_str().unwrap().parse::<Bytes>().unwrap();
    assert_eq!(decode(&bytes("data"), CHAIN).unwrap(), blocks);
    assert_eq!(bytes("columns"), raw);
    for (block, row) in blocks.iter().zip(vector["blocks"].as_array().unwrap()) {
        for (transaction, text) in block.transactions.iter().zip(row["transactions"].as_array().unwrap()) {
            assert_eq!(hex(&transaction.encoded_2718()), text.as_str().unwrap());
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    Bytes::copy_from_slice(bytes).to_string()
}
