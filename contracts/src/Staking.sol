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

/// @title Staking
/// @notice Custody of all stake. Interface and rules: IStaking.
contract Staking is IStaking, ReentrancyGuardTransient {
    using History for History.Trace;
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    // -- Constants and immutables

    /// @notice Virtual shares and stake of every pot: the price of a share starts at 1e-6 token wei and cannot be inflated by a first depositor.
    uint256 public constant VIRTUAL_SHARES = 1e6;
    /// @notice The zero account stands for the owner's self-stake.
    address public constant SELF = address(0);
    /// @notice Most a commission rises at once, in basis points.
    uint16 public constant MAX_COMMISSION_RISE = 500;
    /// @notice Least time between two rises.
    uint48 public constant COMMISSION_RISE_INTERVAL = 7 days;
    /// @notice Most a slash takes of what it reaches, in basis points.
    uint16 public constant MAX_SLASH = 5_000;
    /// @notice Of a pot in which later stake has to be spared, bonded stake below one part in as many is not slashed.
    uint256 public constant CRUMBS = 100;
    /// @notice Most periods of entry that stake leaving at once may stem from: what leaves can always be paid.
    uint256 public constant MAX_LOTS = 256;
    /// @dev Token wei in which the least and the most stake are counted.
    uint256 private constant STAKE_UNIT = 1e15;
    /// @dev Marks an exit whose stake entered in several periods; a number no period reaches.
    uint24 private constant SEVERAL = type(uint24).max;

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

    /// @dev One sequencer. The first two lines of fields are a slot each.
    struct Pot {
        address owner;
        uint16 commission;
        uint16 maxCommission;
        uint16 formerCommission;
        uint48 commissionRaisedAt;
        uint88 stake;
        uint104 shares;
        uint24 sharesFrom;
        uint24 commissionRaisedIn;
        uint16 slashCount;
        mapping(address account => History.Trace) positions;
        /// Shares of the pot that entered in a period and are still in it.
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
    uint104 private _totalStake;
    uint32 private _period;
    uint32 private _sequencerCount;
    uint40 private _minStake;
    uint40 private _maxStake;
    /// @inheritdoc IStaking
    bool public entryPaused;
    // One slot, written by every exit and slash.
    uint104 private _totalUnbonding;
    uint104 private _totalSlashed;
    uint48 private _exitCount;
    mapping(uint64 id => Pot) private _pots;
    /// @dev Exits by their ids, switches by the hash of where they arrived.
    mapping(uint256 key => Leaving) private _leavings;
    mapping(uint256 key => More) private _more;
    mapping(uint64 snapshot => uint256) private _rolledAt;
    mapping(uint64 id => address) private _proposed;

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
        if (msg.sender != revenue) revert Staking_NotRevenue(revenue, msg.sender);
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
        _totalUnbonding -= uint104(asked);
        if (amount != asked) _totalSlashed += uint104(asked - amount);
        emit ExitFinished(exitId, id, account, amount);
        if (amount != 0) IERC20(token).safeTransfer(account, amount);
    }

    // -- Switch

    /// @inheritdoc IStaking
    function switchSequencer(uint64 from, uint64 to, uint128 amount, uint128 minShares) external returns (uint128 shares) {
        if (from == to) revert Staking_SameSequencer(from);
        _free(from);
        _free(to);
        _leave(from, false, amount, _arrival(to, msg.sender));
        _tell(from, msg.sender);
        shares = _enterDelegation(to, msg.sender, amount, minShares);
        _tell(to, msg.sender);
        emit Switched(from, to, msg.sender, amount, previewExit(), _period);
    }

    /// @inheritdoc IStaking
    function settleSwitch(uint64 id, address account) public {
        uint256 key = _arrival(id, account);
        Leaving storage out = _leavings[key];
        if (out.account == address(0)) return;
        uint256 owed = _owed(key);
        if (owed != 0) {
            Pot storage pot = _pots[id];
            _note(pot, account);
            uint256 taken = Math.min(owed, _toStake(pot, pot.positions[account].value()));
            if (taken != 0) {
                _takeShares(pot, account, taken);
                pot.stake -= uint88(taken);
                _totalStake -= uint104(taken);
                _totalSlashed += uint104(taken);
                _more[key].paid += uint88(taken);
                emit SwitchSlashed(out.sequencer, id, account, uint128(taken));
                _tell(id, account);
            }
            owed -= taken;
        }
        // No slash that is still to come can reach what left so long ago.
        if (owed == 0 && block.timestamp >= out.readyAt) {
            delete _leavings[key];
            delete _more[key];
        }
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
        if (msg.sender != slasher) revert Staking_NotSlasher(slasher, msg.sender);
        Pot storage pot = _known(id);
        if (bps == 0 || bps > MAX_SLASH) revert Staking_SlashOutOfBounds(bps, MAX_SLASH);
        uint64 current = _period;
        if (snapshot >= current) revert Staking_UnknownSnapshot(snapshot);
        // Until then nothing that was bonded in the snapshot can have been paid out.
        uint256 end = _rolledAt[snapshot] + unbonding;
        if (block.timestamp >= end) revert Staking_SlashTooLate(end, block.timestamp);
        uint256 spared;
        for (uint64 p = snapshot + 1; p <= current; ++p) {
            spared += pot.joined[p];
        }
        uint256 reached = Math.mulDiv(pot.shares - spared, uint256(pot.stake) + 1, pot.shares + VIRTUAL_SHARES);
        uint256 loss = Math.mulDiv(reached, bps, 10_000, Math.Rounding.Ceil);
        // Crumbs beside spared stake are let be: there is no price at which the one is nothing and the other keeps its worth, and whoever
        // could order many slashes of nearly nothing would have all other stake counted as new, and shares without end.
        if (spared != 0 && (loss == reached || reached * CRUMBS < pot.stake)) loss = 0;
        uint256 bonus = loss == 0 || spared == 0 ? 0 : Math.mulDiv(spared, loss, reached - loss);
        bonus = Math.min(bonus, type(uint104).max - pot.shares);
        pot.slashes[pot.slashCount++] =
            Slash({snapshot: uint24(snapshot), period: uint24(current), bps: bps, spared: uint104(spared), bonus: uint104(bonus)});
        pot.stake -= uint88(loss);
        _totalStake -= uint104(loss);
        _totalSlashed += uint104(loss);
        amount = uint128(loss);
        emit Slashed(id, snapshot, amount, 0, pot.stake);
        if (bonus != 0) {
            (pot.shares, pot.sharesFrom) = (pot.shares + uint104(bonus), uint24(current));
            pot.joined[current] += bonus;
            emit LaterStakeSpared(id, snapshot, uint128(spared), uint128(bonus), pot.shares, current);
        }
    }

    /// @inheritdoc IStaking
    function releaseSlashed(address receiver, uint256 amount) external {
        if (msg.sender != slasher) revert Staking_NotSlasher(slasher, msg.sender);
        // They would belong to nobody.
        if (receiver == address(this)) revert Staking_BadReceiver(receiver);
        if (amount > _totalSlashed) revert Staking_InsufficientStake(amount, _totalSlashed);
        _totalSlashed -= uint104(amount);
        emit SlashedReleased(receiver, amount, _totalSlashed);
        IERC20(token).safeTransfer(receiver, amount);
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
        if (commission > pot.maxCommission) revert Staking_CommissionTooHigh(commission, pot.maxCommission);
        uint16 former = _commission(pot);
        uint64 from = _period;
        if (commission > former) {
            uint256 rise = commission - former;
            uint256 allowedAt = pot.commissionRaisedAt == 0 ? 0 : pot.commissionRaisedAt + COMMISSION_RISE_INTERVAL;
            if (rise > MAX_COMMISSION_RISE || block.timestamp < allowedAt) {
                revert Staking_CommissionRisesTooFast(rise, MAX_COMMISSION_RISE, allowedAt);
            }
            (pot.commissionRaisedAt, pot.commissionRaisedIn) = (uint48(block.timestamp), uint24(from));
            ++from;
        } else {
            former = commission;
        }
        (pot.commission, pot.formerCommission) = (commission, former);
        emit CommissionSet(id, commission, from);
    }

    /// @inheritdoc IStaking
    function setEntry(uint128 least, uint128 most, bool paused) external {
        if (msg.sender != parameters) revert Staking_NotParameters(parameters, msg.sender);
        _setEntry(least, most, paused);
    }

    /// @inheritdoc IStaking
    function roll() external returns (uint64 snapshot) {
        if (msg.sender != pool) revert Staking_NotPool(pool, msg.sender);
        snapshot = _period;
        _period = uint32(snapshot + 1);
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
            commissionRaisedAt: pot.commissionRaisedAt,
            stake: pot.stake,
            selfStake: _toStake(pot, _sharesOf(pot, SELF)).toUint128(),
            shares: pot.shares,
            sharesFrom: pot.sharesFrom
        });
    }

    /// @inheritdoc IStaking
    function proposedOwnerOf(uint64 id) external view returns (address) {
        return _proposed[id];
    }

    /// @inheritdoc IStaking
    function previewExit() public view returns (uint64 readyAt) {
        return uint64(block.timestamp) + unbonding;
    }

    /// @inheritdoc IStaking
    function ownerOf(uint64 id) external view returns (address) {
        return _pots[id].owner;
    }

    /// @inheritdoc IStaking
    function stakeOf(uint64 id, address account) external view returns (uint128) {
        Pot storage pot = _pots[id];
        return _toStake(pot, _sharesOf(pot, account)).toUint128();
    }

    /// @inheritdoc IStaking
    function sharesOf(uint64 id, address account) public view returns (uint128) {
        return _sharesOf(_pots[id], account);
    }

    /// @inheritdoc IStaking
    function sharesAt(uint64 id, address account, uint64 snapshot) external view returns (uint128) {
        Pot storage pot = _pots[id];
        History.Trace storage trace = pot.positions[account];
        History.Point[] memory tail = _tail(pot, trace, pot.noted[account], pot.slashCount);
        for (uint256 i = tail.length; i > 0; --i) {
            if (tail[i - 1].from <= snapshot) return tail[i - 1].entered - trace.left;
        }
        return trace.valueAt(snapshot);
    }

    /// @inheritdoc IStaking
    function segments(uint64 id, address account, uint256 start, uint256 limit) external view returns (Segment[] memory list) {
        Pot storage pot = _pots[id];
        History.Trace storage trace = pot.positions[account];
        History.Point[] memory tail;
        if (pot.slashCount != 0) tail = _tail(pot, trace, pot.noted[account], pot.slashCount);
        list = trace.segments(start, limit);
        uint256 older = trace.older;
        if (tail.length == 0) return list;
        uint256 total = older + tail.length;
        Segment[] memory stored = list;
        list = new Segment[](start >= total ? 0 : Math.min(total - start, limit));
        for (uint256 i = 0; i < list.length; ++i) {
            uint256 number = start + i;
            list[i] =
                number < older ? stored[i] : Segment({from: tail[number - older].from, shares: tail[number - older].entered - trace.left});
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

    /// @inheritdoc IStaking
    function minStake() public view returns (uint128) {
        return uint128(_minStake * STAKE_UNIT);
    }

    /// @inheritdoc IStaking
    function maxStake() public view returns (uint128) {
        return uint128(_maxStake * STAKE_UNIT);
    }

    // -- Internals

    function _known(uint64 id) private view returns (Pot storage pot) {
        pot = _pots[id];
        if (pot.owner == address(0)) revert Staking_UnknownSequencer(id);
    }

    function _owned(uint64 id) private view returns (Pot storage pot) {
        pot = _known(id);
        if (pot.owner != msg.sender) revert Staking_NotOwner(id, pot.owner, msg.sender);
    }

    function _create(uint128 amount, uint16 commission, uint16 maxCommission) private returns (uint64 id) {
        if (maxCommission > 10_000) revert Staking_CommissionTooHigh(maxCommission, 10_000);
        if (commission > maxCommission) revert Staking_CommissionTooHigh(commission, maxCommission);
        id = ++_sequencerCount;
        Pot storage pot = _pots[id];
        (pot.owner, pot.commission, pot.formerCommission, pot.maxCommission) = (msg.sender, commission, commission, maxCommission);
        emit SequencerCreated(id, msg.sender, commission, maxCommission);
        _bond(pot, id, amount);
    }

    function _bond(Pot storage pot, uint64 id, uint128 amount) private {
        _enter(pot, SELF, amount);
        uint128 selfShares = pot.positions[SELF].value();
        uint256 selfStake = _toStake(pot, selfShares);
        if (selfStake < minStake()) revert Staking_BelowMinimum(selfStake, minStake());
        emit Bonded(id, msg.sender, amount, selfShares, pot.stake, pot.shares, _period);
        _pull(amount);
    }

    function _delegate(uint64 id, address account, uint128 amount, uint128 minShares) private returns (uint128 shares) {
        shares = _enterDelegation(id, account, amount, minShares);
        Pot storage pot = _pots[id];
        emit Delegated(id, account, amount, pot.positions[account].value(), pot.stake, pot.shares, _period);
        _pull(amount);
    }

    function _enterDelegation(uint64 id, address account, uint128 amount, uint128 minShares) private returns (uint128 shares) {
        Pot storage pot = _pots[id];
        uint256 selfStake = _toStake(pot, _sharesOf(pot, SELF));
        if (selfStake < minStake()) {
            _known(id);
            revert Staking_BelowMinimum(selfStake, minStake());
        }
        shares = _enter(pot, account, amount);
        if (shares < minShares) revert Staking_TooFewShares(shares, minShares);
    }

    /// @dev Uses the caller's permit. One that was used already, by anyone, does no harm: the transfer finds the allowance, or fails.
    function _permit(uint128 amount, Permit calldata p) private {
        try IERC20Permit(token).permit(msg.sender, address(this), amount, p.deadline, p.v, p.r, p.s) {} catch {}
    }

    /// @dev Adds stake to a position at the price before it, rounding shares down.
    function _enter(Pot storage pot, address account, uint128 amount) private returns (uint128 shares) {
        if (amount == 0) revert Staking_ZeroAmount();
        uint256 stake = uint256(pot.stake) + amount;
        if (stake > maxStake()) revert Staking_AboveMaximum(stake, maxStake());
        shares = _toShares(pot, amount);
        if (shares == 0) revert Staking_ZeroAmount();
        _note(pot, account);
        uint64 from = _period;
        (pot.stake, pot.shares, pot.sharesFrom) = (stake.toUint88(), (uint256(pot.shares) + shares).toUint104(), uint256(from).toUint24());
        pot.joined[from] += shares;
        pot.positions[account].enter(shares, from);
    }

    function _exit(uint64 id, bool self, uint128 amount) private returns (uint64 exitId) {
        exitId = ++_exitCount;
        _leave(id, self, amount, exitId);
        _totalStake -= uint104(amount);
        _totalUnbonding += uint104(amount);
        Pot storage pot = _pots[id];
        uint128 accountShares = pot.positions[self ? SELF : msg.sender].value();
        emit ExitRequested(exitId, id, msg.sender, self, amount, previewExit(), accountShares, pot.stake, pot.shares, _period);
    }

    /// @dev Takes stake out of the caller's position, the oldest first, rounding shares up, and keeps it slashable under `key`.
    function _leave(uint64 id, bool self, uint128 amount, uint256 key) private {
        if (amount == 0) revert Staking_ZeroAmount();
        Pot storage pot = _pots[id];
        address position = self ? SELF : msg.sender;
        bool arrived = !self && _leavings[_arrival(id, msg.sender)].account != address(0);
        _note(pot, position);
        History.Trace storage trace = pot.positions[position];
        uint256 held = _toStake(pot, trace.value());
        if (amount > held) {
            _known(id);
            revert Staking_InsufficientStake(amount, held);
        }
        uint104 start = trace.left;
        (uint104 shares, Segment[] memory lots) = _takeShares(pot, position, amount);
        uint24 since = lots.length == 1 ? uint24(lots[0].from) : SEVERAL;
        if (lots.length > MAX_LOTS) revert Staking_TooManyLots(lots.length, MAX_LOTS, _oldest(lots, amount, shares));
        pot.stake -= uint88(amount);
        if (since == SEVERAL) _more[key].start = start;
        _leavings[key] = Leaving({
            account: msg.sender,
            readyAt: uint40(previewExit()),
            period: uint24(_period),
            slashCount: pot.slashCount,
            self: self,
            arrived: arrived,
            amount: uint88(amount),
            sequencer: uint40(id),
            shares: shares,
            since: since
        });
    }

    /// @dev What of `amount` the oldest MAX_LOTS lots are worth.
    function _oldest(Segment[] memory lots, uint256 amount, uint256 shares) private pure returns (uint256) {
        uint256 sum;
        for (uint256 i = 0; i < MAX_LOTS; ++i) {
            sum += lots[i].shares;
        }
        return Math.mulDiv(amount, sum, shares);
    }

    /// @dev Takes the shares of `amount` (at most what the position holds) out of it; says when they entered.
    function _takeShares(Pot storage pot, address position, uint256 amount) private returns (uint104 shares, Segment[] memory lots) {
        History.Trace storage trace = pot.positions[position];
        uint128 all = trace.value();
        // The whole position leaves no dust of shares behind.
        shares = uint104(
            amount == _toStake(pot, all)
                ? all
                : Math.mulDiv(amount, pot.shares + VIRTUAL_SHARES, uint256(pot.stake) + 1, Math.Rounding.Ceil)
        );
        lots = trace.lots(trace.left, shares);
        for (uint256 i = 0; i < lots.length; ++i) {
            pot.joined[lots[i].from] -= lots[i].shares;
        }
        trace.leave(shares, _period);
        (pot.shares, pot.sharesFrom) = (pot.shares - shares, uint24(_period));
    }

    /// @dev What is left of stake that left a position after the slashes that reach it: those of snapshots that held it. Each part loses in
    /// proportion, rounded up.
    function _remaining(uint256 key) private view returns (uint128 amount) {
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
            uint256 part = Math.mulDiv(left, lots[i].shares, shares);
            (left, shares) = (left - part, shares - lots[i].shares);
            for (uint256 k = out.slashCount; k < count; ++k) {
                Slash storage s = pot.slashes[k];
                if (lots[i].from <= s.snapshot && s.snapshot < out.period) part -= Math.mulDiv(part, s.bps, 10_000, Math.Rounding.Ceil);
            }
            amount += uint128(part);
        }
    }

    /// @dev What switched stake has to pay for slashes and did not pay yet.
    function _owed(uint256 key) private view returns (uint256) {
        return _leavings[key].amount - _remaining(key) - _more[key].paid;
    }

    /// @dev Where the switch that brought stake of `account` to `id` is kept; no exit id is as large.
    function _arrival(uint64 id, address account) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(id, account)));
    }

    function _tell(uint64 id, address account) private {
        Pot storage pot = _pots[id];
        emit PositionChanged(id, account, pot.positions[account].value(), pot.stake, pot.shares, _period);
    }

    /// @dev Stake that came by a switch moves on only when no slash of the old sequencer can reach it any more.
    function _free(uint64 id) private {
        uint256 key = _arrival(id, msg.sender);
        uint64 readyAt = _leavings[key].readyAt;
        if (readyAt == 0) return;
        if (block.timestamp < readyAt) revert Staking_SwitchedRecently(id, readyAt, block.timestamp);
        settleSwitch(id, msg.sender);
        if (_leavings[key].readyAt != 0) revert Staking_SwitchOwes(id, _owed(key));
    }

    /// @dev Takes what the account's switched stake owes, and its position no longer holds, from an exit of `amount`.
    function _payOwed(uint64 id, address account, uint128 amount) private returns (uint128 paid) {
        uint256 key = _arrival(id, account);
        uint64 from = _leavings[key].sequencer;
        settleSwitch(id, account);
        paid = uint128(Math.min(_owed(key), amount));
        if (paid == 0) return 0;
        _more[key].paid += uint88(paid);
        emit SwitchSlashed(from, id, account, paid);
    }

    /// @dev Gives a position what the slashes since its last change spared of it.
    function _note(Pot storage pot, address account) private {
        uint256 count = pot.slashCount;
        if (count == 0 || pot.noted[account] == count) return;
        _noteTo(pot, account, count);
    }

    /// @dev The same for the first `count` slashes. Several steps come to what one would.
    function _noteTo(Pot storage pot, address account, uint256 count) private {
        History.Trace storage trace = pot.positions[account];
        History.Point[] memory tail = _tail(pot, trace, pot.noted[account], count);
        for (uint256 i = 0; i < tail.length; ++i) {
            trace.enter(tail[i].entered - trace.entered, tail[i].from);
        }
        pot.noted[account] = count;
    }

    /// @dev A position's newest point and those that slashes number `first` to `count` - 1 would add; empty if it would change nothing. A slash's bonus goes to what the
    /// position holds and entered after the snapshot.
    function _tail(Pot storage pot, History.Trace storage trace, uint256 first, uint256 count)
        private
        view
        returns (History.Point[] memory tail)
    {
        if (first == count || trace.entered == 0) return tail;
        History.Point[] memory points = new History.Point[](count - first + 1);
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
            uint256 bonus = Math.min(Math.mulDiv(entered - old, s.bonus, s.spared), type(uint104).max - entered);
            if (points[last].from != s.period) points[++last] = History.Point({entered: 0, left: trace.left, from: s.period});
            points[last].entered = uint104(entered + bonus);
        }
        if (points[last].entered == trace.entered) return tail;
        tail = new History.Point[](last + 1);
        for (uint256 i = 0; i <= last; ++i) {
            tail[i] = points[i];
        }
    }

    /// @dev Shares of a position, what slashes spared included.
    function _sharesOf(Pot storage pot, address account) private view returns (uint128) {
        History.Trace storage trace = pot.positions[account];
        if (pot.slashCount == 0) return trace.value();
        History.Point[] memory tail = _tail(pot, trace, pot.noted[account], pot.slashCount);
        return tail.length == 0 ? trace.value() : tail[tail.length - 1].entered - trace.left;
    }

    function _setEntry(uint128 least, uint128 most, bool paused) private {
        (_minStake, _maxStake, entryPaused) = (uint40(least / STAKE_UNIT), uint40(most / STAKE_UNIT), paused);
        emit EntrySet(least, most, paused);
    }

    /// @dev The commission of the next snapshot: a rise counts one period after the one it was announced in.
    function _commission(Pot storage pot) private view returns (uint16) {
        return _period > pot.commissionRaisedIn ? pot.commission : pot.formerCommission;
    }

    /// @dev What shares are worth now, rounded down.
    function _toStake(Pot storage pot, uint256 shares) private view returns (uint256) {
        return Math.mulDiv(shares, uint256(pot.stake) + 1, pot.shares + VIRTUAL_SHARES);
    }

    /// @dev What stake buys now, rounded down.
    function _toShares(Pot storage pot, uint256 amount) private view returns (uint128) {
        return Math.mulDiv(amount, pot.shares + VIRTUAL_SHARES, uint256(pot.stake) + 1).toUint128();
    }

    /// @dev Takes tokens from the caller; a token that keeps a part of them is refused. The last step of every entry: all state is written
    /// before, so the guard has to keep only the two balances from meeting another entry's.
    function _pull(uint128 amount) private nonReentrant {
        if (entryPaused) revert Staking_EntryPaused();
        // At most the maximum stake was entered: it fits.
        _totalStake += uint104(amount);
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 moved = IERC20(token).balanceOf(address(this)) - before;
        if (moved != amount) revert Staking_UnexpectedTransfer(moved, amount);
    }
}
