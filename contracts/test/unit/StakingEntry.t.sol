// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStaking} from "../../src/interfaces/IStaking.sol";
import {World} from "../helpers/World.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

/// @notice Entry by permit, previews and lists.
contract StakingEntryTest is World {
    bytes32 private constant PERMIT = keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
    address private alice;
    uint256 private aliceKey;
    uint64 private id;

    function setUp() public override {
        super.setUp();
        (alice, aliceKey) = makeAddrAndKey("alice");
        token.transfer(alice, 200_000e18);
        id = _bond(STAKE, 1_000);
    }

    function _sign(uint256 amount) private view returns (IStaking.Permit memory p) {
        p.deadline = vm.getBlockTimestamp();
        bytes32 content = keccak256(abi.encode(PERMIT, alice, address(staking), amount, token.nonces(alice), p.deadline));
        (p.v, p.r, p.s) = vm.sign(aliceKey, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), content)));
    }

    // -- permit

    function test_one_signature_bonds_tops_up_and_delegates() public {
        IStaking.Permit memory p = _sign(30_000e18);
        vm.prank(alice);
        uint64 mine = staking.bondWithPermit(30_000e18, 1, 2, p);
        assertEq(staking.ownerOf(mine), alice);
        p = _sign(5e18);
        vm.prank(alice);
        staking.topUpWithPermit(mine, 5e18, p);
        assertEq(staking.stakeOf(mine, address(0)), 30_005e18);
        p = _sign(7e18);
        vm.prank(alice);
        assertEq(staking.delegateWithPermit(id, 7e18, 7e24, p), 7e24);
        assertEq(staking.stakeOf(id, alice), 7e18);
        assertEq(token.allowance(alice, address(staking)), 0);
    }

    /// C17: whoever sees a permit may use it first; the entry goes on with the allowance it gave.
    function test_C17_a_permit_used_by_another_does_not_stop_the_entry() public {
        IStaking.Permit memory p = _sign(7e18);
        token.permit(alice, address(staking), 7e18, p.deadline, p.v, p.r, p.s);
        vm.prank(alice);
        staking.delegateWithPermit(id, 7e18, 0, p);
        assertEq(staking.stakeOf(id, alice), 7e18);
    }

    /// C17: a permit serves its signer, its amount and one time.
    function test_C17_a_permit_serves_only_its_signer_and_amount_and_once() public {
        IStaking.Permit memory p = _sign(7e18);
        address thief = makeAddr("thief");
        bytes memory none = abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(staking), 0, 7e18);
        vm.expectRevert(none);
        vm.prank(thief);
        staking.delegateWithPermit(id, 7e18, 0, p);
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(staking), 0, 8e18));
        staking.delegateWithPermit(id, 8e18, 0, p);
        staking.delegateWithPermit(id, 7e18, 0, p);
        vm.expectRevert(none);
        staking.delegateWithPermit(id, 7e18, 0, p);
    }

    function test_an_expired_permit_leaves_it_to_the_allowance() public {
        IStaking.Permit memory p = _sign(20_000e18);
        skip(1);
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(staking), 0, 20_000e18));
        staking.bondWithPermit(20_000e18, 0, 0, p);
        token.approve(address(staking), 20_000e18);
        staking.bondWithPermit(20_000e18, 0, 0, p);
    }

    // -- guards and previews

    function test_too_few_shares_revert_with_both_figures() public {
        vm.startPrank(alice);
        token.approve(address(staking), type(uint256).max);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_TooFewShares.selector, 5e24, 5e24 + 1));
        staking.delegateAtLeast(id, 5e18, 5e24 + 1);
        assertEq(staking.delegateAtLeast(id, 5e18, 5e24), 5e24);
    }

    function testFuzz_previews_say_what_happens(uint128 amount) public {
        amount = uint128(bound(amount, 1, lens.room(id)));
        uint128 shares = lens.previewEntry(id, amount);
        uint64 readyAt = staking.previewExit();
        uint128 room = lens.room(id);
        vm.startPrank(alice);
        token.approve(address(staking), type(uint256).max);
        assertEq(staking.delegate(id, amount), shares);
        assertEq(lens.room(id), room - amount);
        assertEq(lens.previewStake(id, shares), staking.stakeOf(id, alice));
        assertEq(staking.exits(staking.requestExit(id, amount)).readyAt, readyAt);
    }

    function test_previews_of_no_sequencer_revert() public {
        bytes memory unknown = abi.encodeWithSelector(IStaking.Staking_UnknownSequencer.selector, 9);
        vm.expectRevert(unknown);
        lens.room(9);
        vm.expectRevert(unknown);
        lens.previewEntry(9, 1);
        vm.expectRevert(unknown);
        lens.previewStake(9, 1);
    }

    // -- lists

    function test_sequencers_are_listed_whole_and_in_pages() public {
        _bond(50_000e18, 2_000);
        _bond(60_000e18, 3_000);
        assertEq(lens.sequencers(0, 10).length, 3);
        IStaking.Sequencer[] memory page = lens.sequencers(2, 1);
        assertEq(page.length, 1);
        assertEq(abi.encode(page[0]), abi.encode(staking.sequencer(2)));
        assertEq(lens.sequencers(3, 5)[0].stake, 60_000e18);
        assertEq(lens.sequencers(4, 5).length, 0);
        assertEq(lens.sequencers(type(uint64).max, type(uint256).max).length, 0);
    }

    function test_an_accounts_exits_are_listed_whole_and_in_pages() public {
        vm.startPrank(alice);
        token.approve(address(staking), type(uint256).max);
        staking.delegate(id, 10e18);
        staking.requestExit(id, 1e18);
        vm.stopPrank();
        vm.prank(owner(id));
        staking.requestSelfExit(id, 5e18);
        vm.startPrank(alice);
        staking.requestExit(id, 2e18);
        staking.requestExit(id, 3e18);
        vm.stopPrank();
        (uint64[] memory ids, IStaking.Exit[] memory list, uint64 next_) = lens.exitsOf(alice, 0, 3);
        assertEq(ids.length, 2);
        assertEq(ids[1], 3);
        assertEq(abi.encode(list[1]), abi.encode(staking.exits(3)));
        assertEq(next_, 4);
        (ids, list, next_) = lens.exitsOf(alice, next_, type(uint64).max);
        assertEq(ids.length, 1);
        assertEq(list[0].amount, 3e18);
        assertEq(next_, 5);
        skip(240);
        staking.finishExit(1);
        (ids,,) = lens.exitsOf(alice, 1, 100);
        assertEq(ids.length, 2, "a paid exit is gone");
        (ids,, next_) = lens.exitsOf(alice, 5, 100);
        assertEq(ids.length, 0);
        assertEq(next_, 5);
    }

    // -- owner

    function test_a_sequencer_changes_hands_in_two_steps() public {
        vm.expectEmit(address(staking));
        emit IStaking.OwnerProposed(id, owner(id), alice);
        vm.startPrank(owner(id));
        staking.proposeOwner(id, alice);
        assertEq(staking.proposedOwnerOf(id), alice);
        assertEq(staking.ownerOf(id), owner(id), "not yet");
        uint64 exitId = staking.requestSelfExit(id, 1e18);
        vm.stopPrank();
        vm.expectEmit(address(staking));
        emit IStaking.OwnerChanged(id, owner(id), alice);
        vm.startPrank(alice);
        staking.acceptOwner(id);
        assertEq(staking.sequencer(id).owner, alice);
        assertEq(staking.proposedOwnerOf(id), address(0));
        staking.setCommission(id, 0);
        uint64 mine = staking.requestSelfExit(id, 2e18);
        vm.stopPrank();
        assertEq(staking.exits(exitId).account, owner(id), "requested before: the former owner's");
        assertEq(staking.exits(mine).account, alice);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_NotOwner.selector, id, alice, owner(id)));
        vm.prank(owner(id));
        staking.requestSelfExit(id, 1);
    }

    function test_only_the_proposed_account_accepts_and_the_owner_may_cancel() public {
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_NotOwner.selector, id, owner(id), alice));
        vm.prank(alice);
        staking.proposeOwner(id, alice);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_NotProposedOwner.selector, id, address(0), alice));
        vm.prank(alice);
        staking.acceptOwner(id);
        vm.startPrank(owner(id));
        staking.proposeOwner(id, alice);
        staking.proposeOwner(id, address(0));
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_NotProposedOwner.selector, id, address(0), alice));
        vm.prank(alice);
        staking.acceptOwner(id);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_UnknownSequencer.selector, 9));
        staking.acceptOwner(9);
    }
}

