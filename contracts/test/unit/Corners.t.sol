// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RevenueShare} from "../../src/RevenueShare.sol";
import {IBatchInbox} from "../../src/interfaces/IBatchInbox.sol";
import {IParameters} from "../../src/interfaces/IParameters.sol";
import {IRevenueShare} from "../../src/interfaces/IRevenueShare.sol";
import {ISequencerPool} from "../../src/interfaces/ISequencerPool.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {MessagePasser} from "../../src/l2/MessagePasser.sol";
import {Bls} from "../../src/libraries/Bls.sol";
import {World} from "../helpers/World.sol";
import {FeeToken} from "../mocks/Tokens.sol";

/// @notice Rare paths that no story passes.
contract CornersTest is World {
    FeeToken private feeToken;

    function _setOf(uint128[4] memory stakes) private {
        uint64[] memory ids = new uint64[](4);
        for (uint256 i = 0; i < 4; ++i) {
            ids[i] = _bond(stakes[i], 0);
            _register(ids[i]);
        }
        vm.deal(address(this), SUPPLY);
        inbox.start{value: SUPPLY}(_genesis(), ids);
        _advance(8);
    }

    /// Few members with two thirds of the stake: their keys are summed, not the others' subtracted.
    function test_half_of_the_members_may_hold_two_thirds() public {
        _setOf([uint128(100_000e18), 20_000e18, 20_000e18, 20_000e18]);
        ISequencerPool.Member[] memory members = pool.snapshot(0).members;
        uint256 signers;
        bool small;
        for (uint256 i = 0; i < 4; ++i) {
            if (members[i].id != 1 && small) continue;
            if (members[i].id != 1) small = true;
            signers |= 1 << i;
        }
        _prepare(10);
        _post(signers, "");
        assertEq(inbox.anchor().index, 1);
    }

    /// A batch with an old origin: the windows of duty run from the acceptance of the batch before.
    function test_duty_counts_from_the_later_of_origin_and_acceptance() public {
        _setOf([uint128(STAKE), STAKE, STAKE, STAKE]);
        _prepare(10);
        (next.originNumber, next.originHash) = (uint64(vm.getBlockNumber()) - 6, blockhash(vm.getBlockNumber() - 6));
        _post(15, "");
        uint256 accepted = vm.getBlockNumber();
        _advance(1);
        IBatchInbox.Anchor memory a = inbox.anchor();
        _prepare(10);
        (next.originNumber, next.originHash) = (a.originNumber, blockhash(a.originNumber));
        (bytes32 dataHash,) = _encoding();
        IBatchInbox.Core memory core = next;
        IBatchInbox.Certificate memory c = _certificate(inbox.hashCore(next), dataHash, 15);
        address nobody = makeAddr("nobody");
        vm.prank(nobody);
        vm.expectPartialRevert(IBatchInbox.BatchInbox_NotOnDuty.selector);
        inbox.post(core, c, "", "");
        _advance(5);
        assertEq(vm.getBlockNumber(), accepted + 6);
        vm.prank(nobody);
        inbox.post(core, c, "", "");
        assertEq(inbox.anchor().index, 2);
    }

    /// Where the attester's part is nothing, a producer gives up the wei that its shares could never claim.
    function test_dust_is_taken_from_the_producer_where_there_is_no_attester() public {
        _setOf([uint128(100_000e18), 100_000e18, 100_000e18, 100_000e18]);
        uint64[] memory signed = new uint64[](4);
        vm.deal(address(portal), 100 ether);
        for (uint256 i = 0; i < 8; ++i) {
            vm.startPrank(address(inbox));
            portal.payFees(1_000_003 + i * 7);
            revenue.close(uint64(i), 0, 0, _performance(_evenly(4)), 3, signed);
            vm.stopPrank();
            IRevenueShare.Totals memory t = revenue.totals();
            assertEq(t.received, uint256(t.debtsPaid) + t.treasury + t.income + t.carry);
            assertLe(revenue.account(1).index >> 96, type(uint112).max);
        }
        assertGt(revenue.claimableOwner(1), 0);
    }

    function test_emissions_in_a_token_that_keeps_a_part_are_refused() public {
        feeToken = new FeeToken();
        vm.mockCall(address(0x57a), abi.encodeCall(IStaking.token, ()), abi.encode(feeToken));
        RevenueShare other = new RevenueShare(parameters, IStaking(address(0x57a)), pool, address(inbox), address(portal), treasury);
        feeToken.approve(address(other), 1_000);
        vm.expectRevert(abi.encodeWithSelector(IRevenueShare.RevenueShare_UnexpectedTransfer.selector, 990, 1_000));
        other.fundEmissions(1_000);
    }

    function test_a_founding_set_keeps_all_bounds() public {
        uint64[] memory ids = new uint64[](1);
        ids[0] = _bond(STAKE, 0);
        _register(ids[0]);
        vm.prank(owner(1));
        staking.requestSelfExit(1, STAKE - 1);
        vm.startPrank(address(inbox));
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_InsufficientStake.selector, 1, 1, 20_000e18));
        pool.installSet(ids);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_SetFull.selector, 65, 64));
        pool.installSet(new uint64[](65));
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_UnknownSnapshot.selector, 0));
        pool.snapshot(0);
    }

    /// The cap was lowered: stake above it stays, counts for no more when seats are compared, and nothing can be added.
    function test_stake_above_a_lowered_cap_stays() public {
        _setOf([uint128(100_000e18), 60_000e18, 60_000e18, 60_000e18]);
        IParameters.Stakes memory stakes = parameters.stakes();
        (stakes.maxStake, stakes.maxMembers) = (50_000e18, 4);
        vm.startPrank(governor);
        bytes memory call = abi.encodeCall(parameters.setStakes, (stakes));
        governance.schedule(address(parameters), call, 0);
        _advance(DELAY);
        governance.execute(address(parameters), call);
        vm.stopPrank();
        assertEq(staking.sequencer(1).stake, 100_000e18);
        assertEq(lens.room(1), 0);
        vm.prank(owner(1));
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_AboveMaximum.selector, 100_000e18 + 1, 50_000e18));
        staking.topUp(1, 1);
        uint64 candidate = _bond(50_000e18, 0);
        _register(candidate);
        _ready(candidate);
        assertEq(uint8(pool.entry(candidate).status), uint8(ISequencerPool.Status.Active));
        assertEq(uint8(pool.entry(1).status), uint8(ISequencerPool.Status.Registered), "the first of equals yields");
    }

    function test_a_commission_may_be_everything_and_no_more() public {
        _fund(owner(1), 100_000e18);
        vm.startPrank(owner(1));
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_CommissionTooHigh.selector, 10_001, 10_000));
        staking.bond(STAKE, 0, 10_001);
        assertEq(staking.bond(STAKE, 10_000, 10_000), 1);
        vm.stopPrank();
        assertEq(staking.sequencer(1).commission, 10_000);
    }

    function test_settling_no_switch_changes_nothing() public {
        _setOf([uint128(STAKE), STAKE, STAKE, STAKE]);
        address account = makeAddr("delegator");
        _fund(account, 100e18);
        vm.startPrank(account);
        staking.delegate(1, 100e18);
        staking.settleSwitch(1, account);
        assertEq(staking.stakeOf(1, account), 100e18);
        staking.switchSequencer(1, 2, 100e18, 0);
        uint64 exitId = staking.requestExit(2, 100e18);
        vm.stopPrank();
        skip(241);
        assertEq(staking.finishExit(exitId), 100e18, "nothing was slashed, nothing is owed");
    }

    function test_the_tree_of_messages_ends_before_a_nonce_names_two_leaves() public {
        MessagePasser passer = new MessagePasser();
        vm.store(address(passer), bytes32(uint256(1)), bytes32(uint256(type(uint32).max)));
        vm.expectRevert(MessagePasser.MessagePasser_Full.selector);
        passer.send(address(1), 0, "");
    }

    function test_minus_infinity_is_infinity_and_minus_zero_zero() public pure {
        assertEq(Bls.negate(new bytes(256)), new bytes(256));
        bytes memory point = new bytes(256);
        (point[0], point[63], point[255]) = (0x00, 0x01, 0x05);
        bytes memory minus = Bls.negate(point);
        for (uint256 i = 128; i < 192; ++i) {
            assertEq(minus[i], bytes1(0), "a zero coordinate stays zero");
        }
        assertEq(uint8(minus[255]), 0xab - 5);
    }
}
