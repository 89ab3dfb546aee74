// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IParameters} from "./interfaces/IParameters.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {History} from "./libraries/History.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title StakingLedger
/// @notice The books of Staking: what is stored, and how stake enters a position, leaves it and is kept slashable. Who may do what is in Staking.
abstract contract StakingLedger is IStaking, ReentrancyGuardTransient {
    using History for History.Trace;
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    // -- Constants and immutables

    /// @dev Virtual shares and stake of every pot: the price of a share starts at 1e-6 token wei and cannot be inflated by a first depositor.
    uint256 internal constant VIRTUAL_SHARES = 1e6;
    /// @dev The zero account stands for the owner's self-stake.
    address internal constant SELF = address(0);
    /// @dev Most a commission rises at once, in basis points.
    uint16 internal constant MAX_COMMISSION_RISE = 500;
    /// @dev Least time between two rises.
    uint48 internal constant COMMISSION_RISE_INTERVAL = 7 days;
    /// @dev Most a slash takes of what it reaches, in basis points.
    uint16 internal constant MAX_SLASH = 5_000;
    /// @dev Of a pot in which later stake has to be spared, bonded stake below one part in as many is not slashed.
    uint256 internal constant CRUMBS = 100;
    /// @dev Most periods of entry that stake leaving at once may stem from: what leaves can always be paid.
    uint256 internal constant MAX_LOTS = 256;
    /// @dev Token wei in which the least and the most stake are counted.
    uint256 internal constant STAKE_UNIT = 1e15;
    /// @dev Marks an exit whose stake entered in several periods; a number no period reaches.
    uint24 internal constant SEVERAL = type(uint24).max;

    /// @inheritdoc IStaking
    address public immutable token;
    /// @notice The SequencerPool, which dates share changes.
    address public immutable pool;
    /// @notice The only account that slashes.
    address public immutable slasher;
    /// @notice The only account that delegates for others, with their income.
    address public immutable revenue;
    /// @notice The only account that changes the rules of entry.
    address public immutable parameters;
    /// @notice Time every stake waits on its way out (seconds).
    uint64 public immutable unbonding;

    // -- Storage

    /// @dev One sequencer: a slot of who and how much it asks for, a slot of stake; `created` is the period it was created in. The time of the
    /// last rise of the commission is a third one, written and read only once there was a rise.
    struct Pot {
        address owner;
        uint16 commission;
        uint16 maxCommission;
        uint16 formerCommission;
        uint24 commissionRaisedIn;
        bool commissionRaised;
        uint88 stake;
        uint104 shares;
        uint24 sharesFrom;
        uint24 created;
        uint16 slashCount;
        uint48 commissionRaisedAt;
        mapping(address account => History.Trace) positions;
        /// Shares of the pot that entered in a period and are still in it. Those of the period it was created in are what these leave of all:
        /// no snapshot is older, so that nobody asks for them.
        mapping(uint64 period => uint256) joined;
        mapping(uint256 number => Slash) slashes;
        /// How many slashes a position has taken note of.
        mapping(address account => uint256) noted;
    }

    /// @dev A slash of the stake that was bonded in `snapshot`, landed in `period`. `spared` shares had entered later; together they were given
    /// `bonus` more, so that they kept their worth when the price of a share fell.
    struct Slash {
        uint24 snapshot;
        uint24 period;
        uint16 bps;
        uint104 spared;
        uint104 bonus;
    }

    /// @dev Stake that left a position, by exit or switch, and stays slashable. Two slots. `arrived`: the position held switched stake, which
    /// this has to pay for.
    struct Leaving {
        address account;
        uint40 readyAt;
        uint24 period;
        uint16 slashCount;
        bool self;
        bool arrived;
        uint88 amount;
        uint40 sequencer;
        uint104 shares;
        uint24 since;
    }

    /// @dev More of it, where needed: the number of its first share if it entered in SEVERAL periods; what switched stake paid for slashes.
    struct More {
        uint104 start;
        uint88 paid;
    }

    // One slot, written by every entry.
    uint104 internal _totalStake;
    uint24 internal _period;
    uint40 internal _sequencerCount;
    uint40 internal _minStake;
    uint40 internal _maxStake;
    /// @inheritdoc IStaking
    bool public entryPaused;
    // One slot, written by every exit and slash.
    uint104 internal _totalUnbonding;
    uint104 internal _totalSlashed;
    uint48 internal _exitCount;
    mapping(uint64 id => Pot) internal _pots;
    /// @dev Exits by their ids, switches by the hash of where they arrived.
    mapping(uint256 key => Leaving) internal _leavings;
    mapping(uint256 key => More) internal _more;
    mapping(uint64 snapshot => uint256) internal _rolledAt;
    mapping(uint64 id => address) internal _proposed;

    /// @param chainParameters The chain's parameters.
    /// @param stakeToken An ERC-20 that moves exactly what it is asked to.
    /// @param sequencerPool The pool (its address may be known before its code).
    /// @param slasherContract The Slasher (its address may be known before its code; the zero account: nobody slashes).
    /// @param revenueShare The RevenueShare (its address may be known before its code).
    constructor(IParameters chainParameters, address stakeToken, address sequencerPool, address slasherContract, address revenueShare) {
        IParameters.Values memory v = chainParameters.values();
        unbonding = v.stakes.unbonding;
        (parameters, token, pool, slasher) = (address(chainParameters), stakeToken, sequencerPool, slasherContract);
        revenue = revenueShare;
        _setEntry(v.stakes.minStake, v.stakes.maxStake, false);
    }

    // -- What both the outside and the books use

    /// @inheritdoc IStaking
    function settleSwitch(uint64 id, address account) public {
        uint256 key = _arrival(id, account);
        Leaving storage out = _leavings[key];
        if (out.account == address(0)) return;
        uint256 owed = _owed(key);
        if (owed != 0) {
            Pot storage pot = _pots[id];
            _note(pot, account);
            History.Trace storage trace = pot.positions[account];
            uint256 taken = Math.min(owed, _toStake(pot, trace.value()));
            if (taken != 0) {
                _takeShares(pot, trace, taken);
                _takeBonded(pot, taken);
                _more[key].paid += uint88(taken);
                emit SwitchSlashed(out.sequencer, id, account, uint128(taken));
                _tell(pot, id, account);
            }
            owed -= taken;
        }
        // No slash that is still to come can reach what left so long ago.
        if (owed == 0 && block.timestamp >= out.readyAt) {
            delete _leavings[key];
            delete _more[key];
        }
    }

    /// @inheritdoc IStaking
    function previewExit() public view returns (uint64 readyAt) {
        return uint64(block.timestamp) + unbonding;
    }

    /// @inheritdoc IStaking
    function minStake() public view returns (uint128) {
        return uint128(_minStake * STAKE_UNIT);
    }

    /// @inheritdoc IStaking
    function maxStake() public view returns (uint128) {
        return uint128(_maxStake * STAKE_UNIT);
    }

    // -- Internals

    function _known(uint64 id) internal view returns (Pot storage pot) {
        pot = _pots[id];
        if (pot.owner == address(0)) revert Staking_UnknownSequencer(id);
    }

    function _owned(uint64 id) internal view returns (Pot storage pot) {
        pot = _known(id);
        if (pot.owner != msg.sender) revert Staking_NotOwner(id, pot.owner, msg.sender);
    }

    function _checkCommission(uint256 commission, uint256 most) internal pure {
        if (commission > most) revert Staking_CommissionTooHigh(commission, most);
    }

    function _checkSelfStake(uint256 selfStake) private view {
        if (selfStake < minStake()) revert Staking_BelowMinimum(selfStake, minStake());
    }

    function _checkStake(uint256 stake) private view {
        if (stake > maxStake()) revert Staking_AboveMaximum(stake, maxStake());
    }

    function _create(uint128 amount, uint16 commission, uint16 maxCommission) internal returns (uint64 id) {
        _checkCommission(maxCommission, 10_000);
        _checkCommission(commission, maxCommission);
        if (amount == 0) revert Staking_ZeroAmount();
        _checkSelfStake(amount);
        _checkStake(amount);
        id = ++_sequencerCount;
        // The first price of a share, at which the shares are worth to the wei what they cost.
        uint104 shares = (uint256(amount) * VIRTUAL_SHARES).toUint104();
        uint24 from = _period;
        Pot storage pot = _pots[id];
        (pot.owner, pot.commission, pot.formerCommission, pot.maxCommission) = (msg.sender, commission, commission, maxCommission);
        (pot.stake, pot.shares, pot.sharesFrom, pot.created) = (uint256(amount).toUint88(), shares, from, from);
        pot.positions[SELF].enter(shares, from);
        emit SequencerCreated(id, msg.sender, commission, maxCommission);
        _tellBond(pot, id, amount);
        _pull(amount);
    }

    function _bond(Pot storage pot, uint64 id, uint128 amount) internal {
        _enter(pot, SELF, amount);
        _checkSelfStake(_toStake(pot, pot.positions[SELF].value()));
        _tellBond(pot, id, amount);
        _pull(amount);
    }

    function _tellBond(Pot storage pot, uint64 id, uint128 amount) private {
        emit Bonded(id, msg.sender, amount, pot.positions[SELF].value(), pot.stake, pot.shares, _period);
    }

    function _delegate(uint64 id, address account, uint128 amount, uint128 minShares) internal returns (uint128 shares) {
        Pot storage pot = _pots[id];
        shares = _enterDelegation(pot, id, account, amount, minShares);
        emit Delegated(id, account, amount, pot.positions[account].value(), pot.stake, pot.shares, _period);
        _pull(amount);
    }

    function _enterDelegation(Pot storage pot, uint64 id, address account, uint128 amount, uint128 minShares)
        internal
        returns (uint128 shares)
    {
        uint256 selfStake = _toStake(pot, _sharesOf(pot, SELF));
        if (selfStake == 0) _known(id);
        _checkSelfStake(selfStake);
        shares = _enter(pot, account, amount);
        if (shares < minShares) revert Staking_TooFewShares(shares, minShares);
    }

    /// @dev Uses the caller's permit. One that was used already, by anyone, does no harm: the transfer finds the allowance, or fails.
    function _permit(uint128 amount, Permit calldata p) internal {
        try IERC20Permit(token).permit(msg.sender, address(this), amount, p.deadline, p.v, p.r, p.s) {} catch {}
    }

    /// @dev Adds stake to a position at the price before it, rounding shares down.
    function _enter(Pot storage pot, address account, uint128 amount) internal returns (uint128 shares) {
        if (amount == 0) revert Staking_ZeroAmount();
        uint256 stake = uint256(pot.stake) + amount;
        _checkStake(stake);
        uint256 bought = _toShares(pot, amount);
        if (bought == 0) revert Staking_ZeroAmount();
        _note(pot, account);
        uint24 from = _period;
        (pot.stake, pot.shares, pot.sharesFrom) = (stake.toUint88(), SafeCast.toUint104(pot.shares + bought), from);
        if (from != pot.created) pot.joined[from] += bought;
        pot.positions[account].enter(bought, from);
        return uint128(bought);
    }

    function _exit(uint64 id, bool self, uint128 amount) internal returns (uint64 exitId) {
        exitId = _exitCount + 1;
        Pot storage pot = _pots[id];
        History.Trace storage trace = _leave(pot, id, self, amount, exitId);
        _totalStake -= uint104(amount);
        (_exitCount, _totalUnbonding) = (uint48(exitId), _totalUnbonding + uint104(amount));
        emit ExitRequested(exitId, id, msg.sender, self, amount, previewExit(), trace.value(), pot.stake, pot.shares, _period);
    }

    /// @dev Takes stake out of the caller's position, the oldest first, rounding shares up, and keeps it slashable under `key`.
    function _leave(Pot storage pot, uint64 id, bool self, uint128 amount, uint256 key) internal returns (History.Trace storage trace) {
        if (amount == 0) revert Staking_ZeroAmount();
        address position = self ? SELF : msg.sender;
        _note(pot, position);
        trace = pot.positions[position];
        uint256 held = _toStake(pot, trace.value());
        if (amount > held) {
            _known(id);
            revert Staking_InsufficientStake(amount, held);
        }
        uint104 start = trace.left;
        (uint104 shares, Segment[] memory lots) = _takeShares(pot, trace, amount);
        pot.stake -= uint88(amount);
        Leaving storage out = _leavings[key];
        (out.amount, out.sequencer, out.shares, out.since) = (uint88(amount), uint40(id), shares, uint24(lots[0].from));
        if (lots.length != 1) {
            if (lots.length > MAX_LOTS) revert Staking_TooManyLots(lots.length, MAX_LOTS, _oldest(lots, amount, shares));
            (out.since, _more[key].start) = (SEVERAL, start);
        }
        bool arrived = !self && _leavings[_arrival(id, msg.sender)].account != address(0);
        (out.self, out.arrived, out.slashCount, out.period) = (self, arrived, pot.slashCount, _period);
        (out.account, out.readyAt) = (msg.sender, uint40(block.timestamp + unbonding));
    }

    /// @dev What of `amount` the oldest MAX_LOTS lots are worth.
    function _oldest(Segment[] memory lots, uint256 amount, uint256 shares) internal pure returns (uint256) {
        uint256 sum;
        for (uint256 i = 0; i < MAX_LOTS; ++i) {
            sum += lots[i].shares;
        }
        return amount * sum / shares;
    }

    /// @dev Takes the shares of `amount` (at most what the position holds) out of it; says when they entered.
    function _takeShares(Pot storage pot, History.Trace storage trace, uint256 amount)
        internal
        returns (uint104 shares, Segment[] memory lots)
    {
        uint128 all = trace.value();
        // The whole position leaves no dust of shares behind.
        shares = uint104(amount == _toStake(pot, all) ? all : Math.ceilDiv(amount * (pot.shares + VIRTUAL_SHARES), uint256(pot.stake) + 1));
        lots = trace.lots(trace.left, shares);
        for (uint256 i = 0; i < lots.length; ++i) {
            if (lots[i].from != pot.created) pot.joined[lots[i].from] -= lots[i].shares;
        }
        trace.leave(shares, _period);
        (pot.shares, pot.sharesFrom) = (pot.shares - shares, _period);
    }

    /// @dev What is left of stake that left a position after the slashes that reach it: those of snapshots that held it. Each part loses in
    /// proportion, rounded up.
    function _remaining(uint256 key) internal view returns (uint128 amount) {
        Leaving storage out = _leavings[key];
        Pot storage pot = _pots[out.sequencer];
        uint256 count = pot.slashCount;
        uint256 left = out.amount;
        if (out.slashCount == count) return uint128(left);
        uint256 shares = out.shares;
        Segment[] memory lots;
        if (out.since == SEVERAL) {
            lots = pot.positions[out.self ? SELF : out.account].lots(_more[key].start, shares);
        } else {
            lots = new Segment[](1);
            lots[0] = Segment({from: out.since, shares: uint128(shares)});
        }
        for (uint256 i = 0; i < lots.length; ++i) {
            uint256 part = left * lots[i].shares / shares;
            (left, shares) = (left - part, shares - lots[i].shares);
            for (uint256 k = out.slashCount; k < count; ++k) {
                Slash storage s = pot.slashes[k];
                if (lots[i].from <= s.snapshot && s.snapshot < out.period) part -= _loss(part, s.bps);
            }
            amount += uint128(part);
        }
    }

    /// @dev What switched stake has to pay for slashes and did not pay yet.
    function _owed(uint256 key) internal view returns (uint256) {
        return _leavings[key].amount - _remaining(key) - _more[key].paid;
    }

    /// @dev Where the switch that brought stake of `account` to `id` is kept; no exit id is as large.
    function _arrival(uint64 id, address account) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(id, account)));
    }

    function _tell(Pot storage pot, uint64 id, address account) internal {
        emit PositionChanged(id, account, pot.positions[account].value(), pot.stake, pot.shares, _period);
    }

    /// @dev Stake that came by a switch moves on only when no slash of the old sequencer can reach it any more.
    function _free(uint64 id) internal {
        uint256 key = _arrival(id, msg.sender);
        uint64 readyAt = _leavings[key].readyAt;
        if (readyAt == 0) return;
        if (block.timestamp < readyAt) revert Staking_SwitchedRecently(id, readyAt, block.timestamp);
        settleSwitch(id, msg.sender);
        if (_leavings[key].readyAt != 0) revert Staking_SwitchOwes(id, _owed(key));
    }

    /// @dev Takes what the account's switched stake owes, and its position no longer holds, from an exit of `amount`.
    function _payOwed(uint64 id, address account, uint128 amount) internal returns (uint128 paid) {
        uint256 key = _arrival(id, account);
        uint64 from = _leavings[key].sequencer;
        settleSwitch(id, account);
        paid = uint128(Math.min(_owed(key), amount));
        if (paid == 0) return 0;
        _more[key].paid += uint88(paid);
        emit SwitchSlashed(from, id, account, paid);
    }

    /// @dev Until the unbonding time has passed since the snapshot, nothing that was bonded in it can have been paid out.
    function _checkReach(uint64 snapshot) internal view {
        uint256 end = _rolledAt[snapshot] + unbonding;
        if (block.timestamp >= end) revert Staking_SlashTooLate(end, block.timestamp);
    }

    /// @dev Counts what a slash took from bonded stake.
    function _takeBonded(Pot storage pot, uint256 amount) internal {
        pot.stake -= uint88(amount);
        _totalStake -= uint104(amount);
        _totalSlashed += uint104(amount);
    }

    /// @dev Shares that entered after `snapshot` was taken and are still there. Costs a read for each period since, up to `current`.
    function _joinedAfter(Pot storage pot, uint64 snapshot, uint64 current) internal view returns (uint256 shares) {
        if (snapshot < pot.created) return pot.shares;
        for (uint256 p = snapshot + 1; p <= current; ++p) {
            shares += pot.joined[uint64(p)];
        }
    }

    /// @dev Gives a position what the slashes since its last change spared of it.
    function _note(Pot storage pot, address account) internal {
        uint256 count = pot.slashCount;
        if (count == 0 || pot.noted[account] == count) return;
        _noteTo(pot, account, count);
    }

    /// @dev The same for the first `count` slashes. Several steps come to what one would.
    function _noteTo(Pot storage pot, address account, uint256 count) internal {
        History.Trace storage trace = pot.positions[account];
        History.Point[] memory tail = _tail(pot, account, count);
        for (uint256 i = 0; i < tail.length; ++i) {
            trace.enter(tail[i].entered - trace.entered, tail[i].from);
        }
        pot.noted[account] = count;
    }

    /// @dev A position's newest point and those that the slashes which it took no note of yet, of the first `count`, would add; empty if it
    /// never held anything. A slash's bonus goes to what the position holds and entered after the snapshot.
    function _tail(Pot storage pot, address account, uint256 count) internal view returns (History.Point[] memory points) {
        History.Trace storage trace = pot.positions[account];
        if (trace.entered == 0) return points;
        uint256 first = count == 0 ? 0 : pot.noted[account];
        points = new History.Point[](count - first + 1);
        points[0] = trace.at(type(uint64).max);
        uint256 last = 0;
        for (uint256 k = first; k < count; ++k) {
            Slash storage s = pot.slashes[k];
            if (s.bonus == 0) continue;
            (uint256 entered, uint256 i) = (points[last].entered, last);
            while (i > 0 && points[i].from > s.snapshot) --i;
            uint256 old = points[i].from <= s.snapshot ? points[i].entered : trace.at(s.snapshot).entered;
            old = Math.max(old, trace.left);
            if (entered <= old) continue;
            uint256 bonus = Math.min((entered - old) * s.bonus / s.spared, type(uint104).max - entered);
            if (points[last].from != s.period) points[++last] = History.Point({entered: 0, left: trace.left, from: s.period});
            points[last].entered = uint104(entered + bonus);
        }
        // What was reserved and not needed is given back.
        assembly ("memory-safe") {
            mstore(points, add(last, 1))
        }
    }

    /// @dev Shares of a position, what slashes spared included.
    function _sharesOf(Pot storage pot, address account) internal view returns (uint128) {
        History.Trace storage trace = pot.positions[account];
        if (pot.slashCount == 0) return trace.value();
        History.Point[] memory tail = _tail(pot, account, pot.slashCount);
        return tail.length == 0 ? 0 : tail[tail.length - 1].entered - trace.left;
    }

    function _setEntry(uint128 least, uint128 most, bool paused) internal {
        (_minStake, _maxStake, entryPaused) = (uint40(least / STAKE_UNIT), uint40(most / STAKE_UNIT), paused);
        emit EntrySet(least, most, paused);
    }

    /// @dev The commission of the next snapshot: a rise counts one period after the one it was announced in.
    function _commission(Pot storage pot) internal view returns (uint16) {
        return _period > pot.commissionRaisedIn ? pot.commission : pot.formerCommission;
    }

    /// @dev What a slash takes of stake, rounded up.
    function _loss(uint256 stake, uint256 bps) internal pure returns (uint256) {
        return (stake * bps + 9_999) / 10_000;
    }

    /// @dev What shares are worth now, rounded down. Amounts and shares have at most 128 bits, here and below, and their products fit.
    function _toStake(Pot storage pot, uint256 shares) internal view returns (uint256) {
        return shares * (uint256(pot.stake) + 1) / (pot.shares + VIRTUAL_SHARES);
    }

    /// @dev What stake buys now, rounded down.
    function _toShares(Pot storage pot, uint256 amount) internal view returns (uint256) {
        return amount * (pot.shares + VIRTUAL_SHARES) / (uint256(pot.stake) + 1);
    }

    /// @dev Takes tokens from the caller; a token that keeps a part of them is refused. The last step of every entry: all state is written
    /// before, so the guard has to keep only the two balances from meeting another entry's.
    function _pull(uint128 amount) internal nonReentrant {
        if (entryPaused) revert Staking_EntryPaused();
        // At most the maximum stake was entered: it fits.
        _totalStake += uint104(amount);
        uint256 before = _balance();
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 moved = _balance() - before;
        if (moved != amount) revert Staking_UnexpectedTransfer(moved, amount);
    }

    function _send(address receiver, uint256 amount) internal {
        IERC20(token).safeTransfer(receiver, amount);
    }

    function _balance() private view returns (uint256) {
        return IERC20(token).balanceOf(address(this));
    }
}
