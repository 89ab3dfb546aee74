//! What every handler shares, and how requests are run: one by one, or a batch in order.

use crate::{
    config::Config,
    envelope::{Body, Json, Malformed, Request, parse, parse_element, write_answer},
    error::{RpcError, code},
    filters::Filters,
    hub::Hub,
    methods::{Methods, Reply},
    params::{Params, unknown_block},
    ports::Backend,
    unread::{Account, Answer, Unread},
};
use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    primitives::Bytes,
};
use baton_primitives::Height;
use futures::{StreamExt, stream};
use serde_json::value::RawValue;
use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};
use tokio::{
    sync::Semaphore,
    time::{Duration, timeout},
};

/// The one method that is worth a path of its own.
const SEND: &str = "eth_sendRawTransaction";

/// What every handler shares.
pub(crate) struct Context<B> {
    pub(crate) config: Config,
    pub(crate) backend: Arc<B>,
    pub(crate) hub: Hub,
    pub(crate) filters: Filters,
    methods: Methods<B>,
    /// What `rpc.discover` answers, made when it is first asked for.
    pub(crate) document: OnceLock<Json>,
    /// Answers that wait for their readers.
    pub(crate) unread: Arc<Unread>,
    /// Long reads that run.
    running: Arc<Semaphore>,
    /// Long reads that run or wait. Full: the caller is refused.
    admitted: Arc<Semaphore>,
}

impl<B: Backend> Context<B> {
    pub(crate) fn new(config: Config, backend: Arc<B>) -> Self {
        let running = config.max_long_reads.get();
        Self {
            hub: Hub::new(),
            filters: Filters::new(config.max_filters, config.filter_ttl),
            methods: Methods::new(),
            document: OnceLock::new(),
            unread: Unread::new(config.max_unread_bytes.max(config.max_response_bytes)),
            running: Arc::new(Semaphore::new(running)),
            admitted: Arc::new(Semaphore::new(running + config.max_waiting_reads)),
            config,
            backend,
        }
    }

