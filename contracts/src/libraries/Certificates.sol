// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBatchInbox} from "../interfaces/IBatchInbox.sol";
import {Bls} from "./Bls.sol";
import {Cards} from "./Cards.sol";
import {Snapshots} from "./Snapshots.sol";

/// @title Certificates
/// @notice Verifies that members with at least two thirds of a snapshot's stake signed a message.
/// @dev The signers' key is the aggregate of all keys minus the absent ones, or the sum of the present ones, whichever is shorter. Proofs of
/// possession at registration rule out rogue keys.
library Certificates {
    /// @notice Reverts unless `certificate` is valid for `message` under the snapshot `data`.
    function verify(bytes memory data, IBatchInbox.Certificate calldata certificate, bytes memory message) internal view {
        uint256 signers = certificate.signers;
        uint256 members = Snapshots.count(data);
        if (signers >> members != 0) revert IBatchInbox.BatchInbox_UnknownSigner(signers, members);
        (bytes memory key, uint256 signed) = _signers(data, members, signers);
        uint256 total = Snapshots.totalStake(data);
        if (signed * 3 < total * 2) revert IBatchInbox.BatchInbox_InsufficientStake(signed, total);
        if (!Bls.verify(message, Bls.DST, key, certificate.signature)) revert IBatchInbox.BatchInbox_BadCertificate();
    }

    /// @notice Whether as many members as the engine needs to finalize (all but less than a third) signed `message`, whatever their stake.
    function isQuorum(bytes memory data, uint256 signers, bytes memory signature, bytes memory message) internal view returns (bool) {
        uint256 members = Snapshots.count(data);
        if (signers >> members != 0) return false;
        if (_count(signers) < members - (members - 1) / 3) return false;
        (bytes memory key,) = _signers(data, members, signers);
        return Bls.verify(message, Bls.DST, key, signature);
    }

    /// @dev Key and stake of the signers together; infinity if there are none.
    function _signers(bytes memory data, uint256 members, uint256 signers) private view returns (bytes memory key, uint256 stake) {
        uint256 present = _count(signers);
        if (present == members) return (Snapshots.aggregate(data), Snapshots.totalStake(data));
        bool few = present * 2 <= members;
        (key, stake) = _sum(data, few ? signers : signers ^ ((1 << members) - 1));
        if (!few) {
            // The aggregate of all is what a snapshot begins with.
            Bls.subtract(data, key);
            stake = Snapshots.totalStake(data) - stake;
        }
        key = Bls.firstOf(key);
    }

    /// @dev Sums of the keys and of the stakes of the members in `bitmap`; the keys' sum is the first of the two points in `pair`.
    function _sum(bytes memory data, uint256 bitmap) private view returns (bytes memory pair, uint256 stake) {
        // The sum so far, and the next key.
        pair = new bytes(2 * Bls.G2_LENGTH);
        for (uint256 at = 0; bitmap != 0; at = Bls.G2_LENGTH) {
            uint256 i = _lowest(bitmap);
            bitmap &= bitmap - 1;
            stake += Snapshots.stakeOf(data, i);
            Cards.copyKey(Snapshots.cardOf(data, i), pair, at);
            if (at != 0) Bls.accumulate(pair);
        }
    }

    /// @dev Number of the lowest bit that is set; there is one.
    function _lowest(uint256 bitmap) private pure returns (uint256 i) {
        assembly ("memory-safe") {
            i := sub(255, clz(and(bitmap, sub(0, bitmap))))
        }
    }

    /// @dev How many of the low 64 bits are set: sums of pairs, of nibbles, of bytes, all at once.
    function _count(uint256 bitmap) private pure returns (uint256) {
        unchecked {
            bitmap -= (bitmap >> 1) & 0x5555555555555555;
            bitmap = (bitmap & 0x3333333333333333) + ((bitmap >> 2) & 0x3333333333333333);
            bitmap = (bitmap + (bitmap >> 4)) & 0x0f0f0f0f0f0f0f0f;
            return ((bitmap * 0x0101010101010101) >> 56) & 0xff;
        }
    }
}
