// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title IPortal
/// @notice The bridge: deposits and forced transactions to L2, withdrawals from it; custody of L2's ether.
/// @dev Deposits cannot be skipped: L2 blocks execute them in L1 order, at most `maxOriginLag` late, enforced by the BatchInbox.
/// Warning: withdrawals trust two thirds of the snapshot's stake; there is no validity or fraud proof yet.
interface IPortal {
    /// @notice A message from L2 (ARCHITECTURE.md, "Withdrawals").
    struct Withdrawal {
        /// @dev Position in the L2 message tree.
        uint256 nonce;
        /// @dev Sender on L2.
        address sender;
        /// @dev Receiver on L1.
        address target;
        /// @dev Wei.
        uint256 value;
        /// @dev Gas the call gets at least.
        uint256 gas;
        bytes data;
    }

    /// @notice The fate of a withdrawal.
    enum WithdrawalStatus {
        None,
        /// @dev Proven, but the call failed: may be retried for ever.
        Failed,
        Done
    }

    /// @notice A deposit was queued for L2.
    /// @param index Counted from 0 over all time.
    /// @param from Sender on L2: aliased if a contract sent it.
    /// @param mint Wei added to `from` on L2.
    /// @param value Wei sent to `to` on L2.
    /// @param gas Gas of the L2 transaction.
    /// @param fee Wei paid for it, beside `mint`; part of the proceeds.
    /// @param creation Whether it creates a contract (`to` is zero then).
    event Deposited(
        uint64 indexed index,
        address indexed from,
        address indexed to,
        uint256 mint,
        uint256 value,
        uint64 gas,
        uint256 fee,
        bool creation,
        bytes data
    );
    /// @notice A message root became known; withdrawals against it open at L1 block `openBlock`.
    event RootSet(uint64 indexed rootId, uint64 indexed batch, bytes32 root, uint64 openBlock);
    /// @notice A withdrawal was proven and called.
    event Withdrawn(bytes32 indexed id, address indexed sender, address indexed target, uint256 nonce, uint256 value, bool success);
    /// @notice An epoch's fees went to the RevenueShare.
    event FeesPaid(uint256 fees);
    /// @notice All that deposits had paid for gas until then went to the RevenueShare.
    event ProceedsPaid(uint256 amount);
    /// @notice Ether was received to back the genesis allocation.
    event Funded(uint256 value);

    /// @notice The caller is not the BatchInbox.
    error Portal_NotInbox(address inbox, address caller);
    /// @notice The gas of a deposit is below what its data needs, or above what one L2 block offers to deposits.
    error Portal_GasOutOfBounds(uint64 gas, uint64 low, uint64 high);
    /// @notice The deposits of this L1 block use up the gas; try in the next block.
    error Portal_BlockFull(uint64 used, uint64 asked, uint64 cap);
    /// @notice The gas costs more wei in this block than the depositor would pay; it gets cheaper by an eighth a block while few deposit.
    error Portal_FeeAboveMaximum(uint256 fee, uint256 maximum);
    /// @notice The wei sent along do not pay for the gas; send at least `fee`, and what is to arrive on top.
    error Portal_FeeNotSent(uint256 fee, uint256 sent);
    /// @notice The data exceeds the limit.
    error Portal_DataTooLong(uint256 length, uint256 limit);
    /// @notice A creation must name no receiver.
    error Portal_CreationWithReceiver(address to);
    /// @notice There is no such root, or it is not open yet.
    error Portal_RootNotOpen(uint64 rootId, uint64 openBlock, uint256 currentBlock);
    /// @notice The proof does not lead to the root.
    error Portal_BadProof(bytes32 expected, bytes32 actual);
    /// @notice The withdrawal has been paid, or cannot be retried.
    error Portal_WrongStatus(bytes32 id, WithdrawalStatus status);
    /// @notice The target is one of Baton's own contracts.
    error Portal_ForbiddenTarget(address target);
    /// @notice The transaction has too little gas to pass on what the withdrawal asks for.
    error Portal_InsufficientGas(uint256 needed, uint256 available);
    /// @notice A withdrawal's target called back into a withdrawal.
    error Portal_Reentered();
    /// @notice No deposit has this index.
    error Portal_UnknownDeposit(uint64 index);

