//! `baton evm t8n`: one block as geth's transition tool executes it.

use super::{
    json::{Alloc, Number, accounts, alloc},
    transaction::{JsonTransaction, Read, decode, split},
};
use crate::output::out;
use alloy::{
    consensus::{Transaction as _, TxReceipt, proofs::calculate_withdrawals_root},
    eips::{eip2718::Typed2718, eip4895::Withdrawal, eip7840::BlobParams},
    primitives::{Address, B256, Bytes, keccak256, logs_bloom},
    rlp::Encodable,
};
use baton_engine::{Environment, Receipt, Rules, Transition, Transitions, next_base_fee};
use baton_primitives::{Header, Transaction};
use clap::Args;
use eyre::{Result, WrapErr, eyre};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, io::Read as _, path::PathBuf};

/// Files and rules. `stdin` as an input reads one object with `alloc`, `env` and `txs`; `stdout` as an output prints one
/// with `alloc`, `result` and `body`; `stderr` writes to standard error.
#[derive(Args, Debug)]
pub struct T8n {
    /// Accounts before the block.
    #[arg(long = "input.alloc", value_name = "FILE", default_value = "alloc.json")]
    input_alloc: String,
    /// The block around the transactions.
    #[arg(long = "input.env", value_name = "FILE", default_value = "env.json")]
    input_env: String,
    /// Transactions: JSON objects, signed or with their key, or RLP (`.rlp`, or a JSON string).
    #[arg(long = "input.txs", value_name = "FILE", default_value = "txs.json")]
    input_txs: String,
    /// Directory of the outputs.
    #[arg(long = "output.basedir", value_name = "DIRECTORY", default_value = ".")]
    output_basedir: PathBuf,
    /// Accounts after the block.
    #[arg(long = "output.alloc", value_name = "FILE", default_value = "alloc.json")]
    output_alloc: String,
    /// Roots, receipts, refused transactions.
    #[arg(long = "output.result", value_name = "FILE", default_value = "result.json")]
    output_result: String,
    /// RLP of the included transactions; not written unless named.
    #[arg(long = "output.body", value_name = "FILE")]
    output_body: Option<String>,
    /// By whose rules: Cancun, Prague, Osaka, or Baton for this chain's.
    #[arg(long = "state.fork", default_value = "Osaka")]
    fork: Rules,
    /// Chain id.
    #[arg(long = "state.chainid", default_value_t = 1)]
    chain_id: u64,
    /// Block reward; the rules here know none, so only 0 or -1 is taken.
    #[arg(long = "state.reward", default_value_t = 0, allow_hyphen_values = true, value_parser = clap::value_parser!(i64).range(-1..=0))]
    reward: i64,
}

/// The environment's JSON.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Env {
    current_coinbase: Address,
    current_gas_limit: Number,
    current_number: Number,
    current_timestamp: Number,
    current_random: Option<Number>,
    current_base_fee: Option<Number>,
    current_excess_blob_gas: Option<Number>,
    parent_base_fee: Option<Number>,
    parent_gas_used: Option<Number>,
    parent_gas_limit: Option<Number>,
    parent_excess_blob_gas: Option<Number>,
    parent_blob_gas_used: Option<Number>,
    parent_beacon_block_root: Option<Number>,
    block_hashes: Option<BTreeMap<String, Number>>,
    withdrawals: Option<Vec<EnvWithdrawal>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EnvWithdrawal {
    index: Number,
    validator_index: Number,
    address: Address,
    amount: Number,
}

/// The transactions' JSON. An empty list is no bytes, so lists come first.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Txs {
    Objects(Vec<Value>),
    Rlp(Bytes),
    None(()),
}

#[derive(Debug, Deserialize)]
struct Stdin {
    alloc: Option<Value>,
    env: Option<Value>,
    txs: Option<Value>,
}

