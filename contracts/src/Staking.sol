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

    /// @inheritdoc IStaking
    address public immutable token;
    /// @notice The SequencerPool, which dates share changes.
    address public immutable pool;
    /// @notice Least self-stake (token wei).
    uint128 public immutable minStake;
    /// @notice Most stake of one sequencer (token wei).
    uint128 public immutable maxStake;
    /// @notice Time every stake waits on its way out (seconds).
    uint64 public immutable unbonding;

    // -- Storage

    /// @dev One sequencer. Slots: owner and commission | stake | self history | total history | delegators.
    struct Pot {
        address owner;
        uint16 commission;
        uint16 maxCommission;
        uint48 commissionRaisedAt;
        uint128 stake;
        History.Trace total;
        mapping(address account => History.Trace) positions;
    }

    /// @inheritdoc IStaking
    uint64 public period;
    /// @inheritdoc IStaking
    uint64 public sequencerCount;
    /// @inheritdoc IStaking
    uint64 public exitCount;
    uint128 private _totalStake;
    uint128 private _totalUnbonding;
    mapping(uint64 id => Pot) private _pots;
    mapping(uint64 exitId => Exit) private _exits;
    mapping(uint64 id => address) private _proposed;

    /// @param parameters The chain's parameters.
    /// @param stakeToken An ERC-20 that moves exactly what it is asked to.
    /// @param sequencerPool The pool (its address may be known before its code).
    constructor(IParameters parameters, address stakeToken, address sequencerPool) {
        IParameters.Values memory v = parameters.values();
        (minStake, maxStake, unbonding) = (v.stakes.minStake, v.stakes.maxStake, v.stakes.unbonding);
        (token, pool) = (stakeToken, sequencerPool);
    }

    // -- Entry

    /// @inheritdoc IStaking
    function bond(uint128 amount, uint16 commission, uint16 maxCommission) external nonReentrant returns (uint64 id) {
        return _create(amount, commission, maxCommission);
    }

    /// @inheritdoc IStaking
    function bondWithPermit(uint128 amount, uint16 commission, uint16 maxCommission, Permit calldata permit)
        external
        nonReentrant
        returns (uint64 id)
    {
        _permit(amount, permit);
        return _create(amount, commission, maxCommission);
    }

    /// @inheritdoc IStaking
    function topUp(uint64 id, uint128 amount) external nonReentrant {
        _bond(_owned(id), id, amount);
    }

    /// @inheritdoc IStaking
    function topUpWithPermit(uint64 id, uint128 amount, Permit calldata permit) external nonReentrant {
        _permit(amount, permit);
        _bond(_owned(id), id, amount);
    }

    /// @inheritdoc IStaking
    function delegate(uint64 id, uint128 amount) external nonReentrant returns (uint128 shares) {
        return _delegate(id, amount, 0);
    }

    /// @inheritdoc IStaking
    function delegateAtLeast(uint64 id, uint128 amount, uint128 minShares) external nonReentrant returns (uint128 shares) {
        return _delegate(id, amount, minShares);
    }

    /// @inheritdoc IStaking
    function delegateWithPermit(uint64 id, uint128 amount, uint128 minShares, Permit calldata permit)
        external
        nonReentrant
        returns (uint128 shares)
    {
        _permit(amount, permit);
        return _delegate(id, amount, minShares);
    }

    // -- Exit

    /// @inheritdoc IStaking
    function requestExit(uint64 id, uint128 amount) external returns (uint64 exitId) {
        return _exit(_known(id), id, msg.sender, msg.sender, amount);
    }

    /// @inheritdoc IStaking
    function requestSelfExit(uint64 id, uint128 amount) external returns (uint64 exitId) {
        return _exit(_owned(id), id, SELF, msg.sender, amount);
    }

    /// @inheritdoc IStaking
    function finishExit(uint64 exitId) external nonReentrant returns (uint128 amount) {
        Exit memory out = _exits[exitId];
        if (out.account == address(0)) revert Staking_UnknownExit(exitId);
        if (block.timestamp < out.readyAt) revert Staking_ExitNotReady(out.readyAt, block.timestamp);
        delete _exits[exitId];
        amount = out.amount;
        _totalUnbonding -= amount;
        emit ExitFinished(exitId, out.sequencer, out.account, amount);
        IERC20(token).safeTransfer(out.account, amount);
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
        if (commission > pot.commission) {
            uint256 rise = commission - pot.commission;
            uint256 allowedAt = pot.commissionRaisedAt == 0 ? 0 : pot.commissionRaisedAt + COMMISSION_RISE_INTERVAL;
            if (rise > MAX_COMMISSION_RISE || block.timestamp < allowedAt) {
                revert Staking_CommissionRisesTooFast(rise, MAX_COMMISSION_RISE, allowedAt);
            }
            pot.commissionRaisedAt = uint48(block.timestamp);
        }
        pot.commission = commission;
        emit CommissionSet(id, commission, period);
    }

    /// @inheritdoc IStaking
    function roll() external returns (uint64 snapshot) {
        if (msg.sender != pool) revert Staking_NotPool(pool, msg.sender);
        snapshot = period;
        period = snapshot + 1;
        emit Rolled(snapshot + 1);
    }

    // -- Views

    /// @inheritdoc IStaking
    function sequencer(uint64 id) public view returns (Sequencer memory) {
        Pot storage pot = _pots[id];
        return Sequencer({
            owner: pot.owner,
            commission: pot.commission,
            maxCommission: pot.maxCommission,
            commissionRaisedAt: pot.commissionRaisedAt,
            stake: pot.stake,
            selfStake: _toStake(pot, pot.positions[SELF].value).toUint128(),
            shares: pot.total.value,
            sharesFrom: pot.total.from
        });
    }

    /// @inheritdoc IStaking
    function sequencers(uint64 startId, uint256 limit) external view returns (Sequencer[] memory list) {
        uint64 first = startId == 0 ? 1 : startId;
        uint256 rest = first > sequencerCount ? 0 : sequencerCount - first + 1;
        list = new Sequencer[](Math.min(rest, limit));
        for (uint64 i = 0; i < list.length; ++i) {
            list[i] = sequencer(first + i);
        }
    }

    /// @inheritdoc IStaking
    function proposedOwnerOf(uint64 id) external view returns (address) {
        return _proposed[id];
    }

    /// @inheritdoc IStaking
    function room(uint64 id) external view returns (uint128) {
        uint256 stake = _known(id).stake;
        return stake < maxStake ? (maxStake - stake).toUint128() : 0;
    }

    /// @inheritdoc IStaking
    function previewEntry(uint64 id, uint128 amount) external view returns (uint128 shares) {
        return _toShares(_known(id), amount);
    }

    /// @inheritdoc IStaking
    function previewStake(uint64 id, uint128 shares) external view returns (uint128) {
        return _toStake(_known(id), shares).toUint128();
    }

    /// @inheritdoc IStaking
    function previewExit() external view returns (uint64 readyAt) {
        return uint64(block.timestamp) + unbonding;
    }

    /// @inheritdoc IStaking
    function exitsOf(address account, uint64 startId, uint64 limit)
        external
        view
        returns (uint64[] memory exitIds, Exit[] memory list, uint64 nextId)
    {
        uint64 first = startId == 0 ? 1 : startId;
        nextId = Math.min(uint256(exitCount) + 1, uint256(first) + limit).toUint64();
        uint256 length;
        for (uint64 i = first; i < nextId; ++i) {
            if (_exits[i].account == account) ++length;
        }
        (exitIds, list) = (new uint64[](length), new Exit[](length));
        for (uint64 i = nextId; length > 0;) {
            if (_exits[--i].account == account) (exitIds[--length], list[length]) = (i, exits(i));
        }
    }

    /// @inheritdoc IStaking
    function ownerOf(uint64 id) external view returns (address) {
        return _pots[id].owner;
    }

    /// @inheritdoc IStaking
    function stakeOf(uint64 id, address account) external view returns (uint128) {
        Pot storage pot = _pots[id];
        return _toStake(pot, pot.positions[account].value).toUint128();
    }

    /// @inheritdoc IStaking
    function sharesOf(uint64 id, address account) external view returns (uint128) {
        return _pots[id].positions[account].value;
    }

    /// @inheritdoc IStaking
    function sharesAt(uint64 id, address account, uint64 snapshot) external view returns (uint128) {
        return _pots[id].positions[account].valueAt(snapshot);
    }

    /// @inheritdoc IStaking
    function segments(uint64 id, address account, uint256 start, uint256 limit) external view returns (Segment[] memory) {
        return _pots[id].positions[account].segments(start, limit);
    }

    /// @inheritdoc IStaking
    function exits(uint64 exitId) public view returns (Exit memory) {
        return _exits[exitId];
    }

    /// @inheritdoc IStaking
    function totalStake() external view returns (uint256) {
        return _totalStake;
    }

    /// @inheritdoc IStaking
    function totalUnbonding() external view returns (uint256) {
        return _totalUnbonding;
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
        id = ++sequencerCount;
        Pot storage pot = _pots[id];
        (pot.owner, pot.commission, pot.maxCommission) = (msg.sender, commission, maxCommission);
        emit SequencerCreated(id, msg.sender, commission, maxCommission);
        _bond(pot, id, amount);
    }

    function _bond(Pot storage pot, uint64 id, uint128 amount) private {
        _enter(pot, SELF, amount);
        uint128 selfShares = pot.positions[SELF].value;
        uint256 selfStake = _toStake(pot, selfShares);
        if (selfStake < minStake) revert Staking_BelowMinimum(selfStake, minStake);
        emit Bonded(id, msg.sender, amount, selfShares, pot.stake, pot.total.value, period);
        _pull(amount);
    }

    function _delegate(uint64 id, uint128 amount, uint128 minShares) private returns (uint128 shares) {
        Pot storage pot = _known(id);
        uint256 selfStake = _toStake(pot, pot.positions[SELF].value);
        if (selfStake < minStake) revert Staking_BelowMinimum(selfStake, minStake);
        shares = _enter(pot, msg.sender, amount);
        if (shares < minShares) revert Staking_TooFewShares(shares, minShares);
        emit Delegated(id, msg.sender, amount, pot.positions[msg.sender].value, pot.stake, pot.total.value, period);
        _pull(amount);
    }

    /// @dev Uses the caller's permit. One that was used already, by anyone, does no harm: the transfer finds the allowance, or fails.
    function _permit(uint128 amount, Permit calldata p) private {
        try IERC20Permit(token).permit(msg.sender, address(this), amount, p.deadline, p.v, p.r, p.s) {} catch {}
    }

    /// @dev Adds stake to a position at the price before it, rounding shares down.
    function _enter(Pot storage pot, address account, uint128 amount) private returns (uint128 shares) {
        if (amount == 0) revert Staking_ZeroAmount();
        uint256 stake = uint256(pot.stake) + amount;
        if (stake > maxStake) revert Staking_AboveMaximum(stake, maxStake);
        shares = _toShares(pot, amount);
        if (shares == 0) revert Staking_ZeroAmount();
        uint64 from = period;
        pot.stake = stake.toUint128();
        _totalStake += amount;
        pot.total.set(pot.total.value + shares, from);
        History.Trace storage position = pot.positions[account];
        position.set(position.value + shares, from);
    }

    /// @dev Takes stake out of a position, rounding shares up, and puts it on its way out.
    function _exit(Pot storage pot, uint64 id, address position, address account, uint128 amount) private returns (uint64 exitId) {
        if (amount == 0) revert Staking_ZeroAmount();
        History.Trace storage trace = pot.positions[position];
        uint256 held = _toStake(pot, trace.value);
        if (amount > held) revert Staking_InsufficientStake(amount, held);
        // The whole position leaves no dust of shares behind.
        uint128 shares = amount == held
            ? trace.value
            : Math.mulDiv(amount, pot.total.value + VIRTUAL_SHARES, uint256(pot.stake) + 1, Math.Rounding.Ceil).toUint128();
        uint64 from = period;
        trace.set(trace.value - shares, from);
        pot.total.set(pot.total.value - shares, from);
        pot.stake -= amount;
        _totalStake -= amount;
        _totalUnbonding += amount;
        exitId = ++exitCount;
        Exit memory out =
            Exit({account: account, sequencer: id, period: from, amount: amount, readyAt: uint64(block.timestamp) + unbonding});
        _exits[exitId] = out;
        _tellExit(pot, position, exitId, out);
    }

    function _tellExit(Pot storage pot, address position, uint64 exitId, Exit memory out) private {
        emit ExitRequested(
            exitId,
            out.sequencer,
            out.account,
            position == SELF,
            out.amount,
            out.readyAt,
            pot.positions[position].value,
            pot.stake,
            pot.total.value,
            out.period
        );
    }

    /// @dev What shares are worth now, rounded down.
    function _toStake(Pot storage pot, uint128 shares) private view returns (uint256) {
        return Math.mulDiv(shares, uint256(pot.stake) + 1, pot.total.value + VIRTUAL_SHARES);
    }

    /// @dev What stake buys now, rounded down.
    function _toShares(Pot storage pot, uint256 amount) private view returns (uint128) {
        return Math.mulDiv(amount, pot.total.value + VIRTUAL_SHARES, uint256(pot.stake) + 1).toUint128();
    }

    /// @dev Takes tokens from the caller; a token that keeps a part of them is refused.
    function _pull(uint128 amount) private {
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 moved = IERC20(token).balanceOf(address(this)) - before;
        if (moved != amount) revert Staking_UnexpectedTransfer(moved, amount);
    }
}
