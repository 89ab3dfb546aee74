//! Events of an L1 block, as rows.

mod money;

use super::*;
use crate::{
    IndexerError,
    abi::{
        BatchInbox, Commitments, Parameters, Portal, Profiles, Recovery, RevenueShare, SequencerPool, Slasher, Staking,
    },
    table::{Cell, Rows},
};
use alloy::{
    primitives::{Address, B256, Log, LogData, U256, keccak256},
    sol_types::SolEventInterface,
};
use baton_bindings::{Addresses, ChainParameters};
use baton_primitives::{Deposit, Performance};

/// What the posting transaction of a batch used of L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PostingCost {
    pub(crate) gas_used: u64,
    pub(crate) gas_price: u128,
    pub(crate) blob_gas_used: u64,
    pub(crate) blob_gas_price: u128,
}

/// One event of a Baton contract.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) index: u64,
    pub(crate) transaction: B256,
    pub(crate) log: Log<LogData>,
    /// For a `BatchPosted`: from the receipt of its transaction.
    pub(crate) cost: Option<PostingCost>,
}

/// One L1 block with the events of Baton's contracts, in order.
#[derive(Clone, Debug)]
pub(crate) struct L1Block {
    pub(crate) number: u64,
    pub(crate) hash: B256,
    pub(crate) parent: B256,
    pub(crate) timestamp: u64,
    pub(crate) events: Vec<Event>,
}

/// Whether this log is one whose transaction's receipt is needed.
pub(crate) fn is_batch(inbox: Address, address: Address, topic: Option<&B256>) -> bool {
    use alloy::sol_types::SolEvent;
    address == inbox && topic == Some(&BatchInbox::BatchPosted::SIGNATURE_HASH)
}

/// All rows of one L1 block.
pub(crate) fn rows(block: &L1Block, contracts: &Addresses) -> Result<Rows, IndexerError> {
    let mut rows = Rows::default();
    rows.push(
        &L1_BLOCKS,
        [Cell::int(block.number)?, block.hash.into(), block.parent.into(), Cell::seconds(block.timestamp)?],
    );
    for event in &block.events {
        let key = Key { block: block.number, hash: block.hash, index: event.index };
        let (contract, name) = decode(key, event, contracts, &mut rows)?;
        rows.push(&L1_EVENTS, [key.block()?, key.index()?, event.transaction.into(), contract.into(), name.into()]);
    }
    Ok(rows)
}

/// Where an event is.
#[derive(Clone, Copy)]
struct Key {
    block: u64,
    hash: B256,
    index: u64,
}

impl Key {
    fn block(self) -> Result<Cell, IndexerError> {
        Cell::int(self.block)
    }
    fn index(self) -> Result<Cell, IndexerError> {
        Cell::int(self.index)
    }
}

/// The name of an event that this release does not know (the contracts are immutable, so it is a foreign one).
const UNKNOWN: &str = "unknown";