/// Runs the verb.
///
/// # Errors
/// If an input is missing or malformed, or an output cannot be written. A transaction that is malformed or invalid is none.
pub fn run(verb: &T8n) -> Result<()> {
    let inputs = [&verb.input_alloc, &verb.input_env, &verb.input_txs];
    let mut stdin = Stdin { alloc: None, env: None, txs: None };
    if inputs.contains(&&"stdin".to_owned()) {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).wrap_err("cannot read standard input")?;
        stdin = serde_json::from_str(&text).wrap_err("standard input is not one object with alloc, env and txs")?;
    }
    let before: Alloc = parse("alloc", &verb.input_alloc, stdin.alloc)?;
    let before = accounts(before).map_err(|error| eyre!("alloc: {error}"))?;
    let env: Env = parse("env", &verb.input_env, stdin.env)?;
    let txs = match verb.input_txs.strip_suffix(".rlp") {
        None => parse("txs", &verb.input_txs, stdin.txs)?,
        Some(_) => Txs::Rlp(parse("txs", &verb.input_txs, None)?),
    };
    let read: Vec<Read> = match txs {
        Txs::None(()) => Vec::new(),
        Txs::Rlp(bytes) => {
            let items = split(&bytes).map_err(|error| eyre!("txs: {error}"))?;
            items.iter().map(|item| decode(item)).collect()
        }
        Txs::Objects(objects) => objects.into_iter().map(|object| one(object, verb.chain_id)).collect(),
    };

    // Where each transaction stood in the input; what is none is refused with its place.
    let (mut transactions, mut places, mut rejected) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (place, read) in read.into_iter().enumerate() {
        match read {
            Ok(pair) => {
                transactions.push(pair);
                places.push(place);
            }
            Err(why) => {
                rejected.insert(place, why);
            }
        }
    }
    let environment = environment(verb, &env).map_err(|error| eyre!("env: {error}"))?;
    let done = Transitions::new()?.run(&before, &environment, &transactions)?;
    for (index, why) in &done.refused {
        rejected.insert(places.get(*index).copied().unwrap_or(*index), why.to_string());
    }
    let included: Vec<&(Transaction, Address)> =
        done.included.iter().filter_map(|index| transactions.get(*index)).collect();
    let result = result(&environment, &done, &included, &rejected);
    let mut body = Vec::new();
    let list: Vec<&Transaction> = included.iter().map(|(transaction, _)| transaction).collect();
    list.encode(&mut body);
    write(verb, &alloc(&done.accounts), &result, &Bytes::from(body))
}

fn one(object: Value, chain_id: u64) -> Read {
    let transaction: JsonTransaction = serde_json::from_value(object).map_err(|error| error.to_string())?;
    transaction.read(chain_id)
}

fn parse<T: for<'de> Deserialize<'de>>(name: &str, path: &str, stdin: Option<Value>) -> Result<T> {
    let value = if path == "stdin" {
        stdin.unwrap_or_default()
    } else {
        let text = std::fs::read_to_string(path).wrap_err_with(|| format!("cannot read {path}"))?;
        serde_json::from_str(&text).wrap_err_with(|| format!("{path} is not JSON"))?
    };
    serde_json::from_value(value).wrap_err_with(|| format!("{name} is not of its form"))
}

fn environment(verb: &T8n, env: &Env) -> Result<Environment, String> {
    let word = |number: Option<Number>| B256::from(number.unwrap_or_default().0);
    let number = |field: Option<Number>| field.map(Number::u64).transpose();
    let base_fee = match (number(env.current_base_fee)?, number(env.parent_base_fee)?) {
        (Some(fee), _) => fee,
        (None, Some(fee)) => next_base_fee(&Header {
            base_fee_per_gas: Some(fee),
            gas_used: number(env.parent_gas_used)?.unwrap_or_default(),
            gas_limit: number(env.parent_gas_limit)?.unwrap_or_default(),
            ..Header::default()
        }),
        (None, None) => return Err("neither currentBaseFee nor parentBaseFee".into()),
    };
    let blobs = match verb.fork {
        Rules::Cancun => BlobParams::cancun(),
        Rules::Prague => BlobParams::prague(),
        Rules::Osaka | Rules::Baton => BlobParams::osaka(),
    };
    let excess = match number(env.current_excess_blob_gas)? {
        Some(excess) => excess,
        None => {
            let excess = number(env.parent_excess_blob_gas)?.unwrap_or_default();
            let used = number(env.parent_blob_gas_used)?.unwrap_or_default();
            blobs.next_block_excess_blob_gas_osaka(excess, used, number(env.parent_base_fee)?.unwrap_or_default())
        }
    };
    let mut hashes = BTreeMap::new();
    for (height, hash) in env.block_hashes.iter().flatten() {
        hashes.insert(Number::parse(height)?.u64()?, B256::from(hash.0));
    }
    let height = env.current_number.u64()?;
    let withdrawal = |item: &EnvWithdrawal| {
        Ok::<_, String>(Withdrawal {
            index: item.index.u64()?,
            validator_index: item.validator_index.u64()?,
            address: item.address,
            amount: item.amount.u64()?,
        })
    };
    Ok(Environment {
        rules: verb.fork,
        chain_id: verb.chain_id,
        header: Header {
            number: height,
            parent_hash: height.checked_sub(1).and_then(|above| hashes.get(&above)).copied().unwrap_or_default(),
            beneficiary: env.current_coinbase,
            timestamp: env.current_timestamp.u64()?,
            gas_limit: env.current_gas_limit.u64()?,
            base_fee_per_gas: Some(base_fee),
            mix_hash: word(env.current_random),
            parent_beacon_block_root: env.parent_beacon_block_root.map(|root| B256::from(root.0)),
            excess_blob_gas: Some(excess),
            ..Header::default()
        },
        hashes,
        withdrawals: env.withdrawals.iter().flatten().map(withdrawal).collect::<Result<_, _>>()?,
        system: true,
    })
}

