//! Joins the parts on one runtime: marshal, delivery, multiplexers, gossip, epochs. Generic over runtime and network, so that
//! the deterministic simulation runs exactly what a node runs.

use crate::{
    Error, Evidence,
    block::{Block, BlockLimit},
    config::Config,
    delivery,
    engine::Shared,
    epochs::{Drained, Epochs, Muxes, Parts},
    gossip,
    ingress::{Message, Outgoing, PeerMessage, Topic},
    lazy::Lazy,
    network::Wire,
    pace::Pace,
    ports::{Chain, Sets},
    schemes::Schemes,
    set::{self, Members},
    standing::{self, Standing},
    status::{self, StatusSender},
    storage::{self, Env, Names},
    types::{Marshal, PublicKey, Variant},
    votelog::Logged,
};
use alloy::primitives::B256;
use baton_primitives::{Epoch, FinalBlock, Height};
use commonware_broadcast::buffered;
use commonware_consensus::{
    marshal::{self, Start, core::Actor, resolver::p2p as resolver},
    types::{self, FixedEpocher, ViewDelta},
};
use commonware_cryptography::Signer as _;
use commonware_p2p::{
    AddressableManager, Blocker, Receiver, Sender,
    utils::mux::{Builder as _, Muxer},
};
use commonware_parallel::Sequential;
use commonware_utils::{NZUsize, NonZeroDuration};
use std::{num::NonZeroU64, sync::Arc};
use tokio::sync::{mpsc, watch};
use tracing::info;

/// Blocks kept per sender until they are final: what a leader may have in flight, with room for boundary re-proposals.
const BLOCKS_PER_PEER: usize = 16;
/// Views whose undecided blocks are kept on disk behind the last final one.
const CACHED_VIEWS: ViewDelta = ViewDelta::new(256);

/// The inner ends of the mailbox and the streams.
pub(crate) struct Inbox {
    pub(crate) outgoing: mpsc::Receiver<Outgoing>,
    pub(crate) requests: mpsc::Receiver<Message>,
    pub(crate) status: StatusSender,
    pub(crate) attest: mpsc::Sender<PeerMessage>,
    pub(crate) transactions: mpsc::Sender<PeerMessage>,
    pub(crate) evidence: mpsc::Sender<Evidence>,
}