fn decode(
    key: Key,
    event: &Event,
    contracts: &Addresses,
    rows: &mut Rows,
) -> Result<(&'static str, &'static str), IndexerError> {
    let log = &event.log;
    let unknown = |contract| {
        tracing::warn!(block = key.block, index = key.index, contract, "an event that this release does not know");
        Ok((contract, UNKNOWN))
    };
    let address = log.address;
    if address == contracts.staking {
        let Ok(event) = Staking::StakingEvents::decode_log(log) else { return unknown("Staking") };
        Ok(("Staking", staking(key, event.data, rows)?))
    } else if address == contracts.pool {
        let Ok(event) = SequencerPool::SequencerPoolEvents::decode_log(log) else { return unknown("SequencerPool") };
        Ok(("SequencerPool", pool(key, event.data, rows)?))
    } else if address == contracts.inbox {
        let Ok(decoded) = BatchInbox::BatchInboxEvents::decode_log(log) else { return unknown("BatchInbox") };
        Ok(("BatchInbox", inbox(key, decoded.data, event.cost, rows)?))
    } else if address == contracts.portal {
        let Ok(event) = Portal::PortalEvents::decode_log(log) else { return unknown("Portal") };
        Ok(("Portal", money::portal(key, event.data, rows)?))
    } else if address == contracts.slasher {
        let Ok(event) = Slasher::SlasherEvents::decode_log(log) else { return unknown("Slasher") };
        Ok(("Slasher", slasher(key, event.data, rows)?))
    } else if address == contracts.commitments {
        let Ok(event) = Commitments::CommitmentsEvents::decode_log(log) else { return unknown("Commitments") };
        let Commitments::CommitmentsEvents::Committed(e) = event.data;
        rows.push(&COMMITMENTS, [key.block()?, key.index()?, e.account.into(), e.commitment.into()]);
        Ok(("Commitments", "Committed"))
    } else if address == contracts.profiles {
        let Ok(event) = Profiles::ProfilesEvents::decode_log(log) else { return unknown("Profiles") };
        let Profiles::ProfilesEvents::ProfileSet(e) = event.data;
        let (owner, name, url) = (e.owner.into(), text(&e.name), text(&e.url));
        rows.push(&PROFILES, [key.block()?, key.index()?, Cell::int(e.id)?, owner, name, url, e.logoHash.into()]);
        Ok(("Profiles", "ProfileSet"))
    } else if address == contracts.recovery {
        let Ok(event) = Recovery::RecoveryEvents::decode_log(log) else { return unknown("Recovery") };
        Ok(("Recovery", recovery(key, event.data, rows)?))
    } else if address == contracts.parameters {
        let Ok(event) = Parameters::ParametersEvents::decode_log(log) else { return unknown("Parameters") };
        Ok(("Parameters", parameters(key, event.data, rows)?))
    } else {
        let Ok(event) = RevenueShare::RevenueShareEvents::decode_log(log) else { return unknown("RevenueShare") };
        Ok(("RevenueShare", money::revenue(key, event.data, rows)?))
    }
}

/// Text that anybody may have written: Postgres takes no NUL.
fn text(value: &str) -> Cell {
    value.replace('\0', "").as_str().into()
}

