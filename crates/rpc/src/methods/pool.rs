//! What waits: `txpool_*`.

use super::{Methods, Reply};
use crate::{
    convert,
    ports::{Backend, Waiting},
};
use alloy::{
    consensus::Transaction as _,
    primitives::{Address, U64},
    rpc::types::txpool::TxpoolInspectSummary,
};
use op_alloy_rpc_types::Transaction as RpcTransaction;
use serde::Serialize;
use std::collections::BTreeMap;

pub(super) fn register<B: Backend>(table: &mut Methods<B>) {
    table.add("txpool_status() -> PoolStatus", |c, _| {
        let (pending, queued) = c.backend.counts();
        Reply::now(&Kinds { pending: U64::from(pending), queued: U64::from(queued) })
    });
    table.add("txpool_content() -> PoolContent", |c, _| {
        Reply::read(c, |c, _| Ok(by_sender(c.backend.content(None), show)))
    });
    table.add("txpool_inspect() -> PoolContent", |c, _| {
        Reply::read(c, |c, _| Ok(by_sender(c.backend.content(None), |w| TxpoolInspectSummary::from_tx(w.transaction))))
    });
    table.add("txpool_contentFrom(sender: Address) -> PoolContent", |c, p| {
        let sender: Address = p.required()?;
        Reply::read(c, move |c, _| {
            let mut all = by_sender(c.backend.content(Some(sender)), show);
            let key = sender.to_string();
            Ok(Kinds {
                pending: all.pending.remove(&key).unwrap_or_default(),
                queued: all.queued.remove(&key).unwrap_or_default(),
            })
        })
    });
}

/// Ready transactions, and ones behind a gap.
#[derive(Default, Serialize)]
struct Kinds<T> {
    pending: T,
    queued: T,
}

/// By sender (checksummed) and nonce (decimal), as geth has it.
type BySender<T> = BTreeMap<String, BTreeMap<u64, T>>;

fn show(waiting: Waiting) -> RpcTransaction {
    convert::waiting(waiting.transaction, waiting.sender)
}

fn by_sender<T>(all: Vec<Waiting>, show: impl Fn(Waiting) -> T) -> Kinds<BySender<T>> {
    let mut kinds = Kinds { pending: BySender::new(), queued: BySender::new() };
    for waiting in all {
        let kind = if waiting.ready { &mut kinds.pending } else { &mut kinds.queued };
        let nonce = waiting.transaction.nonce();
        kind.entry(waiting.sender.to_string()).or_default().insert(nonce, show(waiting));
    }
    kinds
}
