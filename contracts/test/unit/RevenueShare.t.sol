// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IParameters} from "../../src/interfaces/IParameters.sol";
import {IRevenueShare} from "../../src/interfaces/IRevenueShare.sol";
import {Debts} from "../helpers/Debts.sol";
import {World} from "../helpers/World.sol";

/// @notice Closes epochs as the inbox would, with any figures.
contract RevenueShareTest is World {
    /// What two fuzzed posters know of their debts, and the hash of none: each on side 0, then each on side 1.
    mapping(uint256 poster => IRevenueShare.OpenDebt[]) private openDebts;
    mapping(uint256 poster => bytes32) private debtsBase;
    address private alice = makeAddr("alice");
    address private bob = makeAddr("bob");
    uint64 private epoch;

    function setUp() public override {
        super.setUp();
        uint64[] memory ids = _found(4, STAKE);
        _fund(alice, 1_000_000e18);
        _fund(bob, 1_000_000e18);
        vm.prank(alice);
        staking.delegate(1, 10_000e18);
        vm.deal(address(this), SUPPLY);
        inbox.start{value: SUPPLY}(_genesis(), ids);
        vm.deal(address(portal), 1_000_000 ether);
    }

    function _position(uint64 snapshotId, uint64 id) private view returns (uint256 i) {
        while (pool.snapshot(snapshotId).members[i].id != id) ++i;
    }

    /// @dev Everybody led and signed alike.
    function _closeAll(uint64 snapshotId, uint256 fees) private {
        uint256 members = pool.snapshot(snapshotId).members.length;
        uint64[] memory signed = new uint64[](members);
        for (uint256 i = 0; i < members; ++i) {
            signed[i] = 3;
        }
        _close(snapshotId, fees, _evenly(members), 3, signed);
    }

    function _close(uint64 snapshotId, uint256 fees, uint32[] memory led, uint64 batches, uint64[] memory signed) private {
        if (fees > 0) {
            vm.prank(address(inbox));
            portal.payFees(fees);
        }
        vm.prank(address(inbox));
        revenue.close(epoch++, snapshotId, fees, _performance(led), batches, signed);
        _checkBooks();
    }

    /// P6 conservation, as an equality.
    function _checkBooks() private view {
        IRevenueShare.Totals memory t = revenue.totals();
        assertEq(t.received, uint256(t.debtsPaid) + t.treasury + t.income + t.carry);
        assertLe(t.claimed, uint256(t.debtsPaid) + t.treasury + t.income);
        assertLe(t.debtsPaid, t.debts);
    }

    function test_an_epoch_is_split_between_treasury_producers_and_attesters() public {
        // 100 ether: 5 treasury; of 95: 38 producers, 57 attesters.
        uint32[] memory led = new uint32[](4);
        led[_position(0, 2)] = 240;
        uint64[] memory signed = new uint64[](4);
        for (uint256 i = 0; i < 4; ++i) {
            signed[i] = 2;
        }
        _close(0, 100 ether, led, 3, signed);
        IRevenueShare.Totals memory t = revenue.totals();
        assertEq(t.treasury, 5 ether);
        assertApproxEqAbs(t.income, 95 ether, 1_000);
        // Sequencer 2: all blocks, 40,000 of 170,000 stake; self-stake and 10 % commission both go to its owner.
        uint256 expectedOwner = 38 ether + 57 ether * uint256(4) / 17;
        assertApproxEqAbs(revenue.claimableOwner(2), expectedOwner, 10);
        // Sequencer 1: attesting only, 50,000 of 170,000 stake, 10 % commission, 1/5 delegated.
        uint256 gross = 57 ether * uint256(5) / 17;
        assertApproxEqAbs(revenue.claimable(1, alice), gross * 9 / 10 / 5, 10);
        assertApproxEqAbs(revenue.claimableOwner(1), gross / 10 + gross * 9 / 10 * 4 / 5, 10);
    }

    function test_an_absent_attesters_part_is_carried_over_not_given_to_others() public {
        uint64[] memory signed = new uint64[](4);
        for (uint256 i = 0; i < 4; ++i) {
            signed[i] = 6;
        }
        uint256 absent = _position(0, 3);
        signed[absent] = 3;
        _close(0, 100 ether, _evenly(4), 6, signed);
        // Half of the batches is three quarters of the part that two thirds earn.
        uint256 part = 57 ether * uint256(4) / 17;
        assertApproxEqAbs(revenue.totals().carry, part / 4, 1_000);
        assertApproxEqAbs(revenue.claimableOwner(2), 38 ether / 4 + part, 10);
        assertApproxEqAbs(revenue.claimableOwner(3), 38 ether / 4 + part * 3 / 4, 10);
        // It joins the next epoch.
        _closeAll(0, 0);
        assertLt(revenue.totals().carry, 1_000);
    }

    /// C1, C6, C8: stake earns for exactly the epochs whose snapshot holds it.
    function test_share_changes_count_from_the_snapshot_that_holds_them() public {
        _closeAll(0, 10 ether);
        uint256 aliceFirst = revenue.claimable(1, alice);
        // Bob joins and alice leaves during period 1; epochs of snapshot 0 still pay alice alone.
        vm.prank(bob);
        staking.delegate(1, 20_000e18);
        vm.prank(alice);
        staking.requestExit(1, 10_000e18);
        _closeAll(0, 10 ether);
        assertEq(revenue.claimable(1, bob), 0);
        assertApproxEqAbs(revenue.claimable(1, alice), 2 * aliceFirst, 10);
        _advance(10);
        uint64 second = _snapshot();
        _closeAll(0, 10 ether);
        assertEq(revenue.claimable(1, bob), 0);
        assertApproxEqAbs(revenue.claimable(1, alice), 3 * aliceFirst, 10);
        _closeAll(second, 10 ether);
        assertApproxEqAbs(revenue.claimable(1, alice), 3 * aliceFirst, 10, "gone means gone");
        uint256 bobOne = revenue.claimable(1, bob);
        assertGt(bobOne, 0);
        vm.prank(bob);
        assertEq(revenue.claim(1, bob), bobOne);
        assertEq(revenue.claimable(1, bob), 0);
        _closeAll(second, 10 ether);
        assertApproxEqAbs(revenue.claimable(1, bob), bobOne, 10);
        vm.prank(alice);
        assertApproxEqAbs(revenue.claim(1, alice), 3 * aliceFirst, 10);
        _checkBooks();
    }

    /// C6: a claim before the first epoch of one's own must not date the position back to the epochs still open then.
    function test_an_early_claim_earns_nothing_of_older_snapshots() public {
        vm.startPrank(bob);
        staking.delegate(1, 20_000e18);
        assertEq(revenue.claim(1, bob), 0);
        vm.stopPrank();
        _closeAll(0, 10 ether);
        assertEq(revenue.claimable(1, bob), 0);
        _advance(10);
        uint64 second = _snapshot();
        vm.prank(bob);
        assertEq(revenue.claim(1, bob), 0);
        _closeAll(0, 10 ether);
        assertEq(revenue.claimable(1, bob), 0);
        _closeAll(second, 10 ether);
        assertGt(revenue.claimable(1, bob), 0);
    }

    function test_claims_pay_once_to_any_receiver() public {
        _closeAll(0, 10 ether);
        uint256 due = revenue.claimable(1, alice);
        vm.startPrank(alice);
        vm.expectEmit(address(revenue));
        emit IRevenueShare.Claimed(1, alice, address(0xcafe), false, due);
        revenue.claim(1, address(0xcafe));
        assertEq(address(0xcafe).balance, due);
        assertEq(revenue.claim(1, address(0xcafe)), 0);
        vm.expectRevert(abi.encodeWithSelector(IRevenueShare.RevenueShare_NotOwner.selector, 1, owner(1), alice));
        revenue.claimOwner(1, alice);
        vm.stopPrank();
        due = revenue.claimableOwner(1);
        vm.startPrank(owner(1));
        assertEq(revenue.claimOwner(1, owner(1)), due);
        assertEq(revenue.claimOwner(1, owner(1)), 0);
        vm.stopPrank();
        _checkBooks();
    }

    function test_a_receiver_that_refuses_leaves_the_claim_open() public {
        _closeAll(0, 10 ether);
        uint256 due = revenue.claimable(1, alice);
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IRevenueShare.RevenueShare_PaymentFailed.selector, address(token), due));
        revenue.claim(1, address(token));
        assertEq(revenue.claimable(1, alice), due);
    }

    function test_debts_are_paid_first_in_first_out_as_far_as_fees_reach() public {
        vm.startPrank(address(inbox));
        revenue.addDebt(1, alice, 3 ether);
        revenue.addDebt(2, bob, 4 ether);
        revenue.addDebt(3, alice, 5 ether);
        vm.stopPrank();
        _closeAll(0, 5 ether);
        assertEq(revenue.totals().income, 0, "debts come first");
        vm.prank(bob);
        vm.expectEmit(address(revenue));
        emit IRevenueShare.DebtClaimed(2, bob, 2 ether, false);
        assertEq(revenue.claimDebts(0, 0, Debts.one(2, 3 ether, 7 ether)), 2 ether);
        _refuse(alice, 0, Debts.one(2, 5 ether, 7 ether));
        _refuse(bob, 0, Debts.one(2, 3 ether, 7 ether));
        _closeAll(0, 20 ether);
        vm.prank(bob);
        assertEq(revenue.claimDebts(0, 0, Debts.one(2, 5 ether, 7 ether)), 2 ether);
        _refuse(bob, 0, Debts.one(2, 5 ether, 7 ether));
        _refuse(bob, 0, Debts.one(2, 3 ether, 7 ether));
        // The newer of two first, over the older one's hash; then that one.
        IRevenueShare.OpenDebt[] memory older = Debts.one(1, 0, 3 ether);
        vm.startPrank(alice);
        assertEq(revenue.claimDebts(0, Debts.hash(0, older), Debts.one(3, 7 ether, 12 ether)), 5 ether);
        assertEq(revenue.claimDebts(0, 0, older), 3 ether);
        vm.stopPrank();
        _refuse(alice, 0, older);
        vm.prank(alice);
        assertEq(revenue.claimDebts(0, 0, new IRevenueShare.OpenDebt[](0)), 0, "nothing named, nothing paid");
        assertEq(alice.balance, 8 ether);
        assertEq(bob.balance, 4 ether);
        _checkBooks();
    }

    function _refuse(address poster, bytes32 base, IRevenueShare.OpenDebt[] memory list) private {
        bytes32 actual = Debts.hash(base, list);
        vm.expectRevert(abi.encodeWithSelector(IRevenueShare.RevenueShare_WrongDebts.selector, actual, revenue.debtsOf(poster, 0)));
        vm.prank(poster);
        revenue.claimDebts(0, base, list);
    }

    /// Debts, closings and claims of the newest few in any order: of each debt its poster gets once what the line says, and the hash follows.
    function testFuzz_posters_are_paid_exactly_what_is_covered(uint256 seed) public {
        address[2] memory posters = [alice, bob];
        uint256 closed;
        for (uint256 step = 0; step < 32; ++step) {
            uint256 random = uint256(keccak256(abi.encode(seed, step)));
            // A poster and a side.
            uint256 who = (random >> 8) % 2 + 2 * closed;
            if (random % 4 < 2) {
                uint128 start = revenue.totals().debts;
                vm.prank(address(inbox));
                revenue.addDebt(uint64(step), posters[who % 2], (random >> 16) % 3 ether);
                openDebts[who].push(IRevenueShare.OpenDebt(revenue.debtCount(), start, revenue.totals().debts));
            } else if (random % 4 == 2) {
                _closeAll(0, (random >> 16) % 4 ether);
                closed = 1 - closed;
            } else {
                who = (random >> 8) % 4;
                if (openDebts[who].length != 0) _claimNewest(who, posters[who % 2], random >> 16);
            }
            assertEq(Debts.hash(debtsBase[who], openDebts[who]), revenue.debtsOf(posters[who % 2], uint8(who / 2)));
        }
        uint256 rest;
        for (uint256 who = 0; who < 4; ++who) {
            for (uint256 i = 0; i < openDebts[who].length; ++i) {
                rest += openDebts[who][i].end - openDebts[who][i].start;
            }
        }
        assertEq(rest + alice.balance + bob.balance, revenue.totals().debts);
        _checkBooks();
    }

    /// @dev Claims a poster's debts from a random one on: older ones wait.
    function _claimNewest(uint256 who, address poster, uint256 random) private {
        IRevenueShare.OpenDebt[] memory all = openDebts[who];
        uint256 from = random % all.length;
        IRevenueShare.OpenDebt[] memory newest = new IRevenueShare.OpenDebt[](all.length - from);
        (bytes32 base, uint256 paid, uint256 due) = (debtsBase[who], revenue.totals().debtsPaid, 0);
        delete openDebts[who];
        for (uint256 i = 0; i < all.length; ++i) {
            if (i < from) {
                base = Debts.hash(base, Debts.one(all[i].id, all[i].start, all[i].end));
                openDebts[who].push(all[i]);
                continue;
            }
            newest[i - from] = all[i];
            uint256 covered = Debts.covered(all[i], paid);
            due += covered;
            if (paid < all[i].end) openDebts[who].push(IRevenueShare.OpenDebt(all[i].id, all[i].start + uint128(covered), all[i].end));
        }
        vm.prank(poster);
        assertEq(revenue.claimDebts(uint8(who / 2), base, newest), due);
        if (openDebts[who].length == 0) debtsBase[who] = bytes32(uint256(1));
    }

    /// A list of misses has an end: beyond it nothing is forfeited, and closing stays affordable.
    function test_at_most_64_missed_duties_count() public {
        address poster = makeAddr("poster");
        vm.startPrank(address(inbox));
        for (uint256 i = 0; i < 70; ++i) {
            revenue.addMiss(1, poster);
        }
        vm.stopPrank();
        uint64[] memory signed = new uint64[](4);
        _close(0, 100 ether, _evenly(4), 70, signed);
        uint256 producer = uint256(100 ether) * 9_500 / 10_000 * 4_000 / 10_000 / 4;
        assertEq(revenue.forfeitsOf(poster), producer / 70 * 64);
        assertApproxEqAbs(revenue.claimableOwner(1) + revenue.claimable(1, alice), producer - producer / 70 * 64, 2);
    }

    function test_the_treasury_is_paid_by_anyone_once() public {
        _closeAll(0, 10 ether);
        assertEq(revenue.claimTreasury(), 0.5 ether);
        assertEq(revenue.claimTreasury(), 0);
        assertEq(treasury.balance, 0.5 ether);
        _checkBooks();
    }

    function test_an_epoch_without_blocks_or_batches_loses_nothing() public {
        _close(0, 10 ether, new uint32[](4), 3, new uint64[](4));
        IRevenueShare.Totals memory t = revenue.totals();
        assertEq(t.income, 0);
        assertEq(t.carry, 9.5 ether);
        _closeAll(0, 0);
        assertLt(revenue.totals().carry, 1_000);
    }

    function test_performance_of_the_wrong_length_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IRevenueShare.RevenueShare_WrongPerformance.selector, 24, 32));
        vm.prank(address(inbox));
        revenue.close(0, 0, 0, _performance(_evenly(3)), 1, new uint64[](4));
    }

    function test_only_inbox_and_portal_move_the_books() public {
        vm.expectRevert(abi.encodeWithSelector(IRevenueShare.RevenueShare_NotInbox.selector, address(inbox), address(this)));
        revenue.addDebt(1, alice, 1);
        vm.expectRevert(abi.encodeWithSelector(IRevenueShare.RevenueShare_NotInbox.selector, address(inbox), address(this)));
        revenue.close(0, 0, 0, "", 0, new uint64[](0));
        vm.expectRevert(abi.encodeWithSelector(IRevenueShare.RevenueShare_NotPortal.selector, address(portal), address(this)));
        revenue.receiveFees();
    }

    /// A position with more changes than one claim walks is paid in several claims, none lost.
    function test_a_long_history_is_claimed_in_parts() public {
        uint64 last;
        for (uint256 i = 0; i < 70; ++i) {
            vm.prank(alice);
            staking.delegate(1, 1e18);
            _advance(10);
            last = _snapshot();
            _closeAll(last, 1 ether);
        }
        vm.startPrank(alice);
        uint256 first = revenue.claim(1, alice);
        uint256 second = revenue.claim(1, alice);
        assertGt(second, 0);
        assertEq(revenue.claim(1, alice), 0);
        vm.stopPrank();
        // What the owner's self-stake earned, which never changed, tells alice's part: shares alike earn alike.
        assertGt(first, second);
        _checkBooks();
    }

    /// Any split conserves every wei, and claims never exceed what was credited.
    function testFuzz_every_wei_is_paid_claimable_or_carried(uint256 seed) public {
        uint64 current;
        for (uint256 i = 0; i < 6; ++i) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            if (random % 3 == 0) {
                vm.prank(bob);
                staking.delegate(uint64(random % 4) + 1, uint128(random % 1_000e18) + 1);
                _advance(10);
                current = _snapshot();
            }
            if (random % 2 == 0) {
                vm.prank(address(inbox));
                revenue.addDebt(1, alice, random % 1 ether);
            }
            uint32[] memory led = new uint32[](4);
            uint64[] memory signed = new uint64[](4);
            for (uint256 m = 0; m < 4; ++m) {
                led[m] = uint32((random >> (m * 8)) % 100);
                signed[m] = uint64((random >> (m * 8 + 32)) % 8);
            }
            _close(current, random % 100 ether, led, 7, signed);
        }
        uint256 income = revenue.totals().income;
        uint256 claimed;
        for (uint64 id = 1; id <= 4; ++id) {
            vm.prank(owner(id));
            claimed += revenue.claimOwner(id, owner(id));
            vm.prank(alice);
            claimed += revenue.claim(id, address(0xa11ce));
            vm.prank(bob);
            claimed += revenue.claim(id, address(0xb0b));
        }
        assertLe(claimed, income);
        // Below one wei a segment and claim stays unclaimed.
        assertApproxEqAbs(claimed, income, 100);
        _checkBooks();
    }
}
