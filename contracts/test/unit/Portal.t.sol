// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IPortal} from "../../src/interfaces/IPortal.sol";
import {FeeVault} from "../../src/l2/FeeVault.sol";
import {L1Block} from "../../src/l2/L1Block.sol";
import {MessagePasser} from "../../src/l2/MessagePasser.sol";
import {World} from "../helpers/World.sol";

/// @notice A withdrawal's target that can refuse, burn gas, call back and tell what it saw.
contract Target {
    IPortal private immutable portal;
    bool public refusing;
    address public sawSender;
    uint256 public sawGas;
    uint256 public calls;
    bytes public reentry;

    constructor(IPortal portal_) {
        portal = portal_;
    }

    function setRefusing(bool value) external {
        refusing = value;
    }

    function setReentry(bytes calldata data) external {
        reentry = data;
    }

    receive() external payable {
        require(!refusing, "refused");
    }

    function hit() external payable {
        require(!refusing, "refused");
        sawGas = gasleft();
        sawSender = portal.l2Sender();
        ++calls;
        if (reentry.length > 0) {
            (bool success, bytes memory data) = address(portal).call(reentry);
            if (!success) {
                assembly {
                    revert(add(data, 32), mload(data))
                }
            }
        }
    }

    function bomb() external pure {
        assembly {
            revert(0, 1000000)
        }
    }
}

