// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {World} from "./World.sol";

/// @notice Two sequencers and two accounts with tokens: what tests of slashes and switches start from.
abstract contract Stakes is World {
    address internal alice = makeAddr("alice");
    address internal bob = makeAddr("bob");
    uint64 internal id;
    uint64 internal other;

    function setUp() public virtual override {
        super.setUp();
        id = _bond(STAKE, 1_000);
        other = _bond(STAKE, 1_000);
        _fund(alice, 1_000_000e18);
        _fund(bob, 1_000_000e18);
    }

    function _roll() internal returns (uint64) {
        skip(10);
        vm.prank(address(pool));
        return staking.roll();
    }

    function _delegate(address who, uint128 amount) internal {
        vm.prank(who);
        staking.delegate(id, amount);
    }

    function _slash(uint64 snapshot, uint16 bps) internal returns (uint128) {
        vm.prank(slasher);
        return staking.slash(id, snapshot, bps);
    }

    function _checkBalance() internal view {
        assertEq(token.balanceOf(address(staking)), staking.totalStake() + staking.totalUnbonding() + staking.totalSlashed());
    }
}
