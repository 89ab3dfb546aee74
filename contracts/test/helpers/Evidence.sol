// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISlasher} from "../../src/interfaces/ISlasher.sol";
import {Votes} from "../../src/libraries/Votes.sol";
import {BlsSigner} from "./BlsSigner.sol";
import {World} from "./World.sol";

/// @notice A world whose sequencers can be made to contradict themselves.
abstract contract Evidence is World {
    /// @dev Two contradicting votes of `id` for view 77 of `epoch`, signed.
    function _votes(uint64 id, ISlasher.Kind kind, uint64 epoch) internal view returns (ISlasher.Contradiction memory votes) {
        votes.kind = kind;
        votes.epoch = epoch;
        votes.viewNumber = 77;
        if (kind != ISlasher.Kind.NullifyFinalize) votes.first = Votes.Proposal(76, keccak256("one"));
        votes.second = Votes.Proposal(76, keccak256("other"));
        _sign(id, votes);
    }

    function _sign(uint64 id, ISlasher.Contradiction memory v) internal view {
        string memory suffix = v.kind == ISlasher.Kind.Notarize ? "_NOTARIZE" : "_FINALIZE";
        string memory first = v.kind == ISlasher.Kind.NullifyFinalize ? "_NULLIFY" : suffix;
        v.firstSignature = BlsSigner.sign(secret(id), slashing.voteMessage(v.generation, v.epoch, v.viewNumber, first, v.first));
        v.secondSignature = BlsSigner.sign(secret(id), slashing.voteMessage(v.generation, v.epoch, v.viewNumber, suffix, v.second));
    }

    /// @dev Two signatures of `id` on different cores of the next batch.
    function _attestations(uint64 id) internal returns (ISlasher.Attestation memory a, ISlasher.Attestation memory b) {
        _prepare(10);
        (a.core, b.core) = (next, next);
        b.core.stateRoot = keccak256("another state");
        (a.dataHash, b.dataHash) = (keccak256("data"), keccak256("other data"));
        _attest(id, a);
        _attest(id, b);
    }

    function _attest(uint64 id, ISlasher.Attestation memory a) internal view {
        a.signature = BlsSigner.sign(secret(id), inbox.batchMessage(inbox.hashCore(a.core), a.dataHash));
    }
}
