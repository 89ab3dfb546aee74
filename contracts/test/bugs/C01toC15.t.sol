// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Staking} from "../../src/Staking.sol";
import {IBatchInbox} from "../../src/interfaces/IBatchInbox.sol";
import {IRevenueShare} from "../../src/interfaces/IRevenueShare.sol";
import {ISequencerPool} from "../../src/interfaces/ISequencerPool.sol";
import {ISlasher} from "../../src/interfaces/ISlasher.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {Evidence} from "../helpers/Evidence.sol";
import {BlocklistToken} from "../mocks/Tokens.sol";

/// @notice Regressions of bug classes C1 to C15 (test/BUGS.md).
contract BugsC01toC15 is Evidence {
    address private account = makeAddr("delegator");

    function setUp() public override {
        super.setUp();
        uint64[] memory ids = _found(4, STAKE);
        _fund(account, 1_000_000e18);
        vm.startPrank(account);
        staking.delegate(1, 10_000e18);
        staking.delegate(2, 10_000e18);
        vm.stopPrank();
        vm.deal(address(this), SUPPLY);
        inbox.start{value: SUPPLY}(_genesis(), ids);
        _advance(3);
    }

    function _close(uint256 fees, uint256 signers) private {
        uint256 members = pool.snapshot(inbox.epochs(inbox.runningEpoch()).snapshot).members.length;
        _closeEpoch(fees, _evenly(members), signers & ((1 << members) - 1));
        _advance(3);
    }

    function test_C01_no_income_after_leaving() public {
        vm.prank(account);
        staking.requestExit(1, 10_000e18);
        vm.prank(owner(2));
        staking.requestSelfExit(2, STAKE);
        _serve();
        uint256 before = revenue.claimable(1, account);
        (uint256 behind, uint256 gone) = (revenue.claimable(2, account), revenue.claimableOwner(2));
        _close(10 ether, 15);
        assertEq(revenue.claimable(1, account), before, "left the sequencer");
        assertEq(revenue.claimable(2, account), behind, "the sequencer left");
        assertEq(revenue.claimableOwner(2), gone);
        assertGt(revenue.claimableOwner(1), 0);
    }

    function test_C02_stake_and_income_are_kept_apart() public {
        token.approve(address(revenue), type(uint256).max);
        revenue.fundEmissions(100e18);
        uint256 stakes = token.balanceOf(address(staking));
        _advance(50);
        _close(10 ether, 15);
        uint256 due = revenue.claimableTokens(1, account) + revenue.claimableTokens(1, address(0));
        vm.prank(account);
        revenue.claim(1, account);
        vm.prank(owner(1));
        revenue.claimOwner(1, owner(1));
        assertEq(token.balanceOf(address(staking)), stakes, "income never touches stake");
        assertEq(stakes, staking.totalStake());
        assertEq(address(staking).balance, 0);
        assertEq(token.balanceOf(address(revenue)), 100e18 - due);
    }

    function test_C03_a_long_interval_releases_no_more_than_its_time_and_funds() public {
        token.approve(address(revenue), type(uint256).max);
        revenue.fundEmissions(1_000e18);
        _advance(150);
        _close(0, 15);
        assertEq(revenue.emissions().left, 850e18);
        _serve();
        revenue.fundEmissions(1);
        assertLe(revenue.emissions().income, 1_000e18);
    }

    function test_C04_a_second_removal_changes_nothing() public {
        vm.startPrank(slasher);
        pool.jail(2, 100);
        uint64[] memory once = pool.active();
        pool.jail(2, 200);
        vm.stopPrank();
        assertEq(abi.encode(pool.active()), abi.encode(once));
        assertEq(once.length, 3);
        vm.prank(owner(2));
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_WrongStatus.selector, 2, ISequencerPool.Status.Jailed));
        pool.deactivate(2);
        assertEq(_membersOf(_snapshot()), 3);
    }

    function _membersOf(uint64 id) private view returns (uint256) {
        return pool.snapshot(id).members.length;
    }

    function test_C05_a_quorum_is_of_the_snapshots_stake_whatever_left_since() public {
        for (uint64 id = 3; id <= 4; ++id) {
            vm.prank(owner(id));
            staking.requestSelfExit(id, STAKE);
        }
        uint256 signers;
        ISequencerPool.Member[] memory members = pool.snapshot(0).members;
        for (uint256 i = 0; i < 4; ++i) {
            if (members[i].id <= 2) signers |= 1 << i;
        }
        _prepare(10);
        (bytes32 dataHash,) = _encoding();
        IBatchInbox.Certificate memory c = _certificate(inbox.hashCore(next), dataHash, signers);
        IBatchInbox.Core memory core = next;
        address poster = _dutyOperator(0);
        vm.prank(poster);
        vm.expectRevert(
            abi.encodeWithSelector(IBatchInbox.BatchInbox_InsufficientStake.selector, 2 * STAKE + 20_000e18, 4 * STAKE + 20_000e18)
        );
        inbox.post(core, c, "", "");
    }

    function test_C06_a_late_joiner_shares_no_earlier_income() public {
        address late = makeAddr("late");
        _fund(late, 1_000e18);
        vm.prank(late);
        staking.delegate(1, 1_000e18);
        _close(10 ether, 15);
        assertEq(revenue.claimable(1, late), 0);
        _serve();
        assertEq(revenue.claimable(1, late), 0);
        _close(10 ether, 15);
        assertGt(revenue.claimable(1, late), 0);
    }

    function test_C07_claims_add_up() public {
        uint256 paid;
        for (uint256 i = 0; i < 3; ++i) {
            _close(10 ether, 15);
            vm.prank(account);
            paid += revenue.claim(1, account);
            assertEq(revenue.totals().claimed, paid);
            assertEq(account.balance, paid);
            assertEq(revenue.claimable(1, account), 0);
        }
        assertGt(paid, 0);
    }

    function test_C08_exit_switch_owner_and_commission_orphan_no_income() public {
        _close(10 ether, 15);
        uint256 due = revenue.claimable(1, account);
        uint256 own = revenue.claimableOwner(1);
        vm.startPrank(account);
        staking.requestExit(1, 5_000e18);
        staking.switchSequencer(1, 3, 5_000e18, 0);
        vm.stopPrank();
        vm.startPrank(owner(1));
        staking.setCommission(1, 0);
        staking.proposeOwner(1, account);
        vm.stopPrank();
        vm.startPrank(account);
        staking.acceptOwner(1);
        assertEq(revenue.claimable(1, account), due);
        assertEq(revenue.claimableOwner(1), own);
        assertEq(revenue.claim(1, account), due);
        assertEq(revenue.claimOwner(1, account), own);
        vm.stopPrank();
    }

    function test_C09_what_nobody_earned_is_carried_to_the_next_epoch() public {
        uint32[] memory none = new uint32[](4);
        _closeEpoch(10 ether, none, 15);
        IRevenueShare.Totals memory t = revenue.totals();
        assertEq(t.received, uint256(t.debtsPaid) + t.treasury + t.income + t.carry);
        assertGt(t.carry, 3 ether, "the producers' share");
        _advance(3);
        _close(0, 15);
        assertLt(revenue.totals().carry, 1_000, "went to producers of the next epoch");
    }

    function testFuzz_C10_a_slash_never_rounds_to_zero_and_never_exceeds(uint128 left, uint16 bps) public {
        left = uint128(bound(left, 1, STAKE));
        bps = uint16(bound(bps, 1, 5_000));
        if (left < STAKE) vm.prank(owner(3));
        if (left < STAKE) staking.requestSelfExit(3, STAKE - left);
        vm.prank(slasher);
        uint128 taken = staking.slash(3, 0, bps);
        assertGt(taken, 0);
        assertLe(taken, left);
        assertEq(staking.sequencer(3).stake, left - taken);
        assertEq(token.balanceOf(address(staking)), staking.totalStake() + staking.totalUnbonding() + staking.totalSlashed());
    }

    function test_C11_no_cast_mints_shares() public {
        uint128[4] memory amounts = [type(uint128).max, type(uint104).max, uint128(type(uint104).max) + 1, uint128(type(uint88).max) + 1];
        uint128 shares = staking.sharesOf(1, account);
        for (uint256 i = 0; i < 4; ++i) {
            vm.startPrank(account);
            vm.expectPartialRevert(IStaking.Staking_AboveMaximum.selector);
            staking.delegate(1, amounts[i]);
            vm.expectPartialRevert(IStaking.Staking_AboveMaximum.selector);
            staking.bond(amounts[i], 0, 0);
            vm.expectPartialRevert(IStaking.Staking_InsufficientStake.selector);
            staking.requestExit(1, amounts[i]);
            vm.stopPrank();
        }
        assertEq(staking.sharesOf(1, account), shares);
    }

    function test_C12_gifts_do_not_move_the_price_of_a_share() public {
        uint128 before = lens.previewEntry(3, 1e18);
        token.transfer(address(staking), 1_000_000e18);
        assertEq(lens.previewEntry(3, 1e18), before);
        vm.prank(account);
        staking.delegate(3, 1);
        assertEq(staking.stakeOf(3, account), 1, "a single wei keeps its worth");
    }

    function test_C13_an_exit_before_the_proof_does_not_evade_it() public {
        vm.prank(owner(1));
        staking.requestSelfExit(1, STAKE);
        vm.prank(account);
        staking.requestExit(1, 10_000e18);
        slashing.slashVotes(keysOf(1).blsKey, _votes(1, ISlasher.Kind.Finalize, 0), address(1));
        skip(241);
        assertEq(staking.finishExit(1), STAKE * 95 / 100);
        assertEq(staking.finishExit(2), 10_000e18 * 95 / 100);
    }

    /// The stake token refuses every party of the sequencer: the slash lands all the same.
    function test_C14_no_element_blocks_a_slash() public {
        BlocklistToken blocking = new BlocklistToken();
        Staking other = new Staking(parameters, address(blocking), address(this), address(this), address(revenue));
        address[3] memory parties = [owner(1), account, address(0xdead)];
        for (uint256 i = 0; i < 2; ++i) {
            blocking.transfer(parties[i], 100_000e18);
            vm.startPrank(parties[i]);
            blocking.approve(address(other), type(uint256).max);
            if (i == 0) other.bond(STAKE, 0, 0);
            else other.delegate(1, 1_000e18);
            vm.stopPrank();
        }
        other.roll();
        for (uint256 i = 0; i < 3; ++i) {
            blocking.setBlocked(parties[i]);
        }
        assertEq(other.slash(1, 0, 500), (STAKE + 1_000e18) / 20);
        vm.expectRevert(abi.encodeWithSelector(BlocklistToken.Blocked.selector, address(0xdead)));
        other.releaseSlashed(address(0xdead), 1);
        other.releaseSlashed(address(1), 1);
        assertEq(blocking.balanceOf(address(1)), 1);
    }

    function test_C15_who_left_before_or_came_after_is_not_hit() public {
        vm.prank(account);
        staking.requestExit(1, 10_000e18);
        uint64 id = _snapshot();
        address late = makeAddr("late");
        _fund(late, 1_000e18);
        vm.prank(late);
        staking.delegate(1, 1_000e18);
        vm.prank(slasher);
        assertEq(staking.slash(1, id, 500), STAKE / 20);
        assertEq(staking.exits(1).amount, 10_000e18);
        assertApproxEqAbs(staking.stakeOf(1, late), 1_000e18, 1);
    }
}
