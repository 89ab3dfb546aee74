// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {StakingLedger} from "./StakingLedger.sol";
import {IParameters} from "./interfaces/IParameters.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {History} from "./libraries/History.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title Staking
/// @notice Custody of all stake. Interface and rules: IStaking. Storage and the movement of shares: StakingLedger.
contract Staking is StakingLedger {
    using History for History.Trace;

    /// @param chainParameters The chain's parameters.
    /// @param stakeToken An ERC-20 that moves exactly what it is asked to.
    /// @param sequencerPool The pool (its address may be known before its code).
    /// @param slasherContract The Slasher (its address may be known before its code; the zero account: nobody slashes).
    /// @param revenueShare The RevenueShare (its address may be known before its code).
    constructor(IParameters chainParameters, address stakeToken, address sequencerPool, address slasherContract, address revenueShare)
        StakingLedger(chainParameters, stakeToken, sequencerPool, slasherContract, revenueShare)
    {}

    // -- Entry

    /// @inheritdoc IStaking
    function bond(uint128 amount, uint16 commission, uint16 maxCommission) external returns (uint64 id) {
        return _create(amount, commission, maxCommission);
    }

    /// @inheritdoc IStaking
    function bondWithPermit(uint128 amount, uint16 commission, uint16 maxCommission, Permit calldata permit) external returns (uint64 id) {
        _permit(amount, permit);
        return _create(amount, commission, maxCommission);
    }

    /// @inheritdoc IStaking
    function topUp(uint64 id, uint128 amount) external {
        _bond(_owned(id), id, amount);
    }

    /// @inheritdoc IStaking
    function topUpWithPermit(uint64 id, uint128 amount, Permit calldata permit) external {
        _permit(amount, permit);
        _bond(_owned(id), id, amount);
    }

    /// @inheritdoc IStaking
    function delegate(uint64 id, uint128 amount) external returns (uint128 shares) {
        return _delegate(id, msg.sender, amount, 0);
    }

    /// @inheritdoc IStaking
    function delegateAtLeast(uint64 id, uint128 amount, uint128 minShares) external returns (uint128 shares) {
        return _delegate(id, msg.sender, amount, minShares);
    }

    /// @inheritdoc IStaking
    function delegateWithPermit(uint64 id, uint128 amount, uint128 minShares, Permit calldata permit) external returns (uint128 shares) {
        _permit(amount, permit);
        return _delegate(id, msg.sender, amount, minShares);
    }

    /// @inheritdoc IStaking
    function delegateFor(uint64 id, address account, uint128 amount, uint128 minShares) external returns (uint128 shares) {
        _only(revenue, Staking_NotRevenue.selector);
        return _delegate(id, account, amount, minShares);
    }

    // -- Exit

    /// @inheritdoc IStaking
    function requestExit(uint64 id, uint128 amount) external returns (uint64 exitId) {
        return _exit(id, false, amount);
    }

    /// @inheritdoc IStaking
    function requestSelfExit(uint64 id, uint128 amount) external returns (uint64 exitId) {
        _owned(id);
        return _exit(id, true, amount);
    }

    /// @inheritdoc IStaking
    function finishExit(uint64 exitId) external returns (uint128 amount) {
        Leaving storage out = _leavings[exitId];
        (uint64 id, address account, uint128 asked) = (out.sequencer, out.account, out.amount);
        if (account == address(0)) revert Staking_UnknownExit(exitId);
        if (block.timestamp < out.readyAt) revert Staking_ExitNotReady(out.readyAt, block.timestamp);
        amount = _remaining(exitId);
        if (amount != asked) {
            Pot storage pot = _pots[id];
            emit Slashed(id, pot.slashes[pot.slashCount - 1].snapshot, 0, asked - amount, pot.stake);
        }
        if (out.arrived) amount -= _payOwed(id, account, amount);
        if (out.since == SEVERAL) delete _more[exitId];
        delete _leavings[exitId];
        (_totalUnbonding, _totalSlashed) = (_totalUnbonding - uint104(asked), _totalSlashed + uint104(asked - amount));
        emit ExitFinished(exitId, id, account, amount);
        if (amount != 0) _send(account, amount);
    }

    // -- Switch

    /// @inheritdoc IStaking
    function switchSequencer(uint64 from, uint64 to, uint128 amount, uint128 minShares) external returns (uint128 shares) {
        if (from == to) revert Staking_SameSequencer(from);
        _free(from);
        _free(to);
        Pot storage pot = _pots[from];
        _leave(pot, from, false, amount, _arrival(to, msg.sender));
        _tell(pot, from, msg.sender);
        pot = _pots[to];
        shares = _enterDelegation(pot, to, msg.sender, amount, minShares);
        _tell(pot, to, msg.sender);
        emit Switched(from, to, msg.sender, amount, previewExit(), _period);
    }

    // -- Slash

    /// @inheritdoc IStaking
    function noteSlashes(uint64 id, address account, uint256 most) external returns (uint256 left) {
        Pot storage pot = _known(id);
        uint256 noted = pot.noted[account];
        left = pot.slashCount - noted;
        if (most > left) most = left;
        _noteTo(pot, account, noted + most);
        left -= most;
    }

    /// @inheritdoc IStaking
    function slash(uint64 id, uint64 snapshot, uint16 bps) external returns (uint128 amount) {
        _only(slasher, Staking_NotSlasher.selector);
        Pot storage pot = _known(id);
        if (bps == 0 || bps > MAX_SLASH) revert Staking_SlashOutOfBounds(bps, MAX_SLASH);
        uint24 current = _period;
        if (snapshot >= current) revert Staking_UnknownSnapshot(snapshot);
        _checkReach(snapshot);
        uint256 spared = _joinedAfter(pot, snapshot, current);
        uint256 reached = _toStake(pot, pot.shares - spared);
        uint256 loss = _loss(reached, bps);
        // Crumbs beside spared stake are let be: there is no price at which the one is nothing and the other keeps its worth, and whoever
        // could order many slashes of nearly nothing would have all other stake counted as new, and shares without end.
        if (spared != 0 && (loss == reached || reached * CRUMBS < pot.stake)) loss = 0;
        uint256 bonus = loss == 0 || spared == 0 ? 0 : spared * loss / (reached - loss);
        bonus = Math.min(bonus, type(uint104).max - pot.shares);
        Slash storage s = pot.slashes[pot.slashCount++];
        (s.snapshot, s.period, s.bps, s.spared) = (uint24(snapshot), current, bps, uint104(spared));
        _takeBonded(pot, loss);
        amount = uint128(loss);
        emit Slashed(id, snapshot, amount, 0, pot.stake);
        if (bonus != 0) {
            s.bonus = uint104(bonus);
            (pot.shares, pot.sharesFrom) = (pot.shares + uint104(bonus), current);
            pot.joined[current] += bonus;
            emit LaterStakeSpared(id, snapshot, uint128(spared), uint128(bonus), pot.shares, current);
        }
    }

    /// @inheritdoc IStaking
    function releaseSlashed(address receiver, uint256 amount) external {
        _only(slasher, Staking_NotSlasher.selector);
        // They would belong to nobody.
        if (receiver == address(this)) revert Staking_BadReceiver(receiver);
        if (amount > _totalSlashed) revert Staking_InsufficientStake(amount, _totalSlashed);
        _totalSlashed -= uint104(amount);
        emit SlashedReleased(receiver, amount, _totalSlashed);
        _send(receiver, amount);
    }

    /// @dev Refuses everybody but `allowed`, with an error of two addresses: who may call, and who did.
    function _only(address allowed, bytes4 refusal) private view {
        if (msg.sender == allowed) return;
        assembly ("memory-safe") {
            let at := mload(0x40)
            mstore(at, refusal)
            mstore(add(at, 4), allowed)
            mstore(add(at, 36), caller())
            revert(at, 68)
        }
    }

    // -- Owner and pool

    /// @inheritdoc IStaking
    function proposeOwner(uint64 id, address proposed) external {
        _owned(id);
        _proposed[id] = proposed;
        emit OwnerProposed(id, msg.sender, proposed);
    }

    /// @inheritdoc IStaking
    function acceptOwner(uint64 id) external {
        Pot storage pot = _known(id);
        address proposed = _proposed[id];
        if (proposed != msg.sender) revert Staking_NotProposedOwner(id, proposed, msg.sender);
        delete _proposed[id];
        address previous = pot.owner;
        pot.owner = msg.sender;
        emit OwnerChanged(id, previous, msg.sender);
    }

    /// @inheritdoc IStaking
    function setCommission(uint64 id, uint16 commission) external {
        Pot storage pot = _owned(id);
        _checkCommission(commission, pot.maxCommission);
        uint16 former = _commission(pot);
        uint64 from = _period;
        if (commission > former) {
            uint256 rise = commission - former;
            uint256 allowedAt = pot.commissionRaisedAt + COMMISSION_RISE_INTERVAL;
            if (rise > MAX_COMMISSION_RISE || block.timestamp < allowedAt) {
                revert Staking_CommissionRisesTooFast(rise, MAX_COMMISSION_RISE, allowedAt);
            }
            (pot.commissionRaised, pot.commissionRaisedIn, pot.commissionRaisedAt) = (true, _period, uint48(block.timestamp));
            ++from;
        } else {
            former = commission;
        }
        (pot.commission, pot.formerCommission) = (commission, former);
        emit CommissionSet(id, commission, from);
    }

    /// @inheritdoc IStaking
    function setEntry(uint128 least, uint128 most, bool paused) external {
        _only(parameters, Staking_NotParameters.selector);
        _setEntry(least, most, paused);
    }

    /// @inheritdoc IStaking
    function roll() external returns (uint64 snapshot) {
        _only(pool, Staking_NotPool.selector);
        snapshot = _period++;
        _rolledAt[snapshot] = block.timestamp;
        emit Rolled(snapshot + 1);
    }

    // -- Views

    /// @inheritdoc IStaking
    function sequencer(uint64 id) public view returns (Sequencer memory) {
        Pot storage pot = _pots[id];
        return Sequencer({
            owner: pot.owner,
            commission: _commission(pot),
            maxCommission: pot.maxCommission,
            commissionRaisedAt: pot.commissionRaised ? pot.commissionRaisedAt : 0,
            stake: pot.stake,
            selfStake: uint128(_toStake(pot, _sharesOf(pot, SELF))),
            shares: pot.shares,
            sharesFrom: pot.sharesFrom
        });
    }

    /// @inheritdoc IStaking
    function proposedOwnerOf(uint64 id) external view returns (address) {
        return _proposed[id];
    }

    /// @inheritdoc IStaking
    function ownerOf(uint64 id) external view returns (address) {
        return _pots[id].owner;
    }

    /// @inheritdoc IStaking
    function stakeOf(uint64 id, address account) external view returns (uint128) {
        Pot storage pot = _pots[id];
        return uint128(_toStake(pot, _sharesOf(pot, account)));
    }

    /// @inheritdoc IStaking
    function sharesOf(uint64 id, address account) public view returns (uint128) {
        return _sharesOf(_pots[id], account);
    }

    /// @inheritdoc IStaking
    function segments(uint64 id, address account, uint256 start, uint256 limit) external view returns (Segment[] memory list) {
        Pot storage pot = _pots[id];
        History.Trace storage trace = pot.positions[account];
        uint256 older = trace.older;
        uint256 total = trace.entered == 0 ? 0 : older + 1;
        History.Point[] memory tail;
        if (pot.slashCount != 0) {
            tail = _tail(pot, account, pot.slashCount);
            total = older + tail.length;
        }
        list = new Segment[](start >= total ? 0 : Math.min(total - start, limit));
        for (uint256 i = 0; i < list.length; (++i, ++start)) {
            History.Point memory point = start < older || tail.length == 0 ? trace.point(start) : tail[start - older];
            list[i] = Segment({from: point.from, shares: point.entered - point.left});
        }
    }

    /// @inheritdoc IStaking
    function slashCount(uint64 id) external view returns (uint256) {
        return _pots[id].slashCount;
    }

    /// @inheritdoc IStaking
    function arrivals(uint64 id, address account) external view returns (uint64 from, uint128 amount, uint64 readyAt, uint128 owed) {
        uint256 key = _arrival(id, account);
        amount = _remaining(key);
        Leaving storage out = _leavings[key];
        (from, readyAt, owed) = (out.sequencer, out.readyAt, uint128(_owed(key)));
    }

    /// @inheritdoc IStaking
    function exits(uint64 exitId) public view returns (Exit memory) {
        Leaving storage out = _leavings[exitId];
        return Exit({account: out.account, sequencer: out.sequencer, period: out.period, amount: _remaining(exitId), readyAt: out.readyAt});
    }

    /// @inheritdoc IStaking
    function totalStake() external view returns (uint256) {
        return _totalStake;
    }

    /// @inheritdoc IStaking
    function totalUnbonding() external view returns (uint256) {
        return _totalUnbonding;
    }

    /// @inheritdoc IStaking
    function totalSlashed() external view returns (uint256) {
        return _totalSlashed;
    }

    /// @inheritdoc IStaking
    function period() external view returns (uint64) {
        return _period;
    }

    /// @inheritdoc IStaking
    function sequencerCount() external view returns (uint64) {
        return _sequencerCount;
    }

    /// @inheritdoc IStaking
    function exitCount() external view returns (uint64) {
        return _exitCount;
    }
}
