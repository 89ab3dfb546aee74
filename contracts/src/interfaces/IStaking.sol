// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title IStaking
/// @notice Custody of all stake. A sequencer is created by bonding self-stake; anyone may delegate to it. Every way out passes the unbonding time.
/// @dev Self-stake and delegations are shares of one pot per sequencer. Share changes are dated by *period*: the id of the next snapshot to be
/// taken, which is the first snapshot that holds them. The contract knows no epoch and pays no fees. The zero account stands for a sequencer's
/// self-stake wherever an account is asked for.
/// Stake leaves a position oldest first. What an exit or a switch takes out stays slashable, for snapshots that held it, until it is paid.
/// Warning: amounts are exact until the first slash; after one, conversions round down by at most one token wei, in favour of the pot.
interface IStaking {
    /// @notice One sequencer's stake.
    struct Sequencer {
        /// @dev Cold account that holds the self-stake.
        address owner;
        /// @dev Commission of the next snapshot, in basis points of the sequencer's income.
        uint16 commission;
        /// @dev Commission that can never be exceeded, fixed when the sequencer was created.
        uint16 maxCommission;
        /// @dev Time of the last rise of the commission (0: none yet).
        uint48 commissionRaisedAt;
        /// @dev Bonded token wei: self-stake and delegations.
        uint128 stake;
        /// @dev Token wei of `stake` that belong to the owner.
        uint128 selfStake;
        /// @dev All shares of the pot (the virtual ones aside).
        uint128 shares;
        /// @dev Period of the last change of `shares`.
        uint64 sharesFrom;
    }

    /// @notice A stake on its way out.
    struct Exit {
        /// @dev Who is paid.
        address account;
        /// @dev The sequencer it was staked behind; it stays slashable for it until paid.
        uint64 sequencer;
        /// @dev Period in which the exit was requested: snapshots from this id on do not hold it.
        uint64 period;
        /// @dev Token wei that would be paid now: what slashes took is gone.
        uint128 amount;
        /// @dev Earliest time of payment (seconds).
        uint64 readyAt;
    }

    /// @notice An ERC-2612 permit of the caller for this contract, over exactly the amount of the call.
    struct Permit {
        /// @dev Last time at which it holds (seconds).
        uint256 deadline;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    /// @notice A span of periods in which a position held a constant number of shares.
    struct Segment {
        /// @dev First snapshot that holds these shares.
        uint64 from;
        /// @dev The shares.
        uint128 shares;
    }

