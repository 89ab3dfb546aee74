// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Parameters} from "../../src/Parameters.sol";
import {IParameters} from "../../src/interfaces/IParameters.sol";
import {World} from "../helpers/World.sol";

contract ParametersTest is World {
    function _set(IParameters.Values memory v) private returns (Parameters) {
        return new Parameters(v, address(governance), staking, inbox);
    }

    /// C22, C37: a slash walks the periods of one unbonding time, so there is a bound on how many they are.
    function test_C22_the_unbonding_time_holds_at_most_4096_snapshot_intervals() public {
        IParameters.Values memory v = _values();
        (v.stakes.unbonding, v.stakes.certificateLife) = (4_096 * 5, 4_096);
        _set(v);
        v.stakes.unbonding += 1;
        vm.expectRevert(
            abi.encodeWithSelector(IParameters.Parameters_OutOfBounds.selector, "snapshotInterval x l1BlockTime", 5, 6, type(uint64).max)
        );
        _set(v);
    }
}
