//! The poster and the keeper joined to this node: final blocks from the ledger, L1 through the watcher's view and the
//! transaction manager, peers through consensus.
//!
//! ```text
//! ledger, L1 view -> poster <-> members (p2p)      poster -batches-> one transaction manager -> L1
//!                    keeper -chores---------------------------------^
//! ```

use crate::{config::Config, error::NodeError, keys::OperatorKeys, ledger::Ledger, offence, run::Tasks};
use alloy::{
    eips::BlockId,
    primitives::{Address, B256, Bytes},
    rpc::types::TransactionRequest,
};
use baton_bindings::Deployment;
use baton_consensus::{Evidence, Mailbox, PeerMessage, Topic};
use baton_l1::{Endpoints, L1View, TxConfig, TxManager, TxOutcome, TxRequest, TxSender};
use baton_poster::{
    Archive, Call, Chain, ClosedEpoch, Docket, Executed, Keeper, KeeperConfig, Ledger as L1Ledger, Network, Poster,
    Recipients, Sent, Settlement, Standing,
};
use baton_primitives::{BatchIndex, Epoch, Generation, Height, IdentityKey, SequencerId, Snapshot, SnapshotId};
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

const GWEI: u128 = 1_000_000_000;
/// Offences between consensus, the poster and the keeper, which writes each to disk at once.
const REPORTS: usize = 64;

/// What the poster's part of a node is made of.
pub(crate) struct Setup<'a> {
    pub(crate) config: &'a Config,
    pub(crate) deployment: &'a Deployment,
    pub(crate) keys: &'a OperatorKeys,
    pub(crate) endpoints: &'a Endpoints,
    pub(crate) ledger: &'a Arc<Ledger>,
    pub(crate) mailbox: &'a Mailbox,
}

/// Starts poster, keeper and the account's transaction manager; gives the archive of posted blobs.
pub(crate) fn start(
    tasks: &mut Tasks,
    setup: &Setup<'_>,
    messages: mpsc::Receiver<PeerMessage>,
    evidence: mpsc::Receiver<Evidence>,
) -> Result<Archive, NodeError> {
    let Setup { config, deployment, keys, endpoints, ledger, mailbox } = setup;
    let addresses = &deployment.addresses;
    let block_time = Duration::from_secs(deployment.parameters.l1_block_time);
    let fees = TxConfig {
        poll_interval: (block_time / 5).clamp(Duration::from_millis(100), Duration::from_secs(2)),
        resubmit_after: block_time * 4,
        give_up_after: block_time * 50,
        max_fee: u128::from(config.poster.max_fee_gwei) * GWEI,
        max_blob_fee: u128::from(config.poster.max_blob_fee_gwei) * GWEI,
        ..TxConfig::default()
    };
    let (manager, sender) = TxManager::new(fees, (*endpoints).clone(), keys.poster.clone());
    let running = manager.start(tasks.stop.clone());
    tasks.spawn("L1 transactions", async move { running.await.map_err(|_| NodeError::Ended("L1 transactions")) });

    let chain = FinalChain(Arc::clone(ledger));
    let settlement = L1Settlement::new(ledger.l1.clone());
    let follow = settlement.clone();
    tasks.spawn("settlement", async move {
        follow.follow().await;
        Ok(())
    });
    let l1 = Account { sender, endpoints: (*endpoints).clone() };
    let identity = keys.identity.public();
    let mut poster_config = baton_poster::Config::new(
        ledger.parameters.clone(),
        deployment.l1_chain_id,
        addresses.inbox,
        keys.vote.clone(),
        identity,
        config.data_dir.join("poster"),
    );
    poster_config.sign_wait = Duration::from_millis(config.poster.sign_wait_ms);
    let network = Members { mailbox: (*mailbox).clone(), own: identity };
    let (reports, offences) = mpsc::channel(REPORTS);
    let (poster, handle) = Poster::new(poster_config, chain, settlement.clone(), network, l1.clone(), reports.clone())?;
    let archive = handle.blobs().clone();
    let running = poster.start(tasks.stop.clone());
    tasks.spawn("poster", async move { Ok(running.await.map_err(|_| NodeError::Ended("poster"))??) });
    tasks.spawn("batch signatures", async move {
        let mut messages = messages;
        while let Some(message) = messages.recv().await {
            if !handle.deliver(message.from, message.bytes) {
                metrics::counter!("baton_poster_messages_dropped_total").increment(1);
            }
        }
        Ok(())
    });
    let keeper = KeeperConfig {
        l1_chain_id: deployment.l1_chain_id,
        pool: addresses.pool,
        slasher: addresses.slasher,
        vote_key: keys.vote.clone(),
        identity,
        term_views: ledger.parameters.term_views,
        // A chore may have to wait for a batch that the same account is posting.
        turn: 4,
    };
    tasks.spawn("evidence", offence::report(evidence, Arc::clone(ledger), l1.sender.account(), reports));
    let docket = Docket::open(&config.data_dir.join("offences"))?;
    let running = Keeper::new(keeper, settlement, l1, offences, docket).start(tasks.stop.clone());
    tasks.spawn("keeper", async move { running.await.map_err(|_| NodeError::Ended("keeper")) });
    Ok(archive)
}