    /// @notice A sequencer was created.
    event SequencerCreated(uint64 indexed id, address indexed owner, uint16 commission, uint16 maxCommission);
    /// @notice Self-stake was added.
    /// @param amount Token wei added.
    /// @param selfShares The owner's shares after it.
    /// @param stake All stake of the sequencer after it.
    /// @param shares All shares of the sequencer after it.
    /// @param period First snapshot that holds it.
    event Bonded(
        uint64 indexed id, address indexed owner, uint128 amount, uint128 selfShares, uint128 stake, uint128 shares, uint64 period
    );
    /// @notice A delegation was added.
    /// @param accountShares The delegator's shares after it.
    event Delegated(
        uint64 indexed id, address indexed account, uint128 amount, uint128 accountShares, uint128 stake, uint128 shares, uint64 period
    );
    /// @notice Stake began to unbond.
    /// @param selfStake Whether it was the owner's own stake.
    /// @param amount Token wei that will be paid.
    /// @param readyAt Earliest time of payment.
    /// @param accountShares The account's (or owner's) remaining shares.
    /// @param stake All stake of the sequencer after it.
    /// @param shares All shares of the sequencer after it.
    /// @param period First snapshot that no longer holds it.
    event ExitRequested(
        uint64 indexed exitId,
        uint64 indexed id,
        address indexed account,
        bool selfStake,
        uint128 amount,
        uint64 readyAt,
        uint128 accountShares,
        uint128 stake,
        uint128 shares,
        uint64 period
    );
    /// @notice An exit was paid.
    event ExitFinished(uint64 indexed exitId, uint64 indexed id, address indexed account, uint128 amount);
    /// @notice The commission changed; it counts from snapshot `period` on.
    event CommissionSet(uint64 indexed id, uint16 commission, uint64 period);
    /// @notice An owner named its successor, who has to accept (the zero account: nobody any more).
    event OwnerProposed(uint64 indexed id, address indexed owner, address indexed proposed);
    /// @notice A sequencer, its self-stake and its income (also what is not claimed yet) went to another account.
    event OwnerChanged(uint64 indexed id, address indexed previous, address indexed owner);
    /// @notice Stake was slashed. A slash takes from bonded stake when it lands, and from each exit it reaches when that is paid: one event each.
    /// @param snapshot The snapshot that held the stake; of an exit, the one of the sequencer's newest slash.
    /// @param amount Token wei taken from bonded stake.
    /// @param unbondingAmount Token wei taken from an exit.
    /// @param stake All stake of the sequencer after it.
    event Slashed(uint64 indexed id, uint64 indexed snapshot, uint128 amount, uint128 unbondingAmount, uint128 stake);
    /// @notice Stake that entered after the slashed snapshot kept its worth: its shares grew, each position's in proportion.
    /// @param spared Shares that had entered later.
    /// @param bonus Shares they were given together (counted as entered in `period`).
    /// @param shares All shares of the sequencer after it.
    event LaterStakeSpared(uint64 indexed id, uint64 indexed snapshot, uint128 spared, uint128 bonus, uint128 shares, uint64 period);
    /// @notice A delegation moved to another sequencer.
    /// @param readyAt Until then it can be slashed for `from` too, and cannot move again.
    /// @param period First snapshot that holds it in the new place.
    event Switched(uint64 indexed from, uint64 indexed to, address indexed account, uint128 amount, uint64 readyAt, uint64 period);
    /// @notice A delegation changed by a switch, or by a slash of the sequencer it came from.
    /// @param accountShares The delegator's shares after it.
    /// @param stake All stake of the sequencer after it.
    /// @param shares All shares of the sequencer after it.
    event PositionChanged(uint64 indexed id, address indexed account, uint128 accountShares, uint128 stake, uint128 shares, uint64 period);
    /// @notice Stake that came by a switch paid for a slash of the sequencer it came from.
    /// @param amount Token wei.
    event SwitchSlashed(uint64 indexed from, uint64 indexed to, address indexed account, uint128 amount);
    /// @notice The Slasher took slashed tokens out.
    /// @param totalSlashed Slashed token wei still here.
    event SlashedReleased(address indexed receiver, uint256 amount, uint256 totalSlashed);
    /// @notice The rules of entry changed (token wei).
    event EntrySet(uint128 minStake, uint128 maxStake, bool paused);
    /// @notice A snapshot was taken: later share changes belong to `period`.
    event Rolled(uint64 indexed period);

    /// @notice The caller is not the sequencer's owner.
    error Staking_NotOwner(uint64 id, address owner, address caller);
    /// @notice The caller is not the SequencerPool.
    error Staking_NotPool(address pool, address caller);
    /// @notice The caller is not the RevenueShare.
    error Staking_NotRevenue(address revenue, address caller);
    /// @notice The caller is not Parameters.
    error Staking_NotParameters(address parameters, address caller);
    /// @notice The guardian stopped entries.
    error Staking_EntryPaused();
    /// @notice The caller is not the Slasher.
    error Staking_NotSlasher(address slasher, address caller);
    /// @notice A slash of nothing, or of more than any offence costs (basis points).
    error Staking_SlashOutOfBounds(uint256 bps, uint256 maximum);
    /// @notice The snapshot has not been taken.
    error Staking_UnknownSnapshot(uint64 snapshot);
    /// @notice Stake of this snapshot may have been paid out: slashes ended at `end` (seconds).
    error Staking_SlashTooLate(uint256 end, uint256 nowAt);
    /// @notice A switch from a sequencer to itself.
    error Staking_SameSequencer(uint64 id);
    /// @notice The delegation to `id` holds stake that was switched there less than the unbonding time ago.
    error Staking_SwitchedRecently(uint64 id, uint64 readyAt, uint256 nowAt);
    /// @notice Stake that was switched to `id` owes more for slashes than the delegation holds: its exits from there pay it (token wei).
    error Staking_SwitchOwes(uint64 id, uint256 owed);
    /// @notice No sequencer has this id.
    error Staking_UnknownSequencer(uint64 id);
    /// @notice The self-stake would be below the minimum.
    error Staking_BelowMinimum(uint256 selfStake, uint256 minimum);
    /// @notice The sequencer's stake would exceed the cap.
    error Staking_AboveMaximum(uint256 stake, uint256 maximum);
    /// @notice The caller is not the account that was named as the next owner (zero: nobody was).
    error Staking_NotProposedOwner(uint64 id, address proposed, address caller);
    /// @notice The stake would buy fewer shares than the caller accepts.
    error Staking_TooFewShares(uint256 shares, uint256 minimum);
    /// @notice An amount of zero.
    error Staking_ZeroAmount();
    /// @notice More was asked for than the position holds.
    error Staking_InsufficientStake(uint256 asked, uint256 held);
    /// @notice The commission exceeds its maximum.
    error Staking_CommissionTooHigh(uint256 commission, uint256 maximum);
    /// @notice The commission rises by too much, or too soon after the last rise.
    error Staking_CommissionRisesTooFast(uint256 rise, uint256 maximumRise, uint256 nextRiseAt);
    /// @notice No unpaid exit has this id.
    error Staking_UnknownExit(uint64 exitId);
    /// @notice The stake entered in too many periods to leave at once: `possible` token wei may.
    error Staking_TooManyLots(uint256 lots, uint256 maximum, uint256 possible);
    /// @notice Slashed tokens cannot be sent there.
    error Staking_BadReceiver(address receiver);
    /// @notice The unbonding time has not passed.
    error Staking_ExitNotReady(uint64 readyAt, uint256 nowAt);
    /// @notice The token moved another amount than asked for.
    error Staking_UnexpectedTransfer(uint256 moved, uint256 asked);