    /// The signatures of all methods, sorted.
    pub(crate) fn signatures(&self) -> Vec<&'static str> {
        self.methods.signatures()
    }

    /// Runs a long read on a blocking thread, in its turn. `deadline` is for the read itself to look at.
    pub(crate) async fn long_read<T: Send + 'static>(
        self: Arc<Self>,
        read: impl FnOnce(&Self, Instant) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let limit = self.config.max_waiting_reads;
        let place = Arc::clone(&self.admitted)
            .try_acquire_owned()
            .map_err(|_| RpcError::limit(format!("server busy: {limit} long reads are waiting; retry later")))?;
        let permit = Arc::clone(&self.running).acquire_owned().await.map_err(|e| RpcError::internal(&e))?;
        let deadline = Instant::now() + self.config.long_read_timeout;
        // A blocking thread cannot be stopped: it keeps its permits even if the caller has given up.
        let task = tokio::task::spawn_blocking(move || {
            let result = read(&self, deadline);
            drop((permit, place));
            result
        });
        task.await.map_err(|e| RpcError::internal(&e))?
    }

    /// The height that a block reference means, which must exist.
    pub(crate) fn resolve(&self, at: BlockId) -> Result<Height, RpcError> {
        self.find(at)?.ok_or_else(|| unknown_block(at))
    }

    /// The height that a block reference means; `None` if there is no such block. `pending` is the last final block: the
    /// leader's open block is not visible before it is final.
    pub(crate) fn find(&self, at: BlockId) -> Result<Option<Height>, RpcError> {
        let number = match at {
            BlockId::Hash(hash) => return Ok(self.backend.height_of(hash.block_hash)?),
            BlockId::Number(number) => number,
        };
        let heads = self.backend.heads();
        Ok(match number {
            BlockNumberOrTag::Latest | BlockNumberOrTag::Pending => Some(heads.latest),
            BlockNumberOrTag::Safe => Some(heads.safe),
            BlockNumberOrTag::Finalized => Some(heads.finalized),
            BlockNumberOrTag::Earliest => Some(Height::ZERO),
            BlockNumberOrTag::Number(number) => Some(Height::new(number)).filter(|h| *h <= heads.latest),
        })
    }

    /// Runs one request. A notification runs too; its result is for nobody.
    pub(crate) async fn call(self: &Arc<Self>, request: &Request<'_>) -> Result<Json, RpcError> {
        let Some(method) = self.methods.get(&request.method) else {
            let message = format!("the method {:.80} does not exist/is not available", request.method);
            return Err(RpcError::new(code::METHOD_NOT_FOUND, message));
        };
        let started = Instant::now();
        let result = self.run(method.handler, request.params).await;
        method.record(started.elapsed(), result.is_err());
        result
    }

    async fn run(
        self: &Arc<Self>,
        handler: crate::methods::Handler<B>,
        params: Option<&RawValue>,
    ) -> Result<Json, RpcError> {
        let reply = {
            let mut params = Params::new(params)?;
            let reply = handler(self, &mut params)?;
            params.end()?;
            reply
        };
        let json = match reply {
            Reply::Now(json) => json,
            Reply::Later(work) => match timeout(self.config.request_timeout, work).await {
                Ok(result) => result?,
                Err(_) => return Err(RpcError::timed_out()),
            },
        };
        self.within_limit(json.len(), self.config.max_response_bytes)?;
        Ok(json)
    }

    fn within_limit(&self, bytes: usize, limit: usize) -> Result<(), RpcError> {
        if bytes > limit {
            let message = format!("response too large: {bytes} bytes, limit {limit}; ask for less");
            return Err(RpcError::new(code::REJECTED, message));
        }
        Ok(())
    }

    /// Id and result of one request; `None` for a notification.
    async fn settle<'a>(
        self: &Arc<Self>,
        request: Result<Request<'a>, Malformed<'a>>,
    ) -> Option<(Option<&'a RawValue>, Result<Json, RpcError>)> {
        match request {
            Ok(request) => {
                let result = self.call(&request).await;
                Some((Some(request.id?), result))
            }
            Err(malformed) => Some((malformed.id, Err(malformed.error))),
        }
    }

    /// The answer to a body or message; `None` where there is nothing to say.
    pub(crate) async fn answer(self: &Arc<Self>, body: &[u8]) -> Option<Vec<u8>> {
        match parse(body, self.config.max_batch) {
            Ok(Body::One(request)) => self.answer_one(request).await,
            Ok(Body::Batch(elements)) => self.answer_batch(&elements).await,
            Err(error) => {
                let mut answer = Vec::new();
                write_answer(&mut answer, None, &Err(error));
                Some(answer)
            }
        }
    }

    /// As [`Self::answer`], with a share of what its connection may leave unread; `Err` with an error in the place of the
    /// answer if there is no room.
    pub(crate) async fn answer_within(
        self: &Arc<Self>,
        account: &Arc<Account>,
        body: &[u8],
    ) -> Option<Result<Answer, Vec<u8>>> {
        let bytes = self.answer(body).await?;
        Some(match account.hold(bytes.len()) {
            Ok(share) => Ok(Answer { bytes, share }),
            Err(error) => {
                let id = match parse(body, self.config.max_batch) {
                    Ok(Body::One(Ok(request))) => request.id,
                    Ok(Body::One(Err(_)) | Body::Batch(_)) | Err(_) => None,
                };
                let mut answer = Vec::new();
                write_answer(&mut answer, id, &Err(error));
                Err(answer)
            }
        })
    }

    /// The answer to one request, or `None` for a notification.
    pub(crate) async fn answer_one(self: &Arc<Self>, request: Result<Request<'_>, Malformed<'_>>) -> Option<Vec<u8>> {
        let (id, result) = self.settle(request).await?;
        let mut out = Vec::new();
        write_answer(&mut out, id, &result);
        Some(out)
    }

    /// The answers to a batch, in its order; `None` if all of it are notifications.
    pub(crate) async fn answer_batch(self: &Arc<Self>, elements: &[&RawValue]) -> Option<Vec<u8>> {
        let requests: Vec<_> = elements.iter().map(|e| parse_element(e)).collect();
        if requests.len() > 1 && requests.iter().all(|r| r.as_ref().is_ok_and(|r| r.method == SEND && r.id.is_some())) {
            return Some(self.send_batch(requests.into_iter().flatten().collect()).await);
        }
        let mut answers = Array::new(self.config.max_response_bytes);
        // Futures are lazy: they start in order as room comes.
        let work: Vec<_> = requests.into_iter().map(|request| self.settle(request)).collect();
        let mut results = std::pin::pin!(stream::iter(work).buffered(self.config.max_in_flight.get()));
        while let Some(answer) = results.next().await {
            if let Some((id, result)) = answer {
                let room = answers.room();
                let result = result.and_then(|json| self.within_limit(json.len(), room).map(|()| json));
                answers.push(id, &result);
            }
        }
        answers.finish()
    }

    /// A batch of raw transactions goes to the pool at once, so that signatures are verified together.
    async fn send_batch(self: &Arc<Self>, requests: Vec<Request<'_>>) -> Vec<u8> {
        let started = Instant::now();
        let mut raw = Vec::with_capacity(requests.len());
        let mut results: Vec<Result<Json, RpcError>> = Vec::with_capacity(requests.len());
        for request in &requests {
            let bytes = Params::new(request.params).and_then(|mut params| {
                let bytes: Bytes = params.required()?;
                params.end().map(|()| bytes)
            });
            // An empty answer holds the place of one that goes to the pool.
            results.push(bytes.map(|bytes| {
                raw.push(bytes);
                Json::new()
            }));
        }
        let sent = timeout(self.config.request_timeout, self.backend.submit_batch(raw)).await;
        let mut sent = sent.unwrap_or_default().into_iter();
        let mut answers = Array::new(usize::MAX);
        let count = requests.len().try_into().unwrap_or(u32::MAX).max(1);
        for (request, result) in requests.iter().zip(results) {
            let result = result.and_then(|_| match sent.next() {
                Some(Ok(hash)) => crate::envelope::json(&hash),
                Some(Err(error)) => Err(error.into()),
                None => Err(RpcError::timed_out()),
            });
            if let Some(method) = self.methods.get(SEND) {
                method.record(started.elapsed() / count, result.is_err());
            }
            answers.push(request.id, &result);
        }
        answers.finish().unwrap_or_default()
    }

    /// How long `eth_sendRawTransactionSync` waits.
    pub(crate) fn sync_timeout(&self, millis: Option<u64>) -> Duration {
        let asked = millis.filter(|m| *m > 0).map_or(self.config.sync_timeout, Duration::from_millis);
        asked.min(self.config.max_sync_timeout).min(self.config.request_timeout)
    }
}

/// A JSON array of answers.
pub(crate) struct Array {
    out: Vec<u8>,
    limit: usize,
}

impl Array {
    pub(crate) fn new(limit: usize) -> Self {
        Self { out: vec![b'['], limit }
    }

    fn room(&self) -> usize {
        self.limit.saturating_sub(self.out.len())
    }

    pub(crate) fn push(&mut self, id: Option<&RawValue>, result: &Result<Json, RpcError>) {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        write_answer(&mut self.out, id, result);
    }

    /// The array; `None` if it is empty.
    pub(crate) fn finish(mut self) -> Option<Vec<u8>> {
        if self.out.len() == 1 {
            return None;
        }
        self.out.push(b']');
        Some(self.out)
    }
}
