//! One engine for one epoch.

use crate::{
    automaton::{self, Automaton},
    config::{Config, Timing},
    elector::StakeSchedule,
    evidence::Evidence,
    held::Held,
    observer::{self, Observer},
    pace::Pace,
    ports::Chain,
    set::Members,
    standing::Standing,
    status::StatusSender,
    storage::{self, Env, Names},
    types::{Marshal, PublicKey, Scheme},
};
use alloy::primitives::B256;
use baton_primitives::{Epoch, Parameters};
use commonware_consensus::{
    simplex::{self, Floor, ForwardPolicy, SkipBudget, SkipPolicy, elector::Terms},
    types::{self, TermLength, ViewDelta},
};
use commonware_p2p::{
    Blocker, Sender,
    utils::mux::{SubReceiver, SubSender},
};
use commonware_parallel::Sequential;
use commonware_runtime::{Handle, buffer::paged::CacheRef};
use commonware_utils::{NZUsize, NonZeroDuration};
use std::{num::NonZeroU32, sync::Arc};
use tokio::sync::{mpsc, watch};

/// Views behind the final one whose votes are kept, in memory and in the journal (one file per view).
const RETAINED: ViewDelta = ViewDelta::new(256);
/// How far votes may run ahead of certified ancestry within a term.
const OPTIMISTIC: ViewDelta = ViewDelta::new(2);

/// The sub-channels of one epoch.
pub(crate) struct EpochChannels<S: Sender<PublicKey = PublicKey>> {
    pub(crate) votes: (SubSender<S>, Held<SubReceiver<PublicKey>>),
    pub(crate) certificates: (SubSender<S>, SubReceiver<PublicKey>),
    pub(crate) resolver: (SubSender<S>, SubReceiver<PublicKey>),
}

/// What all epochs share.
pub(crate) struct Shared<C, B> {
    pub(crate) config: Arc<Config>,
    pub(crate) names: Names,
    pub(crate) chain: Arc<C>,
    pub(crate) marshal: Marshal,
    pub(crate) blocker: B,
    pub(crate) cache: CacheRef,
    pub(crate) pace: Arc<Pace>,
    pub(crate) standing: Arc<Standing>,
    pub(crate) status: StatusSender,
    pub(crate) evidence: mpsc::Sender<Evidence>,
    pub(crate) draining: watch::Receiver<bool>,
}

/// The term structure of an epoch.
pub(crate) fn terms(parameters: &Parameters, timing: &Timing) -> Terms {
    let length = u32::try_from(parameters.term_views).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX);
    Terms::stable(TermLength::new(length), timing.stall, OPTIMISTIC)
}

/// Starts the engine of an epoch from the block before it. `votes` says whether the scheme signs.
pub(crate) fn start<E, C, S, B>(
    context: E,
    shared: &Shared<C, B>,
    epoch: Epoch,
    genesis: B256,
    members: &Members,
    (scheme, votes): (Scheme, bool),
    channels: EpochChannels<S>,
) -> Handle<()>
where
    E: Env,
    C: Chain,
    S: Sender<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    let config = &shared.config;
    let timing = config.timing;
    let schedule = StakeSchedule::new(members.snapshot(), terms(&config.parameters, &timing));
    let automaton = Automaton::new(automaton::Parts {
        context: context.child("application"),
        chain: shared.chain.clone(),
        marshal: shared.marshal.clone(),
        epoch,
        epoch_blocks: config.parameters.epoch_blocks,
        timing,
        block_limit: crate::block::BlockLimit::of(&config.parameters).0,
        pace: shared.pace.clone(),
        draining: shared.draining.clone(),
    });
    let observer = Observer::new(observer::Parts {
        rng: context.child("observer"),
        automaton: automaton.clone(),
        marshal: shared.marshal.clone(),
        epoch,
        term_views: config.parameters.term_views,
        members: members.clone(),
        schedule: schedule.clone(),
        scheme: scheme.clone(),
        standing: shared.standing.clone(),
        status: shared.status.clone(),
        evidence: shared.evidence.clone(),
    });
    let engine = simplex::Config {
        scheme,
        elector: schedule,
        blocker: shared.blocker.clone(),
        automaton: automaton.clone(),
        relay: automaton,
        reporter: observer,
        track_historical_votes: true,
        strategy: Sequential,
        partition: if votes { shared.names.votes(epoch) } else { shared.names.silent(epoch) },
        mailbox_size: NZUsize!(1024),
        epoch: types::Epoch::new(epoch.get()),
        floor: Floor::Genesis(genesis.into()),
        replay_buffer: storage::REPLAY_BUFFER,
        write_buffer: storage::WRITE_BUFFER,
        page_cache: shared.cache.clone(),
        leader_timeout: timing.leader,
        certification_timeout: timing.certification,
        timeout_retry: timing.retry,
        view_retention: RETAINED,
        skip: SkipPolicy::Enabled { timeout: timing.skip, budget: SkipBudget::Participants },
        fetch_timeout: NonZeroDuration::new(timing.fetch).expect("invariant: timing has been validated"),
        fetch_retry_delay: timing.block,
        forward: ForwardPolicy::SilentLeader,
    };
    simplex::Engine::new(context, engine).start(channels.votes, channels.certificates, channels.resolver)
}
