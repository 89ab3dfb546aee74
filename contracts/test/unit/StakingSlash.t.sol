// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStaking} from "../../src/interfaces/IStaking.sol";
import {Stakes} from "../helpers/Stakes.sol";

/// @notice Slashes and switches, by figures.
contract StakingSlashTest is Stakes {
    // -- slash

    function test_a_slash_takes_in_proportion_from_all_that_was_bonded() public {
        _delegate(alice, 10_000e18);
        _roll();
        vm.expectEmit(address(staking));
        emit IStaking.Slashed(id, 0, 2_500e18, 0, 47_500e18);
        assertEq(_slash(0, 500), 2_500e18);
        assertApproxEqAbs(staking.stakeOf(id, alice), 9_500e18, 1);
        assertApproxEqAbs(staking.sequencer(id).selfStake, 38_000e18, 1);
        assertEq(staking.totalStake(), 47_500e18 + STAKE);
        assertEq(staking.totalSlashed(), 2_500e18);
        assertEq(staking.slashCount(id), 1);
        assertEq(staking.sequencer(other).selfStake, STAKE, "nobody else's");
        _checkBalance();
    }

    /// C13: what is on its way out is slashed when it is paid, and no payment comes before the slash can.
    function test_C13_unbonding_stake_does_not_escape() public {
        _delegate(alice, 10_000e18);
        _roll();
        vm.prank(alice);
        staking.requestExit(id, 10_000e18);
        vm.prank(owner(id));
        staking.requestSelfExit(id, STAKE);
        skip(229);
        assertEq(_slash(0, 500), 0, "nothing is bonded any more");
        assertEq(staking.exits(1).amount, 9_500e18);
        skip(11);
        vm.expectEmit(address(staking));
        emit IStaking.Slashed(id, 0, 0, 500e18, 0);
        vm.expectEmit(address(staking));
        emit IStaking.ExitFinished(1, id, alice, 9_500e18);
        assertEq(staking.finishExit(1), 9_500e18);
        assertEq(staking.finishExit(2), 38_000e18);
        assertEq(staking.totalSlashed(), 2_500e18);
        assertEq(staking.totalUnbonding(), 0);
        _checkBalance();
    }

    /// C15: stake that left before the snapshot, or came after it, is not touched.
    function test_C15_neither_earlier_leavers_nor_later_joiners_are_hit() public {
        _delegate(alice, 10_000e18);
        vm.prank(alice);
        staking.requestExit(id, 4_000e18);
        _roll();
        _delegate(bob, 20_000e18);
        _delegate(alice, 6_000e18);
        vm.expectEmit(address(staking));
        emit IStaking.Slashed(id, 0, 2_300e18, 0, 69_700e18);
        assertEq(_slash(0, 500), 2_300e18);
        assertEq(staking.exits(1).amount, 4_000e18);
        assertApproxEqAbs(staking.stakeOf(id, bob), 20_000e18, 1);
        assertApproxEqAbs(staking.stakeOf(id, alice), 11_700e18, 1);
        assertApproxEqAbs(staking.sequencer(id).selfStake, 38_000e18, 1);
        // Whatever comes next, they hold on to it.
        uint128 held = staking.stakeOf(id, bob);
        vm.prank(bob);
        staking.requestExit(id, held);
        skip(240);
        assertApproxEqAbs(staking.finishExit(2), 20_000e18, 1);
        assertEq(staking.sharesOf(id, bob), 0);
    }

    /// C15: an exit that holds old and new stake loses for the old only.
    function test_C15_an_exit_of_several_periods_loses_for_its_old_part() public {
        _delegate(alice, 10_000e18);
        _roll();
        _delegate(alice, 6_000e18);
        _roll();
        vm.startPrank(alice);
        staking.requestExit(id, 4_000e18);
        staking.requestExit(id, 8_000e18);
        vm.stopPrank();
        _slash(0, 1_000);
        assertEq(staking.exits(1).amount, 3_600e18, "all of it old");
        assertEq(staking.exits(2).amount, 7_400e18, "6,000 of it old");
        assertApproxEqAbs(staking.stakeOf(id, alice), 4_000e18, 1, "all of it new");
        _slash(1, 1_000);
        assertEq(staking.exits(1).amount, 3_240e18);
        assertEq(staking.exits(2).amount, 4_860e18 + 1_800e18);
        assertApproxEqAbs(staking.stakeOf(id, alice), 3_600e18, 40e18 + 1, "the bonus of the first slash counts as newer");
        skip(300);
        staking.finishExit(1);
        staking.finishExit(2);
        _checkBalance();
    }

    /// H2: many slashes that reach nearly nothing, beside much later stake, neither date that stake anew nor fill the shares.
    function test_H2_slashes_of_crumbs_do_not_touch_later_stake() public {
        uint64 snapshot = _roll();
        _delegate(bob, 10_000e18);
        _roll();
        vm.startPrank(owner(id));
        uint64 exitId = staking.requestSelfExit(id, STAKE - 100e18);
        vm.stopPrank();
        IStaking.Sequencer memory before = staking.sequencer(id);
        uint128 shares = staking.sharesOf(id, bob);
        for (uint256 i = 0; i < 120; ++i) {
            assertEq(_slash(snapshot, 5_000), 0, "less than a hundredth is left of what it reaches");
        }
        assertEq(staking.sequencer(id).shares, before.shares, "no bonus");
        assertEq(lens.sharesAt(id, bob, snapshot + 1), shares, "dated as before");
        assertLe(staking.exits(exitId).amount, 120, "what left pays");
        vm.prank(owner(id));
        staking.topUp(id, STAKE);
        assertApproxEqAbs(staking.stakeOf(id, bob), 10_000e18, 1);
        // Stake that is in the later snapshot is reached in full.
        assertApproxEqAbs(_slash(snapshot + 1, 5_000), 5_050e18, 1);
        _checkBalance();
    }

    /// H2: from a hundredth on a slash takes its part.
    function test_H2_a_hundredth_of_the_stake_is_no_crumb() public {
        _roll();
        _delegate(bob, 9_900e18);
        vm.prank(owner(id));
        staking.requestSelfExit(id, STAKE - 100e18);
        assertEq(_slash(0, 500), 5e18);
        assertEq(_slash(0, 500), 0);
    }

    /// M4: many slashes that spare are noted in parts, by anyone, and come to the same.
    function test_M4_slashes_are_noted_in_parts_too() public {
        _roll();
        _delegate(bob, 10_000e18);
        _delegate(alice, 10_000e18);
        for (uint256 i = 0; i < 12; ++i) {
            _roll();
            _slash(uint64(i % 4), 300);
        }
        uint128 shares = staking.sharesOf(id, bob);
        uint128 worth = staking.stakeOf(id, bob);
        assertEq(staking.noteSlashes(id, bob, 5), 7);
        assertEq(staking.sharesOf(id, bob), shares);
        _slash(0, 300);
        worth = staking.stakeOf(id, bob);
        shares = staking.sharesOf(id, bob);
        assertEq(staking.noteSlashes(id, bob, 7), 1);
        assertEq(staking.sharesOf(id, bob), shares);
        assertEq(staking.noteSlashes(id, bob, type(uint256).max), 0);
        assertEq(staking.noteSlashes(id, bob, 1), 0);
        assertEq(staking.sharesOf(id, bob), shares);
        assertEq(staking.stakeOf(id, bob), worth);
        for (uint64 p = 0; p < staking.period(); ++p) {
            assertEq(lens.sharesAt(id, bob, p), lens.sharesAt(id, alice, p), "in parts or at once");
        }
        vm.prank(alice);
        staking.requestExit(id, 1);
        assertEq(staking.noteSlashes(id, address(0), 4), 9, "self-stake too");
        vm.prank(bob);
        staking.requestExit(id, worth);
        assertEq(staking.sharesOf(id, bob), 0);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_UnknownSequencer.selector, 9));
        staking.noteSlashes(9, bob, 1);
        _checkBalance();
    }

    /// L3: what leaves can be paid: stake of more than 256 periods leaves in parts.
    function test_L3_stake_of_too_many_periods_leaves_in_parts() public {
        for (uint256 i = 0; i < 257; ++i) {
            _delegate(alice, 10e18);
            _roll();
        }
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_TooManyLots.selector, 257, 256, 2_560e18));
        staking.requestExit(id, 2_570e18);
        vm.startPrank(alice);
        staking.requestExit(id, 2_560e18);
        staking.requestExit(id, 10e18);
        vm.stopPrank();
        _slash(255, 500);
        skip(240);
        assertEq(staking.finishExit(1), 2_560e18 * 95 / 100);
    }

    /// L4: slashed tokens sent to Staking itself would be nobody's.
    function test_L4_slashed_tokens_do_not_stay_here_uncounted() public {
        _roll();
        uint128 taken = _slash(0, 500);
        vm.prank(slasher);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_BadReceiver.selector, address(staking)));
        staking.releaseSlashed(address(staking), taken);
        _checkBalance();
    }

    /// C15: joining and leaving between two snapshots was never bonded in one.
    function test_C15_stake_of_no_snapshot_is_not_slashed() public {
        _roll();
        _delegate(alice, 10_000e18);
        vm.prank(alice);
        staking.requestExit(id, 10_000e18);
        _roll();
        _slash(0, 5_000);
        _slash(1, 5_000);
        assertEq(staking.exits(1).amount, 10_000e18);
    }

    function test_C15_a_sequencer_is_not_slashed_for_snapshots_before_it() public {
        _roll();
        uint64 late = _bond(STAKE, 1_000);
        _roll();
        vm.startPrank(slasher);
        assertEq(staking.slash(late, 0, 5_000), 0);
        assertEq(staking.sequencer(late).selfStake, STAKE);
        assertEq(staking.slash(late, 1, 5_000), STAKE / 2);
        vm.stopPrank();
        _checkBalance();
    }

    /// C10: no slash of two wei or more rounds to nothing, and none takes more than there is.
    function testFuzz_C10_a_slash_never_rounds_to_zero_nor_exceeds_the_stake(uint128 left, uint16 bps, uint128 later) public {
        left = uint128(bound(left, 1, STAKE));
        bps = uint16(bound(bps, 1, 5_000));
        later = uint128(bound(later, 0, left > 101 ? (left < 101e18 ? uint256(left) * 98 : 10_000e18) : 0));
        _roll();
        if (later != 0) _delegate(bob, later);
        if (left < STAKE) {
            vm.prank(owner(id));
            staking.requestSelfExit(id, STAKE - left);
        }
        uint128 before = staking.sequencer(id).stake;
        uint128 taken = _slash(0, bps);
        assertLe(taken, before);
        if (left > 1) assertGt(taken, 0);
        assertApproxEqAbs(taken, (uint256(left) * bps + 9_999) / 10_000, 1);
        if (left > 100) assertApproxEqAbs(staking.stakeOf(id, bob), later, uint256(later) / left + 2);
        if (left < STAKE) assertEq(staking.exits(1).amount, STAKE - left - (uint256(STAKE - left) * bps + 9_999) / 10_000);
        _checkBalance();
    }

    function test_only_the_slasher_slashes_and_within_bounds() public {
        _roll();
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_NotSlasher.selector, slasher, address(this)));
        staking.slash(id, 0, 500);
        vm.startPrank(slasher);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_UnknownSequencer.selector, 9));
        staking.slash(9, 0, 500);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_SlashOutOfBounds.selector, 0, 5_000));
        staking.slash(id, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_SlashOutOfBounds.selector, 5_001, 5_000));
        staking.slash(id, 0, 5_001);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_UnknownSnapshot.selector, 1));
        staking.slash(id, 1, 500);
        skip(240);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_SlashTooLate.selector, vm.getBlockTimestamp(), vm.getBlockTimestamp()));
        staking.slash(id, 0, 500);
    }

    function test_slashed_tokens_go_where_the_slasher_says_and_nothing_else_does() public {
        _roll();
        _slash(0, 500);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_NotSlasher.selector, slasher, address(this)));
        staking.releaseSlashed(address(this), 1);
        vm.startPrank(slasher);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_InsufficientStake.selector, 2_000e18 + 1, 2_000e18));
        staking.releaseSlashed(alice, 2_000e18 + 1);
        uint256 before = token.balanceOf(alice);
        vm.expectEmit(address(staking));
        emit IStaking.SlashedReleased(alice, 100e18, 1_900e18);
        staking.releaseSlashed(alice, 100e18);
        assertEq(token.balanceOf(alice), before + 100e18);
        _checkBalance();
    }

    /// C31: below the minimum nobody joins it until its owner tops up; then it goes on at the new price.
    function test_C31_re_entry_after_a_slash() public {
        _roll();
        _slash(0, 5_000);
        _slash(0, 5_000);
        assertApproxEqAbs(staking.sequencer(id).selfStake, 10_000e18, 1);
        vm.expectPartialRevert(IStaking.Staking_BelowMinimum.selector);
        vm.prank(alice);
        staking.delegate(id, 1e18);
        vm.prank(owner(id));
        staking.topUp(id, 15_000e18);
        assertApproxEqAbs(staking.sequencer(id).selfStake, 25_000e18, 1);
        assertApproxEqAbs(lens.previewEntry(id, 1e18), 4e24, 1e6, "a share costs a quarter");
        _delegate(alice, 10e18);
        assertApproxEqAbs(staking.stakeOf(id, alice), 10e18, 1);
        _roll();
        _slash(2 - 1, 500);
        assertApproxEqAbs(staking.stakeOf(id, alice), 9.5e18, 1);
    }

    /// A slash that spares others is no change of a position that was there before: its shares and its history stay as they are.
    function test_C8_a_slash_changes_no_shares_of_who_was_there() public {
        _delegate(alice, 10_000e18);
        _roll();
        _delegate(bob, 20_000e18);
        _roll();
        _slash(0, 1_000);
        assertEq(staking.segments(id, alice, 0, 10).length, 1);
        assertEq(staking.sharesOf(id, alice), 10_000e24);
        assertEq(staking.segments(id, bob, 0, 10).length, 2);
        assertGt(staking.sharesOf(id, bob), 20_000e24);
    }

    /// C6, C8: shares that a slash spared earn from the next snapshot on, before anybody touched the position, and as much after.
    function test_C8_spared_shares_are_told_before_and_after_they_are_noted() public {
        _roll();
        _delegate(bob, 20_000e18);
        _roll();
        _roll();
        _slash(0, 1_000);
        assertEq(staking.sequencer(id).sharesFrom, 3, "the next snapshot divides by other shares");
        _delegate(alice, 1e18);
        IStaking.Segment[] memory before = staking.segments(id, bob, 0, 10);
        assertEq(before.length, 2);
        assertEq(before[0].from, 1);
        assertEq(before[0].shares, 20_000e24);
        assertEq(before[1].from, 3);
        assertEq(before[1].shares, staking.sharesOf(id, bob));
        assertEq(lens.sharesAt(id, bob, 2), 20_000e24);
        assertEq(lens.sharesAt(id, bob, 3), before[1].shares);
        assertEq(staking.sequencer(id).sharesFrom, 3);
        assertEq(staking.segments(id, bob, 1, 10).length, 1);
        assertEq(staking.segments(id, bob, 2, 10).length, 0);
        assertEq(staking.segments(id, bob, 0, 1).length, 1);
        _roll();
        vm.prank(bob);
        staking.requestExit(id, 1e18);
        IStaking.Segment[] memory list = staking.segments(id, bob, 0, 10);
        assertEq(list.length, 3);
        assertEq(abi.encode(list[0], list[1]), abi.encode(before[0], before[1]));
        assertEq(lens.sharesAt(id, bob, 3), before[1].shares);
    }

    /// C14: no number of delegators, and nothing they do, makes a slash dearer.
    function test_C14_a_slash_costs_the_same_for_many_delegators() public {
        uint256 snapshot = vm.snapshotState();
        _roll();
        vm.prank(slasher);
        uint256 gas = gasleft();
        staking.slash(id, 0, 500);
        gas -= gasleft();
        vm.revertToState(snapshot);
        for (uint256 i = 0; i < 200; ++i) {
            address account = address(uint160(0xd0000 + i));
            _fund(account, 1e18);
            vm.prank(account);
            staking.delegate(id, 1e18);
        }
        _roll();
        vm.prank(slasher);
        uint256 many = gasleft();
        staking.slash(id, 0, 500);
        many -= gasleft();
        assertLe(many, gas + 1_000);
    }
}
