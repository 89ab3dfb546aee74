// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Votes
/// @notice The bytes that a consensus vote signs, as the engine writes them.
/// @dev vi(length of namespace and suffix) | namespace | suffix | vi(epoch) | vi(view) [| vi(parent view) | block hash]; vi is unsigned LEB128.
/// The namespace is keccak256(abi.encode("BATON_CONSENSUS", chain id, inbox, generation)).
library Votes {
    string internal constant NOTARIZE = "_NOTARIZE";
    string internal constant FINALIZE = "_FINALIZE";
    string internal constant NULLIFY = "_NULLIFY";

    /// @notice What a notarize or finalize vote is for.
    struct Proposal {
        /// @dev View of the parent.
        uint64 parentView;
        /// @dev L2 block hash.
        bytes32 blockHash;
    }

    /// @notice What every vote of a generation signs.
    function namespaceOf(address inbox, uint64 generation) internal view returns (bytes32) {
        return keccak256(abi.encode("BATON_CONSENSUS", block.chainid, inbox, generation));
    }

    /// @notice The signed bytes of a vote; of a nullify, `proposal` is not part.
    function message(bytes32 namespace, uint64 epoch, uint64 viewNumber, string memory suffix, Proposal memory proposal)
        internal
        pure
        returns (bytes memory signed)
    {
        uint256 length = bytes(suffix).length;
        // Room for two words and four numbers of at most ten bytes.
        signed = new bytes(length + 104);
        uint256 at = _varint(signed, 0, 32 + length);
        assembly ("memory-safe") {
            mstore(add(add(signed, 32), at), namespace)
            mcopy(add(add(signed, 64), at), add(suffix, 32), length)
        }
        at = _varint(signed, _varint(signed, at + 32 + length, epoch), viewNumber);
        if (keccak256(bytes(suffix)) != keccak256(bytes(NULLIFY))) {
            at = _varint(signed, at, proposal.parentView);
            bytes32 blockHash = proposal.blockHash;
            assembly ("memory-safe") {
                mstore(add(add(signed, 32), at), blockHash)
            }
            at += 32;
        }
        // What was reserved and not needed is given back.
        assembly ("memory-safe") {
            mstore(signed, at)
        }
    }

    /// @dev Writes a number from byte `at` on, seven bits a byte, the lowest first, with a high bit where more follow; returns where it ends.
    function _varint(bytes memory signed, uint256 at, uint256 value) private pure returns (uint256) {
        for (; value > 0x7f; value >>= 7) {
            signed[at++] = bytes1(uint8(value) | 0x80);
        }
        signed[at++] = bytes1(uint8(value));
        return at;
    }
}