    /// @notice Creates a sequencer owned by the caller and bonds its first self-stake. Needs an allowance of `amount`.
    /// @param amount Token wei, between the minimum and the maximum stake.
    /// @param commission Basis points of the income, at most `maxCommission`.
    /// @param maxCommission Basis points, at most 10,000, fixed for ever.
    /// @return id The new sequencer's id, counted from 1.
    function bond(uint128 amount, uint16 commission, uint16 maxCommission) external returns (uint64 id);

    /// @notice `bond` without an allowance: `permit` gives it in the same transaction.
    /// @dev In every `...WithPermit`: a permit that was used before, or does not verify, is passed over; then the allowance decides.
    function bondWithPermit(uint128 amount, uint16 commission, uint16 maxCommission, Permit calldata permit) external returns (uint64 id);

    /// @notice Adds self-stake to the caller's sequencer. The self-stake after it must reach the minimum.
    function topUp(uint64 id, uint128 amount) external;

    /// @notice `topUp` by permit.
    function topUpWithPermit(uint64 id, uint128 amount, Permit calldata permit) external;

    /// @notice Delegates to a sequencer whose self-stake is at least the minimum.
    /// @return shares Shares the delegation received.
    function delegate(uint64 id, uint128 amount) external returns (uint128 shares);

    /// @notice `delegate` that reverts if it buys fewer than `minShares` shares.
    function delegateAtLeast(uint64 id, uint128 amount, uint128 minShares) external returns (uint128 shares);

    /// @notice `delegateAtLeast` by permit.
    function delegateWithPermit(uint64 id, uint128 amount, uint128 minShares, Permit calldata permit) external returns (uint128 shares);

    /// @notice Delegates for `account`, which asked the RevenueShare to compound its income. Only the RevenueShare, which pays.
    function delegateFor(uint64 id, address account, uint128 amount, uint128 minShares) external returns (uint128 shares);

    /// @notice Starts the exit of the caller's delegation, or a part of it.
    /// @return exitId Counted from 1 over all exits.
    function requestExit(uint64 id, uint128 amount) external returns (uint64 exitId);

    /// @notice Starts the exit of the owner's self-stake, or a part of it. Below the minimum the sequencer leaves the set at the next snapshot.
    function requestSelfExit(uint64 id, uint128 amount) external returns (uint64 exitId);

    /// @notice Pays an exit whose time has come to its account. Callable by anyone.
    function finishExit(uint64 exitId) external returns (uint128 amount);

    /// @notice Moves the caller's delegation, or a part of it, to another sequencer without unbonding. It earns there from the next snapshot on.
    /// Until the unbonding time has passed a slash of the old sequencer reaches it too, and neither delegation can be switched again: not what
    /// the caller has behind `to`, and nothing more to `to`. Other ways out stay open.
    /// @param minShares Least shares to receive.
    /// @return shares Shares received.
    function switchSequencer(uint64 from, uint64 to, uint128 amount, uint128 minShares) external returns (uint128 shares);

    /// @notice Makes the delegation of `account` to `id` pay for slashes of the sequencer it was switched from. Callable by anyone; every exit
    /// does it before it is paid.
    function settleSwitch(uint64 id, address account) external;

    /// @notice Slashes what was bonded in `snapshot`: bonded stake now, exits and switched stake when they move on. Later stake keeps its worth.
    /// Only the Slasher, which punishes every offence once; within the unbonding time after the snapshot was taken.
    /// Where later stake is to be spared and what is reached is less than a hundredth of the bonded stake, only exits and switched stake pay.
    /// @dev Costs the same for any number of delegators, and 2,100 gas for each period since the snapshot.
    /// @param bps Share of it to take, in basis points, rounded up.
    /// @return amount Token wei taken from bonded stake.
    function slash(uint64 id, uint64 snapshot, uint16 bps) external returns (uint128 amount);