/// The final chain, for the poster.
#[derive(Clone)]
struct FinalChain(Arc<Ledger>);

impl Chain for FinalChain {
    fn head(&self) -> watch::Receiver<Height> {
        self.0.head()
    }

    async fn executed(&self, height: Height) -> Option<Executed> {
        let ledger = Arc::clone(&self.0);
        let read = tokio::task::spawn_blocking(move || {
            let block = ledger.engine.block_at(height.get())?;
            let outcome = ledger.engine.outcome(height.get())?;
            Ok::<_, baton_engine::StoreError>(block.zip(outcome))
        });
        match read.await {
            Ok(Ok(found)) => found.map(|(block, outcome)| Executed {
                block,
                withdrawals_root: outcome.withdrawals_root,
                swept: outcome.swept,
            }),
            Ok(Err(error)) => {
                tracing::error!(%height, %error, "a final block cannot be read for its batch");
                None
            }
            Err(_) => None,
        }
    }
}

/// Where settlement stands, out of the watcher's view.
#[derive(Clone)]
struct L1Settlement {
    view: L1View,
    standing: watch::Sender<Option<Standing>>,
}

impl L1Settlement {
    fn new(view: L1View) -> Self {
        Self { view, standing: watch::Sender::new(None) }
    }

    /// Keeps [`Settlement::standing`] up to date.
    async fn follow(&self) {
        let mut heads = self.view.subscribe();
        loop {
            let now = self.now();
            self.standing.send_if_modified(|standing| {
                let changed = *standing != now;
                *standing = now;
                changed
            });
            if heads.changed().await.is_err() {
                return;
            }
        }
    }

    fn now(&self) -> Option<Standing> {
        let heads = self.view.heads();
        let anchor = self.view.anchor().filter(|_| heads.synced)?;
        let (accepted_in, generation) = match self.view.last_batch() {
            Some(batch) => (batch.l1_number, batch.core.generation),
            None => (self.view.started()?.l1_number, Generation::ZERO),
        };
        Some(Standing { l1_head: heads.head.number, l1_hash: heads.head.hash, anchor, accepted_in, generation })
    }
}

impl Settlement for L1Settlement {
    fn standing(&self) -> watch::Receiver<Option<Standing>> {
        self.standing.subscribe()
    }

    fn snapshot(&self, id: SnapshotId) -> Option<Arc<Snapshot>> {
        self.view.snapshot(id)
    }

    fn sealed(&self) -> Vec<(SnapshotId, u64)> {
        self.view.sealed()
    }

    fn sequencer_of(&self, identity: &IdentityKey) -> Option<SequencerId> {
        self.view.sequencer_of(identity)
    }

