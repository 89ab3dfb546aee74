// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title IRevenueShare
/// @notice Splits each epoch's fees: posters' debts first, then treasury, producers, attesters; inside a sequencer commission and shares.
/// @dev Everything is pulled. For all time, to the wei: received = debts paid + treasury + sum of sequencers' income + carry.
interface IRevenueShare {
    /// @notice The books.
    struct Totals {
        /// @dev Fees received, over all time.
        uint128 received;
        /// @dev Posters' debts incurred, over all time.
        uint128 debts;
        /// @dev Of these, covered by fees so far (first in, first out).
        uint128 debtsPaid;
        /// @dev Credited to the treasury, over all time.
        uint128 treasury;
        /// @dev Credited to sequencers (owners and shares), over all time.
        uint128 income;
        /// @dev Not yet credited to anyone: rounding dust and the part of absent attesters; joins the next epoch.
        uint128 carry;
        /// @dev Paid out, over all time: received less the balance, so ether forced into the contract lowers it.
        uint128 claimed;
    }

    /// @notice An income account of a sequencer.
    struct Account {
        /// @dev Wei per share, times 2^96, over all time.
        uint112 index;
        /// @dev Commission not yet claimed (wei).
        uint112 commission;
        /// @dev Snapshot of the last epoch credited, plus 1 (0: never).
        uint32 credited;
        /// @dev Token wei per share, times 2^96, over all time.
        uint112 tokenIndex;
        /// @dev Commission in tokens not yet claimed (token wei).
        uint112 tokenCommission;
    }

    /// @notice The emission stream, in token wei: funded = left + carry + income, over all time.
    struct Emissions {
        /// @dev Paid in, over all time.
        uint128 funded;
        /// @dev Not released yet.
        uint128 left;
        /// @dev Released, but not credited to anyone: joins the next epoch.
        uint128 carry;
        /// @dev Credited to sequencers, over all time.
        uint128 income;
        /// @dev Paid out or compounded, over all time: funded less the balance, so tokens sent to the contract lower it.
        uint128 claimed;
        /// @dev Released up to this time (seconds).
        uint64 releasedAt;
    }

    /// @notice What is open of a debt: wei `start` to `end` of the line on which all debts lie end to end, in the order they were incurred. Fees
    /// cover it from its beginning on (`Totals.debtsPaid`).
    struct OpenDebt {
        uint64 id;
        uint128 start;
        uint128 end;
    }

    /// @notice Debt of the chain to a poster: all of it is open, from `totalDebts - amount` to `totalDebts`.
    event DebtAdded(uint64 indexed debtId, uint64 indexed batch, address indexed poster, uint256 amount, uint256 totalDebts);
    /// @notice An epoch was closed.
    /// @param fees Received for it.
    /// @param debtsPaid All debts covered so far, after it.
    /// @param treasury Credited to the treasury.
    /// @param producers Credited to producers, commission included, and to who posted in their place.
    /// @param attesters Credited to attesters, commission included.
    /// @param carry Carried into the next epoch.
    event EpochClosed(
        uint64 indexed epoch,
        uint64 indexed snapshot,
        uint256 fees,
        uint256 debtsPaid,
        uint256 treasury,
        uint256 producers,
        uint256 attesters,
        uint256 carry
    );
    /// @notice Incomes of an epoch, in snapshot order.
    /// @param sequencers Sequencer ids.
    /// @param producer Wei for blocks led, less what missed duties forfeited.
    /// @param attester Wei for batches signed.
    /// @param commission Of both, wei for the owner.
    /// @param index Wei per share times 2^96 after it, over all time.
    event Credited(
        uint64 indexed epoch, uint64[] sequencers, uint256[] producer, uint256[] attester, uint256[] commission, uint256[] index
    );
    /// @notice Income of a delegation, or of an owner's self-stake and commission, was paid.
    /// @param account The delegator, or the owner if `owner`.
    event Claimed(uint64 indexed sequencer, address indexed account, address receiver, bool owner, uint256 amount);
    /// @notice Someone paid into the emission stream.
    event EmissionsFunded(address indexed from, uint256 amount, uint256 left);
    /// @notice Token incomes of an epoch, in snapshot order; only where there are any.
    /// @param attester Token wei, commission included.
    /// @param commission Of these, token wei for the owner.
    /// @param index Token wei per share times 2^96 after it, over all time.
    /// @param left Not released yet.
    /// @param carry Carried into the next epoch.
    event TokensCredited(
        uint64 indexed epoch, uint64[] sequencers, uint256[] attester, uint256[] commission, uint256[] index, uint256 left, uint256 carry
    );
    /// @notice Token income was paid; in the same transaction as its `Claimed`.
    /// @param receiver Where to: Staking, if it was compounded.
    event TokensClaimed(uint64 indexed sequencer, address indexed account, address receiver, bool owner, uint256 amount);
    /// @notice A poster's debts were paid.
    event DebtClaimed(uint64 indexed debtId, address indexed poster, uint256 amount, bool full);
    /// @notice A producer let its posting duty pass: its income for that one batch went to who posted instead.
    event DutyForfeited(uint64 indexed epoch, uint64 indexed sequencer, address indexed poster, uint256 amount);
    /// @notice Income from others' missed duties was paid.
    event ForfeitsClaimed(address indexed poster, address receiver, uint256 amount);
    /// @notice The treasury was paid.
    event TreasuryClaimed(address indexed treasury, uint256 amount);