fn staking(key: Key, event: Staking::StakingEvents, rows: &mut Rows) -> Result<&'static str, IndexerError> {
    use Staking::StakingEvents as E;
    let (block, index) = (key.block()?, key.index()?);
    let stake_change =
        |kind: &str, id: u64, account: Address, own: bool, amount: u128, after: [u128; 3], period: u64| {
            let [account_shares, stake, shares] = after.map(Cell::from);
            Ok::<_, IndexerError>([
                block.clone(),
                index.clone(),
                kind.into(),
                Cell::int(id)?,
                account.into(),
                own.into(),
                amount.into(),
                account_shares,
                stake,
                shares,
                Cell::int(period)?,
            ])
        };
    Ok(match event {
        E::SequencerCreated(e) => {
            let row = [block, index, Cell::int(e.id)?, e.owner.into(), e.commission.into(), e.maxCommission.into()];
            rows.push(&SEQUENCER_CREATIONS, row);
            "SequencerCreated"
        }
        E::Bonded(e) => {
            let after = [e.selfShares, e.stake, e.shares];
            rows.push(&STAKE_CHANGES, stake_change("bonded", e.id, e.owner, true, e.amount, after, e.period)?);
            "Bonded"
        }
        E::Delegated(e) => {
            let after = [e.accountShares, e.stake, e.shares];
            rows.push(&STAKE_CHANGES, stake_change("delegated", e.id, e.account, false, e.amount, after, e.period)?);
            "Delegated"
        }
        E::ExitRequested(e) => {
            let after = [e.accountShares, e.stake, e.shares];
            let row = stake_change("exit_requested", e.id, e.account, e.selfStake, e.amount, after, e.period)?;
            rows.push(&STAKE_CHANGES, row);
            rows.push(
                &EXITS,
                [
                    block,
                    index,
                    Cell::int(e.exitId)?,
                    Cell::int(e.id)?,
                    e.account.into(),
                    e.selfStake.into(),
                    e.amount.into(),
                    Cell::seconds(e.readyAt)?,
                ],
            );
            "ExitRequested"
        }
        E::ExitFinished(e) => {
            let row = [block, index, Cell::int(e.exitId)?, Cell::int(e.id)?, e.account.into(), e.amount.into()];
            rows.push(&EXIT_PAYMENTS, row);
            "ExitFinished"
        }
        E::CommissionSet(e) => {
            rows.push(&COMMISSION_CHANGES, [block, index, Cell::int(e.id)?, e.commission.into(), Cell::int(e.period)?]);
            "CommissionSet"
        }
        E::Slashed(e) => {
            let none = Cell::Null;
            let row = [
                block.clone(),
                index.clone(),
                "slashed".into(),
                Cell::int(e.id)?,
                none.clone(),
                none.clone(),
                e.amount.into(),
                none.clone(),
                e.stake.into(),
                none.clone(),
                none,
            ];
            rows.push(&STAKE_CHANGES, row);
            let (id, snapshot) = (Cell::int(e.id)?, Cell::int(e.snapshot)?);
            rows.push(&SLASHES, [block, index, id, snapshot, e.amount.into(), e.unbondingAmount.into()]);
            "Slashed"
        }
        E::LaterStakeSpared(e) => {
            let (spared, bonus, shares) = (e.spared.into(), e.bonus.into(), e.shares.into());
            let (id, snapshot, period) = (Cell::int(e.id)?, Cell::int(e.snapshot)?, Cell::int(e.period)?);
            rows.push(&SPARED_SHARES, [block, index, id, snapshot, spared, bonus, shares, period]);
            "LaterStakeSpared"
        }
        E::PositionChanged(e) => {
            let row = [
                block,
                index,
                "moved".into(),
                Cell::int(e.id)?,
                e.account.into(),
                false.into(),
                Cell::Null,
                e.accountShares.into(),
                e.stake.into(),
                e.shares.into(),
                Cell::int(e.period)?,
            ];
            rows.push(&STAKE_CHANGES, row);
            "PositionChanged"
        }
        E::Switched(e) => {
            let (from, to, ready) = (Cell::int(e.from)?, Cell::int(e.to)?, Cell::seconds(e.readyAt)?);
            let row = [block, index, from, to, e.account.into(), e.amount.into(), ready, Cell::int(e.period)?];
            rows.push(&SWITCHES, row);
            "Switched"
        }
        E::SwitchSlashed(e) => {
            let (from, to) = (Cell::int(e.from)?, Cell::int(e.to)?);
            rows.push(&SWITCH_SLASHES, [block, index, from, to, e.account.into(), e.amount.into()]);
            "SwitchSlashed"
        }
        E::SlashedReleased(e) => {
            rows.push(&SLASHED_RELEASES, [block, index, e.receiver.into(), e.amount.into(), e.totalSlashed.into()]);
            "SlashedReleased"
        }
        E::OwnerProposed(e) => {
            rows.push(&OWNER_PROPOSALS, [block, index, Cell::int(e.id)?, e.owner.into(), e.proposed.into()]);
            "OwnerProposed"
        }
        E::OwnerChanged(e) => {
            rows.push(&OWNER_CHANGES, [block, index, Cell::int(e.id)?, e.previous.into(), e.owner.into()]);
            "OwnerChanged"
        }
        E::EntrySet(e) => {
            rows.push(&ENTRY_RULES, [block, index, e.minStake.into(), e.maxStake.into(), e.paused.into()]);
            "EntrySet"
        }
        E::Rolled(e) => {
            rows.push(&PERIODS, [block, index, Cell::int(e.period)?]);
            "Rolled"
        }
    })
}

