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

    /// @dev The devnet's values with word `i` of their encoding replaced.
    function _with(uint256 i, uint256 value) private pure returns (IParameters.Values memory) {
        bytes memory encoded = abi.encode(_values());
        assembly {
            mstore(add(add(encoded, 32), mul(i, 32)), value)
        }
        return abi.decode(encoded, (IParameters.Values));
    }

    /// @dev Field `i` may be `low` and `high`, and nothing beyond, the others being the devnet's.
    function _bounds(uint256 i, uint256 low, uint256 high, uint256 step) private {
        assertEq(abi.encode(_set(_with(i, low)).values()), abi.encode(_with(i, low)));
        assertEq(abi.encode(_set(_with(i, high)).values()), abi.encode(_with(i, high)));
        IParameters.Values memory v;
        if (low != 0) {
            v = _with(i, low - step);
            vm.expectPartialRevert(IParameters.Parameters_OutOfBounds.selector);
            _set(v);
        }
        v = _with(i, high + step);
        vm.expectPartialRevert(IParameters.Parameters_OutOfBounds.selector);
        _set(v);
    }

    /// C40: every parameter has bounds. Where one follows from another parameter it is that of the devnet's others.
    function test_C40_every_parameter_is_bounded() public {
        assertEq(abi.encode(_values()).length, 36 * 32, "as many as are checked here");
        _bounds(0, 1, 4294967295, 1); // l2ChainId
        _bounds(1, 5000000, 2000000000, 1); // gasLimit
        _bounds(2, 131072, 8388608, 1); // blockBytes
        _bounds(3, 240, 357, 1); // epochBlocks
        _bounds(4, 2, 30, 1); // termViews
        _bounds(5, 1, 4, 1); // originDepth
        _bounds(6, 4, 86400, 1); // maxOriginLag
        _bounds(7, 1, 11, 1); // l1BlockTime
        _bounds(8, 42, 150, 1); // blockTimeMs
        _bounds(9, 50, 150, 1); // idleBlockTimeMs
        _bounds(10, 300, 60000, 1); // leaderTimeoutMs
        _bounds(11, 4, 59, 1); // unpostedLimit
        _bounds(12, 1, 10 gwei, 1); // minDepositPrice
        _bounds(13, 100, 30000, 1); // batchMaxAgeMs
        _bounds(14, 1000, 8388608, 1); // batchMaxBytes
        _bounds(15, 1, 60000, 1); // signWaitMs
        _bounds(16, 1, 1000, 1); // postGrace
        _bounds(17, 2, 50400, 1); // settlementDelay
        _bounds(18, 31, 112, 1); // stallTime
        _bounds(19, 1, 67, 1); // recoveryWindow
        _bounds(20, 1, 57, 1); // snapshotInterval
        _bounds(21, 2, 8000, 1); // readinessWindow
        _bounds(22, 1, 64, 1); // maxMembers
        _bounds(23, 239, 20480, 1); // unbonding
        _bounds(24, 113, 210, 1); // certificateLife
        _bounds(25, 5000000000000000000000, 100000000000000000000000, 1000000000000000); // minStake
        _bounds(26, 20000000000000000000000, 400000000000000000000000, 1000000000000000); // maxStake
        _bounds(27, 0, 1000, 1); // treasuryBps
        _bounds(28, 0, 10000, 1); // producersBps
        _bounds(29, 0, 1000000000000, 1); // tipCap
        _bounds(30, 0, 100000000000000000000, 1); // repayCap
        _bounds(31, 0, 200000000000000000000, 1); // emission
        _bounds(32, 100, 1000, 1); // firstBps
        _bounds(33, 500, 5000, 1); // repeatedBps
        _bounds(34, 100, 1000, 1); // bountyBps
        _bounds(35, 1, 2592000, 1); // jailTime
    }

    /// H1: a sequencer of the least self-stake and the most delegations loses more by an offence than its owner's own report pays.
    function test_H1_the_least_self_stake_loses_more_than_the_bounty() public {
        IParameters.Values memory v = _values();
        (v.stakes.minStake, v.stakes.maxStake, v.penalties.bountyBps) = (20_000e18, 200_000e18, 1_000);
        _set(v);
        v.penalties.bountyBps = 999;
        v.stakes.minStake = 19_980e18;
        _set(v);
        v.penalties.bountyBps = 1_000;
        vm.expectRevert(
            abi.encodeWithSelector(
                IParameters.Parameters_OutOfBounds.selector, "bountyBps x maxStake", 1_000 * 200_000e18, 0, 19_980e18 * 10_000
            )
        );
        _set(v);
    }

    function test_stakes_are_counted_in_thousandths_of_a_token() public {
        IParameters.Values memory v = _values();
        v.stakes.minStake += 1;
        vm.expectRevert(abi.encodeWithSelector(IParameters.Parameters_OutOfBounds.selector, "minStake mod 1e15", 1, 0, 0));
        _set(v);
        v = _values();
        v.stakes.maxStake += 1;
        vm.expectRevert(abi.encodeWithSelector(IParameters.Parameters_OutOfBounds.selector, "maxStake mod 1e15", 1, 0, 0));
        _set(v);
    }
}