    /// @notice Sends a transaction to L2, minting the ether sent along to the sender there, less what its gas costs (`depositFee`). Works while
    /// every sequencer censors. Gas has one price in an L1 block; it rises by at most an eighth a block while deposits use more than half of
    /// what is offered (`GasPrice`). To have `value` arrive whatever the price is by then, send `value + maxFee`: what the fee does not take
    /// is minted too.
    /// @param to Receiver on L2 (zero if `creation`).
    /// @param value Wei for `to`; more than the sender owns on L2 makes the transaction fail there, the mint stays.
    /// @param gas Gas of the L2 transaction, at least 21,000 plus 40 a byte of data (32,000 more for a creation), at most half the L2 gas limit.
    /// @param creation Whether to create a contract with `data` as init code.
    /// @param maxFee Most wei to pay for the gas; of the wei sent along at least the rest is minted.
    /// @return index The deposit's number.
    function deposit(address to, uint256 value, uint64 gas, bool creation, bytes calldata data, uint256 maxFee)
        external
        payable
        returns (uint64 index);

    /// @notice Deposits the ether sent along, less the fee, to the same (or aliased) account on L2. Refused if the fee is more than a hundredth.
    receive() external payable;

    /// @notice Proves a withdrawal against an open root and calls its target. A failed call leaves it retryable.
    /// @param rootId Number of a root; every later root proves the withdrawal too.
    /// @param proof The 32 siblings from the leaf up.
    function withdraw(Withdrawal calldata withdrawal, uint64 rootId, bytes32[32] calldata proof) external returns (bool success);

    /// @notice Calls the target of a proven withdrawal once more.
    function retry(Withdrawal calldata withdrawal) external returns (bool success);

    /// @notice Sends what deposits have paid for gas to the RevenueShare, which shares it with the next epoch that closes. Every close with fees
    /// does so too. Anyone.
    /// @return amount Wei sent; none, if there is nothing.
    function payProceeds() external returns (uint256 amount);

    /// @notice Notes the message root of an accepted batch, if it changed. Only the BatchInbox.
    function setRoot(uint64 batch, bytes32 root) external;
    /// @notice Sends exactly `fees`, and the proceeds of deposits' gas, to the RevenueShare. Only the BatchInbox.
    function payFees(uint256 fees) external;
    /// @notice Takes the ether that backs the genesis allocation. Only the BatchInbox.
    function fund() external payable;

    /// @notice Deposits queued so far.
    function depositCount() external view returns (uint64);
    /// @notice L1 block and time of deposit `index`.
    function depositAt(uint64 index) external view returns (uint64 l1Block, uint64 timestamp);
    /// @notice Whether exactly the deposits below `count` were queued up to L1 block `l1Block`.
    /// @return exact The answer.
    /// @return firstLeftOut Time of deposit number `count`, or the greatest value if there is none yet.
    function isCountAt(uint64 count, uint64 l1Block) external view returns (bool exact, uint64 firstLeftOut);
    /// @notice Gas still on offer to deposits in this L1 block.
    function gasLeft() external view returns (uint64);
    /// @notice Wei per gas in this L1 block: the same for all of its deposits.
    function depositPrice() external view returns (uint256);
    /// @notice Wei that `gas` costs in this L1 block: the price times the gas, rounded up to whole gwei. A block later it is at most an eighth more.
    function depositFee(uint64 gas) external view returns (uint256);
    /// @notice Wei that deposits have paid for gas and that are not yet paid on.
    function proceeds() external view returns (uint256);
    /// @notice The newest root's number (0: none).
    function rootCount() external view returns (uint64);
    /// @notice A root, the first batch that has it, and the L1 block from which withdrawals against it are open.
    function roots(uint64 rootId) external view returns (bytes32 root, uint64 batch, uint64 openBlock);
    /// @notice The fate of a withdrawal.
    /// @param id keccak256(abi.encode(nonce, sender, target, value, gas, data)).
    function statusOf(bytes32 id) external view returns (WithdrawalStatus);
    /// @notice The L2 sender of the withdrawal being executed (zero outside of one).
    function l2Sender() external view returns (address);
    /// @notice The id (and tree leaf) of a withdrawal.
    function hashWithdrawal(Withdrawal calldata withdrawal) external pure returns (bytes32);
}