/// Runs consensus until a drain or an error.
pub(crate) async fn run<E, C, T, S, R, M, B>(
    context: E,
    config: Arc<Config>,
    names: Names,
    chain: Arc<C>,
    sets: Arc<T>,
    wire: Wire<S, R, M, B>,
    inbox: Inbox,
) -> Result<Drained, Error>
where
    E: Env,
    C: Chain,
    T: Sets,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    M: AddressableManager<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    let Wire { channels, manager, blocker } = wire;
    let Inbox { outgoing, requests, status, attest, transactions, evidence } = inbox;
    let me = set::identity(&config.identity).public_key();
    let epoch_blocks = config.parameters.epoch_blocks;
    let limit = BlockLimit::of(&config.parameters);
    let cache = storage::page_cache();
    let schemes = Schemes::default();

    // Blocks pushed by leaders.
    let (broadcast, buffer) = buffered::Engine::new(
        context.child("broadcast"),
        buffered::Config {
            public_key: me.clone(),
            mailbox_size: NZUsize!(1024),
            deque_size: BLOCKS_PER_PEER,
            priority: true,
            codec_config: limit,
            peer_provider: manager.clone(),
            strategy: Sequential,
        },
    );
    broadcast.start(channels.blocks);

    // Ordered delivery and backfill.
    let (certificates, blocks) = storage::archives(&context, &names, &cache, limit).await?;
    let (certificates, blocks) = (Lazy::certificates(certificates, epoch_blocks), Lazy::blocks(blocks, epoch_blocks));
    let barriers = [certificates.barrier(), blocks.barrier()];
    let resolver = resolver::init(
        context.child("backfill"),
        resolver::Config {
            public_key: me.clone(),
            peer_provider: manager.clone(),
            blocker: blocker.clone(),
            mailbox_size: NZUsize!(1024),
            fetch_timeout: NonZeroDuration::new(config.timing.fetch).expect("invariant: timing has been validated"),
            fetch_retry_delay: config.timing.block,
            priority_requests: false,
            priority_responses: false,
        },
        channels.backfill,
    );
    let epocher = FixedEpocher::new(NonZeroU64::new(epoch_blocks).expect("invariant: epoch_blocks has been validated"));
    let (actor, marshal, floor) = Actor::<E, Variant, _, _, _, _, _>::init(
        context.child("marshal"),
        certificates,
        blocks,
        marshal::Config {
            provider: schemes.clone(),
            epocher,
            start: Start::Genesis(Block::new(config.genesis.clone()).digested()),
            partition_prefix: names.marshal(),
            mailbox_size: NZUsize!(4096),
            view_retention: CACHED_VIEWS,
            prunable_items_per_section: storage::SECTION,
            page_cache: cache.clone(),
            replay_buffer: storage::REPLAY_BUFFER,
            key_write_buffer: storage::WRITE_BUFFER,
            value_write_buffer: storage::WRITE_BUFFER,
            block_codec_config: limit,
            max_repair: NZUsize!(32),
            max_pending_acks: delivery::PENDING,
            strategy: Sequential,
        },
    )
    .await;
    let processed = floor.processed().map_or(Height::ZERO, |p| Height::new(p.height().get()));
    let (inlet, delivered) = delivery::queue(status.clone());

    // Every epoch from the first block still to be delivered needs its scheme.
    let last = chain.last_final().await;
    let first = processed.max(last.0).next().epoch(epoch_blocks);
    let mut epoch = processed.min(last.0).next().epoch(epoch_blocks);
    while epoch < first {
        let snapshot = sets.set_of(epoch).await;
        let id = snapshot.id;
        let members = Members::new(snapshot).map_err(|reason| Error::Set { snapshot: id, reason })?;
        schemes.register(epoch, members.anonymous(&config.domain));
        epoch = epoch.next();
    }
    actor.start(inlet, buffer, resolver);
    catch_up(chain.as_ref(), &marshal, last.0, processed).await?;
    let last = chain.last_final().await;
    status::update(&status, |s| {
        s.last_final = last;
        s.tip = last.0;
    });
    info!(height = %last.0, hash = %last.1, %processed, epoch = %first, "consensus starts");
    let genesis = start_of(chain.as_ref(), &config, first).await?;

    let (boundary, boundaries) = mpsc::channel(1);
    let delivery =
        delivery::run(chain.clone(), marshal.clone(), status.clone(), epoch_blocks, barriers, delivered, boundary);
    let mut delivery = context.child("delivery").spawn(move |_| delivery);

    // The engine's channels, split by epoch.
    let (mux, votes, strange) =
        Muxer::builder(context.child("votes"), channels.votes.0, channels.votes.1).with_backup().build();
    mux.start();
    let (mux, certificates) =
        Muxer::new(context.child("certificates"), channels.certificates.0, channels.certificates.1);
    mux.start();
    let (mux, resolver) = Muxer::new(context.child("resolver"), channels.resolver.0, channels.resolver.1);
    mux.start();

    // Bytes of other actors.
    let (attest_sender, attest_receiver) = channels.attest;
    let (transaction_sender, transaction_receiver) = channels.transactions;
    context.child("gossip").spawn(move |_| gossip::send(outgoing, attest_sender, transaction_sender));
    context.child("attest").spawn(move |_| gossip::receive(Topic::Attest, attest_receiver, attest));
    context
        .child("transactions")
        .spawn(move |_| gossip::receive(Topic::Transactions, transaction_receiver, transactions));

    let standing = Arc::new(Standing::default());
    let (answer, answers) = standing::answers();
    let (standing_sender, standing_receiver) = channels.standing;
    let serve = standing::serve(standing.clone(), standing_sender.clone(), standing_receiver, answer);
    context.child("standing").spawn(move |_| serve);

    let (drain, draining) = watch::channel(false);
    let shared = Shared {
        config: config.clone(),
        names,
        chain,
        marshal,
        blocker,
        cache,
        pace: Arc::new(Pace::default()),
        standing,
        status,
        evidence,
        draining,
    };
    let epochs = Epochs::new(
        Parts {
            context: context.child("epochs"),
            journals: Logged::new(context.child("journals")),
            shared,
            sets,
            schemes,
            manager,
            muxes: Muxes { votes, certificates, resolver, strange },
            vote_key: set::vote_secret(&config.vote_key),
            me,
            standing_sender,
            answers: Arc::new(tokio::sync::Mutex::new(answers)),
            boundaries,
            requests,
        },
        drain,
    );
    tokio::select! {
        biased;
        fault = &mut delivery => Err(fault.unwrap_or(Error::Ended("the delivery of final blocks"))),
        end = epochs.run(first, genesis) => end,
    }
}

/// Gives the chain again what the marshal counts as delivered and the chain does not hold, as after an older copy of the
/// chain's store has been put back.
async fn catch_up<C: Chain>(chain: &C, marshal: &Marshal, from: Height, to: Height) -> Result<(), Error> {
    let mut height = from;
    while height < to {
        height = height.next();
        let fault = |reason: String| Error::Chain { height: height.get(), reason };
        let block = marshal.get_block(types::Height::new(height.get())).await;
        let block = block.ok_or_else(|| fault("its body is neither in the chain nor in the archive".into()))?;
        let block = block.inner().recovered(chain).map_err(|e| fault(e.to_string()))?;
        chain.finalized(FinalBlock { block, certificate: None }).await.map_err(|e| fault(e.to_string()))?;
    }
    Ok(())
}

/// Hash of the block that an epoch starts from.
async fn start_of<C: Chain>(chain: &C, config: &Config, epoch: Epoch) -> Result<B256, Error> {
    match epoch.previous() {
        None => Ok(config.genesis.hash()),
        Some(before) => {
            let last = before.last_height(config.parameters.epoch_blocks);
            chain.final_hash(last).await.ok_or(Error::Boundary(before))
        }
    }
}
