// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStaking} from "../../src/interfaces/IStaking.sol";
import {Stakes} from "../helpers/Stakes.sol";

/// @notice Switches, and slashes of what was switched, by figures.
contract StakingSwitchTest is Stakes {
    // -- switch

    function test_a_switch_moves_stake_at_once() public {
        _delegate(alice, 10_000e18);
        _roll();
        uint64 readyAt = uint64(vm.getBlockTimestamp()) + 240;
        vm.expectEmit(address(staking));
        emit IStaking.PositionChanged(id, alice, 6_000e24, 46_000e18, 46_000e24, 1);
        vm.expectEmit(address(staking));
        emit IStaking.PositionChanged(other, alice, 4_000e24, 44_000e18, 44_000e24, 1);
        vm.expectEmit(address(staking));
        emit IStaking.Switched(id, other, alice, 4_000e18, readyAt, 1);
        vm.prank(alice);
        assertEq(staking.switchSequencer(id, other, 4_000e18, 4_000e24), 4_000e24);
        assertEq(staking.stakeOf(other, alice), 4_000e18);
        assertEq(staking.totalStake(), 2 * STAKE + 10_000e18);
        assertEq(staking.totalUnbonding(), 0);
        (uint64 from, uint128 amount, uint64 ready, uint128 owed) = staking.arrivals(other, alice);
        assertEq(from, id);
        assertEq(amount, 4_000e18);
        assertEq(ready, readyAt);
        assertEq(owed, 0);
        _checkBalance();
    }

    function test_a_switch_keeps_all_bounds() public {
        _delegate(alice, 50_000e18);
        uint64 third = _bond(STAKE, 0);
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_SameSequencer.selector, id));
        staking.switchSequencer(id, id, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_UnknownSequencer.selector, 9));
        staking.switchSequencer(id, 9, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_UnknownSequencer.selector, 9));
        staking.switchSequencer(9, id, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_InsufficientStake.selector, 50_000e18 + 1, 50_000e18));
        staking.switchSequencer(id, other, 50_000e18 + 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_TooFewShares.selector, 1e6, 1e6 + 1));
        staking.switchSequencer(id, other, 1, 1e6 + 1);
        staking.delegate(other, 20_000e18);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_AboveMaximum.selector, 100_000e18 + 1, 100_000e18));
        staking.switchSequencer(id, other, 40_000e18 + 1, 0);
        // Once there, neither on nor a second time, until the unbonding time has passed.
        staking.switchSequencer(id, other, 1e18, 0);
        uint64 readyAt = uint64(vm.getBlockTimestamp()) + 240;
        skip(239);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_SwitchedRecently.selector, other, readyAt, readyAt - 1));
        staking.switchSequencer(other, third, 1e18, 0);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_SwitchedRecently.selector, other, readyAt, readyAt - 1));
        staking.switchSequencer(id, other, 1e18, 0);
        staking.switchSequencer(id, third, 1e18, 0);
        skip(1);
        staking.switchSequencer(other, third == other ? id : id, 1e18, 0);
        (uint64 from,,,) = staking.arrivals(other, alice);
        assertEq(from, 0, "forgotten");
    }

    /// C13: a switch does not shake off a fault of the old sequencer, and anybody may bring it home.
    function test_C13_switched_stake_pays_for_the_old_sequencer() public {
        _delegate(alice, 10_000e18);
        _roll();
        vm.prank(alice);
        staking.switchSequencer(id, other, 10_000e18, 0);
        _slash(0, 500);
        (, uint128 amount,, uint128 owed) = staking.arrivals(other, alice);
        assertEq(amount, 9_500e18);
        assertEq(owed, 500e18);
        vm.expectEmit(address(staking));
        emit IStaking.SwitchSlashed(id, other, alice, 500e18);
        staking.settleSwitch(other, alice);
        assertEq(staking.stakeOf(other, alice), 9_500e18);
        assertEq(staking.sequencer(other).selfStake, STAKE, "the others behind it lose nothing");
        assertEq(staking.totalSlashed(), 2_500e18);
        staking.settleSwitch(other, alice);
        assertEq(staking.stakeOf(other, alice), 9_500e18, "once");
        _checkBalance();
    }

    /// C13: nor does an exit from the new place.
    function test_C13_switched_stake_pays_from_its_exits() public {
        _delegate(alice, 10_000e18);
        _roll();
        vm.startPrank(alice);
        staking.switchSequencer(id, other, 10_000e18, 0);
        staking.requestExit(other, 300e18);
        staking.requestExit(other, 9_700e18);
        vm.stopPrank();
        _slash(0, 500);
        skip(240);
        assertEq(staking.finishExit(1), 0, "nothing is left of it, and it is done");
        assertEq(staking.finishExit(2), 9_500e18);
        (uint64 from,,, uint128 owed) = staking.arrivals(other, alice);
        assertEq(owed, 0);
        staking.settleSwitch(other, alice);
        (from,,,) = staking.arrivals(other, alice);
        assertEq(from, 0);
        assertEq(staking.totalUnbonding(), 0);
        assertEq(staking.totalSlashed(), 2_500e18);
        _checkBalance();
    }

    /// C15: an owner's self-stake does not pay for a delegation that the same account switched to its own sequencer.
    function test_C15_self_stake_does_not_pay_what_its_owners_delegation_owes() public {
        address both = owner(other);
        _fund(both, 10_000e18);
        _delegate(both, 10_000e18);
        _roll();
        vm.startPrank(both);
        staking.switchSequencer(id, other, 10_000e18, 0);
        staking.requestSelfExit(other, 1_000e18);
        staking.requestExit(other, 10_000e18);
        vm.stopPrank();
        _slash(0, 500);
        skip(240);
        assertEq(staking.finishExit(1), 1_000e18);
        assertEq(staking.finishExit(2), 9_500e18);
        _checkBalance();
    }

    /// C15: a switch made before the snapshot was taken is out of its reach.
    function test_C15_a_switch_before_the_snapshot_is_not_hit() public {
        _delegate(alice, 10_000e18);
        vm.prank(alice);
        staking.switchSequencer(id, other, 10_000e18, 0);
        _roll();
        _slash(0, 500);
        staking.settleSwitch(other, alice);
        assertEq(staking.stakeOf(other, alice), 10_000e18);
        skip(300);
        staking.settleSwitch(other, alice);
        (uint64 from,,,) = staking.arrivals(other, alice);
        assertEq(from, 0);
    }

    /// C15: however often it is settled in between, old and new parts of switched stake pay what each owes.
    function test_C15_switched_stake_of_several_periods_pays_for_its_old_part() public {
        _delegate(alice, 10_000e18);
        _roll();
        _delegate(alice, 10_000e18);
        _roll();
        vm.prank(alice);
        staking.switchSequencer(id, other, 20_000e18, 0);
        _slash(0, 1_000);
        staking.settleSwitch(other, alice);
        assertEq(staking.stakeOf(other, alice), 19_000e18);
        _slash(0, 1_000);
        staking.settleSwitch(other, alice);
        assertEq(staking.stakeOf(other, alice), 18_100e18);
        _slash(1, 1_000);
        staking.settleSwitch(other, alice);
        assertEq(staking.stakeOf(other, alice), 8_100e18 - 810e18 + 9_000e18);
        skip(300);
        staking.settleSwitch(other, alice);
        (uint64 from,,,) = staking.arrivals(other, alice);
        assertEq(from, 0);
        _checkBalance();
    }

    /// C39: a position that owes more than it holds cannot switch, but nothing else stops.
    function test_C39_who_owes_more_than_it_holds_pays_from_its_exits_and_goes_on() public {
        _delegate(alice, 10_000e18);
        _roll();
        vm.startPrank(alice);
        staking.switchSequencer(id, other, 10_000e18, 0);
        staking.requestExit(other, 10_000e18);
        vm.stopPrank();
        _slash(0, 500);
        skip(240);
        vm.prank(bob);
        staking.delegate(id, 1e18);
        vm.startPrank(alice);
        staking.delegate(id, 1e18);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_SwitchOwes.selector, other, 500e18));
        staking.switchSequencer(id, other, 1e18, 0);
        assertEq(staking.finishExit(1), 9_500e18);
        staking.switchSequencer(id, other, 0.5e18, 0);
        vm.stopPrank();
        _checkBalance();
    }
}
