// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Staking} from "../../src/Staking.sol";
import {Pots} from "./Pots.sol";

/// @notice Times: nothing that can still be slashed can be paid out; commissions rise slowly.
contract WaitingProof is Pots {
    address private constant ALICE = address(0xa11ce);

    /// Whatever was bonded in a snapshot cannot be paid out as long as a slash for that snapshot is accepted.
    function undecided_no_exit_is_paid_while_it_can_be_slashed(uint40 rolled, uint40 left, uint40 now_) public {
        vm.assume(rolled >= block.timestamp && left >= rolled && now_ >= left);
        vm.warp(rolled);
        uint64 snapshot = staking.roll();
        _pot(1e20, 1e26);
        _position(ALICE, 1e26, 0);
        vm.warp(left);
        vm.prank(ALICE);
        uint64 exitId = staking.requestExit(ID, 1e20);
        vm.warp(now_);
        (bool paid,) = address(staking).call(abi.encodeCall(Staking.finishExit, (exitId)));
        (bool slashed,) = address(staking).call(abi.encodeCall(Staking.slash, (ID, snapshot, 100)));
        assert(!(paid && slashed));
        // And it is paid as soon as its time has come.
        assert(paid == (now_ >= uint256(left) + UNBONDING));
    }

    /// Who asks first is ready first, and everybody waits the same time.
    function undecided_exits_are_ready_in_the_order_they_were_asked(uint40 first, uint40 second) public {
        vm.assume(first >= block.timestamp && second >= first && second < 1 << 39);
        _pot(1e20, 1e26);
        _position(ALICE, 1e26, 0);
        vm.warp(first);
        vm.prank(ALICE);
        uint64 a = staking.requestExit(ID, 1e18);
        vm.warp(second);
        vm.prank(ALICE);
        uint64 b = staking.requestExit(ID, 1e18);
        assert(staking.exits(a).readyAt == uint256(first) + UNBONDING);
        assert(staking.exits(b).readyAt - staking.exits(a).readyAt == second - first);
    }

    /// A commission never exceeds its maximum, never rises by more than 5 % at once, nor twice within a week; what counts now lies between the
    /// former and the new one.
    function check_commissions_stay_within_their_bounds(uint16 former, uint16 most, uint48 raisedAt, uint16 asked) public {
        vm.assume(former <= most && most <= 10_000 && raisedAt <= block.timestamp);
        uint256 fields = uint256(uint160(address(this))) | uint256(former) << 160 | uint256(most) << 176 | uint256(former) << 192;
        vm.store(address(staking), _slot(0), bytes32(fields | uint256(1) << 232));
        vm.store(address(staking), _slot(2), bytes32(uint256(raisedAt)));
        staking.setCommission(ID, asked);
        uint16 counts = staking.sequencer(ID).commission;
        assert(
            asked <= most && (asked <= former || (asked - former <= 500 && block.timestamp >= uint256(raisedAt) + 7 days)) || raisedAt == 0
        );
        // Announced, a rise does not count in this period.
        assert(asked > former ? counts == former : counts == asked);
        staking.roll();
        assert(staking.sequencer(ID).commission == asked && asked <= 10_000);
    }
}
