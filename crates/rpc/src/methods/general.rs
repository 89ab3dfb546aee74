//! Who and where: `web3_*`, `net_*`, `rpc_modules`, chain id, height, sync.

use super::{Methods, Reply, discover::name};
use crate::ports::Backend;
use alloy::{
    primitives::{Address, Bytes, U64, keccak256},
    rpc::types::{SyncInfo, SyncStatus},
};
use baton_primitives::predeploys::FEE_VAULT;
use std::collections::BTreeMap;

pub(super) fn register<B: Backend>(table: &mut Methods<B>) {
    table.add("web3_clientVersion() -> Text", |c, _| Reply::now(&c.config.client_version));
    table.add("web3_sha3(data: Bytes) -> Hash", |_, p| {
        let bytes: Bytes = p.required()?;
        Reply::now(&keccak256(bytes))
    });
    table.add("net_version() -> Text", |c, _| Reply::now(&c.backend.chain_id().to_string()));
    table.add("net_listening() -> Boolean", |_, _| Reply::now(&true));
    table.add("net_peerCount() -> Quantity", |c, _| Reply::now(&U64::from(c.backend.peers())));
    table.add("rpc_modules() -> Modules", |c, _| {
        let signatures = c.signatures();
        let modules = signatures.iter().filter_map(|s| name(s).split_once('_')).map(|(module, _)| (module, "1.0"));
        Reply::now(&modules.collect::<BTreeMap<_, _>>())
    });
    table.add("eth_chainId() -> Quantity", |c, _| Reply::now(&U64::from(c.backend.chain_id())));
    table.add("eth_blockNumber() -> Quantity", |c, _| Reply::now(&U64::from(c.backend.heads().latest.get())));
    table.add("eth_protocolVersion() -> Quantity", |_, _| Reply::now(&U64::from(68)));
    table.add("eth_accounts() -> Address[]", |_, _| Reply::now(&Vec::<Address>::new()));
    // Every block's beneficiary.
    table.add("eth_coinbase() -> Address", |_, _| Reply::now(&FEE_VAULT));
    table.add("eth_mining() -> Boolean", |_, _| Reply::now(&false));
    table.add("eth_hashrate() -> Quantity", |_, _| Reply::now(&U64::ZERO));
    table.add("eth_syncing() -> Syncing", |c, _| {
        let status = c.backend.sync_status();
        let syncing = if status.synced {
            SyncStatus::None
        } else {
            SyncStatus::Info(Box::new(SyncInfo {
                current_block: alloy::primitives::U256::from(status.latest_l2.number),
                highest_block: alloy::primitives::U256::from(status.target_l2),
                ..SyncInfo::default()
            }))
        };
        Reply::now(&syncing)
    });
}
