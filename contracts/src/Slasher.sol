// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBatchInbox} from "./interfaces/IBatchInbox.sol";
import {IParameters} from "./interfaces/IParameters.sol";
import {ISequencerPool} from "./interfaces/ISequencerPool.sol";
import {ISlasher} from "./interfaces/ISlasher.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {Bls} from "./libraries/Bls.sol";
import {Cards} from "./libraries/Cards.sol";
import {Snapshots} from "./libraries/Snapshots.sol";
import {Votes} from "./libraries/Votes.sol";

/// @title Slasher
/// @notice Penalties by proof. Interface and rules: ISlasher.
contract Slasher is ISlasher {
    // -- Constants and immutables

    /// @notice Where slashed tokens go that no reporter earned.
    address public constant DEAD = 0x000000000000000000000000000000000000dEaD;
    /// @notice Epochs over which missed terms count.
    uint64 public constant ABSENCE_EPOCHS = 4;
    /// @notice Missed terms below which nobody is jailed.
    uint256 public constant ABSENCE_TERMS = 3;
    /// @notice An epoch of more terms (a few views each, most of them without a block) judges nobody: counting would not fit a transaction.
    uint256 public constant MOST_TERMS = 2_048;
    uint256 private constant BPS = 10_000;

    /// @notice Sizes of the penalties.
    IParameters public immutable parameters;
    /// @notice Custody of stake.
    IStaking public immutable staking;
    /// @notice Owners of keys; the jail.
    ISequencerPool public immutable pool;
    /// @notice Epochs, generations, batch messages.
    IBatchInbox public immutable inbox;

    // -- Storage

    /// @dev What is known of a sequencer: the L1 block of its first slash; missed terms count in sets from snapshot `countedFrom` on.
    struct Record {
        uint64 firstSlash;
        uint64 countedFrom;
    }

    /// @inheritdoc ISlasher
    mapping(uint64 id => mapping(uint64 epoch => bool)) public isPunished;
    mapping(uint64 id => Record) private _records;
    /// @inheritdoc ISlasher
    mapping(address receiver => uint256) public bountyOf;
    /// @inheritdoc ISlasher
    uint256 public totalBounties;

    /// @dev Signed bytes and the signature (G1, 128 bytes).
    struct Statement {
        bytes message;
        bytes signature;
    }

    /// @dev A member's offence: `stake` is what it had in the set's snapshot.
    struct Offence {
        uint64 id;
        uint64 epoch;
        uint64 snapshot;
        uint256 stake;
    }

    /// @dev Terms counted for a sequencer, and its declared downtime in epochs: [awayFrom, awayTo).
    struct Terms {
        uint256 missed;
        uint256 drawn;
        uint64 awayFrom;
        uint64 awayTo;
    }

    /// @param chainParameters The chain's parameters.
    /// @param stakingContract Custody of stake.
    /// @param sequencerPool Owners of keys.
    /// @param batchInbox Epochs and batches.
    constructor(IParameters chainParameters, IStaking stakingContract, ISequencerPool sequencerPool, IBatchInbox batchInbox) {
        (parameters, staking, pool, inbox) = (chainParameters, stakingContract, sequencerPool, batchInbox);
    }

    // -- Slash

    /// @inheritdoc ISlasher
    function slashVotes(bytes calldata key, Contradiction calldata votes, address receiver)
        external
        returns (uint128 slashed, uint128 bounty)
    {
        (Statement memory first, Statement memory second) = _statements(votes);
        return _punish(_offence(_signer(key, first, second), key, votes.generation, votes.epoch), receiver);
    }

    /// @inheritdoc ISlasher
    function slashBatches(bytes calldata key, Attestation calldata first, Attestation calldata second, address receiver)
        external
        returns (uint128 slashed, uint128 bounty)
    {
        _same("generation", first.core.generation, second.core.generation);
        _same("epoch", first.core.epoch, second.core.epoch);
        _same("index", first.core.index, second.core.index);
        (bytes32 a, bytes32 b) = (inbox.hashCore(first.core), inbox.hashCore(second.core));
        // Two encodings of one core are honest.
        if (a == b) revert Slasher_NoConflict();
        Statement memory one = Statement(inbox.batchMessage(a, first.dataHash), first.signature);
        Statement memory other = Statement(inbox.batchMessage(b, second.dataHash), second.signature);
        return _punish(_offence(_signer(key, one, other), key, first.core.generation, first.core.epoch), receiver);
    }

    // -- Jail

    /// @inheritdoc ISlasher
    function jailAbsent(uint64 id, uint64 epoch, bytes[] calldata performance) external {
        uint64 running = inbox.runningEpoch();
        if (epoch >= running || epoch + 2 < running) revert Slasher_WrongEpoch(epoch, running < 2 ? 0 : running - 2, running - 1);
        uint64 first = epoch + 1 < ABSENCE_EPOCHS ? 0 : epoch + 1 - ABSENCE_EPOCHS;
        uint256 window = epoch + 1 - first;
        if (performance.length != window) revert Slasher_WrongLength(performance.length, window);
        Terms memory t;
        (t.awayFrom, t.awayTo) = pool.downtimeOf(id);
        for (uint64 e = first; e <= epoch; ++e) {
            _count(t, id, e, performance[e - first]);
        }
        if (t.missed < ABSENCE_TERMS || t.missed * 2 <= t.drawn) revert Slasher_NotAbsent(id, t.missed, t.drawn);
        uint64 until = uint64(block.timestamp) + parameters.penalties().jailTime;
        emit Absent(id, epoch, t.missed, t.drawn, until);
        _jail(id, until);
    }

    /// @inheritdoc ISlasher
    function burn() external returns (uint256 amount) {
        amount = staking.totalSlashed();
        amount = amount > totalBounties ? amount - totalBounties : 0;
        emit Burnt(amount);
        staking.releaseSlashed(DEAD, amount);
    }

    /// @inheritdoc ISlasher
    function claimBounty(address receiver) external returns (uint256 amount) {
        (uint256 owed, uint256 there) = (bountyOf[receiver], staking.totalSlashed());
        amount = owed < there ? owed : there;
        if (amount == 0) return 0;
        bountyOf[receiver] = owed - amount;
        totalBounties -= amount;
        emit BountyPaid(receiver, amount);
        staking.releaseSlashed(receiver, amount);
    }

    // -- Views

    /// @inheritdoc ISlasher
    function firstSlashBlock(uint64 id) external view returns (uint64) {
        return _records[id].firstSlash;
    }

    /// @inheritdoc ISlasher
    function voteMessage(uint64 generation, uint64 epoch, uint64 viewNumber, string memory suffix, Votes.Proposal memory proposal)
        public
        view
        returns (bytes memory)
    {
        return Votes.message(Votes.namespaceOf(address(inbox), generation), epoch, viewNumber, suffix, proposal);
    }

    // -- Internals

    /// @dev The votes as signed, if they contradict.
    function _statements(Contradiction calldata v) private view returns (Statement memory first, Statement memory second) {
        bool nullify = v.kind == Kind.NullifyFinalize;
        // A nullify proposes nothing: anything else there would be a second way to write the same evidence.
        if (nullify ? !_equal(v.first, Votes.Proposal(0, 0)) : _equal(v.first, v.second)) revert Slasher_NoConflict();
        string memory suffix = v.kind == Kind.Notarize ? Votes.NOTARIZE : Votes.FINALIZE;
        bytes32 namespace = Votes.namespaceOf(address(inbox), v.generation);
        first.message = Votes.message(namespace, v.epoch, v.viewNumber, nullify ? Votes.NULLIFY : suffix, v.first);
        second.message = Votes.message(namespace, v.epoch, v.viewNumber, suffix, v.second);
        (first.signature, second.signature) = (v.firstSignature, v.secondSignature);
    }

    function _equal(Votes.Proposal memory a, Votes.Proposal memory b) private pure returns (bool) {
        return a.parentView == b.parentView && a.blockHash == b.blockHash;
    }

    /// @dev The sequencer whose key signed both (different) messages. One check of both signatures together: their sum is the aggregate
    /// signature of the two messages, which nobody can make who does not have both.
    function _signer(bytes calldata key, Statement memory a, Statement memory b) private view returns (uint64 id) {
        id = pool.sequencerOf(key);
        if (id == 0) revert Slasher_UnknownKey(keccak256(key));
        if (!Bls.verifyBoth(a.message, a.signature, b.message, b.signature, Bls.DST, key)) revert Slasher_BadSignatures(id);
    }

    /// @dev What the offence is. Only who was in the set, with the key it had there, can offend: keys that were replaced before the snapshot, or
    /// that never were in it, vote nothing, and what they sign is nobody's fault.
    function _offence(uint64 id, bytes calldata key, uint64 generation, uint64 epoch) private view returns (Offence memory o) {
        uint64 running = inbox.runningEpoch();
        if (epoch > running) revert Slasher_EpochNotOpen(epoch, running);
        if (isPunished[id][epoch]) revert Slasher_AlreadyPunished(id, epoch);
        uint64 snapshot = inbox.setOf(epoch, generation);
        (address code,) = pool.snapshotData(snapshot);
        bytes memory data = Snapshots.load(code);
        uint256 i = Snapshots.indexOf(data, id);
        if (i == Snapshots.count(data) || keccak256(Cards.blsKey(Snapshots.cardOf(data, i))) != keccak256(key)) {
            revert Slasher_NotMember(id, epoch, snapshot);
        }
        return Offence(id, epoch, snapshot, Snapshots.stakeOf(data, i));
    }

    /// @dev Marks the offence, slashes, jails, pays the bounty.
    function _punish(Offence memory o, address receiver) private returns (uint128 slashed, uint128 bounty) {
        isPunished[o.id][o.epoch] = true;
        uint64 former = _records[o.id].firstSlash;
        if (former == 0) _records[o.id].firstSlash = uint64(block.number);
        // The epoch before closed on an origin; L1 was beyond that block when this epoch began.
        bool repeated = former != 0 && o.epoch != 0 && inbox.epochs(o.epoch - 1).closingOrigin > former;
        IParameters.Penalties memory p = parameters.penalties();
        slashed = staking.slash(o.id, o.snapshot, repeated ? p.repeatedBps : p.firstBps);
        bounty = uint128(slashed * p.bountyBps / BPS);
        uint64 until = uint64(block.timestamp) + p.jailTime;
        emit Offended(o.id, o.epoch, msg.sender, repeated, slashed, bounty, receiver, until);
        _jail(o.id, until);
        if (bounty != 0) staking.releaseSlashed(receiver, bounty);
        if (former == 0) _owe(o, receiver, o.stake * p.firstBps / BPS * p.bountyBps / BPS, bounty);
    }

    /// @dev What has left, but has to pay, owes its part of the bounty of the first slash, which always brings in more. (Later slashes of one
    /// sequencer overlap: their parts could add up to more than it has.) Crumbs are not worth a slot.
    function _owe(Offence memory o, address receiver, uint256 whole, uint256 paid) private {
        if (whole <= paid + whole / 100) return;
        uint256 owed = whole - paid;
        bountyOf[receiver] += owed;
        totalBounties += owed;
        emit BountyOwed(receiver, o.id, o.epoch, owed);
    }

    /// @dev Snapshots taken up to now may hold the sequencer for epochs to come: what it misses in them was punished here.
    function _jail(uint64 id, uint64 until) private {
        _records[id].countedFrom = staking.period();
        pool.jail(id, until);
    }

    /// @dev Adds the terms that a sequencer missed in a closed epoch, and those it was drawn for; nothing if it was no member.
    function _count(Terms memory t, uint64 id, uint64 epoch, bytes calldata performance) private view {
        (uint64 terms, bytes32 expected) = inbox.closings(epoch);
        // A recovery cut this epoch.
        if (expected == 0) return;
        if (keccak256(performance) != expected) revert Slasher_WrongPerformance(epoch, keccak256(performance), expected);
        uint64 snapshot = inbox.epochs(epoch).snapshot;
        if (snapshot < _records[id].countedFrom || (t.awayFrom <= epoch && epoch < t.awayTo) || terms > MOST_TERMS) return;
        (address code, bytes32 seed) = pool.snapshotData(snapshot);
        bytes memory data = Snapshots.load(code);
        uint256 i = Snapshots.indexOf(data, id);
        if (i == Snapshots.count(data)) return;
        t.drawn += _drawn(data, seed, epoch, terms, i);
        t.missed += uint32(bytes4(performance[i * 8 + 4:]));
    }

    /// @dev For how many of the first `terms` terms member `i` was drawn.
    function _drawn(bytes memory data, bytes32 seed, uint64 epoch, uint64 terms, uint256 i) private pure returns (uint256 drawn) {
        uint256 low;
        for (uint256 k = 0; k < i; ++k) {
            low += Snapshots.stakeOf(data, k);
        }
        uint256 high = low + Snapshots.stakeOf(data, i);
        for (uint64 term = 1; term <= terms; ++term) {
            uint256 draw = Snapshots.draw(data, seed, epoch, term);
            if (low <= draw && draw < high) ++drawn;
        }
    }

    function _same(string memory field, uint256 first, uint256 second) private pure {
        if (first != second) revert Slasher_DifferentContext(field, first, second);
    }
}