fn pool(key: Key, event: SequencerPool::SequencerPoolEvents, rows: &mut Rows) -> Result<&'static str, IndexerError> {
    use SequencerPool::SequencerPoolEvents as E;
    let (block, index) = (key.block()?, key.index()?);
    Ok(match event {
        E::Registered(e) => {
            let (operator, identity) = (e.operator.into(), e.identity.into());
            let row =
                [block, index, Cell::int(e.id)?, operator, identity, (&e.blsKey).into(), e.endpoint.as_str().into()];
            rows.push(&REGISTRATIONS, row);
            "Registered"
        }
        E::Activated(e) => {
            let (nonce, period) = (Cell::int(e.nonce)?, Cell::int(e.period)?);
            let row = [block, index, Cell::int(e.id)?, "activated".into(), Cell::Null, nonce, period, Cell::Null];
            rows.push(&MEMBERSHIP_CHANGES, row);
            "Activated"
        }
        E::Deactivated(e) => {
            let reason = match e.reason {
                0u8 => "owner",
                1 => "stake",
                2 => "replaced",
                3 => "jail",
                4 => "recovery",
                _ => UNKNOWN,
            };
            let period = Cell::int(e.period)?;
            let row =
                [block, index, Cell::int(e.id)?, "deactivated".into(), reason.into(), Cell::Null, period, Cell::Null];
            rows.push(&MEMBERSHIP_CHANGES, row);
            "Deactivated"
        }
        E::Jailed(e) => {
            let none = Cell::Null;
            let until = Cell::seconds(e.until)?;
            let row = [block, index, Cell::int(e.id)?, "jailed".into(), none.clone(), none.clone(), none, until];
            rows.push(&MEMBERSHIP_CHANGES, row);
            "Jailed"
        }
        E::DowntimeDeclared(e) => {
            rows.push(&DOWNTIMES, [block, index, Cell::int(e.id)?, Cell::int(e.from)?, Cell::int(e.to)?]);
            "DowntimeDeclared"
        }
        E::SnapshotTaken(e) => {
            let members = e.members.iter().zip(&e.stakes).zip(&e.shares).zip(&e.commissions);
            for (position, (((sequencer, stake), shares), commission)) in (0..).zip(members) {
                let row = [
                    block.clone(),
                    index.clone(),
                    Cell::int(e.id)?,
                    Cell::Int(position),
                    Cell::int(*sequencer)?,
                    (*stake).into(),
                    (*shares).into(),
                    (*commission).into(),
                ];
                rows.push(&SNAPSHOT_MEMBERS, row);
            }
            let (taken, members) = (Cell::int(e.takenBlock)?, Cell::int(e.members.len() as u64)?);
            rows.push(&SNAPSHOTS, [block, index, Cell::int(e.id)?, taken, e.totalStake.into(), members]);
            "SnapshotTaken"
        }
        E::SnapshotSealed(e) => {
            rows.push(&SNAPSHOT_SEALS, [block, index, Cell::int(e.id)?, Cell::int(e.sealBlock)?, e.seed.into()]);
            "SnapshotSealed"
        }
    })
}

fn slasher(key: Key, event: Slasher::SlasherEvents, rows: &mut Rows) -> Result<&'static str, IndexerError> {
    use Slasher::SlasherEvents as E;
    let (block, index) = (key.block()?, key.index()?);
    Ok(match event {
        E::Offended(e) => {
            let row = [
                block,
                index,
                Cell::int(e.sequencer)?,
                Cell::int(e.epoch)?,
                e.reporter.into(),
                e.repeated.into(),
                e.slashed.into(),
                e.bounty.into(),
                e.receiver.into(),
                Cell::seconds(e.jailedUntil)?,
            ];
            rows.push(&OFFENCES, row);
            "Offended"
        }
        E::Absent(e) => {
            let (id, epoch, until) = (Cell::int(e.sequencer)?, Cell::int(e.epoch)?, Cell::seconds(e.jailedUntil)?);
            rows.push(&ABSENCES, [block, index, id, epoch, e.missed.into(), e.drawn.into(), until]);
            "Absent"
        }
        E::BountyOwed(e) => {
            let (id, epoch) = (Cell::int(e.sequencer)?, Cell::int(e.epoch)?);
            rows.push(&BOUNTY_STEPS, [block, index, "owed".into(), e.receiver.into(), id, epoch, e.amount.into()]);
            "BountyOwed"
        }
        E::BountyPaid(e) => {
            let (receiver, none) = (e.receiver.into(), || Cell::Null);
            rows.push(&BOUNTY_STEPS, [block, index, "paid".into(), receiver, none(), none(), e.amount.into()]);
            "BountyPaid"
        }
        E::Burnt(e) => {
            rows.push(&BURNS, [block, index, e.amount.into()]);
            "Burnt"
        }
    })
}

