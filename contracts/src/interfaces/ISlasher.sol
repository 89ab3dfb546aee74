// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Votes} from "../libraries/Votes.sol";
import {IBatchInbox} from "./IBatchInbox.sol";

/// @title ISlasher
/// @notice Turns proof of an offence into its penalty, for anyone, with a bounty. Needs no vote and has no administrator.
/// @dev Statements are given by their fields and encoded here, so that there is one encoding of each. A signature counts under the key that made
/// it, whether the sequencer still uses that key or not, if it was the key of a member of the set that votes in that epoch and generation; keys
/// are never used by two sequencers. What a signature says binds chain, inbox,
/// generation, epoch and kind: nothing signed elsewhere contradicts anything here.
/// An offence is (sequencer, epoch): one slash, however many statements contradict. It takes `firstBps` of what was bonded in the epoch's
/// snapshot, or `repeatedBps` if that epoch began after an earlier slash of the sequencer had landed.
/// Warning: a reporter's transaction can be copied by whoever sees it first; then the bounty is theirs. The slash is the same.
interface ISlasher {
    /// @notice Which two votes of one view contradict.
    enum Kind {
        /// @dev Two notarize votes for different proposals.
        Notarize,
        /// @dev Two finalize votes for different proposals.
        Finalize,
        /// @dev A nullify vote and a finalize vote.
        NullifyFinalize
    }

    /// @notice Two votes of one view in one epoch of one generation.
    struct Contradiction {
        Kind kind;
        uint64 generation;
        uint64 epoch;
        /// @dev The view of both.
        uint64 viewNumber;
        /// @dev Of the first vote; all zero for a nullify, which proposes nothing.
        Votes.Proposal first;
        /// @dev Of the second vote.
        Votes.Proposal second;
        /// @dev G1, 128 bytes.
        bytes firstSignature;
        bytes secondSignature;
    }

    /// @notice One member's signature on one encoding of a batch.
    struct Attestation {
        IBatchInbox.Core core;
        bytes32 dataHash;
        /// @dev G1, 128 bytes.
        bytes signature;
    }

    /// @notice An offence was proven; each (sequencer, epoch) is slashed once.
    /// @param slashed Token wei taken from bonded stake at once; exits and switched stake pay their part when they move on.
    /// @param bounty Token wei of it paid to `receiver` at once.
    /// @param jailedUntil End of the jail term (seconds).
    event Offended(
        uint64 indexed sequencer,
        uint64 indexed epoch,
        address indexed reporter,
        bool repeated,
        uint128 slashed,
        uint128 bounty,
        address receiver,
        uint64 jailedUntil
    );
    /// @notice A sequencer was jailed because it led too little.
    /// @param missed Terms missed in the epochs that count.
    /// @param drawn Terms it was elected for in them.
    event Absent(uint64 indexed sequencer, uint64 indexed epoch, uint256 missed, uint256 drawn, uint64 jailedUntil);
    /// @notice Of a first slash a part of the bounty is due when exits and switched stake pay (token wei).
    event BountyOwed(address indexed receiver, uint64 indexed sequencer, uint64 indexed epoch, uint256 amount);
    /// @notice A bounty that was due was paid, or a part of it (token wei).
    event BountyPaid(address indexed receiver, uint256 amount);
    /// @notice Slashed tokens left circulation for ever.
    event Burnt(uint256 amount);

    /// @notice The key belongs to no sequencer.
    error Slasher_UnknownKey(bytes32 keyHash);
    /// @notice The two statements do not contradict each other.
    error Slasher_NoConflict();
    /// @notice A field must be the same in both statements.
    error Slasher_DifferentContext(string field, uint256 first, uint256 second);
    /// @notice The signatures are not the key's.
    error Slasher_BadSignatures(uint64 sequencer);
    /// @notice The sequencer was not in the epoch's set (of the evidence's generation), or had another key there.
    error Slasher_NotMember(uint64 sequencer, uint64 epoch, uint64 snapshot);
    /// @notice The epoch is not open on L1 yet: come back when it is.
    error Slasher_EpochNotOpen(uint64 epoch, uint64 running);
    /// @notice The sequencer was slashed for this epoch.
    error Slasher_AlreadyPunished(uint64 sequencer, uint64 epoch);
    /// @notice The epoch must be one of the last two that closed.
    error Slasher_WrongEpoch(uint64 epoch, uint64 low, uint64 high);
    /// @notice Performance bytes of another number of epochs than are judged.
    error Slasher_WrongLength(uint256 actual, uint256 expected);
    /// @notice The bytes are not the performance that was certified for the epoch.
    error Slasher_WrongPerformance(uint64 epoch, bytes32 actual, bytes32 expected);
    /// @notice Too few missed terms to jail.
    error Slasher_NotAbsent(uint64 sequencer, uint256 missed, uint256 drawn);

    /// @notice Slashes and jails the owner of `key` for two contradicting consensus votes.
    /// @param key BLS key in G2, 256 bytes.
    /// @param receiver Of the bounty.
    /// @return slashed Token wei taken at once.
    /// @return bounty Token wei of it paid to `receiver`.
    function slashVotes(bytes calldata key, Contradiction calldata votes, address receiver)
        external
        returns (uint128 slashed, uint128 bounty);

    /// @notice Slashes and jails the owner of `key` for signatures on two cores of one batch.
    function slashBatches(bytes calldata key, Attestation calldata first, Attestation calldata second, address receiver)
        external
        returns (uint128 slashed, uint128 bounty);

    /// @notice Jails, without a slash, a sequencer that missed at least 3 terms and more than half of those it was elected for, over the four
    /// epochs that end with `epoch`. Epochs of declared downtime, those of sets up to its last jailing, those that a
    /// recovery cut and those of more than 2,048 terms do not count.
    /// @param epoch One of the last two epochs that closed.
    /// @param performance The performance bytes of the (up to) four epochs, oldest first, as their closing batches carried them.
    function jailAbsent(uint64 id, uint64 epoch, bytes[] calldata performance) external;

    /// @notice Takes all slashed tokens that are owed to no reporter out of circulation. Callable by anyone.
    function burn() external returns (uint256 amount);

    /// @notice Pays `receiver` what it is owed, as far as slashed tokens are there. Callable by anyone.
    /// @return amount Token wei.
    function claimBounty(address receiver) external returns (uint256 amount);

    /// @notice Token wei of bounties owed to an account: for stake that had left before its sequencer's first slash.
    function bountyOf(address receiver) external view returns (uint256);
    /// @notice The sum of them, which `burn` keeps.
    function totalBounties() external view returns (uint256);

    /// @notice Whether the sequencer was slashed for `epoch`.
    function isPunished(uint64 id, uint64 epoch) external view returns (bool);
    /// @notice L1 block of the sequencer's first slash (0: none): epochs that begin after it count as repeated.
    function firstSlashBlock(uint64 id) external view returns (uint64);
    /// @notice The bytes that a vote signs.
    /// @param suffix `_NOTARIZE`, `_FINALIZE` or `_NULLIFY`; of the last one, `proposal` is not part.
    function voteMessage(uint64 generation, uint64 epoch, uint64 viewNumber, string calldata suffix, Votes.Proposal calldata proposal)
        external
        view
        returns (bytes memory);
}
