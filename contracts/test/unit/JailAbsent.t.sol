// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISequencerPool} from "../../src/interfaces/ISequencerPool.sol";
import {ISlasher} from "../../src/interfaces/ISlasher.sol";
import {World} from "../helpers/World.sol";

/// @notice Who misses its terms is jailed, unless it said before that it would be away.
contract JailAbsentTest is World {
    function setUp() public override {
        super.setUp();
        _start(4);
        _advance(3);
    }

    // -- jailAbsent

    function _prepareClosing() private {
        _prepare(type(uint32).max);
        next.performance = keccak256(_performance(_evenly(4)));
    }

    /// @dev Closes `count` epochs in which member 0 misses every term it is drawn for.
    function _epochsWithout(uint256 count) private returns (uint64 id, bytes[] memory performance) {
        return _epochsMissing(count, type(uint32).max);
    }

    /// @dev The same, but at most `most` terms missed in all, as certified.
    function _epochsMissing(uint256 count, uint32 most) private returns (uint64 id, bytes[] memory performance) {
        performance = new bytes[](count);
        uint64 first = inbox.runningEpoch();
        id = pool.snapshot(0).members[0].id;
        for (uint256 e = 0; e < count; ++e) {
            _advance(1);
            _prepareClosing();
            uint32 drawn;
            for (uint64 term = 1; term <= 8; ++term) {
                (uint256 member,) = pool.leaderOf(0, first + uint64(e), term);
                if (member == 0 && most > 0) (drawn, most) = (drawn + 1, most - 1);
            }
            performance[e] =
                bytes.concat(bytes8(uint64(drawn)), bytes8(uint64(60 << 32)), bytes8(uint64(60 << 32)), bytes8(uint64(60 << 32)));
            next.performance = keccak256(performance[e]);
            _post(15, performance[e]);
        }
    }

    function test_a_leader_that_misses_its_terms_is_jailed() public {
        (uint64 id, bytes[] memory performance) = _epochsWithout(4);
        uint256 drawn;
        for (uint64 e = 0; e < 4; ++e) {
            drawn += uint64(bytes8(performance[e]));
        }
        assertGe(drawn, 3, "the draws of this seed");
        uint64 until = uint64(vm.getBlockTimestamp()) + 60;
        vm.expectEmit(address(slashing));
        emit ISlasher.Absent(id, 3, drawn, drawn, until);
        slashing.jailAbsent(id, 3, performance);
        assertEq(pool.entry(id).jailedUntil, until);
        assertEq(staking.sequencer(id).stake, STAKE, "no slash");
        // Once: what was counted does not count again.
        vm.expectRevert(abi.encodeWithSelector(ISlasher.Slasher_NotAbsent.selector, id, 0, 0));
        slashing.jailAbsent(id, 3, performance);
        uint64 other = pool.snapshot(0).members[1].id;
        vm.expectRevert();
        slashing.jailAbsent(other, 3, performance);
        vm.expectRevert(abi.encodeWithSelector(ISlasher.Slasher_NotAbsent.selector, 99, 0, 0));
        slashing.jailAbsent(99, 3, performance);
    }

    /// L1: as long as no snapshot was taken since, the jailed one is drawn in vain: that is one absence.
    function test_L1_nobody_is_jailed_again_for_what_follows_from_the_first_time() public {
        (uint64 id, bytes[] memory performance) = _epochsWithout(4);
        slashing.jailAbsent(id, 3, performance);
        (, performance) = _epochsWithout(4);
        vm.expectRevert(abi.encodeWithSelector(ISlasher.Slasher_NotAbsent.selector, id, 0, 0));
        slashing.jailAbsent(id, 7, performance);
    }

    /// L2: terms of a few views each, without end, make no window that is too dear to judge.
    function test_L2_an_epoch_of_very_many_terms_judges_nobody() public {
        uint64 id = pool.snapshot(0).members[0].id;
        bytes[] memory performance = new bytes[](2);
        for (uint64 e = 0; e < 2; ++e) {
            _advance(1);
            _prepareClosing();
            next.lastView = (e == 0 ? 2_048 : 2_049) * 30;
            performance[e] = bytes.concat(bytes8(uint64(1_000)), new bytes(24));
            next.performance = keccak256(performance[e]);
            _post(15, performance[e]);
        }
        uint256 drawn;
        for (uint64 term = 1; term <= 2_048; ++term) {
            (uint256 member,) = pool.leaderOf(0, 0, term);
            if (member == 0) ++drawn;
        }
        vm.expectEmit(true, true, false, false, address(slashing));
        emit ISlasher.Absent(id, 1, 1_000, drawn, 0);
        uint256 gas = gasleft();
        slashing.jailAbsent(id, 1, performance);
        assertLt(gas - gasleft(), 2_000_000);
    }

    /// L5: a short term does not end a long one.
    function test_L5_the_longer_jail_term_counts() public {
        vm.startPrank(address(slashing));
        pool.jail(1, uint64(vm.getBlockTimestamp()) + 100);
        vm.expectEmit(address(pool));
        emit ISequencerPool.Jailed(1, uint64(vm.getBlockTimestamp()) + 100);
        pool.jail(1, uint64(vm.getBlockTimestamp()) + 60);
        vm.stopPrank();
        assertEq(pool.entry(1).jailedUntil, vm.getBlockTimestamp() + 100);
    }

    function test_two_missed_terms_are_forgiven_and_so_is_a_half() public {
        uint256 drawn;
        for (uint64 e = 0; e < 4; ++e) {
            for (uint64 term = 1; term <= 8; ++term) {
                (uint256 member,) = pool.leaderOf(0, e, term);
                if (member == 0) ++drawn;
            }
        }
        assertGe(drawn, 6, "the draws of this seed");
        uint32[4] memory missed = [uint32(2), 3, uint32(drawn / 2), uint32(drawn / 2 + 1)];
        uint256 state = vm.snapshotState();
        for (uint256 i = 0; i < 4; ++i) {
            (uint64 id, bytes[] memory performance) = _epochsMissing(4, missed[i]);
            bool jailed = missed[i] >= 3 && missed[i] * 2 > drawn;
            if (!jailed) vm.expectRevert(abi.encodeWithSelector(ISlasher.Slasher_NotAbsent.selector, id, missed[i], drawn));
            slashing.jailAbsent(id, 3, performance);
            assertEq(pool.entry(id).status == ISequencerPool.Status.Jailed, jailed);
            vm.revertToState(state);
        }
    }

    /// One epoch is judged alone while the chain is young: three suffice of up to five.
    function test_three_missed_terms_are_needed() public {
        uint256 drawn;
        uint64 epochs;
        while (drawn < 3) {
            for (uint64 term = 1; term <= 8; ++term) {
                (uint256 member,) = pool.leaderOf(0, epochs, term);
                if (member == 0) ++drawn;
            }
            ++epochs;
        }
        (uint64 id, bytes[] memory performance) = _epochsMissing(epochs, 3);
        assertLe(drawn, 5, "more than half of them are at least three");
        slashing.jailAbsent(id, epochs - 1, performance);
        assertEq(uint8(pool.entry(id).status), uint8(ISequencerPool.Status.Jailed));
    }

    function test_absence_is_judged_over_the_last_epochs_by_their_certified_bytes() public {
        (uint64 id, bytes[] memory performance) = _epochsWithout(4);
        vm.expectRevert(abi.encodeWithSelector(ISlasher.Slasher_WrongEpoch.selector, 4, 2, 3));
        slashing.jailAbsent(id, 4, performance);
        vm.expectRevert(abi.encodeWithSelector(ISlasher.Slasher_WrongEpoch.selector, 1, 2, 3));
        slashing.jailAbsent(id, 1, performance);
        vm.expectRevert(abi.encodeWithSelector(ISlasher.Slasher_WrongLength.selector, 4, 3));
        slashing.jailAbsent(id, 2, performance);
        bytes32 right = keccak256(performance[1]);
        performance[1][7] = bytes1(uint8(performance[1][7]) + 1);
        vm.expectRevert(abi.encodeWithSelector(ISlasher.Slasher_WrongPerformance.selector, 1, keccak256(performance[1]), right));
        slashing.jailAbsent(id, 3, performance);
    }

    function test_declared_downtime_does_not_count() public {
        uint64 id = pool.snapshot(0).members[0].id;
        vm.prank(owner(id));
        pool.declareDowntime(id, 2, 26);
        (, bytes[] memory performance) = _epochsWithout(4);
        uint256 drawn = uint256(uint64(bytes8(performance[0]))) + uint64(bytes8(performance[1]));
        if (drawn >= 3) {
            slashing.jailAbsent(id, 3, performance);
            assertEq(uint8(pool.entry(id).status), uint8(ISequencerPool.Status.Jailed));
        } else {
            vm.expectRevert(abi.encodeWithSelector(ISlasher.Slasher_NotAbsent.selector, id, drawn, drawn));
            slashing.jailAbsent(id, 3, performance);
        }
    }

    // -- declareDowntime

    function test_downtime_needs_notice_an_end_and_a_pause() public {
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_NotOwner.selector, 1, owner(1), address(this)));
        pool.declareDowntime(1, 2, 3);
        vm.startPrank(owner(1));
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_DowntimeOutOfBounds.selector, 1, 3, 2, 24));
        pool.declareDowntime(1, 1, 3);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_DowntimeOutOfBounds.selector, 2, 27, 2, 24));
        pool.declareDowntime(1, 2, 27);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_DowntimeOutOfBounds.selector, 2, 2, 2, 24));
        pool.declareDowntime(1, 2, 2);
        vm.expectEmit(address(pool));
        emit ISequencerPool.DowntimeDeclared(1, 2, 26);
        pool.declareDowntime(1, 2, 26);
        // L6: as announced it stays, until it is over.
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_DowntimeDeclared.selector, 26, 0));
        pool.declareDowntime(1, 170, 171);
        vm.mockCall(address(inbox), abi.encodeCall(inbox.runningEpoch, ()), abi.encode(25));
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_DowntimeDeclared.selector, 26, 25));
        pool.declareDowntime(1, 170, 171);
        vm.mockCall(address(inbox), abi.encodeCall(inbox.runningEpoch, ()), abi.encode(26));
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_DowntimeOutOfBounds.selector, 169, 170, 170, 24));
        pool.declareDowntime(1, 169, 170);
        pool.declareDowntime(1, 170, 171);
        (uint64 from, uint64 to) = pool.downtimeOf(1);
        assertEq(from, 170);
        assertEq(to, 171);
    }
}
