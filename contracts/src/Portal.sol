// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IParameters} from "./interfaces/IParameters.sol";
import {IPortal} from "./interfaces/IPortal.sol";
import {IRevenueShare} from "./interfaces/IRevenueShare.sol";
import {GasPrice} from "./libraries/GasPrice.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title Portal
/// @notice The bridge between L1 and L2 and custody of L2's ether. Interface and rules: IPortal.
/// @dev Balance = L2 supply + deposits not executed + withdrawals not paid + fees not swept + proceeds of deposits' gas not paid on; ether
/// forced in by self-destruct comes on top.
contract Portal is IPortal {
    // -- Constants and immutables

    /// @notice Added to the address of a contract that deposits (as in OP): no contract can speak for the same address on L2.
    uint160 public constant ALIAS = uint160(0x1111000000000000000000000000000000001111);
    /// @notice Most gas of one deposit (EIP-7825).
    uint64 public constant MAX_TRANSACTION_GAS = 16_777_216;
    /// @notice Most bytes of a deposit's data.
    uint256 public constant MAX_DATA = 120_000;
    /// @notice Gas of a plain ether deposit.
    uint64 public constant RECEIVE_GAS = 100_000;
    /// @notice A plain ether deposit pays at most one part in this many for its gas.
    uint256 public constant RECEIVE_PART = 100;
    /// @notice Depth of the L2 message tree.
    uint256 public constant DEPTH = 32;
    /// @dev Gas a withdrawal keeps for itself around its call: cold account, value, the storage write and the event after it.
    uint256 private constant CALL_OVERHEAD = 80_000;

    /// @notice The only account that sets roots and pays fees.
    address public immutable inbox;
    /// @notice Receives the fees.
    IRevenueShare public immutable revenue;
    /// @notice Half the L2 gas limit: what the deposits of one L1 block may use.
    uint64 public immutable blockGas;
    /// @notice The least price of deposits' gas (wei per gas).
    uint64 public immutable minDepositPrice;
    /// @notice L1 blocks from the acceptance of a batch to withdrawals against it.
    uint64 public immutable settlementDelay;
    /// @dev Contracts that a withdrawal must not call.
    address private immutable _staking;
    address private immutable _pool;
    address private immutable _token;

    // -- Storage

    /// @dev One slot: everything that a deposit changes but its stamp, and the number of roots, which a batch reads with the deposits.
    struct Meter {
        uint48 deposits;
        // The last L1 block with deposits, the gas that they use and what it costs (wei per gas).
        uint40 lastBlock;
        uint32 usedGas;
        uint48 price;
        uint32 roots;
        // Paid for gas and not yet paid on, in gwei: fees are whole gwei.
        uint56 proceeds;
    }

    /// @dev A message root.
    struct Root {
        bytes32 root;
        uint64 batch;
        uint64 openBlock;
    }

    Meter private _meter;
    /// @dev Block (64 bits) and time (64 bits) of two deposits a slot, the even one low.
    mapping(uint256 pair => uint256) private _stamps;
    mapping(uint64 rootId => Root) private _roots;
    mapping(bytes32 id => WithdrawalStatus) private _statuses;
    address private transient _l2Sender;

    /// @param parameters The chain's parameters.
    /// @param batchInbox The inbox (its address may be known before its code).
    /// @param revenueShare Receiver of the fees (likewise).
    /// @param forbidden Staking, SequencerPool and the stake token: no target of withdrawals.
    constructor(IParameters parameters, address batchInbox, IRevenueShare revenueShare, address[3] memory forbidden) {
        IParameters.Values memory v = parameters.values();
        (blockGas, settlementDelay) = (v.l2.gasLimit / 2, v.posting.settlementDelay);
        minDepositPrice = v.l2.minDepositPrice;
        (inbox, revenue) = (batchInbox, revenueShare);
        (_staking, _pool, _token) = (forbidden[0], forbidden[1], forbidden[2]);
    }

    modifier onlyInbox() {
        if (msg.sender != inbox) revert Portal_NotInbox(inbox, msg.sender);
        _;
    }

    // -- Deposits

    /// @inheritdoc IPortal
    receive() external payable {
        // Nobody gave a maximum: a dear moment, or a deposit not worth its gas, is refused.
        uint256 fee = _charge(RECEIVE_GAS, msg.value / RECEIVE_PART);
        _deposit(_sender(), _sender(), msg.value - fee, RECEIVE_GAS, false, "", fee);
    }

    /// @inheritdoc IPortal
    function deposit(address to, uint256 value, uint64 gas, bool creation, bytes calldata data, uint256 maxFee)
        external
        payable
        returns (uint64 index)
    {
        if (creation && to != address(0)) revert Portal_CreationWithReceiver(to);
        if (data.length > MAX_DATA) revert Portal_DataTooLong(data.length, MAX_DATA);
        // At least what the L2 charges before it runs anything, so that no deposit is void.
        uint64 low = uint64(21_000 + 40 * data.length + (creation ? 32_000 + 2 * ((data.length + 31) / 32) : 0));
        uint64 high = blockGas < MAX_TRANSACTION_GAS ? blockGas : MAX_TRANSACTION_GAS;
        if (gas < low || gas > high) revert Portal_GasOutOfBounds(gas, low, high);
        return _deposit(_sender(), to, value, gas, creation, data, _charge(gas, maxFee));
    }

    // -- Withdrawals

    /// @inheritdoc IPortal
    function withdraw(Withdrawal calldata withdrawal, uint64 rootId, bytes32[32] calldata proof) external returns (bool success) {
        Root memory known = _roots[rootId];
        if (known.openBlock == 0 || block.number < known.openBlock) revert Portal_RootNotOpen(rootId, known.openBlock, block.number);
        bytes32 id = hashWithdrawal(withdrawal);
        if (_statuses[id] != WithdrawalStatus.None) revert Portal_WrongStatus(id, _statuses[id]);
        bytes32 node = id;
        for (uint256 level = 0; level < DEPTH; ++level) {
            node = (withdrawal.nonce >> level) & 1 == 0
                ? keccak256(abi.encode(node, proof[level]))
                : keccak256(abi.encode(proof[level], node));
        }
        // A nonce beyond the tree would name a leaf twice.
        if (node != known.root || withdrawal.nonce >> DEPTH != 0) revert Portal_BadProof(known.root, node);
        return _execute(withdrawal, id);
    }

    /// @inheritdoc IPortal
    function retry(Withdrawal calldata withdrawal) external returns (bool success) {
        bytes32 id = hashWithdrawal(withdrawal);
        if (_statuses[id] != WithdrawalStatus.Failed) revert Portal_WrongStatus(id, _statuses[id]);
        return _execute(withdrawal, id);
    }

    // -- Proceeds

    /// @inheritdoc IPortal
    function payProceeds() external returns (uint256 amount) {
        amount = _takeProceeds();
        if (amount > 0) revenue.receiveFees{value: amount}();
    }

    // -- Inbox

    /// @inheritdoc IPortal
    function setRoot(uint64 batch, bytes32 root) external onlyInbox {
        uint64 last = _meter.roots;
        if (root == _roots[last].root) return;
        uint64 openBlock = uint64(block.number) + settlementDelay;
        _roots[last + 1] = Root({root: root, batch: batch, openBlock: openBlock});
        ++_meter.roots;
        emit RootSet(last + 1, batch, root, openBlock);
    }

    /// @inheritdoc IPortal
    function payFees(uint256 fees) external onlyInbox {
        emit FeesPaid(fees);
        revenue.receiveFees{value: fees + _takeProceeds()}();
    }

    /// @inheritdoc IPortal
    function fund() external payable onlyInbox {
        emit Funded(msg.value);
    }

    // -- Views

    /// @inheritdoc IPortal
    function depositCount() external view returns (uint64) {
        return _meter.deposits;
    }

    /// @inheritdoc IPortal
    function depositAt(uint64 index) external view returns (uint64 l1Block, uint64 timestamp) {
        if (index >= _meter.deposits) revert Portal_UnknownDeposit(index);
        return _stampOf(index);
    }

    /// @inheritdoc IPortal
    function isCountAt(uint64 count, uint64 l1Block) external view returns (bool exact, uint64 firstLeftOut) {
        uint64 total = _meter.deposits;
        if (count > total) return (false, 0);
        if (count > 0) {
            (uint64 lastIncluded,) = _stampOf(count - 1);
            if (lastIncluded > l1Block) return (false, 0);
        }
        if (count == total) return (true, type(uint64).max);
        uint64 next;
        (next, firstLeftOut) = _stampOf(count);
        exact = next > l1Block;
    }

    /// @inheritdoc IPortal
    function gasLeft() external view returns (uint64) {
        return _meter.lastBlock == block.number ? blockGas - _meter.usedGas : blockGas;
    }

    /// @inheritdoc IPortal
    function depositPrice() external view returns (uint256) {
        return _price(_meter);
    }

    /// @inheritdoc IPortal
    function depositFee(uint64 gas) external view returns (uint256) {
        return _fee(gas, _price(_meter));
    }

    /// @inheritdoc IPortal
    function proceeds() external view returns (uint256) {
        return uint256(_meter.proceeds) * 1 gwei;
    }

    /// @inheritdoc IPortal
    function rootCount() external view returns (uint64) {
        return _meter.roots;
    }

    /// @inheritdoc IPortal
    function roots(uint64 rootId) external view returns (bytes32 root, uint64 batch, uint64 openBlock) {
        Root memory known = _roots[rootId];
        return (known.root, known.batch, known.openBlock);
    }

    /// @inheritdoc IPortal
    function statusOf(bytes32 id) external view returns (WithdrawalStatus) {
        return _statuses[id];
    }

    /// @inheritdoc IPortal
    function l2Sender() external view returns (address) {
        return _l2Sender;
    }

    /// @inheritdoc IPortal
    function hashWithdrawal(Withdrawal calldata w) public pure returns (bytes32) {
        return keccak256(abi.encode(w.nonce, w.sender, w.target, w.value, w.gas, w.data));
    }

    // -- Internals

    /// @dev The caller as L2 will know it. An account with code is a contract, unless the code is an EIP-7702 delegation of a key's owner.
    function _sender() private view returns (address) {
        bool plain = msg.sender == tx.origin && (msg.sender.code.length == 0 || _isDelegated(msg.sender));
        return plain ? msg.sender : address(uint160(msg.sender) + ALIAS);
    }

    /// @dev Whether the code is an EIP-7702 designator: 0xef0100 and an address.
    function _isDelegated(address account) private view returns (bool) {
        bytes memory code = account.code;
        return code.length == 23 && bytes3(code) == 0xef0100;
    }

    /// @dev Counts a deposit and sells it its gas in this L1 block.
    function _charge(uint64 gas, uint256 maxFee) private returns (uint256 fee) {
        Meter memory m = _meter;
        uint256 price = _price(m);
        uint64 used = m.lastBlock == block.number ? m.usedGas : 0;
        if (gas > blockGas - used) revert Portal_BlockFull(used, gas, blockGas);
        fee = _fee(gas, price);
        if (fee > maxFee) revert Portal_FeeAboveMaximum(fee, maxFee);
        if (fee > msg.value) revert Portal_FeeNotSent(fee, msg.value);
        // A block's gas is at most 10^9 and the price at most the ceiling (Parameters, GasPrice).
        (m.lastBlock, m.usedGas, m.price) = (uint40(block.number), uint32(used + gas), uint48(price));
        m.proceeds = SafeCast.toUint56(m.proceeds + fee / 1 gwei);
        ++m.deposits;
        _meter = m;
    }

    /// @dev The deposit counted last; what it brings beyond the fee is minted.
    function _deposit(address from, address to, uint256 value, uint64 gas, bool creation, bytes memory data, uint256 fee)
        private
        returns (uint64 index)
    {
        index = _meter.deposits - 1;
        uint256 stamp = block.number | (block.timestamp << 64);
        if (index & 1 == 0) _stamps[index >> 1] = stamp;
        else _stamps[index >> 1] |= stamp << 128;
        emit Deposited(index, from, to, msg.value - fee, value, gas, fee, creation, data);
    }

    /// @dev What gas costs in this block: fixed by its first deposit, or by the blocks before it.
    function _price(Meter memory m) private view returns (uint256) {
        if (m.lastBlock == block.number) return m.price;
        return GasPrice.next(m.price, m.usedGas, blockGas / 2, block.number - m.lastBlock - 1, minDepositPrice);
    }

    /// @dev In whole gwei, rounded up.
    function _fee(uint256 gas, uint256 price) private pure returns (uint256) {
        return (gas * price + 1 gwei - 1) / 1 gwei * 1 gwei;
    }

    /// @dev What was paid for gas since the last time, to be sent on.
    function _takeProceeds() private returns (uint256 amount) {
        amount = uint256(_meter.proceeds) * 1 gwei;
        if (amount == 0) return 0;
        _meter.proceeds = 0;
        emit ProceedsPaid(amount);
    }

    function _stampOf(uint64 index) private view returns (uint64 l1Block, uint64 timestamp) {
        uint256 stamp = _stamps[index >> 1] >> (index & 1 == 0 ? 0 : 128);
        return (uint64(stamp), uint64(stamp >> 64));
    }

    /// @dev Marks, then calls; a failure is noted and costs nobody else anything.
    function _execute(Withdrawal calldata w, bytes32 id) private returns (bool success) {
        address target = w.target;
        if (
            target == address(this) || target == inbox || target == address(revenue) || target == _staking || target == _pool
                || target == _token
        ) revert Portal_ForbiddenTarget(target);
        if (_l2Sender != address(0)) revert Portal_Reentered();
        _statuses[id] = WithdrawalStatus.Done;
        // EIP-150 passes on 63/64 of what is left: w.gas must be within it, or a caller could fail the call with too little gas.
        uint256 needed = w.gas > type(uint128).max ? w.gas : w.gas * 64 / 63 + CALL_OVERHEAD;
        if (gasleft() < needed) revert Portal_InsufficientGas(needed, gasleft());
        _l2Sender = w.sender;
        (bytes memory data, uint256 value) = (w.data, w.value);
        // Returned bytes are not copied: no return bomb.
        assembly ("memory-safe") {
            success := call(gas(), target, value, add(data, 32), mload(data), 0, 0)
        }
        _l2Sender = address(0);
        if (!success) _statuses[id] = WithdrawalStatus.Failed;
        emit Withdrawn(id, w.sender, target, w.nonce, value, success);
    }
}
