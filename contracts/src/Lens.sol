// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBatchInbox} from "./interfaces/IBatchInbox.sol";
import {ISequencerPool} from "./interfaces/ISequencerPool.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title Lens
/// @notice Answers of several contracts in one call, for people and pages. Holds nothing, and nothing depends on it.
contract Lens {
    /// @notice All about one sequencer.
    struct Info {
        uint64 id;
        IStaking.Sequencer stake;
        ISequencerPool.Entry entry;
        /// @dev First snapshot that could hold it since it entered the active set last.
        uint64 enteredIn;
        /// @dev Declared downtime: the epochs [awayFrom, awayTo).
        uint64 awayFrom;
        uint64 awayTo;
        /// @dev Whether the running epoch's snapshot holds it.
        bool serving;
    }

    /// @notice What a candidate for the active set meets.
    struct Admission {
        /// @dev Entries possible before the next set serves.
        uint256 entriesLeft;
        /// @dev L1 block from which the next snapshot may be taken: the first that can hold a newcomer.
        uint64 nextSnapshotBlock;
        /// @dev Least self-stake (token wei).
        uint128 minStake;
        /// @dev All active sequencers and their stake, to compare with.
        uint64[] active;
        uint128[] stakes;
    }

    /// @notice Stake.
    IStaking public immutable staking;
    /// @notice Keys, seats, snapshots.
    ISequencerPool public immutable pool;
    /// @notice Epochs.
    IBatchInbox public immutable inbox;
    /// @dev As in Staking.
    uint256 private constant VIRTUAL_SHARES = 1e6;

    /// @param stakingContract Stake.
    /// @param sequencerPool Keys, seats, snapshots.
    /// @param batchInbox Epochs.
    constructor(IStaking stakingContract, ISequencerPool sequencerPool, IBatchInbox batchInbox) {
        (staking, pool, inbox) = (stakingContract, sequencerPool, batchInbox);
    }

    // -- Stake

    /// @notice At most `limit` sequencers from id `startId` on: entry i is sequencer `startId` + i (0 reads as 1).
    function sequencers(uint64 startId, uint256 limit) external view returns (IStaking.Sequencer[] memory list) {
        uint64 first = startId == 0 ? 1 : startId;
        list = new IStaking.Sequencer[](_length(first, limit));
        for (uint64 i = 0; i < list.length; ++i) {
            list[i] = staking.sequencer(first + i);
        }
    }

    /// @notice Token wei that still fit under the sequencer's cap.
    function room(uint64 id) external view returns (uint128) {
        uint128 stake = _known(id).stake;
        uint128 most = staking.maxStake();
        return stake < most ? most - stake : 0;
    }

    /// @notice Shares that `amount` token wei buy now.
    function previewEntry(uint64 id, uint128 amount) external view returns (uint128 shares) {
        IStaking.Sequencer memory s = _known(id);
        return uint128(Math.mulDiv(amount, s.shares + VIRTUAL_SHARES, uint256(s.stake) + 1));
    }

    /// @notice Token wei that `shares` are worth now.
    function previewStake(uint64 id, uint128 shares) external view returns (uint128) {
        IStaking.Sequencer memory s = _known(id);
        return uint128(Math.mulDiv(shares, uint256(s.stake) + 1, s.shares + VIRTUAL_SHARES));
    }

    /// @notice Shares of `account` that `snapshot` held, or will hold.
    function sharesAt(uint64 id, address account, uint64 snapshot) external view returns (uint128) {
        IStaking.Segment[] memory list = staking.segments(id, account, 0, type(uint256).max);
        for (uint256 i = list.length; i > 0; --i) {
            if (list[i - 1].from <= snapshot) return list[i - 1].shares;
        }
        return 0;
    }

    /// @notice The unpaid exits of `account` among at most `limit` exit ids from `startId` on (0 reads as 1).
    /// @return exitIds Their ids, ascending.
    /// @return list The exits themselves; each is paid from its `readyAt` on, there is no queue.
    /// @return nextId Where to go on: the end is reached when it is `exitCount() + 1`.
    function exitsOf(address account, uint64 startId, uint64 limit)
        external
        view
        returns (uint64[] memory exitIds, IStaking.Exit[] memory list, uint64 nextId)
    {
        uint64 first = startId == 0 ? 1 : startId;
        nextId = uint64(Math.min(uint256(staking.exitCount()) + 1, uint256(first) + limit));
        uint256 length = nextId > first ? nextId - first : 0;
        (exitIds, list) = (new uint64[](length), new IStaking.Exit[](length));
        uint256 found;
        for (uint64 i = first; i < nextId; ++i) {
            IStaking.Exit memory out = staking.exits(i);
            if (out.account == account) (exitIds[found], list[found++]) = (i, out);
        }
        // What was reserved and not needed is given back.
        assembly ("memory-safe") {
            mstore(exitIds, found)
            mstore(list, found)
        }
    }

    // -- Sequencers

    /// @notice All about at most `limit` sequencers from id `startId` on.
    function infos(uint64 startId, uint256 limit) external view returns (Info[] memory list) {
        uint64 first = startId == 0 ? 1 : startId;
        list = new Info[](_length(first, limit));
        for (uint64 i = 0; i < list.length; ++i) {
            list[i] = info(first + i);
        }
    }

    /// @notice All about the sequencers of `owner` among at most `limit` ids from `startId` on.
    /// @return list What is known of them.
    /// @return nextId Where to go on: the end is reached when it is `sequencerCount() + 1`.
    function infosOf(address owner, uint64 startId, uint64 limit) external view returns (Info[] memory list, uint64 nextId) {
        uint64 first = startId == 0 ? 1 : startId;
        uint256 length = _length(first, limit);
        nextId = first + uint64(length);
        list = new Info[](length);
        uint256 found;
        for (uint64 i = first; i < nextId; ++i) {
            if (staking.ownerOf(i) == owner) list[found++] = info(i);
        }
        assembly ("memory-safe") {
            mstore(list, found)
        }
    }

    /// @notice All about one sequencer: registered, active, jailed, serving.
    function info(uint64 id) public view returns (Info memory result) {
        (result.id, result.stake, result.entry, result.enteredIn) = (id, staking.sequencer(id), pool.entry(id), pool.enteredIn(id));
        (result.awayFrom, result.awayTo) = pool.downtimeOf(id);
        ISequencerPool.Member[] memory members = _serving().members;
        for (uint256 i = 0; i < members.length; ++i) {
            if (members[i].id == id) result.serving = true;
        }
    }

    /// @notice What a candidate meets.
    function admission() external view returns (Admission memory result) {
        (uint256 newcomers, uint256 limit) = pool.churn();
        result.entriesLeft = newcomers < limit ? limit - newcomers : 0;
        (result.nextSnapshotBlock, result.minStake, result.active) = (pool.nextSnapshotBlock(), staking.minStake(), pool.active());
        result.stakes = new uint128[](result.active.length);
        for (uint256 i = 0; i < result.active.length; ++i) {
            result.stakes[i] = staking.sequencer(result.active[i]).stake;
        }
    }

    /// @notice The leaders of `count` terms of an epoch from `firstTerm` (counted from 1) on, as sequencer ids.
    function leaders(uint64 epoch, uint64 firstTerm, uint256 count) external view returns (uint64[] memory ids) {
        ids = new uint64[](count);
        for (uint64 i = 0; i < count; ++i) {
            (, ids[i]) = pool.leaderAt(epoch, firstTerm + i);
        }
    }

    // -- Internals

    function _serving() private view returns (ISequencerPool.Snapshot memory) {
        return pool.snapshot(inbox.epochs(inbox.runningEpoch()).snapshot);
    }

    function _known(uint64 id) private view returns (IStaking.Sequencer memory s) {
        s = staking.sequencer(id);
        if (s.owner == address(0)) revert IStaking.Staking_UnknownSequencer(id);
    }

    function _length(uint64 first, uint256 limit) private view returns (uint256) {
        uint64 count = staking.sequencerCount();
        return first > count ? 0 : Math.min(count - first + 1, limit);
    }
}
