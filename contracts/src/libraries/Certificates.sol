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
        (uint256 signed, uint256 present) = (0, 0);
        // At most 64 stakes of 112 bits: no sum can overflow.
        unchecked {
            for (uint256 i = 0; i < members; ++i) {
                uint256 bit = (signers >> i) & 1;
                signed += bit * Snapshots.stakeOf(data, i);
                present += bit;
            }
        }
        uint256 total = Snapshots.totalStake(data);
        if (signed * 3 < total * 2) revert IBatchInbox.BatchInbox_InsufficientStake(signed, total);

        bytes memory key = _key(data, members, signers, present);
        if (!Bls.verify(message, Bls.DST, key, certificate.signature)) revert IBatchInbox.BatchInbox_BadCertificate();
    }

    /// @notice Whether as many members as the engine needs to finalize (all but less than a third) signed `message`, whatever their stake.
    function isQuorum(bytes memory data, uint256 signers, bytes memory signature, bytes memory message) internal view returns (bool) {
        uint256 members = Snapshots.count(data);
        if (signers >> members != 0) return false;
        uint256 present;
        for (uint256 i = 0; i < members; ++i) {
            present += (signers >> i) & 1;
        }
        if (present < members - (members - 1) / 3) return false;
        return Bls.verify(message, Bls.DST, _key(data, members, signers, present), signature);
    }

    /// @dev Sum of the keys of the `present` signers, of which there is at least one.
    function _key(bytes memory data, uint256 members, uint256 signers, uint256 present) private view returns (bytes memory key) {
        if (present * 2 <= members) return _sum(data, members, signers);
        key = Snapshots.aggregate(data);
        if (present < members) key = Bls.add(key, Bls.negate(_sum(data, members, ~signers)));
    }

    /// @dev Sum of the keys of the members in `bitmap`, of which there is at least one.
    function _sum(bytes memory data, uint256 members, uint256 bitmap) private view returns (bytes memory key) {
        for (uint256 i = 0; i < members; ++i) {
            if ((bitmap >> i) & 1 == 0) continue;
            bytes memory next = Cards.blsKey(Snapshots.cardOf(data, i));
            key = key.length == 0 ? next : Bls.add(key, next);
        }
    }
}
