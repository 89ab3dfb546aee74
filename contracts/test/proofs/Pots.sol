// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BatonToken} from "../../src/BatonToken.sol";
import {Staking} from "../../src/Staking.sol";
import {IParameters} from "../../src/interfaces/IParameters.sol";
import {Test} from "forge-std/Test.sol";

/// @notice The real Staking with one sequencer, whose pot a proof may set to anything; the proof stands for all other contracts.
/// @dev Compiled code is taken from forge's artifacts: a proof runs what is deployed.
abstract contract Pots is Test {
    uint64 internal constant ID = 1;
    uint256 internal constant VIRTUAL = 1e6;
    /// @dev Stake of a pot and what enters it: Parameters allows at most 1e25 in all.
    uint256 internal constant MOST = 1e25;
    uint64 internal constant UNBONDING = 1_814_400;
    uint256 private constant POTS = 2;

    Staking internal staking;
    BatonToken internal token;
    uint24 internal period;

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        token = BatonToken(_create("BatonToken", abi.encode(address(this), 1e9 * 1e18)));
        staking = Staking(_create("Staking", abi.encode(this, token, this, this, this)));
        token.approve(address(staking), type(uint256).max);
        staking.bond(1, 0, 10_000);
        for (period = 0; period < 3; ++period) {
            staking.roll();
        }
    }

    /// @dev As Parameters.
    function values() external pure returns (IParameters.Values memory v) {
        (v.stakes.unbonding, v.stakes.minStake, v.stakes.maxStake) = (UNBONDING, 0, uint128(MOST));
    }

    function _create(string memory artifact, bytes memory arguments) internal returns (address created) {
        bytes memory code = bytes.concat(vm.getCode(string.concat("out/prove/", artifact, ".sol/", artifact, ".json")), arguments);
        assembly {
            created := create(0, add(code, 32), mload(code))
        }
        require(created != address(0));
    }

    /// @dev Slots of a pot: 0 owner and commission, 1 stake and shares, 2 date of the last rise, 3 positions, 4 joined.
    function _slot(uint256 offset) internal pure returns (bytes32) {
        return bytes32(uint256(keccak256(abi.encode(ID, POTS))) + offset);
    }

    /// @dev Sets stake and shares, which entered in period 0.
    function _pot(uint88 stake, uint104 shares) internal {
        vm.store(address(staking), _slot(1), bytes32(uint256(stake) | (uint256(shares) << 88)));
        _joined(0, shares);
        vm.store(address(staking), bytes32(uint256(0)), bytes32(uint256(vm.load(address(staking), 0)) >> 104 << 104 | stake));
    }

    /// @dev Sets how many shares entered in a period.
    function _joined(uint64 in_, uint256 shares) internal {
        vm.store(address(staking), keccak256(abi.encode(in_, _slot(4))), bytes32(shares));
    }

    /// @dev Gives an account shares that entered in period `from`.
    function _position(address account, uint104 shares, uint24 from) internal {
        vm.store(address(staking), keccak256(abi.encode(account, _slot(3))), bytes32(uint256(shares) | (uint256(from) << 208)));
        // The layout is the contract's: if it moves, nothing here proves anything.
        assert(staking.sharesOf(ID, account) == shares);
    }

    function _stake() internal view returns (uint256) {
        return staking.sequencer(ID).stake;
    }

    function _shares() internal view returns (uint256) {
        return staking.sequencer(ID).shares;
    }
}
