//! The table of methods: signature and typed handler. A handler reads its parameters at once and either answers at once
//! or gives the work to do; work starts only when all parameters are known to be good.
//!
//! A signature is one line, `eth_getBalance(address: Address, block?: Block) -> Quantity`: the table dispatches by what
//! stands before the parenthesis, and `rpc.discover` is made of the whole ([`discover`]), so that none is missing there.

mod blocks;
mod chain;
mod debug;
mod discover;
mod execute;
mod fees;
mod fill;
mod filter;
mod general;
mod otterscan;
mod pool;
mod rollup;
mod simulate;
mod state;
mod submit;
mod trace;
mod trace_filter;

use crate::{
    context::Context,
    envelope::{Json, json},
    error::RpcError,
    params::Params,
    ports::Backend,
};
use futures::future::BoxFuture;
use metrics::{Counter, Histogram};
use serde::Serialize;
use std::{
    collections::HashMap,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

/// What a handler gives.
pub(crate) enum Reply {
    /// The answer.
    Now(Json),
    /// Work that ends in the answer.
    Later(BoxFuture<'static, Result<Json, RpcError>>),
}

impl Reply {
    fn now(value: &impl Serialize) -> Result<Self, RpcError> {
        json(value).map(Self::Now)
    }

    fn later(work: impl Future<Output = Result<Json, RpcError>> + Send + 'static) -> Result<Self, RpcError> {
        Ok(Self::Later(Box::pin(work)))
    }

    /// A long read, run in its turn on a blocking thread.
    fn read<B: Backend, T: Serialize>(
        context: &Arc<Context<B>>,
        read: impl FnOnce(&Context<B>, Instant) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<Self, RpcError> {
        let context = Arc::clone(context);
        Self::later(context.long_read(move |context, deadline| json(&read(context, deadline)?)))
    }
}

/// A typed handler.
pub(crate) type Handler<B> = fn(&Arc<Context<B>>, &mut Params<'_>) -> Result<Reply, RpcError>;

/// One line of the table.
pub(crate) struct Method<B> {
    pub(crate) handler: Handler<B>,
    signature: &'static str,
    seconds: Histogram,
    errors: Counter,
}

impl<B> Method<B> {
    /// Counts one call.
    pub(crate) fn record(&self, took: Duration, failed: bool) {
        self.seconds.record(took.as_secs_f64());
        if failed {
            self.errors.increment(1);
        }
    }
}

/// The table.
pub(crate) struct Methods<B>(HashMap<&'static str, Method<B>>);

impl<B: Backend> Methods<B> {
    pub(crate) fn new() -> Self {
        let mut table = Self(HashMap::new());
        general::register(&mut table);
        blocks::register(&mut table);
        state::register(&mut table);
        execute::register(&mut table);
        fees::register(&mut table);
        submit::register(&mut table);
        filter::register(&mut table);
        pool::register(&mut table);
        debug::register(&mut table);
        trace::register(&mut table);
        trace_filter::register(&mut table);
        simulate::register(&mut table);
        fill::register(&mut table);
        chain::register(&mut table);
        otterscan::register(&mut table);
        rollup::register(&mut table);
        discover::register(&mut table);
        table
    }

    /// Adds a method by its signature.
    fn add(&mut self, signature: &'static str, handler: Handler<B>) {
        let name = discover::name(signature);
        let seconds = metrics::histogram!("baton_rpc_request_seconds", "method" => name);
        let errors = metrics::counter!("baton_rpc_errors_total", "method" => name);
        self.0.insert(name, Method { handler, signature, seconds, errors });
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Method<B>> {
        self.0.get(name)
    }

    /// The signatures of all methods, sorted.
    pub(crate) fn signatures(&self) -> Vec<&'static str> {
        let mut signatures: Vec<_> = self.0.values().map(|method| method.signature).collect();
        signatures.sort_unstable();
        signatures
    }
}