    /// @notice Gives a position what the next slashes since its last change spared of it, `most` of them at a time. Callable by anyone; every
    /// change of a position does it for all, which many slashes could make too dear for one transaction.
    /// @param account Whose position; the zero account for the self-stake.
    /// @return left How many slashes are to be noted still.
    function noteSlashes(uint64 id, address account, uint256 most) external returns (uint256 left);

    /// @notice Takes slashed tokens out, to reward a reporter or to burn. Only the Slasher.
    /// @param receiver Not this contract.
    /// @param amount Token wei, at most `totalSlashed()`.
    function releaseSlashed(address receiver, uint256 amount) external;

    /// @notice Sets the commission: down at will, from the next snapshot on; up by at most 5 points in 7 days, never above the
    /// registered maximum, and from the snapshot after the next one on, so that everybody can leave before it counts.
    function setCommission(uint64 id, uint16 commission) external;

    /// @notice Names the account that may accept the caller's sequencer; a new name replaces the last, the zero account cancels.
    /// Warning: with the sequencer goes all income of the owner that is not claimed yet. Exits that were requested before stay the caller's.
    function proposeOwner(uint64 id, address proposed) external;

    /// @notice Takes over a sequencer. Only the account its owner named. Keys, seat, stake, commission and exits under way stay as they are.
    function acceptOwner(uint64 id) external;

    /// @notice Sets the rules of entry. Only Parameters, which checks their bounds.
    /// @param least Least self-stake (token wei, a multiple of 1e15).
    /// @param most Most stake of one sequencer (likewise). Stake above it stays.
    /// @param paused Whether no new stake is taken.
    function setEntry(uint128 least, uint128 most, bool paused) external;

    /// @notice Dates all later changes by the next period. Only the SequencerPool, which just took snapshot `period() - 1` after the call.
    /// @return snapshot The period that ends: the id of the snapshot being taken.
    function roll() external returns (uint64 snapshot);

    /// @notice A sequencer's stake now.
    function sequencer(uint64 id) external view returns (Sequencer memory);
    /// @notice Owner of a sequencer (zero if there is none).
    function ownerOf(uint64 id) external view returns (address);
    /// @notice The account that may accept the sequencer (zero if none).
    function proposedOwnerOf(uint64 id) external view returns (address);
    /// @notice Earliest time (seconds) at which an exit requested now is paid.
    function previewExit() external view returns (uint64 readyAt);
    /// @notice Number of sequencers ever created: ids run from 1 to this.
    function sequencerCount() external view returns (uint64);
    /// @notice Token wei that `account` has bonded behind `id` (the zero account: the owner's self-stake).
    function stakeOf(uint64 id, address account) external view returns (uint128);
    /// @notice Shares of `account` in `id` now.
    function sharesOf(uint64 id, address account) external view returns (uint128);
    /// @notice The position's history, what slashes spared included, oldest first: at most `limit` segments from number `start` on.
    function segments(uint64 id, address account, uint256 start, uint256 limit) external view returns (Segment[] memory);
    /// @notice An exit; all zero once paid.
    function exits(uint64 exitId) external view returns (Exit memory);
    /// @notice Number of exits ever requested.
    function exitCount() external view returns (uint64);
    /// @notice How often the sequencer was slashed.
    function slashCount(uint64 id) external view returns (uint256);
    /// @notice The last switch of `account` to `id`, while it matters (else all zero).
    /// @return from The sequencer it came from.
    /// @return amount Token wei that slashes of `from` can still reach.
    /// @return readyAt Until when they can (seconds).
    /// @return owed Token wei owed for such slashes and not paid yet.
    function arrivals(uint64 id, address account) external view returns (uint64 from, uint128 amount, uint64 readyAt, uint128 owed);
    /// @notice Slashed token wei that the Slasher has not taken out.
    function totalSlashed() external view returns (uint256);
    /// @notice The id of the next snapshot to be taken.
    function period() external view returns (uint64);
    /// @notice All bonded token wei.
    function totalStake() external view returns (uint256);
    /// @notice All token wei on the way out, before what slashes will take of it.
    function totalUnbonding() external view returns (uint256);
    /// @notice Least self-stake of a sequencer that enters or takes delegations (token wei).
    function minStake() external view returns (uint128);
    /// @notice Most stake of one sequencer (token wei).
    function maxStake() external view returns (uint128);
    /// @notice Whether new stake is refused for now. Exits, switches, claims and slashes go on.
    function entryPaused() external view returns (bool);
    /// @notice The stake token.
    function token() external view returns (address);
}
