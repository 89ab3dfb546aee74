// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBatchInbox} from "./interfaces/IBatchInbox.sol";
import {IParameters} from "./interfaces/IParameters.sol";
import {IRecovery} from "./interfaces/IRecovery.sol";
import {ISequencerPool} from "./interfaces/ISequencerPool.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {Bls} from "./libraries/Bls.sol";
import {Certificates} from "./libraries/Certificates.sol";
import {Snapshots} from "./libraries/Snapshots.sol";
import {Votes} from "./libraries/Votes.sol";
import {BlockHeader} from "@openzeppelin/contracts/utils/BlockHeader.sol";
import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";

/// @title Recovery
/// @notice Restarts a chain that stalled. Interface and rules: IRecovery.
contract Recovery is IRecovery {
    // -- Constants and immutables

    /// @notice Share of the last snapshot's stake that must be ready when the window ends, in basis points.
    uint256 public constant FIRST_BPS = 6_667;
    /// @notice Less of it for every full day after.
    uint256 public constant DAILY_BPS = 100;
    /// @notice Never less than this.
    uint256 public constant LEAST_BPS = 5_000;
    uint256 private constant BPS = 10_000;

    /// @notice Rules of admission.
    IParameters public immutable parameters;
    /// @notice Stake of members.
    IStaking public immutable staking;
    /// @notice Keys and snapshots.
    ISequencerPool public immutable pool;
    /// @notice What stalled.
    IBatchInbox public immutable inbox;
    /// @notice Seconds in which members prove readiness at least.
    uint64 public immutable window;
    /// @notice Heights in an epoch.
    uint64 public immutable epochBlocks;

    // -- Storage

    /// @inheritdoc IRecovery
    Current public current;
    uint64[] private _members;
    /// @dev Members that are ready, by generation and id.
    mapping(uint64 generation => mapping(uint64 id => bool)) private _ready;

    /// @dev The open recovery.
    struct Current {
        uint64 windowEnd;
        uint64 snapshot;
        uint64 lastEpoch;
        uint64 lastHeight;
        uint256 readyStake;
    }

    /// @param chainParameters The chain's parameters.
    /// @param stakingContract Stake of members.
    /// @param sequencerPool Keys and snapshots.
    /// @param batchInbox What may stall.
    constructor(IParameters chainParameters, IStaking stakingContract, ISequencerPool sequencerPool, IBatchInbox batchInbox) {
        (parameters, staking, pool, inbox) = (chainParameters, stakingContract, sequencerPool, batchInbox);
        IParameters.Values memory v = chainParameters.values();
        (window, epochBlocks) = (v.posting.recoveryWindow, v.l2.epochBlocks);
    }

    // -- Steps

    /// @inheritdoc IRecovery
    function open() external returns (uint64 generation) {
        generation = inbox.raiseGeneration();
        IBatchInbox.Anchor memory a = inbox.anchor();
        uint64 windowEnd = uint64(block.timestamp) + window;
        current = Current(windowEnd, a.snapshot, a.epoch, a.lastHeight, 0);
        delete _members;
        emit RecoveryOpened(generation, a.snapshot, windowEnd);
    }

    /// @inheritdoc IRecovery
    function proveReady(uint64 id, uint64 l1Number, bytes calldata signature) external {
        Current storage c = _opened();
        uint64 generation = inbox.generation();
        if (_ready[generation][id]) revert Recovery_AlreadyReady(id);
        ISequencerPool.Entry memory entry = pool.entry(id);
        uint256 stake = _stakeOf(c.snapshot, id);
        bool jailed = entry.status == ISequencerPool.Status.Jailed;
        if (stake == 0 || jailed || staking.sequencer(id).selfStake < staking.minStake()) revert Recovery_NotEligible(id);
        bytes32 l1Hash = Blockhash.blockHash(l1Number);
        bool stale = l1Hash == 0 || l1Number + parameters.stakes().readinessWindow < block.number;
        bytes memory message = pool.readinessMessage(id, l1Number, l1Hash, inbox.anchor().coreHash);
        if (stale || !Bls.verify(message, Bls.DST, entry.keys.blsKey, signature)) revert Recovery_BadReadiness(id);
        _ready[generation][id] = true;
        _members.push(id);
        c.readyStake += stake;
        emit MemberReady(generation, id, c.readyStake);
    }

    /// @inheritdoc IRecovery
    function proveFinal(Finalization calldata f, bytes calldata header) external {
        Current storage c = _opened();
        uint64 running = inbox.runningEpoch();
        _checkSnapshot(f, running);
        if (keccak256(header) != f.proposal.blockHash) revert Recovery_BadFinalization();
        uint256 height = BlockHeader.getNumber(header);
        uint64 first = inbox.epochs(running).firstHeight + (f.epoch - running) * epochBlocks;
        uint64 low = c.lastHeight + 1 > first ? c.lastHeight + 1 : first;
        if (height < low || height >= first + epochBlocks) revert Recovery_WrongHeight(height, low, first + epochBlocks - 1);
        uint64 generation = inbox.generation();
        if (!_isFinal(f, generation - 1)) revert Recovery_BadFinalization();
        (c.lastEpoch, c.lastHeight) = (f.epoch, uint64(height));
        emit FinalProven(generation, uint64(height), f.proposal.blockHash);
    }

    /// @inheritdoc IRecovery
    function close() external {
        Current memory c = _opened();
        if (block.timestamp < c.windowEnd) revert Recovery_TooEarly(c.windowEnd, block.timestamp);
        (uint256 ready, uint256 needed) = readiness();
        if (ready < needed) revert Recovery_NotEnough(ready, needed);
        uint64[] memory members = _eligible();
        delete current;
        emit RecoveryClosed(inbox.generation(), c.lastHeight, ready, _totalStake(c.snapshot));
        inbox.resume(members, c.lastEpoch, c.lastHeight);
    }

    // -- Views

    /// @inheritdoc IRecovery
    function readiness() public view returns (uint256 ready, uint256 needed) {
        Current memory c = _opened();
        uint256 bps = FIRST_BPS;
        if (block.timestamp > c.windowEnd) {
            uint256 less = (block.timestamp - c.windowEnd) / 1 days * DAILY_BPS;
            bps = less > FIRST_BPS - LEAST_BPS ? LEAST_BPS : FIRST_BPS - less;
        }
        uint64[] memory members = _eligible();
        for (uint256 i = 0; i < members.length; ++i) {
            ready += _stakeOf(c.snapshot, members[i]);
        }
        return (ready, (_totalStake(c.snapshot) * bps + BPS - 1) / BPS);
    }

    // -- Internals

    function _opened() private view returns (Current storage) {
        if (current.windowEnd == 0) revert Recovery_NotOpen();
        return current;
    }

    /// @dev The ready members that are still eligible: who was jailed or took its stake out meanwhile must not block the others.
    function _eligible() private view returns (uint64[] memory members) {
        members = new uint64[](_members.length);
        uint256 count;
        uint256 least = staking.minStake();
        for (uint256 i = 0; i < members.length; ++i) {
            uint64 id = _members[i];
            bool jailed = pool.entry(id).status == ISequencerPool.Status.Jailed;
            if (!jailed && staking.sequencer(id).selfStake >= least) members[count++] = id;
        }
        assembly ("memory-safe") {
            mstore(members, count)
        }
    }

    /// @dev Whether the certificate makes its block final in `generation`.
    function _isFinal(Finalization calldata f, uint64 generation) private view returns (bool) {
        (address code,) = pool.snapshotData(f.snapshot);
        bytes memory message =
            Votes.message(Votes.namespaceOf(address(inbox), generation), f.epoch, f.viewNumber, Votes.FINALIZE, f.proposal);
        return Certificates.isQuorum(Snapshots.load(code), f.signers, f.signature, message);
    }

    /// @dev The snapshot is the one of the running epoch, or that which follows from L1 for the next.
    function _checkSnapshot(Finalization calldata f, uint64 running) private view {
        bool fits;
        if (f.epoch == running) fits = inbox.epochs(running).snapshot == f.snapshot;
        else if (f.epoch == running + 1 && running == 0) fits = f.snapshot == 0;
        else if (f.epoch == running + 1) fits = pool.isNewestAt(f.snapshot, inbox.epochs(running - 1).closingOrigin);
        if (!fits) revert Recovery_WrongSnapshot(f.epoch, f.snapshot);
    }

    function _totalStake(uint64 snapshot) private view returns (uint256) {
        (address code,) = pool.snapshotData(snapshot);
        return Snapshots.totalStake(Snapshots.load(code));
    }

    /// @dev Stake of a member in a snapshot (0: no member).
    function _stakeOf(uint64 snapshot, uint64 id) private view returns (uint256) {
        (address code,) = pool.snapshotData(snapshot);
        bytes memory data = Snapshots.load(code);
        for (uint256 i = 0; i < Snapshots.count(data); ++i) {
            if (Snapshots.idOf(data, i) == id) return Snapshots.stakeOf(data, i);
        }
        return 0;
    }
}
