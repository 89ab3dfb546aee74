// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Pots} from "./Pots.sol";

/// @notice What a slash takes from a pot, from exits, and from nobody else.
contract SlashesProof is Pots {
    uint16 private constant MOST_BPS = 5_000;
    address private constant ALICE = address(0xa11ce);

    /// Of stake that was all bonded in the snapshot a slash takes its share, rounded up: never nothing, never more than there is.
    function undecided_a_slash_is_never_nothing_and_never_too_much(uint88 stake, uint104 shares, uint16 bps) public {
        vm.assume(stake <= MOST && bps > 0 && bps <= MOST_BPS);
        _pot(stake, shares);
        uint256 amount = staking.slash(ID, 0, bps);
        uint256 held = uint256(shares) * (uint256(stake) + 1) / (uint256(shares) + VIRTUAL);
        assert(amount <= held && amount <= stake);
        assert(amount * 10_000 >= held * bps && (held == 0 || amount > 0));
        assert(amount * 10_000 < held * bps + 10_000);
        assert(_stake() + amount == stake && staking.totalSlashed() == amount && staking.totalStake() == _stake());
    }

    /// A slash beside later stake takes no more than the share of what it reaches.
    function check_a_slash_beside_later_stake_takes_no_more_than_its_share(uint88 stake, uint104 shares, uint104 later, uint16 bps) public {
        vm.assume(stake <= MOST && bps > 0 && bps <= MOST_BPS && later <= shares);
        _pot(stake, shares);
        _joined(2, later);
        uint256 amount = staking.slash(ID, 0, bps);
        uint256 reached = (uint256(shares) - later) * (uint256(stake) + 1) / (uint256(shares) + VIRTUAL);
        assert(amount <= reached && amount * 10_000 < reached * bps + 10_000);
        assert(_stake() + amount == stake);
    }

    /// Shares given to stake that entered later keep its worth, to two wei. (A share is worth a wei at most.)
    function undecided_spared_stake_keeps_its_worth(uint88 stake, uint104 shares, uint104 later, uint16 bps) public {
        vm.assume(stake <= MOST && stake <= shares && shares < 1 << 102 && bps > 0 && bps <= MOST_BPS && later <= shares);
        _pot(stake, shares);
        _joined(2, later);
        _position(ALICE, later, 2);
        uint256 before = staking.stakeOf(ID, ALICE);
        staking.slash(ID, 0, bps);
        uint256 worth = staking.stakeOf(ID, ALICE);
        assert(worth <= before + 2 && before <= worth + 2);
    }

    /// An exit that was bonded in the snapshot pays its share, rounded up: never nothing, never more than it is.
    function undecided_an_exit_pays_its_share(uint88 stake, uint104 shares, uint104 held, uint88 amount, uint16 bps) public {
        vm.assume(stake <= MOST && held <= shares && bps > 0 && bps <= MOST_BPS);
        _pot(stake, shares);
        _position(ALICE, held, 0);
        vm.prank(ALICE);
        uint64 exitId = staking.requestExit(ID, amount);
        staking.slash(ID, 2, bps);
        uint256 paid = staking.exits(exitId).amount;
        uint256 lost = amount - paid;
        assert(lost > 0 && lost <= amount);
        assert(lost * 10_000 >= uint256(amount) * bps && lost * 10_000 < uint256(amount) * bps + 10_000);
    }

    /// An exit of stake that entered after the snapshot, or left before it, pays nothing.
    function undecided_an_exit_that_was_not_in_the_snapshot_pays_nothing(uint88 amount, uint16 bps, uint24 entered) public {
        vm.assume(amount <= MOST && bps > 0 && bps <= MOST_BPS && entered <= 3);
        _pot(uint88(MOST), uint104(MOST * VIRTUAL));
        _position(ALICE, uint104(MOST * VIRTUAL), entered);
        _joined(0, 0);
        _joined(entered, MOST * VIRTUAL);
        vm.prank(ALICE);
        uint64 exitId = staking.requestExit(ID, amount);
        staking.roll();
        // Period 3 is over: the exit left before snapshot 3 was taken; what entered in period 1 or later was not in snapshot 0.
        uint64 snapshot = entered == 0 ? 3 : entered - 1;
        staking.slash(ID, snapshot, bps);
        assert(staking.exits(exitId).amount == amount);
    }

    /// Two slashes never take more than there is; the second takes of what the first left.
    function undecided_two_slashes_leave_something(uint88 stake, uint104 shares, uint16 first, uint16 second) public {
        vm.assume(stake <= MOST && first > 0 && first <= MOST_BPS && second > 0 && second <= MOST_BPS);
        _pot(stake, shares);
        uint256 a = staking.slash(ID, 0, first);
        uint256 b = staking.slash(ID, 1, second);
        assert(_stake() + a + b == stake && staking.totalSlashed() == a + b);
        assert(b <= stake - a);
    }
}
