// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Pots} from "./Pots.sol";

/// @notice Stake and shares, at any price that a pot can have.
contract ConversionsProof is Pots {
    address private constant ALICE = address(0xa11ce);

    /// What has just entered is worth no more than what was paid in.
    function check_entering_gains_nothing(uint88 stake, uint104 shares, uint88 amount) public {
        vm.assume(uint256(stake) + amount <= MOST && shares < 1 << 103);
        _pot(stake, shares);
        staking.delegateFor(ID, ALICE, amount, 0);
        assert(staking.stakeOf(ID, ALICE) <= amount);
    }

    /// Nobody's shares are worth less because somebody enters.
    function check_entering_takes_nothing_from_others(uint88 stake, uint104 shares, uint88 amount) public {
        vm.assume(uint256(stake) + amount <= MOST && shares < 1 << 103);
        _pot(stake, shares);
        staking.delegateFor(ID, ALICE, amount, 0);
        // Price after >= price before.
        assert((_stake() + 1) * (uint256(shares) + VIRTUAL) >= (uint256(stake) + 1) * (_shares() + VIRTUAL));
    }

    /// Nobody's shares are worth less because somebody leaves, in part or whole.
    function check_leaving_takes_nothing_from_others(uint88 stake, uint104 shares, uint104 held, uint88 amount) public {
        vm.assume(stake <= MOST && held <= shares);
        _pot(stake, shares);
        _position(ALICE, held, 0);
        vm.prank(ALICE);
        staking.requestExit(ID, amount);
        assert((_stake() + 1) * (uint256(shares) + VIRTUAL) >= (uint256(stake) + 1) * (_shares() + VIRTUAL));
    }

    /// An exit is for exactly what was asked, which leaves the pot, and no more can be asked than the position is worth.
    function undecided_an_exit_takes_exactly_what_was_asked(uint88 stake, uint104 shares, uint104 held, uint88 amount) public {
        vm.assume(stake <= MOST && held <= shares);
        _pot(stake, shares);
        _position(ALICE, held, 0);
        uint256 before = staking.stakeOf(ID, ALICE);
        vm.prank(ALICE);
        uint64 exitId = staking.requestExit(ID, amount);
        assert(amount <= before && staking.exits(exitId).amount == amount && _stake() + amount == stake);
        assert(staking.totalStake() == _stake() && staking.totalUnbonding() == amount);
    }

    /// Two positions together are worth no more than their sum: no rounding pays for splitting one.
    function undecided_two_positions_are_worth_no_more_than_the_pot(uint88 stake, uint104 shares, uint104 first, uint104 second) public {
        vm.assume(uint256(first) + second <= shares);
        _pot(stake, shares);
        _position(ALICE, first, 0);
        _position(address(0xb0b), second, 0);
        assert(uint256(staking.stakeOf(ID, ALICE)) + staking.stakeOf(ID, address(0xb0b)) <= stake);
    }
}
