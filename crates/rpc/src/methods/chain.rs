//! What this chain and this node are: `eth_config`, `eth_capabilities`, `eth_baseFee`.

use super::{Methods, Reply};
use crate::{context::Context, error::RpcError, ports::Backend};
use alloy::{
    eips::{
        eip2124::ForkHash,
        eip2935::HISTORY_STORAGE_ADDRESS,
        eip7840::BlobParams,
        eip7910::{EthConfig, EthForkConfig, SystemContract},
    },
    primitives::{Address, Bytes, U64},
};
use baton_primitives::Height;
use serde_json::{Value, json};

pub(super) fn register<B: Backend>(table: &mut Methods<B>) {
    table.add("eth_config() -> Configuration", |c, _| Reply::now(&configuration(c)?));
    table.add("eth_capabilities() -> Capabilities", |c, _| Reply::now(&capabilities(c)?));
    table.add("eth_baseFee() -> Quantity", |c, _| Reply::now(&U64::from(c.backend.next_base_fee())));
}

/// Osaka's precompiled contracts by their names in the EIPs, and the last byte (or word) of their address.
const PRECOMPILES: [(&str, u16); 18] = [
    ("ECREC", 0x01),
    ("SHA256", 0x02),
    ("RIPEMD160", 0x03),
    ("ID", 0x04),
    ("MODEXP", 0x05),
    ("BN254_ADD", 0x06),
    ("BN254_MUL", 0x07),
    ("BN254_PAIRING", 0x08),
    ("BLAKE2F", 0x09),
    ("KZG_POINT_EVALUATION", 0x0a),
    ("BLS12_G1ADD", 0x0b),
    ("BLS12_G1MSM", 0x0c),
    ("BLS12_G2ADD", 0x0d),
    ("BLS12_G2MSM", 0x0e),
    ("BLS12_PAIRING_CHECK", 0x0f),
    ("BLS12_MAP_FP_TO_G1", 0x10),
    ("BLS12_MAP_FP2_TO_G2", 0x11),
    ("P256VERIFY", 0x100),
];

/// EIP-7910. One set of rules holds from the genesis on; there are no blobs, and no beacon chain's contracts.
fn configuration<B: Backend>(context: &Context<B>) -> Result<EthConfig, RpcError> {
    let genesis = context.backend.header(Height::ZERO)?;
    let (hash, _) = genesis.ok_or_else(|| RpcError::internal(&"the genesis is not there"))?;
    let address = |word: u16| Address::left_padding_from(&word.to_be_bytes());
    let current = EthForkConfig {
        activation_time: 0,
        blob_schedule: BlobParams { target_blob_count: 0, max_blob_count: 0, ..BlobParams::osaka() },
        chain_id: context.backend.chain_id(),
        fork_id: Bytes::copy_from_slice(&ForkHash::from(hash).0),
        precompiles: PRECOMPILES.iter().map(|(name, word)| ((*name).to_owned(), address(*word))).collect(),
        system_contracts: [(SystemContract::HistoryStorage, HISTORY_STORAGE_ADDRESS)].into(),
    };
    Ok(EthConfig { current, next: None, last: None })
}

/// Blocks, receipts and logs are kept for ever, states for a window.
fn capabilities<B: Backend>(context: &Context<B>) -> Result<Value, RpcError> {
    let latest = context.backend.heads().latest;
    let head = context.backend.header(latest)?.ok_or_else(|| RpcError::internal(&"the head is not there"))?;
    let (oldest, window) = context.backend.state_history();
    let all = json!({ "disabled": false, "oldestBlock": "0x0" });
    let mut state = json!({ "disabled": false, "oldestBlock": U64::from(oldest.get()) });
    if let Some(window) = window {
        state["deleteStrategy"] = json!({ "type": "window", "retentionBlocks": U64::from(window) });
    }
    Ok(json!({
        "head": { "number": U64::from(latest.get()), "hash": head.0 },
        "state": state,
        "stateproofs": state,
        "tx": all,
        "logs": all,
        "receipts": all,
        "blocks": all,
    }))
}
