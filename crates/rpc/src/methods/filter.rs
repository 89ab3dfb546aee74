//! Logs and filters over HTTP.

use super::{Methods, Reply};
use crate::{
    context::Context,
    convert,
    envelope::{Json, json},
    error::{RpcError, code},
    filters::Watch,
    logs::{self, LogFilter},
    ports::Backend,
};
use alloy::{
    primitives::{B256, U128},
    rpc::types::FilterBlockOption,
};
use baton_primitives::Height;
use std::{sync::Arc, time::Instant};
use tokio::sync::broadcast::{Receiver, error::TryRecvError};

pub(super) fn register<B: Backend>(table: &mut Methods<B>) {
    table.add("eth_getLogs(filter: Filter) -> Log[]", |c, p| {
        let filter: LogFilter = p.required()?;
        logs::check(&filter)?;
        Reply::read(c, move |c, deadline| logs::query(c, &filter, deadline))
    });
    table.add("eth_newFilter(filter: Filter) -> Quantity", |c, p| {
        let filter: Box<LogFilter> = p.required()?;
        logs::check(&filter)?;
        if matches!(filter.wanted.block_option, FilterBlockOption::AtBlockHash(_)) {
            return Err(RpcError::params("a filter cannot watch one block hash: use eth_getLogs"));
        }
        let next = c.backend.heads().latest.next();
        Reply::now(&U128::from(c.filters.install(Watch::Logs { filter, next })?))
    });
    table.add("eth_newBlockFilter() -> Quantity", |c, _| {
        let next = c.backend.heads().latest.next();
        Reply::now(&U128::from(c.filters.install(Watch::Blocks { next })?))
    });
    table.add("eth_newPendingTransactionFilter(fullTransactions?: Boolean) -> Quantity", |c, p| {
        let full = p.optional()?.unwrap_or(false);
        let hashes = c.backend.subscribe_pending();
        Reply::now(&U128::from(c.filters.install(Watch::Pending { hashes, full })?))
    });
    table.add("eth_uninstallFilter(filterId: Quantity) -> Boolean", |c, p| {
        let id: U128 = p.required()?;
        Reply::now(&c.filters.uninstall(id.to()))
    });
    table.add("eth_getFilterChanges(filterId: Quantity) -> Changes", |c, p| {
        let id: U128 = p.required()?;
        let installed = c.filters.get(id.to())?;
        let context = Arc::clone(c);
        Reply::later(context.long_read(move |c, deadline| changes(c, &mut installed.lock(), deadline)))
    });
    table.add("eth_getFilterLogs(filterId: Quantity) -> Log[]", |c, p| {
        let id: U128 = p.required()?;
        let installed = c.filters.get(id.to())?;
        Reply::read(c, move |c, deadline| match &*installed.lock() {
            Watch::Logs { filter, .. } => logs::query(c, filter, deadline),
            Watch::Blocks { .. } | Watch::Pending { .. } => Err(RpcError::new(code::SERVER, "filter not found")),
        })
    });
}

/// What is new since the last poll; at most as many blocks as a log query may span, the rest next time.
fn changes<B: Backend>(context: &Context<B>, watch: &mut Watch, deadline: Instant) -> Result<Json, RpcError> {
    let latest = context.backend.heads().latest;
    let last = |next: Height| latest.min(next.saturating_add(context.config.max_log_blocks - 1));
    match watch {
        Watch::Blocks { next } => {
            let last = last(*next);
            let mut hashes: Vec<B256> = Vec::new();
            for height in next.get()..=last.get() {
                hashes.extend(context.backend.header(Height::new(height))?.map(|(hash, _)| hash));
            }
            *next = (*next).max(last.next());
            json(&hashes)
        }
        Watch::Logs { filter, next } => {
            let last = last(*next);
            // The filter's own range narrows what is new.
            let from = filter.wanted.get_from_block().unwrap_or(0).max(next.get());
            let to = filter.wanted.get_to_block().unwrap_or(u64::MAX).min(last.get());
            let found = if from <= to { logs::collect(context, filter, from..=to, deadline)? } else { Vec::new() };
            *next = (*next).max(last.next());
            json(&found)
        }
        Watch::Pending { hashes, full } => {
            let hashes = drain(hashes);
            if !*full {
                return json(&hashes);
            }
            let waiting = hashes.into_iter().filter_map(|h| context.backend.waiting(h));
            json(&waiting.map(|w| convert::waiting(w.transaction, w.sender)).collect::<Vec<_>>())
        }
    }
}

fn drain(stream: &mut Receiver<B256>) -> Vec<B256> {
    let mut hashes = Vec::new();
    loop {
        match stream.try_recv() {
            Ok(hash) => hashes.push(hash),
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return hashes,
        }
    }
}
