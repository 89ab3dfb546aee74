// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Parameters} from "../../src/Parameters.sol";
import {IBatchInbox} from "../../src/interfaces/IBatchInbox.sol";
import {IParameters} from "../../src/interfaces/IParameters.sol";
import {IRevenueShare} from "../../src/interfaces/IRevenueShare.sol";
import {ISequencerPool} from "../../src/interfaces/ISequencerPool.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {World} from "../helpers/World.sol";
import {Refuser} from "../mocks/Accounts.sol";

/// @notice Regressions of bug classes C29 to C43 (test/BUGS.md).
contract BugsC29toC43 is World {
    function setUp() public override {
        super.setUp();
        _start(4);
        _advance(3);
    }

    function _govern(bytes memory call) private {
        vm.startPrank(governor);
        governance.schedule(address(parameters), call, 0);
        skip(DELAY);
        governance.execute(address(parameters), call);
        vm.stopPrank();
    }

    function test_C29_a_pause_or_a_new_parameter_moves_no_running_window() public {
        vm.prank(owner(1));
        staking.requestSelfExit(1, 1e18);
        uint64 readyAt = staking.exits(1).readyAt;
        vm.prank(guardian);
        parameters.setEntryPaused(true);
        IParameters.Stakes memory stakes = parameters.stakes();
        (stakes.minStake, stakes.snapshotInterval) = (25_000e18, 9);
        _govern(abi.encodeCall(parameters.setStakes, (stakes)));
        assertTrue(staking.entryPaused(), "a new minimum does not end the pause");
        assertEq(staking.exits(1).readyAt, readyAt);
        vm.warp(readyAt);
        assertEq(staking.finishExit(1), 1e18);
    }

    /// C30 is the nodes' (they verify each part before they add it). Here: a mangled certificate changes nothing, and the right one still counts.
    function test_C30_a_mangled_certificate_spoils_nothing() public {
        _prepare(10);
        (bytes32 dataHash,) = _encoding();
        IBatchInbox.Certificate memory c = _certificate(inbox.hashCore(next), dataHash, 15);
        IBatchInbox.Core memory core = next;
        address poster = _dutyOperator(0);
        c.signers = 7;
        vm.startPrank(poster);
        vm.expectRevert(IBatchInbox.BatchInbox_BadCertificate.selector);
        inbox.post(core, c, "", "");
        c.signers = 15;
        inbox.post(core, c, "", "");
        vm.stopPrank();
        assertEq(inbox.anchor().index, 1);
    }

    function test_C31_who_has_too_little_stake_neither_signs_nor_leads_nor_returns() public {
        vm.prank(slasher);
        staking.slash(1, 0, 5_000);
        vm.prank(owner(1));
        staking.requestSelfExit(1, 1);
        uint64 id = _snapshot();
        ISequencerPool.Member[] memory members = pool.snapshot(id).members;
        assertEq(members.length, 3);
        for (uint64 term = 1; term < 30; ++term) {
            (, uint64 leader) = pool.leaderOf(id, 0, term);
            assertNotEq(leader, 1);
        }
        vm.expectPartialRevert(ISequencerPool.SequencerPool_InsufficientStake.selector);
        this.ready(1);
    }

    function ready(uint64 id) external {
        _ready(id);
    }

    /// The Portal cannot pay what a closing batch says: then nothing of it happened.
    function test_C32_a_failure_leaves_no_half_of_a_change() public {
        _prepare(type(uint32).max);
        next.fees = SUPPLY + 1;
        bytes memory performance = _performance(_evenly(4));
        next.performance = keccak256(performance);
        (bytes32 dataHash,) = _encoding();
        IBatchInbox.Certificate memory c = _certificate(inbox.hashCore(next), dataHash, 15);
        IBatchInbox.Core memory core = next;
        bytes memory before = abi.encode(inbox.anchor(), inbox.epochs(1), revenue.totals(), portal.rootCount());
        address poster = _dutyOperator(0);
        vm.prank(poster);
        vm.expectRevert();
        inbox.post(core, c, performance, "");
        assertEq(abi.encode(inbox.anchor(), inbox.epochs(1), revenue.totals(), portal.rootCount()), before);
    }

    function test_C37_the_largest_set_fits_a_block_many_times() public {
        _deploy(_values());
        uint64[] memory ids = _found(64, STAKE);
        vm.deal(address(this), SUPPLY);
        inbox.start{value: SUPPLY}(_genesis(), ids);
        _advance(6);
        uint256 gas = gasleft();
        pool.takeSnapshot();
        assertLt(gas - gasleft(), 5_000_000);
        _advance(3);
        gas = gasleft();
        vm.prank(owner(64));
        pool.deactivate(64);
        assertLt(gas - gasleft(), 200_000);
        uint64[] memory signed = new uint64[](64);
        vm.startPrank(address(inbox));
        gas = gasleft();
        revenue.close(0, 0, 0, _performance(_evenly(64)), 1, signed);
        assertLt(gas - gasleft(), 6_000_000);
        vm.stopPrank();
    }

    /// forge-config: default.fuzz.runs = 16
    function testFuzz_C38_spikes_cost_the_chain_no_more_than_the_caps(uint64 gasPrice, uint64 baseFee, uint64 blobFee) public {
        _advance(1);
        _prepare(10);
        vm.fee(bound(baseFee, 1, 1e15));
        vm.blobBaseFee(bound(blobFee, 1, 1e15));
        vm.txGasPrice(block.basefee + bound(gasPrice, 0, 1e12));
        _post(15, "");
        uint256 open = revenue.totals().debts;
        assertLe(open, 1 ether);
        uint256 most = 260_000 + 40 * 2_000;
        assertLe(open, most * (block.basefee + 3 gwei) + 2 * 131_072 * block.blobbasefee);
    }

    /// The treasury refuses ether, a member rotated its keys and another left: the epoch closes, and every zero amount passes.
    function test_C39_no_receiver_rotation_or_zero_stops_an_epoch() public {
        vm.etch(treasury, address(new Refuser()).code);
        vm.prank(owner(1));
        staking.requestSelfExit(1, STAKE);
        vm.prank(owner(2));
        pool.deactivate(2);
        _closeEpoch(10 ether, _evenly(4), 15);
        assertEq(revenue.totals().treasury, (10 ether - revenue.totals().debtsPaid) * 500 / 10_000);
        vm.expectPartialRevert(IRevenueShare.RevenueShare_PaymentFailed.selector);
        revenue.claimTreasury();
        assertGt(revenue.claimableOwner(1), 0);
        _advance(3);
        _closeEpoch(0, _evenly(4), 15);
        vm.prank(makeAddr("nobody"));
        assertEq(revenue.claim(1, address(1)), 0);
        vm.etch(treasury, "");
        assertGt(revenue.claimTreasury(), 0);
        assertEq(revenue.claimTreasury(), 0);
    }

    function test_C40_every_way_out_is_open_to_all_and_parameters_are_bounded() public {
        vm.prank(guardian);
        parameters.setEntryPaused(true);
        vm.prank(owner(1));
        uint64 exitId = staking.requestSelfExit(1, STAKE);
        skip(240);
        vm.prank(makeAddr("nobody"));
        assertEq(staking.finishExit(exitId), STAKE);
        IParameters.Values memory v = _values();
        v.stakes.unbonding = 91 days;
        vm.expectPartialRevert(IParameters.Parameters_OutOfBounds.selector);
        new Parameters(v, address(governance), staking, inbox);
        v.stakes.unbonding = 1;
        vm.expectPartialRevert(IParameters.Parameters_OutOfBounds.selector);
        new Parameters(v, address(governance), staking, inbox);
    }

    function test_C41_the_smallest_part_waits_as_long_as_the_whole() public {
        vm.prank(owner(1));
        uint64 exitId = staking.requestSelfExit(1, 1);
        vm.expectRevert(
            abi.encodeWithSelector(IStaking.Staking_ExitNotReady.selector, vm.getBlockTimestamp() + 240, vm.getBlockTimestamp())
        );
        staking.finishExit(exitId);
    }

    /// Every field of a core is part of what is signed: whoever posts last chooses none of them.
    function test_C42_the_signed_message_binds_every_field() public {
        _prepare(10);
        bytes memory encoded = abi.encode(next);
        assertEq(encoded.length, 20 * 32, "the fields of a core");
        bytes32 right = inbox.hashCore(next);
        for (uint256 i = 0; i < 20; ++i) {
            bytes memory bent = bytes.concat(encoded);
            bent[i * 32 + 31] = bytes1(uint8(bent[i * 32 + 31]) ^ 1);
            assertNotEq(inbox.hashCore(abi.decode(bent, (IBatchInbox.Core))), right);
        }
        assertNotEq(inbox.batchMessage(right, bytes32(uint256(1))), inbox.batchMessage(right, bytes32(uint256(2))));
    }

    function test_C43_the_same_members_get_another_seed_in_every_snapshot() public {
        uint64 first = _snapshot();
        uint64 second = _snapshot();
        (, bytes32 a) = pool.snapshotData(first);
        (, bytes32 b) = pool.snapshotData(second);
        (, bytes32 genesis) = pool.snapshotData(0);
        assertTrue(a != b && a != genesis && b != genesis);
        assertEq(a, keccak256(abi.encodePacked(keccak256(abi.encode("prevrandao", first)), first)), "from L1's randomness");
    }
}