/// keccak256 of the RLP of all logs: what state tests and `t8n` call the logs' hash.
pub(super) fn logs_hash(receipts: &[Receipt]) -> B256 {
    let logs: Vec<&alloy::primitives::Log> = receipts.iter().flat_map(|receipt| receipt.logs()).collect();
    let mut encoded = Vec::new();
    alloy::rlp::encode_list::<_, alloy::primitives::Log>(&logs, &mut encoded);
    keccak256(encoded)
}

fn result(
    environment: &Environment,
    done: &Transition,
    included: &[&(Transaction, Address)],
    rejected: &BTreeMap<usize, String>,
) -> Value {
    let header = &environment.header;
    let base_fee = header.base_fee_per_gas.unwrap_or_default();
    let mut before = 0;
    let receipts: Vec<Value> = done
        .receipts
        .iter()
        .zip(included)
        .enumerate()
        .map(|(index, (receipt, (transaction, sender)))| {
            let gas = receipt.cumulative_gas_used() - before;
            before = receipt.cumulative_gas_used();
            let created = transaction.to().is_none().then(|| sender.create(transaction.nonce()));
            let log = |log: &alloy::primitives::Log| {
                json!({ "address": log.address, "topics": log.data.topics(), "data": log.data.data })
            };
            json!({
                "type": hex(transaction.ty()),
                "root": "0x",
                "status": hex(receipt.status()),
                "cumulativeGasUsed": hex(receipt.cumulative_gas_used()),
                "logsBloom": logs_bloom(receipt.logs()),
                "logs": receipt.logs().iter().map(log).collect::<Vec<_>>(),
                "transactionHash": transaction.tx_hash(),
                "contractAddress": created.unwrap_or_default(),
                "gasUsed": hex(gas),
                "effectiveGasPrice": hex(transaction.effective_gas_price(Some(base_fee))),
                "blockHash": B256::ZERO,
                "transactionIndex": hex(u64::try_from(index).unwrap_or(u64::MAX)),
            })
        })
        .collect();
    let rejected: Vec<Value> =
        rejected.iter().map(|(index, error)| json!({ "index": index, "error": error })).collect();
    let mut result = json!({
        "stateRoot": done.state_root,
        "txRoot": done.transactions_root,
        "receiptsRoot": done.receipts_root,
        "logsHash": logs_hash(&done.receipts),
        "logsBloom": done.bloom,
        "receipts": receipts,
        "currentDifficulty": null,
        "gasUsed": hex(done.gas_used),
        "currentBaseFee": hex(base_fee),
        "withdrawalsRoot": calculate_withdrawals_root(&environment.withdrawals),
        "currentExcessBlobGas": hex(header.excess_blob_gas.unwrap_or_default()),
        "blobGasUsed": "0x0",
    });
    if !rejected.is_empty() {
        result["rejected"] = rejected.into();
    }
    result
}

fn hex(number: impl Into<u128>) -> String {
    format!("{:#x}", number.into())
}

fn write(verb: &T8n, alloc: &Value, result: &Value, body: &Bytes) -> Result<()> {
    let (mut stdout, mut stderr) = (Map::new(), Map::new());
    let body = json!(body);
    let outputs = [
        ("alloc", Some(&verb.output_alloc), alloc),
        ("result", Some(&verb.output_result), result),
        ("body", verb.output_body.as_ref(), &body),
    ];
    for (name, target, value) in outputs {
        match target.map(String::as_str) {
            None | Some("") => {}
            Some("stdout") => _ = stdout.insert(name.into(), value.clone()),
            Some("stderr") => _ = stderr.insert(name.into(), value.clone()),
            Some(file) => {
                let path = verb.output_basedir.join(file);
                std::fs::write(&path, format!("{value:#}\n"))
                    .wrap_err_with(|| format!("cannot write {}", path.display()))?;
            }
        }
    }
    if !stdout.is_empty() {
        out(&format!("{:#}", Value::Object(stdout)));
    }
    if !stderr.is_empty() {
        crate::output::err(&format!("{:#}", Value::Object(stderr)));
    }
    Ok(())
}
