// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBatchInbox} from "./interfaces/IBatchInbox.sol";
import {IParameters} from "./interfaces/IParameters.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";

/// @title Parameters
/// @notice Every chain parameter, checked against hard bounds. Interface and rules: IParameters.
contract Parameters is IParameters, AccessManaged {
    /// @notice Told about the rules of entry.
    IStaking public immutable staking;
    /// @notice Told about the rules of repayment.
    IBatchInbox public immutable inbox;

    /// @notice Most the least self-stake can become (token wei), twice what it was first: no change takes the set away from its members.
    uint128 public immutable minStakeCeiling;

    Values private _values;

    /// @param initial Checked against the hard bounds below.
    /// @param manager The AccessManager (its address may be known before its code, as that of the others).
    /// @param stakingContract Reads the first values when it is created.
    /// @param batchInbox Likewise.
    constructor(Values memory initial, address manager, IStaking stakingContract, IBatchInbox batchInbox) AccessManaged(manager) {
        (staking, inbox) = (stakingContract, batchInbox);
        minStakeCeiling = 2 * initial.stakes.minStake;
        _set(initial);
    }

    // -- Changes

    /// @inheritdoc IParameters
    function setStakes(Stakes calldata next) external restricted {
        Values memory v = _values;
        if (next.unbonding != v.stakes.unbonding) revert Parameters_Fixed("unbonding", v.stakes.unbonding, next.unbonding);
        if (next.certificateLife != v.stakes.certificateLife) {
            revert Parameters_Fixed("certificateLife", v.stakes.certificateLife, next.certificateLife);
        }
        _within("minStake", next.minStake, 1e18, minStakeCeiling);
        v.stakes = next;
        _set(v);
        staking.setEntry(next.minStake, next.maxStake, staking.entryPaused());
    }

    /// @inheritdoc IParameters
    function setMoney(Money calldata next) external restricted {
        Values memory v = _values;
        v.money = next;
        _set(v);
        inbox.setRepayment(next.tipCap, next.repayCap);
    }

    /// @inheritdoc IParameters
    function setPenalties(Penalties calldata next) external restricted {
        Values memory v = _values;
        v.penalties = next;
        _set(v);
    }

    /// @inheritdoc IParameters
    function setEntryPaused(bool paused) external restricted {
        staking.setEntry(_values.stakes.minStake, _values.stakes.maxStake, paused);
    }

    // -- Views

    /// @inheritdoc IParameters
    function values() external view returns (Values memory) {
        return _values;
    }

    /// @inheritdoc IParameters
    function stakes() external view returns (Stakes memory) {
        return _values.stakes;
    }

    /// @inheritdoc IParameters
    function money() external view returns (Money memory) {
        return _values.money;
    }

    /// @inheritdoc IParameters
    function penalties() external view returns (Penalties memory) {
        return _values.penalties;
    }

    // -- Internals

    function _set(Values memory next) private {
        _check(next);
        _values = next;
        emit ParametersSet(next);
    }

    /// @dev Bounds with a reason beyond plain sanity carry it.
    function _check(Values memory v) private pure {
        _within("l2ChainId", v.l2.l2ChainId, 1, type(uint32).max);
        // Half of it must hold one full deposit of 2^24 gas (EIP-7825) in production; devnets may be smaller.
        _within("gasLimit", v.l2.gasLimit, 5_000_000, 2_000_000_000);
        _within("blockBytes", v.l2.blockBytes, 131_072, 8_388_608);
        _within("termViews", v.l2.termViews, 2, 100_000);
        // At least 8 terms; at most 65,535 batches can be counted in an epoch.
        _within("epochBlocks", v.l2.epochBlocks, 8 * v.l2.termViews, 65_535);
        // An origin's hash must still be in the EIP-2935 history when its batch is posted.
        _within("originDepth", v.l2.originDepth, 1, 64);
        _within("l1BlockTime", v.l2.l1BlockTime, 1, 60);
        _within("maxOriginLag", v.l2.maxOriginLag, (v.l2.originDepth + 2) * v.l2.l1BlockTime, 86_400);
        _within("blockTimeMs", v.l2.blockTimeMs, 10, 60_000);
        // An epoch lasts at least 10 s.
        _within("epochBlocks x blockTimeMs", v.l2.epochBlocks * v.l2.blockTimeMs, 10_000, type(uint64).max);
        _within("leaderTimeoutMs", v.l2.leaderTimeoutMs, 2 * v.l2.blockTimeMs, 60_000);
        // Heartbeats come at least twice per leader timeout, because the engine's timers start at view entry.
        _within("idleBlockTimeMs", v.l2.idleBlockTimeMs, v.l2.blockTimeMs, v.l2.leaderTimeoutMs / 2);
        _within("stallTime", v.posting.stallTime, 10, 7 days);
        _within("unpostedLimit", v.l2.unpostedLimit, 2, v.posting.stallTime - 1);
        // Never free, or it could not rise; 10 gwei make a plain deposit cost 0.001 ether.
        _within("minDepositPrice", v.l2.minDepositPrice, 1, 10 gwei);
        _within("batchMaxAgeMs", v.posting.batchMaxAgeMs, 100, v.l2.unpostedLimit * 1_000);
        _within("batchMaxBytes", v.posting.batchMaxBytes, 1_000, 8_388_608);
        _within("signWaitMs", v.posting.signWaitMs, 1, 60_000);
        _within("postGrace", v.posting.postGrace, 1, 1_000);
        _within("settlementDelay", v.posting.settlementDelay, v.l2.originDepth, 50_400);
        _within("recoveryWindow", v.posting.recoveryWindow, 1, 1 days);
        _within("snapshotInterval", v.stakes.snapshotInterval, 1, 8_000);
        _within("readinessWindow", v.stakes.readinessWindow, 2, 8_000);
        // Bitmaps and counters hold 64 members.
        _within("maxMembers", v.stakes.maxMembers, 1, 64);
        // No duty outlives its stake: three epochs at the idle rate, a snapshot interval, a stall and its recovery.
        uint256 duty = v.stakes.snapshotInterval * v.l2.l1BlockTime + 3 * v.l2.epochBlocks * v.l2.idleBlockTimeMs / 1_000;
        _within("unbonding", v.stakes.unbonding, duty + v.posting.stallTime + v.posting.recoveryWindow, 90 days);
        // A slash looks at every period since the fault's snapshot: at most 4,096 fit the unbonding time (9 million gas).
        uint256 interval = v.stakes.snapshotInterval * v.l2.l1BlockTime;
        _within("snapshotInterval x l1BlockTime", interval, (v.stakes.unbonding + 4_095) / 4_096, type(uint64).max);
        // Long enough for the two epochs a snapshot serves, short enough that evidence still meets the stake.
        _within("certificateLife", v.stakes.certificateLife, duty, v.stakes.unbonding - v.stakes.unbonding / 8);
        // Shares of any stake up to the maximum fit 104 bits, and income per share keeps its precision.
        _within("maxStake", v.stakes.maxStake, 1e18, 1e25);
        _within("minStake", v.stakes.minStake, 1e18, v.stakes.maxStake);
        // Staking counts them in units of 1e15.
        _within("minStake mod 1e15", v.stakes.minStake % 1e15, 0, 0);
        _within("maxStake mod 1e15", v.stakes.maxStake % 1e15, 0, 0);
        _within("treasuryBps", v.money.treasuryBps, 0, 1_000);
        _within("producersBps", v.money.producersBps, 0, 10_000);
        _within("tipCap", v.money.tipCap, 0, 1_000 gwei);
        _within("repayCap", v.money.repayCap, 0, 100 ether);
        // Token income per share fits its 104 bits for centuries.
        _within("emission", v.money.emission, 0, v.stakes.minStake / 100);
        // An offence costs something, never everything (Staking.MAX_SLASH), and a repeated one no less than the first.
        _within("firstBps", v.penalties.firstBps, 100, 1_000);
        _within("repeatedBps", v.penalties.repeatedBps, v.penalties.firstBps, 5_000);
        // Worth reporting, and never worth offending oneself for.
        _within("bountyBps", v.penalties.bountyBps, 100, 1_000);
        // The least self-stake loses no less than the bounty for the most stake.
        _within("bountyBps x maxStake", v.penalties.bountyBps * v.stakes.maxStake, 0, v.stakes.minStake * 10_000);
        _within("jailTime", v.penalties.jailTime, 1, 30 days);
    }

    function _within(string memory name, uint256 value, uint256 low, uint256 high) private pure {
        if (value < low || value > high) revert Parameters_OutOfBounds(name, value, low, high);
    }
}
