// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStaking} from "../../src/interfaces/IStaking.sol";
import {World} from "../helpers/World.sol";

contract StakingTest is World {
    address private alice = makeAddr("alice");
    address private bob = makeAddr("bob");
    uint64 private id;

    function setUp() public override {
        super.setUp();
        id = _bond(STAKE, 1_000);
        _fund(alice, 1_000_000e18);
        _fund(bob, 1_000_000e18);
    }

    /// @dev Ends the period, as the pool does when it takes a snapshot.
    function _roll() private returns (uint64) {
        vm.prank(address(pool));
        return staking.roll();
    }

    // -- bond, topUp

    function test_bond_creates_a_sequencer_with_its_stake() public {
        IStaking.Sequencer memory s = staking.sequencer(id);
        assertEq(s.owner, owner(id));
        assertEq(s.stake, STAKE);
        assertEq(s.selfStake, STAKE);
        assertEq(s.shares, uint256(STAKE) * 1e6);
        assertEq(s.commission, 1_000);
        assertEq(s.maxCommission, 5_000);
        assertEq(token.balanceOf(address(staking)), STAKE);
        vm.expectEmit(address(staking));
        emit IStaking.SequencerCreated(2, alice, 1, 2);
        vm.expectEmit(address(staking));
        emit IStaking.Bonded(2, alice, 20_000e18, 20_000e24, 20_000e18, 20_000e24, 0);
        vm.prank(alice);
        assertEq(staking.bond(20_000e18, 1, 2), 2);
    }

    function test_bond_outside_of_the_bounds_reverts() public {
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_BelowMinimum.selector, 20_000e18 - 1, 20_000e18));
        staking.bond(20_000e18 - 1, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_AboveMaximum.selector, 100_000e18 + 1, 100_000e18));
        staking.bond(100_000e18 + 1, 0, 0);
        vm.expectRevert(IStaking.Staking_ZeroAmount.selector);
        staking.bond(0, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_CommissionTooHigh.selector, 10_001, 10_000));
        staking.bond(20_000e18, 0, 10_001);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_CommissionTooHigh.selector, 3, 2));
        staking.bond(20_000e18, 3, 2);
    }

    function test_only_the_owner_tops_up_and_only_to_the_cap() public {
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_NotOwner.selector, id, owner(id), alice));
        vm.prank(alice);
        staking.topUp(id, 1);
        vm.startPrank(owner(id));
        staking.topUp(id, 60_000e18);
        assertEq(staking.stakeOf(id, address(0)), 100_000e18);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_AboveMaximum.selector, 100_000e18 + 1, 100_000e18));
        staking.topUp(id, 1);
    }

    // -- delegate

    function test_delegations_share_the_cap_and_count_exactly() public {
        vm.prank(alice);
        assertEq(staking.delegate(id, 10e18), 10e24);
        vm.prank(bob);
        staking.delegate(id, 20e18);
        assertEq(staking.stakeOf(id, alice), 10e18);
        assertEq(staking.stakeOf(id, bob), 20e18);
        assertEq(staking.sequencer(id).selfStake, STAKE);
        assertEq(staking.totalStake(), STAKE + 30e18);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_AboveMaximum.selector, 100_000e18 + 1, 100_000e18));
        vm.prank(bob);
        staking.delegate(id, 60_000e18 - 30e18 + 1);
    }

    function test_delegating_to_no_sequencer_or_one_below_the_minimum_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_UnknownSequencer.selector, 9));
        vm.prank(alice);
        staking.delegate(9, 1e18);
        vm.prank(owner(id));
        staking.requestSelfExit(id, STAKE - 1e18);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_BelowMinimum.selector, 1e18, 20_000e18));
        vm.prank(alice);
        staking.delegate(id, 1e18);
    }

    function test_an_owners_delegation_to_itself_is_no_self_stake() public {
        vm.startPrank(owner(id));
        staking.delegate(id, 5e18);
        assertEq(staking.sequencer(id).selfStake, STAKE);
        assertEq(staking.stakeOf(id, owner(id)), 5e18);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_InsufficientStake.selector, 5e18 + 1, 5e18));
        staking.requestExit(id, 5e18 + 1);
    }

    // -- exit

    /// P7 exit_is_free, C41: every way out waits, partial or whole, and the last step is anyone's.
    function test_exits_wait_and_are_paid_once_by_anyone() public {
        vm.startPrank(alice);
        staking.delegate(id, 10e18);
        uint64 readyAt = uint64(vm.getBlockTimestamp()) + 240;
        vm.expectEmit(address(staking));
        emit IStaking.ExitRequested(1, id, alice, false, 4e18, readyAt, 6e24, STAKE + 6e18, (STAKE + 6e18) * 1e6, 0);
        assertEq(staking.requestExit(id, 4e18), 1);
        assertEq(staking.requestExit(id, 6e18), 2);
        vm.stopPrank();
        assertEq(staking.totalUnbonding(), 10e18);
        assertEq(staking.stakeOf(id, alice), 0);
        skip(239);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_ExitNotReady.selector, readyAt, readyAt - 1));
        staking.finishExit(1);
        skip(1);
        uint256 before = token.balanceOf(alice);
        vm.prank(bob);
        assertEq(staking.finishExit(1), 4e18);
        assertEq(token.balanceOf(alice), before + 4e18);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_UnknownExit.selector, 1));
        staking.finishExit(1);
        staking.finishExit(2);
        assertEq(staking.totalUnbonding(), 0);
        assertEq(token.balanceOf(address(staking)), STAKE);
    }

    function test_an_owner_may_leave_altogether_and_come_back() public {
        vm.prank(alice);
        staking.delegate(id, 10e18);
        vm.startPrank(owner(id));
        staking.requestSelfExit(id, STAKE);
        assertEq(staking.sequencer(id).selfStake, 0);
        assertEq(staking.stakeOf(id, alice), 10e18, "delegators keep theirs");
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_BelowMinimum.selector, 1e18, 20_000e18));
        staking.topUp(id, 1e18);
        staking.topUp(id, 20_000e18);
        vm.stopPrank();
        vm.prank(alice);
        staking.requestExit(id, 10e18);
        assertEq(staking.sequencer(id).stake, 20_000e18);
    }

    function test_only_the_owner_exits_self_stake_and_nobody_exits_more_than_held() public {
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_NotOwner.selector, id, owner(id), alice));
        staking.requestSelfExit(id, 1);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_InsufficientStake.selector, 1, 0));
        staking.requestExit(id, 1);
        vm.expectRevert(IStaking.Staking_ZeroAmount.selector);
        staking.requestExit(id, 0);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_UnknownExit.selector, 7));
        staking.finishExit(7);
    }

    // -- commission

    function test_commission_falls_at_will_and_rises_slowly_to_its_maximum() public {
        vm.startPrank(owner(id));
        staking.setCommission(id, 1_500);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_CommissionRisesTooFast.selector, 501, 500, vm.getBlockTimestamp() + 7 days));
        staking.setCommission(id, 1_501);
        vm.stopPrank();
        _roll();
        assertEq(staking.sequencer(id).commission, 1_500);
        vm.startPrank(owner(id));
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_CommissionRisesTooFast.selector, 1, 500, vm.getBlockTimestamp() + 7 days));
        staking.setCommission(id, 1_501);
        skip(7 days);
        vm.expectPartialRevert(IStaking.Staking_CommissionRisesTooFast.selector);
        staking.setCommission(id, 2_001);
        staking.setCommission(id, 2_000);
        staking.setCommission(id, 0);
        assertEq(staking.sequencer(id).commission, 0, "a fall counts at once and ends an announced rise");
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_CommissionTooHigh.selector, 5_001, 5_000));
        staking.setCommission(id, 5_001);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_NotOwner.selector, id, owner(id), alice));
        vm.prank(alice);
        staking.setCommission(id, 0);
    }

    function test_a_rise_of_the_commission_is_announced_one_period_ahead() public {
        _roll();
        vm.expectEmit(address(staking));
        emit IStaking.CommissionSet(id, 1_500, 2);
        vm.prank(owner(id));
        staking.setCommission(id, 1_500);
        assertEq(staking.sequencer(id).commission, 1_000, "snapshot 1 has the old one");
        _roll();
        assertEq(staking.sequencer(id).commission, 1_500);
        vm.expectEmit(address(staking));
        emit IStaking.CommissionSet(id, 1_400, 2);
        vm.prank(owner(id));
        staking.setCommission(id, 1_400);
        assertEq(staking.sequencer(id).commission, 1_400);
    }

    // -- periods

    function test_only_the_pool_ends_a_period() public {
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_NotPool.selector, address(pool), address(this)));
        staking.roll();
    }

    function test_share_changes_belong_to_the_next_snapshot() public {
        assertEq(_roll(), 0);
        vm.prank(alice);
        staking.delegate(id, 10e18);
        assertEq(_roll(), 1);
        assertEq(_roll(), 2);
        vm.startPrank(alice);
        staking.delegate(id, 5e18);
        staking.requestExit(id, 1e18);
        vm.stopPrank();
        assertEq(lens.sharesAt(id, alice, 0), 0);
        assertEq(lens.sharesAt(id, alice, 1), 10e24);
        assertEq(lens.sharesAt(id, alice, 2), 10e24);
        assertEq(lens.sharesAt(id, alice, 3), 14e24);
        assertEq(staking.sequencer(id).sharesFrom, 3);
        IStaking.Segment[] memory list = staking.segments(id, alice, 0, 10);
        assertEq(list.length, 2);
        assertEq(list[1].from, 3);
        assertEq(list[1].shares, 14e24);
    }

    // -- arithmetic

    /// C12: nobody gains by donating, bonding first, or any order of entries and exits; no sum is lost.
    function testFuzz_entries_and_exits_are_exact_without_slashes(uint128[8] memory amounts) public {
        uint256 held;
        for (uint256 i = 0; i < amounts.length; ++i) {
            uint128 amount = uint128(bound(amounts[i], 1, 1_000e18));
            if (amounts[i] % 3 != 0 || held == 0) {
                vm.prank(alice);
                staking.delegate(id, amount);
                held += amount;
            } else {
                amount = uint128(bound(amounts[i], 1, held));
                vm.prank(alice);
                staking.requestExit(id, amount);
                held -= amount;
            }
            assertEq(staking.stakeOf(id, alice), held);
            assertEq(staking.sequencer(id).selfStake, STAKE);
        }
        assertEq(token.balanceOf(address(staking)), staking.totalStake() + staking.totalUnbonding());
    }
}

/// @notice A token that keeps a part of every transfer.
contract TaxedToken {
    mapping(address => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        balanceOf[from] -= amount;
        balanceOf[to] += amount - 1;
        return true;
    }
}

contract StakingTokenTest is World {
    /// C25.
    function test_a_token_that_keeps_a_part_of_a_transfer_is_refused() public {
        TaxedToken taxed = new TaxedToken();
        vm.etch(address(token), address(taxed).code);
        TaxedToken(address(token)).mint(address(this), 50_000e18);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_UnexpectedTransfer.selector, STAKE - 1, STAKE));
        staking.bond(STAKE, 0, 0);
    }
}
