// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Code} from "./Code.sol";

/// @title Snapshots
/// @notice A snapshot as contract code: aggregate key (256) | total stake (32) | per member two words, ascending by identity.
/// @dev Word 0: stake (112 bits) | shares (128) | commission (16). Word 1: card (160) | id (64) | period of the last share change (32).
library Snapshots {
    uint256 private constant HEADER = 288;
    uint256 private constant MEMBER = 64;

    /// @notice One member as stored.
    struct Member {
        uint128 stake;
        uint128 shares;
        uint16 commission;
        address card;
        uint64 id;
        uint64 sharesFrom;
    }

    /// @notice Stores a snapshot.
    function write(bytes memory aggregateKey, uint256 total, Member[] memory members) internal returns (address) {
        bytes memory words = new bytes(members.length * MEMBER);
        for (uint256 i = 0; i < members.length; ++i) {
            Member memory m = members[i];
            uint256 word0 = (uint256(m.stake) << 144) | (uint256(m.shares) << 16) | m.commission;
            uint256 word1 = (uint256(uint160(m.card)) << 96) | (uint256(m.id) << 32) | uint32(m.sharesFrom);
            assembly ("memory-safe") {
                let at := add(add(words, 32), mul(i, 64))
                mstore(at, word0)
                mstore(add(at, 32), word1)
            }
        }
        return Code.write(bytes.concat(aggregateKey, bytes32(total), words));
    }

    /// @notice Reads a snapshot as raw bytes for the accessors below.
    function load(address code) internal view returns (bytes memory) {
        return Code.read(code);
    }

    /// @notice Number of members.
    function count(bytes memory data) internal pure returns (uint256) {
        return (data.length - HEADER) / MEMBER;
    }

    /// @notice Sum of the members' stake.
    function totalStake(bytes memory data) internal pure returns (uint256 total) {
        assembly ("memory-safe") {
            total := mload(add(data, 288))
        }
    }

    /// @notice Sum of the members' BLS keys. Shares the memory of `data`, which must not be used as a whole afterwards.
    function aggregate(bytes memory data) internal pure returns (bytes memory key) {
        key = new bytes(256);
        assembly ("memory-safe") {
            mcopy(add(key, 32), add(data, 32), 256)
        }
    }

    /// @notice Stake of member `i`, which must exist.
    function stakeOf(bytes memory data, uint256 i) internal pure returns (uint256) {
        return _word(data, i, 0) >> 144;
    }

    /// @notice Card of member `i`, which must exist.
    function cardOf(bytes memory data, uint256 i) internal pure returns (address) {
        return address(uint160(_word(data, i, 32) >> 96));
    }

    /// @notice Sequencer id of member `i`, which must exist.
    function idOf(bytes memory data, uint256 i) internal pure returns (uint64) {
        return uint64(_word(data, i, 32) >> 32);
    }

    /// @notice Which member has `id`; the number of members if none has.
    function indexOf(bytes memory data, uint64 id) internal pure returns (uint256 i) {
        uint256 length = count(data);
        assembly ("memory-safe") {
            let at := add(data, 352)
            for {} and(lt(i, length), iszero(eq(and(shr(32, mload(at)), 0xffffffffffffffff), id))) { i := add(i, 1) } { at := add(at, 64) }
        }
    }

    /// @notice Member `i`, which must exist.
    function memberAt(bytes memory data, uint256 i) internal pure returns (Member memory m) {
        readMember(data, i, m);
    }

    /// @notice Reads member `i`, which must exist, into `m`.
    function readMember(bytes memory data, uint256 i, Member memory m) internal pure {
        uint256 word0 = _word(data, i, 0);
        m.stake = uint128(word0 >> 144);
        m.shares = uint128(word0 >> 16);
        m.commission = uint16(word0);
        uint256 word1 = _word(data, i, 32);
        m.card = address(uint160(word1 >> 96));
        m.id = uint64(word1 >> 32);
        m.sharesFrom = uint32(word1);
    }

    /// @notice The leader of (epoch, term): the member whose cumulative stake interval holds the draw.
    function leader(bytes memory data, bytes32 seed, uint64 epoch, uint64 term) internal pure returns (uint256 member) {
        uint256 drawn = draw(data, seed, epoch, term);
        // The draw is below the sum of all stakes, so the walk ends; sums of 112-bit stakes do not overflow.
        assembly ("memory-safe") {
            let at := add(data, 320)
            let upper := shr(144, mload(at))
            for {} iszero(lt(drawn, upper)) {} {
                member := add(member, 1)
                at := add(at, 64)
                upper := add(upper, shr(144, mload(at)))
            }
        }
    }

    /// @notice The draw of (epoch, term): keccak256(abi.encode(seed, epoch, term)) mod total stake.
    function draw(bytes memory data, bytes32 seed, uint64 epoch, uint64 term) internal pure returns (uint256) {
        uint256 hash;
        // No memory is kept: a thousand draws cost no more than a thousand times one. Assembly sees what a cast left beyond 64 bits.
        assembly ("memory-safe") {
            let at := mload(0x40)
            mstore(at, seed)
            mstore(add(at, 32), and(epoch, 0xffffffffffffffff))
            mstore(add(at, 64), and(term, 0xffffffffffffffff))
            hash := keccak256(at, 96)
        }
        return hash % totalStake(data);
    }

    function _word(bytes memory data, uint256 i, uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 320), add(mul(i, 64), offset)))
        }
    }
}