fn recovery(key: Key, event: Recovery::RecoveryEvents, rows: &mut Rows) -> Result<&'static str, IndexerError> {
    use Recovery::RecoveryEvents as E;
    let none = || Cell::Null;
    // step, generation, snapshot, sequencer, height, block hash, ready stake, total stake, end of the window
    let (name, step, cells) = match event {
        E::RecoveryOpened(e) => {
            let (snapshot, end) = (Cell::int(e.snapshot)?, Cell::seconds(e.windowEnd)?);
            let cells = [Cell::int(e.generation)?, snapshot, none(), none(), none(), none(), none(), end];
            ("RecoveryOpened", "opened", cells)
        }
        E::MemberReady(e) => {
            let (id, ready) = (Cell::int(e.sequencer)?, e.readyStake.into());
            let cells = [Cell::int(e.generation)?, none(), id, none(), none(), ready, none(), none()];
            ("MemberReady", "member_ready", cells)
        }
        E::FinalProven(e) => {
            let (height, hash) = (Cell::int(e.height)?, e.blockHash.into());
            let cells = [Cell::int(e.generation)?, none(), none(), height, hash, none(), none(), none()];
            ("FinalProven", "final_proven", cells)
        }
        E::RecoveryClosed(e) => {
            let (height, ready, total) = (Cell::int(e.height)?, e.readyStake.into(), e.totalStake.into());
            let cells = [Cell::int(e.generation)?, none(), none(), height, none(), ready, total, none()];
            ("RecoveryClosed", "closed", cells)
        }
    };
    let [generation, snapshot, sequencer, height, hash, ready, total, end] = cells;
    let (block, index) = (key.block()?, key.index()?);
    let row = [block, index, step.into(), generation, snapshot, sequencer, height, hash, ready, total, end];
    rows.push(&RECOVERY_STEPS, row);
    Ok(name)
}

fn parameters(key: Key, event: Parameters::ParametersEvents, rows: &mut Rows) -> Result<&'static str, IndexerError> {
    use Parameters::ParametersEvents as E;
    Ok(match event {
        E::ParametersSet(e) => {
            let values = ChainParameters::from(&e.values);
            let json = serde_json::to_string(&values).expect("invariant: numbers and strings are JSON");
            rows.push(&PARAMETER_SETS, [key.block()?, key.index()?, json.as_str().into()]);
            "ParametersSet"
        }
        E::AuthorityUpdated(_) => "AuthorityUpdated",
    })
}