    fn left_by_owner(&self, id: SequencerId) -> bool {
        self.view.left_by_owner(id)
    }

    fn blob_hashes(&self, index: BatchIndex) -> Option<Vec<B256>> {
        self.view.batch(index).map(|batch| batch.blob_hashes.clone())
    }

    fn epoch_snapshot(&self, epoch: Epoch) -> Option<SnapshotId> {
        self.view.epoch(epoch).map(|row| row.snapshot)
    }

    fn running_epoch(&self) -> Option<Epoch> {
        self.view.running_epoch()
    }

    fn closed_epoch(&self, epoch: Epoch) -> Option<ClosedEpoch> {
        let closing = self.view.closing(epoch)?;
        Some(ClosedEpoch { last_view: closing.core.last_view, performance: closing.performance.clone() })
    }
}

/// The members, through consensus.
#[derive(Clone)]
struct Members {
    mailbox: Mailbox,
    own: IdentityKey,
}

impl Network for Members {
    fn send(&self, to: Recipients, message: Bytes) {
        let sent = match to {
            Recipients::Members(snapshot) => snapshot
                .members
                .iter()
                .filter(|member| member.identity != self.own)
                .try_for_each(|member| self.mailbox.send(Topic::Attest, member.identity, message.clone())),
            Recipients::One(identity) => self.mailbox.send(Topic::Attest, identity, message),
        };
        if let Err(error) = sent {
            tracing::warn!(%error, "a batch message was not sent");
        }
    }
}

/// The poster's account on L1.
#[derive(Clone)]
struct Account {
    sender: TxSender,
    endpoints: Endpoints,
}

impl L1Ledger for Account {
    fn account(&self) -> Address {
        self.sender.account()
    }

    async fn send(&self, call: Call) -> Sent {
        let request = TxRequest {
            label: call.label,
            to: call.to,
            input: call.input,
            value: alloy::primitives::U256::ZERO,
            blobs: call.blobs,
        };
        match self.sender.send(request).await {
            Ok(TxOutcome::Included { receipt }) => Sent::Included {
                transaction: receipt.transaction_hash,
                l1_number: receipt.block_number.unwrap_or_default(),
            },
            Ok(TxOutcome::Reverted { receipt, revert }) => Sent::Reverted {
                transaction: receipt.transaction_hash,
                // It would have succeeded one block earlier.
                reason: revert.map_or_else(|| "another transaction of the block came first".into(), |r| r.reason),
            },
            Ok(TxOutcome::Refused(revert)) => Sent::Refused { reason: revert.reason },
            Ok(TxOutcome::CapReached { what, needed, limit }) => {
                Sent::Failed { reason: format!("{what} costs {needed} wei, the limit is {limit}") }
            }
            Ok(TxOutcome::GivenUp { reason, .. }) => Sent::Failed { reason },
            Err(error) => Sent::Failed { reason: error.to_string() },
        }
    }

    async fn view(&self, to: Address, input: Bytes) -> Result<Bytes, String> {
        let request = TransactionRequest::default().to(to).input(input.into());
        self.endpoints.call("eth_call", (request, BlockId::latest())).await.map_err(|error| error.reason())
    }

    async fn would_succeed(&self, to: Address, input: Bytes) -> Result<(), String> {
        let request = TransactionRequest::default().from(self.account()).to(to).input(input.into());
        let answer: Result<Bytes, _> = self.endpoints.call("eth_call", (request, BlockId::pending())).await;
        answer.map(drop).map_err(|error| error.reason())
    }

    async fn header(&self, number: u64) -> Result<Bytes, String> {
        let block: Option<alloy::rpc::types::Block> = self
            .endpoints
            .call("eth_getBlockByNumber", (alloy::eips::BlockNumberOrTag::Number(number), false))
            .await
            .map_err(|error| error.reason())?;
        let block = block.ok_or_else(|| format!("L1 has no block {number}"))?;
        Ok(alloy::rlp::encode(&block.header.inner).into())
    }
}
