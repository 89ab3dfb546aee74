// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISequencerPool} from "../interfaces/ISequencerPool.sol";
import {Bls} from "./Bls.sol";
import {Code} from "./Code.sol";

/// @title Cards
/// @notice One set of a sequencer's keys, frozen as contract code: identity (32) | operator (20) | BLS key (256) | endpoint.
/// @dev New keys make a new card; a snapshot names its members' cards, so that it never changes.
library Cards {
    uint256 private constant OPERATOR = 32;
    uint256 private constant KEY = 52;
    uint256 private constant ENDPOINT = 308;

    /// @notice Stores keys.
    function write(ISequencerPool.Keys calldata keys) internal returns (address) {
        return Code.write(abi.encodePacked(keys.identity, keys.operator, keys.blsKey, keys.endpoint));
    }

    /// @notice All of a card.
    function read(address card) internal view returns (ISequencerPool.Keys memory keys) {
        keys.identity = identity(card);
        keys.operator = operator(card);
        keys.blsKey = blsKey(card);
        keys.endpoint = string(Code.read(card, ENDPOINT, card.code.length - 1 - ENDPOINT));
    }

    /// @notice The ed25519 key.
    function identity(address card) internal view returns (bytes32) {
        return bytes32(Code.read(card, 0, 32));
    }

    /// @notice The poster account.
    function operator(address card) internal view returns (address) {
        return address(bytes20(Code.read(card, OPERATOR, 20)));
    }

    /// @notice Copies the BLS key into `buffer`, from its byte `at` on, where there must be room for it.
    function copyKey(address card, bytes memory buffer, uint256 at) internal view {
        Code.copy(card, KEY, Bls.G2_LENGTH, buffer, at);
    }

    /// @notice The BLS key.
    function blsKey(address card) internal view returns (bytes memory) {
        return Code.read(card, KEY, Bls.G2_LENGTH);
    }
}