fn inbox(
    key: Key,
    event: BatchInbox::BatchInboxEvents,
    cost: Option<PostingCost>,
    rows: &mut Rows,
) -> Result<&'static str, IndexerError> {
    use BatchInbox::BatchInboxEvents as E;
    let (block, index) = (key.block()?, key.index()?);
    Ok(match event {
        E::Started(e) => {
            let row = [
                block,
                index,
                e.blockHash.into(),
                e.stateRoot.into(),
                Cell::seconds(e.timestamp)?,
                Cell::int(e.originNumber)?,
                e.originHash.into(),
                e.supply.into(),
            ];
            rows.push(&STARTS, row);
            "Started"
        }
        E::BatchPosted(e) => {
            batch(key, &e, cost, rows)?;
            "BatchPosted"
        }
        E::BatchData(e) => {
            let (bytes, hash) = (Cell::int(e.data.len() as u64)?, keccak256(&e.data).into());
            rows.push(&BATCH_DATA, [block, index, Cell::int(e.index)?, bytes, hash]);
            "BatchData"
        }
        E::EpochOpened(e) => {
            let (epoch, snapshot) = (Cell::int(e.epoch)?, Cell::int(e.snapshot)?);
            rows.push(&EPOCH_OPENINGS, [block, index, epoch, snapshot, Cell::int(e.firstHeight)?]);
            "EpochOpened"
        }
        E::GenerationRaised(e) => {
            let (generation, epoch) = (Cell::int(e.generation)?, Cell::int(e.epoch)?);
            rows.push(&GENERATION_RAISES, [block, index, generation, epoch, Cell::int(e.lastHeight)?]);
            "GenerationRaised"
        }
        E::Resumed(e) => {
            let (generation, snapshot) = (Cell::int(e.generation)?, Cell::int(e.snapshot)?);
            let (epoch, height) = (Cell::int(e.lastEpoch)?, Cell::int(e.lastHeight)?);
            rows.push(&RESUMPTIONS, [block, index, generation, snapshot, epoch, height]);
            "Resumed"
        }
        E::DutyMissed(e) => {
            let row = [block, index, Cell::int(e.index)?, Cell::int(e.sequencer)?, e.poster.into()];
            rows.push(&DUTY_MISSES, row);
            "DutyMissed"
        }
    })
}

fn batch(
    key: Key,
    e: &BatchInbox::BatchPosted,
    cost: Option<PostingCost>,
    rows: &mut Rows,
) -> Result<(), IndexerError> {
    let (block, index) = (key.block()?, key.index()?);
    let Some(cost) = cost else {
        return Err(IndexerError::Inconsistent {
            endpoint: "L1".into(),
            number: key.block,
            what: format!("the transaction that posted batch {} has no receipt", e.index),
        });
    };
    let core = &e.core;
    for (position, hash) in (0..).zip(&e.blobHashes) {
        let row = [block.clone(), index.clone(), Cell::int(e.index)?, Cell::Int(position), (*hash).into()];
        rows.push(&BATCH_BLOBS, row);
    }
    if let (true, Ok(performance)) = (core.closing, Performance::from_bytes(&e.performance)) {
        for (position, member) in (0..).zip(&performance.0) {
            let row = [
                block.clone(),
                index.clone(),
                Cell::int(core.epoch)?,
                Cell::int(core.snapshot)?,
                Cell::Int(position),
                member.blocks_led.into(),
                member.terms_missed.into(),
            ];
            rows.push(&PERFORMANCES, row);
        }
    }
    let lane = if e.blobHashes.is_empty() { "calldata" } else { "blobs" };
    let signer_count = i64::try_from(e.signers.count_ones()).unwrap_or_default();
    rows.push(
        &BATCHES,
        [
            block,
            index,
            Cell::int(e.index)?,
            e.coreHash.into(),
            e.poster.into(),
            core.version.into(),
            Cell::int(core.generation)?,
            core.previous.into(),
            Cell::int(core.epoch)?,
            Cell::int(core.snapshot)?,
            Cell::int(core.firstHeight)?,
            Cell::int(core.lastHeight)?,
            Cell::int(core.lastView)?,
            core.lastBlock.into(),
            Cell::seconds(core.lastTimestamp)?,
            core.stateRoot.into(),
            Cell::int(core.originNumber)?,
            core.originHash.into(),
            Cell::int(core.deposits)?,
            core.withdrawalsRoot.into(),
            core.closing.into(),
            core.fees.into(),
            core.performance.into(),
            Cell::int(core.nextSnapshot)?,
            e.dataHash.into(),
            lane.into(),
            Cell::int(e.blobHashes.len() as u64)?,
            e.signers.into(),
            Cell::Int(signer_count),
            Cell::int(cost.gas_used)?,
            cost.gas_price.into(),
            Cell::int(cost.blob_gas_used)?,
            cost.blob_gas_price.into(),
        ],
    );
    Ok(())
}