    /// @notice The caller is not the BatchInbox.
    error RevenueShare_NotInbox(address inbox, address caller);
    /// @notice The caller is not the Portal.
    error RevenueShare_NotPortal(address portal, address caller);
    /// @notice The caller does not own the sequencer.
    error RevenueShare_NotOwner(uint64 id, address owner, address caller);
    /// @notice The fees differ from the ether received for the epoch.
    error RevenueShare_WrongFees(uint256 expected, uint256 received);
    /// @notice The performance bytes have the wrong length or name more blocks than the epoch has.
    error RevenueShare_WrongPerformance(uint256 actual, uint256 expected);
    /// @notice The debts named are not the caller's newest open ones.
    error RevenueShare_WrongDebts(bytes32 actual, bytes32 expected);
    /// @notice The token moved another amount than asked for.
    error RevenueShare_UnexpectedTransfer(uint256 moved, uint256 asked);
    /// @notice The receiver refused the ether.
    error RevenueShare_PaymentFailed(address receiver, uint256 amount);

    /// @notice Takes an epoch's fees. Only the Portal.
    function receiveFees() external payable;
    /// @notice Notes a debt to the poster of a batch. Only the BatchInbox.
    function addDebt(uint64 batch, address poster, uint256 amount) external;
    /// @notice Notes that `poster` posted a batch that was the duty of sequencer `id`: at the epoch's close that producer's income, divided by the
    /// epoch's batches, is the poster's. Only the BatchInbox; at most 64 an epoch count.
    function addMiss(uint64 id, address poster) external;
    /// @notice Splits the fees received for an epoch. Only the BatchInbox, once per epoch, in order.
    /// @param performance Per member: uint32 blocks led, uint32 terms missed, big-endian.
    /// @param batches Batches of the epoch.
    /// @param signed How many of them each member signed.
    function close(uint64 epoch, uint64 snapshot, uint256 fees, bytes calldata performance, uint64 batches, uint64[] calldata signed)
        external;

    /// @notice Pays tokens into the emission stream, for ever. Needs an allowance.
    function fundEmissions(uint128 amount) external;

    /// @notice Pays the income of the caller's delegation, ether and tokens, to `receiver`.
    /// @return amount Wei; `TokensClaimed` tells the tokens.
    function claim(uint64 id, address receiver) external returns (uint256 amount);
    /// @notice `claim` for several delegations at once.
    function claimAll(uint64[] calldata ids, address receiver) external returns (uint256 amount);
    /// @notice Delegates the token income of the caller's delegation to the same sequencer, and pays the ether to the caller.
    /// @return tokens Token wei delegated.
    /// @return shares Shares they bought.
    function compound(uint64 id, uint128 minShares) external returns (uint256 tokens, uint128 shares);
    /// @notice Pays commission and the self-stake's income, ether and tokens, to `receiver`. Only the owner.
    function claimOwner(uint64 id, address receiver) external returns (uint256 amount);
    /// @notice Pays what is covered of the caller's debts of one side. L1 keeps one hash of all open debts of a poster on a side: `base` is that of
    /// the older ones, which wait; `debts` are all newer ones, the oldest first. What fees have not covered yet stays, less what was paid of it.
    /// The hash of none is 0 until a claim left none open, and 1 from then on. `DebtAdded`, `DebtClaimed` and `EpochClosed` tell all of it.
    /// @param side Debts incurred after an even number of `EpochClosed` are on side 0, others on side 1: the side of epochs that are closed does not
    /// grow while a claim is on its way.
    function claimDebts(uint8 side, bytes32 base, OpenDebt[] calldata debts) external returns (uint256 amount);
    /// @notice Pays to `receiver` what others' missed duties brought the caller.
    function claimForfeits(address receiver) external returns (uint256 amount);
    /// @notice Pays the treasury. Callable by anyone.
    function claimTreasury() external returns (uint256 amount);

    /// @notice What `claim` would pay to `account` (in the first `limit` segments of its history).
    function claimable(uint64 id, address account) external view returns (uint256);
    /// @notice What `claimOwner` would pay.
    function claimableOwner(uint64 id) external view returns (uint256);
    /// @notice What `claim` would pay to `account` in tokens (the zero account: to the owner, commission included).
    function claimableTokens(uint64 id, address account) external view returns (uint256);
    /// @notice The emission stream.
    function emissions() external view returns (Emissions memory);
    /// @notice The hash of a poster's open debts on a side: keccak256(abi.encode(that of the older ones, the newest one)).
    function debtsOf(address poster, uint8 side) external view returns (bytes32);
    /// @notice What `claimForfeits` would pay to `poster`.
    function forfeitsOf(address poster) external view returns (uint256);
    /// @notice Number of debts ever incurred: ids run from 1 to this.
    function debtCount() external view returns (uint64);
    /// @notice A sequencer's income account.
    function account(uint64 id) external view returns (Account memory);
    /// @notice The books.
    function totals() external view returns (Totals memory);
}