contract PortalTest is World {
    MessagePasser private passer;
    Target private target;
    IPortal.Withdrawal[] private sent;
    bytes32[] private leaves;

    function setUp() public override {
        super.setUp();
        _start(4);
        passer = new MessagePasser();
        target = new Target(portal);
        vm.deal(address(this), 100 ether);
    }

    // -- deposits

    /// @dev What 100,000 gas cost while nobody else deposits.
    uint256 private constant FEE = 100 gwei;

    function _buy(uint64 gas) private returns (uint64 index) {
        return portal.deposit{value: 100 ether}(address(7), 0, gas, false, "", 100 ether);
    }

    function test_deposits_count_from_zero_and_carry_everything() public {
        address plain = makeAddr("plain");
        vm.deal(plain, 10 ether);
        vm.expectEmit(address(portal));
        emit IPortal.Deposited(0, plain, address(7), 2 ether - FEE, 1 ether, 100_000, FEE, false, "call");
        vm.prank(plain, plain);
        assertEq(portal.deposit{value: 2 ether}(address(7), 1 ether, 100_000, false, "call", FEE), 0);
        vm.expectEmit(address(portal));
        emit IPortal.Deposited(1, plain, plain, 3 ether - FEE, 3 ether - FEE, 100_000, FEE, false, "");
        vm.prank(plain, plain);
        (bool success,) = address(portal).call{value: 3 ether}("");
        assertTrue(success);
        assertEq(portal.depositCount(), 2);
        assertEq(address(portal).balance, SUPPLY + 5 ether);
        assertEq(portal.proceeds(), 2 * FEE);
        (uint64 l1Block, uint64 timestamp) = portal.depositAt(1);
        assertEq(l1Block, vm.getBlockNumber());
        assertEq(timestamp, vm.getBlockTimestamp());
        vm.expectRevert(abi.encodeWithSelector(IPortal.Portal_UnknownDeposit.selector, 2));
        portal.depositAt(2);
    }

    function test_contracts_are_aliased_and_delegated_accounts_are_not() public {
        address aliased = address(uint160(address(this)) + uint160(0x1111000000000000000000000000000000001111));
        vm.expectEmit(address(portal));
        emit IPortal.Deposited(0, aliased, address(7), 0, 0, 21_000, 21 gwei, false, "");
        portal.deposit{value: 21 gwei}(address(7), 0, 21_000, false, "", 21 gwei);
        address delegated = makeAddr("delegated");
        vm.etch(delegated, bytes.concat(hex"ef0100", bytes20(address(target))));
        vm.deal(delegated, 1 ether);
        vm.expectEmit(address(portal));
        emit IPortal.Deposited(1, delegated, address(7), 0, 0, 21_000, 21 gwei, false, "");
        vm.prank(delegated, delegated);
        portal.deposit{value: 21 gwei}(address(7), 0, 21_000, false, "", 21 gwei);
    }

    function test_gas_has_a_floor_by_data_and_a_ceiling() public {
        vm.expectRevert(abi.encodeWithSelector(IPortal.Portal_GasOutOfBounds.selector, 20_999, 21_000, 16_777_216));
        portal.deposit(address(7), 0, 20_999, false, "", 0);
        vm.expectRevert(abi.encodeWithSelector(IPortal.Portal_GasOutOfBounds.selector, 21_159, 21_160, 16_777_216));
        portal.deposit(address(7), 0, 21_159, false, "four", 0);
        vm.expectRevert(abi.encodeWithSelector(IPortal.Portal_GasOutOfBounds.selector, 1, 53_162, 16_777_216));
        portal.deposit(address(0), 0, 1, true, "four", 0);
        vm.expectRevert(abi.encodeWithSelector(IPortal.Portal_GasOutOfBounds.selector, 16_777_217, 21_000, 16_777_216));
        portal.deposit(address(7), 0, 16_777_217, false, "", 0);
        vm.expectRevert(abi.encodeWithSelector(IPortal.Portal_DataTooLong.selector, 120_001, 120_000));
        portal.deposit(address(7), 0, 10_000_000, false, new bytes(120_001), 0);
        vm.expectRevert(abi.encodeWithSelector(IPortal.Portal_CreationWithReceiver.selector, address(7)));
        portal.deposit(address(7), 0, 100_000, true, "", 0);
    }

    /// C27: spam fills an L1 block, not the next one.
    function test_the_deposits_of_a_block_fit_half_an_l2_block() public {
        vm.deal(address(this), 1_000 ether);
        _buy(16_000_000);
        _buy(13_999_999);
        assertEq(portal.gasLeft(), 1);
        vm.expectRevert(abi.encodeWithSelector(IPortal.Portal_BlockFull.selector, 29_999_999, 21_000, 30_000_000));
        _buy(21_000);
        _advance(1);
        assertEq(portal.gasLeft(), 30_000_000);
        _buy(16_000_000);
    }

    function testFuzz_counts_at_a_block_are_exact(uint256 seed) public {
        uint256 firstBlock = vm.getBlockNumber();
        for (uint256 i = 0; i < 12; ++i) {
            portal.deposit{value: 1 ether}(address(7), 0, 21_000, false, "", 1 ether);
            _advance(uint256(keccak256(abi.encode(seed, i))) % 3);
        }
        for (uint256 at = firstBlock - 1; at <= vm.getBlockNumber(); ++at) {
            uint64 count = _depositsAt(uint64(at));
            for (uint64 claimed = 0; claimed <= 13; ++claimed) {
                (bool exact, uint64 first) = portal.isCountAt(claimed, uint64(at));
                assertEq(exact, claimed == count);
                if (!exact) continue;
                if (claimed == 12) assertEq(first, type(uint64).max);
                else assertGt(first, 0);
            }
        }
    }

    // -- withdrawals

    function _send(address to, uint256 value, uint256 gas, bytes memory data) private returns (IPortal.Withdrawal memory w) {
        w = IPortal.Withdrawal({nonce: sent.length, sender: address(this), target: to, value: value, gas: gas, data: data});
        passer.send{value: value}(to, gas, data);
        sent.push(w);
        leaves.push(portal.hashWithdrawal(w));
    }

    function _settle() private returns (uint64 rootId) {
        bytes32 root = passer.root();
        vm.prank(address(inbox));
        portal.setRoot(1, root);
        _advance(4);
        return portal.rootCount();
    }

    /// @dev A plain Merkle tree over all leaves: independent of the incremental one on L2.
    function _proof(uint256 index) private view returns (bytes32[32] memory proof) {
        bytes32[] memory level = leaves;
        bytes32 zero;
        for (uint256 depth = 0; depth < 32; ++depth) {
            proof[depth] = index ^ 1 < level.length ? level[index ^ 1] : zero;
            bytes32[] memory above = new bytes32[]((level.length + 1) / 2);
            for (uint256 i = 0; i < above.length; ++i) {
                above[i] = keccak256(abi.encode(level[2 * i], 2 * i + 1 < level.length ? level[2 * i + 1] : zero));
            }
            (level, zero, index) = (above, keccak256(abi.encode(zero, zero)), index / 2);
        }
        assertEq(level[0], passer.root());
    }

    function test_a_withdrawal_is_paid_once_after_the_delay_with_its_sender() public {
        _send(makeAddr("other"), 1 ether, 0, "");
        IPortal.Withdrawal memory w = _send(address(target), 2 ether, 100_000, abi.encodeCall(Target.hit, ()));
        _send(makeAddr("other"), 0, 0, "");
        bytes32 root = passer.root();
        vm.prank(address(inbox));
        portal.setRoot(5, root);
        bytes32[32] memory proof = _proof(1);
        uint64 openBlock = uint64(vm.getBlockNumber()) + 4;
        _advance(3);
        vm.expectRevert(abi.encodeWithSelector(IPortal.Portal_RootNotOpen.selector, 1, openBlock, openBlock - 1));
        portal.withdraw(w, 1, proof);
        _advance(1);
        vm.expectEmit(address(portal));
        emit IPortal.Withdrawn(leaves[1], address(this), address(target), 1, 2 ether, true);
        assertTrue(portal.withdraw(w, 1, proof));
        assertEq(address(target).balance, 2 ether);
        assertEq(target.sawSender(), address(this));
        assertEq(portal.l2Sender(), address(0));
        vm.expectRevert(abi.encodeWithSelector(IPortal.Portal_WrongStatus.selector, leaves[1], IPortal.WithdrawalStatus.Done));
        portal.withdraw(w, 1, proof);
        vm.expectRevert(abi.encodeWithSelector(IPortal.Portal_WrongStatus.selector, leaves[1], IPortal.WithdrawalStatus.Done));
        portal.retry(w);
    }

    function testFuzz_every_leaf_of_the_l2_tree_proves(uint8 count) public {
        uint256 length = uint256(count) % 20 + 1;
        for (uint256 i = 0; i < length; ++i) {
            _send(makeAddr("receiver"), i, 0, abi.encode(i));
        }
        uint64 rootId = _settle();
        for (uint256 i = 0; i < length; ++i) {
            assertTrue(portal.withdraw(sent[i], rootId, _proof(i)));
        }
        assertEq(makeAddr("receiver").balance, length * (length - 1) / 2);
    }

    function test_a_forged_withdrawal_reverts() public {
        IPortal.Withdrawal memory w = _send(makeAddr("receiver"), 1 ether, 0, "");
        uint64 rootId = _settle();
        bytes32[32] memory proof = _proof(0);
        w.value = 2 ether;
        vm.expectPartialRevert(IPortal.Portal_BadProof.selector);
        portal.withdraw(w, rootId, proof);
        w.value = 1 ether;
        w.nonce = 1 << 32;
        vm.expectPartialRevert(IPortal.Portal_BadProof.selector);
        portal.withdraw(w, rootId, proof);
        w.nonce = 0;
        vm.expectRevert(abi.encodeWithSelector(IPortal.Portal_RootNotOpen.selector, 2, 0, vm.getBlockNumber()));
        portal.withdraw(w, 2, proof);
    }

    /// C24, C39: a refusing receiver blocks nothing and loses nothing.
    function test_a_failed_withdrawal_may_be_retried() public {
        IPortal.Withdrawal memory w = _send(address(target), 1 ether, 50_000, "");
        uint64 rootId = _settle();
        target.setRefusing(true);
        assertFalse(portal.withdraw(w, rootId, _proof(0)));
        assertEq(uint8(portal.statusOf(leaves[0])), uint8(IPortal.WithdrawalStatus.Failed));
        assertFalse(portal.retry(w));
        target.setRefusing(false);
        assertTrue(portal.retry(w));
        assertEq(address(target).balance, 1 ether);
        w.value = 5;
        vm.expectPartialRevert(IPortal.Portal_WrongStatus.selector);
        portal.retry(w);
    }

    function test_withdrawals_into_batons_own_contracts_revert() public {
        address[6] memory own = [address(staking), address(pool), address(token), address(portal), address(revenue), address(inbox)];
        for (uint256 i = 0; i < own.length; ++i) {
            _send(own[i], 0, 0, "");
        }
        uint64 rootId = _settle();
        for (uint256 i = 0; i < own.length; ++i) {
            bytes32[32] memory proof = _proof(i);
            vm.expectRevert(abi.encodeWithSelector(IPortal.Portal_ForbiddenTarget.selector, own[i]));
            portal.withdraw(sent[i], rootId, proof);
        }
    }

    /// C26: a caller cannot make a withdrawal fail by giving it little gas.
    function test_too_little_gas_reverts_and_enough_passes_on_what_was_asked() public {
        IPortal.Withdrawal memory w = _send(address(target), 0, 500_000, abi.encodeCall(Target.hit, ()));
        uint64 rootId = _settle();
        bytes32[32] memory proof = _proof(0);
        vm.expectPartialRevert(IPortal.Portal_InsufficientGas.selector);
        portal.withdraw{gas: 560_000}(w, rootId, proof);
        assertTrue(portal.withdraw{gas: 700_000}(w, rootId, proof));
        assertGe(target.sawGas(), 499_000);
    }

    function test_a_withdrawal_inside_a_withdrawal_fails_and_stays_retryable() public {
        _send(makeAddr("receiver"), 1 ether, 0, "");
        IPortal.Withdrawal memory w = _send(address(target), 0, 400_000, abi.encodeCall(Target.hit, ()));
        uint64 rootId = _settle();
        bytes32[32] memory inner = _proof(0);
        target.setReentry(abi.encodeCall(IPortal.withdraw, (sent[0], rootId, inner)));
        assertFalse(portal.withdraw(w, rootId, _proof(1)));
        assertEq(makeAddr("receiver").balance, 0);
        assertTrue(portal.withdraw(sent[0], rootId, inner));
    }

    function test_a_return_bomb_is_not_copied() public {
        IPortal.Withdrawal memory w = _send(address(target), 0, 3_000_000, abi.encodeCall(Target.bomb, ()));
        uint64 rootId = _settle();
        bytes32[32] memory proof = _proof(0);
        assertFalse(portal.withdraw{gas: 3_500_000}(w, rootId, proof));
    }

    // -- inbox only

    function test_only_the_inbox_sets_roots_pays_fees_and_funds() public {
        bytes memory refusal = abi.encodeWithSelector(IPortal.Portal_NotInbox.selector, address(inbox), address(this));
        vm.expectRevert(refusal);
        portal.setRoot(1, 0);
        vm.expectRevert(refusal);
        portal.payFees(1);
        vm.expectRevert(refusal);
        portal.fund();
    }

    function test_an_unchanged_root_is_not_stored_again() public {
        vm.startPrank(address(inbox));
        portal.setRoot(1, 0);
        assertEq(portal.rootCount(), 0);
        portal.setRoot(2, keccak256("root"));
        portal.setRoot(3, keccak256("root"));
        assertEq(portal.rootCount(), 1);
        (bytes32 root, uint64 batch, uint64 openBlock) = portal.roots(1);
        assertEq(root, keccak256("root"));
        assertEq(batch, 2);
        assertEq(openBlock, vm.getBlockNumber() + 4);
    }

    // -- L2 predeploys

    function test_only_the_depositor_writes_the_origin() public {
        L1Block l1Block = new L1Block();
        vm.expectRevert(abi.encodeWithSelector(L1Block.L1Block_NotDepositor.selector, address(this)));
        l1Block.setL1Block(1, bytes32(uint256(2)), 3, 4, 5, 6);
        vm.prank(0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001);
        l1Block.setL1Block(1, bytes32(uint256(2)), 3, 4, 5, 6);
        assertEq(l1Block.number(), 1);
        assertEq(l1Block.hash(), bytes32(uint256(2)));
        assertEq(l1Block.timestamp(), 3);
        assertEq(l1Block.baseFee(), 4);
        assertEq(l1Block.blobBaseFee(), 5);
        assertEq(l1Block.deposits(), 6);
    }

    function test_the_fee_vault_takes_gifts_and_the_message_root_is_in_slot_zero() public {
        FeeVault vault = new FeeVault();
        (bool success,) = address(vault).call{value: 1}("");
        assertTrue(success);
        passer.send(address(1), 0, "");
        assertEq(vm.load(address(passer), 0), passer.root());
        vm.expectRevert(abi.encodeWithSelector(MessagePasser.MessagePasser_DataTooLong.selector, 65_537, 65_536));
        passer.send(address(1), 0, new bytes(65_537));
    }

    receive() external payable {}
}