/// @notice What pool and revenue see of a sequencer's owner, commission and slashes.
contract StakingOwnerTest is World {
    function test_snapshots_hold_an_announced_commission_one_period_later() public {
        _start(1);
        vm.prank(owner(1));
        staking.setCommission(1, 1_500);
        assertEq(pool.snapshot(_snapshot()).members[0].commission, 1_000, "announced");
        assertEq(pool.snapshot(_snapshot()).members[0].commission, 1_500);
    }

    /// C31: slashed below the minimum, a member is in no later snapshot until it has topped up and proved readiness again.
    function test_C31_a_member_slashed_below_the_minimum_leaves_the_set_and_may_return() public {
        _start(2);
        _snapshot();
        vm.startPrank(slasher);
        staking.slash(2, 1, 5_000);
        staking.slash(2, 1, 5_000);
        vm.stopPrank();
        assertEq(pool.snapshot(_snapshot()).members.length, 1);
        vm.prank(owner(2));
        staking.topUp(2, 15_000e18);
        _ready(2);
        assertEq(pool.snapshot(_snapshot()).members.length, 2);
    }

    /// C6, C8: income after a slash goes by worth: who was spared earns as before, untouched or not, and all claims are paid.
    function test_C8_income_after_a_slash_goes_by_what_the_stakes_are_worth() public {
        _start(1);
        (address old, address late) = (makeAddr("old"), makeAddr("late"));
        _fund(old, 20_000e18);
        _fund(late, 20_000e18);
        vm.prank(old);
        staking.delegate(1, 20_000e18);
        _snapshot();
        vm.prank(late);
        staking.delegate(1, 20_000e18);
        vm.prank(slasher);
        staking.slash(1, 1, 5_000);
        uint64 current = _snapshot();
        // Worth: 20,000 of the owner's, 10,000 old, 20,000 late; a tenth of the income is commission.
        vm.deal(address(portal), 100 ether);
        vm.prank(address(inbox));
        portal.payFees(100 ether);
        uint64[] memory signed = new uint64[](1);
        signed[0] = 1;
        vm.prank(address(inbox));
        revenue.close(0, current, 100 ether, _performance(_evenly(1)), 1, signed);
        uint256 income = revenue.totals().income * 9 / 10;
        assertApproxEqAbs(revenue.claimable(1, old), income / 5, 1e6);
        assertApproxEqAbs(revenue.claimable(1, late), income * 2 / 5, 1e6);
        uint256 due = revenue.claimable(1, late);
        uint128 held = staking.stakeOf(1, late);
        vm.startPrank(late);
        staking.requestExit(1, held);
        assertEq(revenue.claim(1, late), due, "a touched position has earned the same");
        vm.stopPrank();
        vm.prank(old);
        revenue.claim(1, old);
        vm.prank(owner(1));
        revenue.claimOwner(1, owner(1));
        assertLe(revenue.totals().claimed, revenue.totals().income);
    }

    /// C8: income, earned before or after, is the sequencer's: nothing is orphaned, nothing is paid twice.
    function test_C8_a_change_of_owner_orphans_no_income() public {
        _start(1);
        uint32[] memory led = _evenly(1);
        _advance(3);
        _closeEpoch(100 ether, led, 1);
        uint256 due = revenue.claimableOwner(1);
        assertGt(due, 0);
        address heir = makeAddr("heir");
        vm.prank(owner(1));
        staking.proposeOwner(1, heir);
        vm.prank(heir);
        staking.acceptOwner(1);
        assertEq(pool.snapshot(0).members[0].owner, heir, "the pool asks for the owner, it keeps none");
        vm.expectPartialRevert(bytes4(keccak256("RevenueShare_NotOwner(uint64,address,address)")));
        vm.prank(owner(1));
        revenue.claimOwner(1, owner(1));
        vm.prank(heir);
        assertEq(revenue.claimOwner(1, heir), due);
        vm.prank(heir);
        pool.deactivate(1);
    }
}
