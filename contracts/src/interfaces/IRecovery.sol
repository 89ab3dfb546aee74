// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Votes} from "../libraries/Votes.sol";

/// @title IRecovery
/// @notice Restarts a chain that stalled. Anyone may, at every step; nobody has a power of its own.
/// @dev open -> proveReady, proveFinal (for `recoveryWindow`, and longer while stake is missing) -> close.
/// The set that goes on consists of members of the last snapshot that proved readiness for the new generation, with 2/3 of its stake, one point
/// less for every full day after the window, down to 1/2. It goes on after the highest final block that was proven and certifies the batches
/// that are missing up to it; if their data is lost, the next recovery starts at the anchor, because what the generation before last made final
/// cannot be proven any more.
/// Warning: that is the one way in which a final transaction can be lost.
interface IRecovery {
    /// @notice The engine's certificate that a block is final, of the generation before this recovery's.
    struct Finalization {
        uint64 epoch;
        uint64 viewNumber;
        /// @dev Parent view and block hash.
        Votes.Proposal proposal;
        /// @dev Bitmap of the signers in `snapshot`.
        uint256 signers;
        /// @dev G1, 128 bytes.
        bytes signature;
        /// @dev Snapshot of the epoch: as in the epoch table, or the one that follows for the epoch after the running one.
        uint64 snapshot;
    }

    /// @notice A recovery began.
    event RecoveryOpened(uint64 indexed generation, uint64 indexed snapshot, uint64 windowEnd);
    /// @notice A member proved readiness.
    event MemberReady(uint64 indexed generation, uint64 indexed sequencer, uint256 readyStake);
    /// @notice A block above all before was proven final.
    event FinalProven(uint64 indexed generation, uint64 indexed height, bytes32 blockHash);
    /// @notice A recovery ended.
    event RecoveryClosed(uint64 indexed generation, uint64 height, uint256 readyStake, uint256 totalStake);

    /// @notice No recovery is open.
    error Recovery_NotOpen();
    /// @notice The window has not ended (seconds).
    error Recovery_TooEarly(uint256 windowEnd, uint256 nowAt);
    /// @notice The sequencer is no member of the last snapshot, is jailed, or has too little stake.
    error Recovery_NotEligible(uint64 sequencer);
    /// @notice The sequencer proved readiness already.
    error Recovery_AlreadyReady(uint64 sequencer);
    /// @notice The readiness proof does not verify, or cites an L1 block that is too old.
    error Recovery_BadReadiness(uint64 sequencer);
    /// @notice The ready members hold too little stake (token wei of the last snapshot).
    error Recovery_NotEnough(uint256 ready, uint256 needed);
    /// @notice The block is not above what was proven before, or not in the running epoch or the next.
    error Recovery_WrongHeight(uint256 height, uint64 low, uint64 high);
    /// @notice The epoch is not of this snapshot.
    error Recovery_WrongSnapshot(uint64 epoch, uint64 snapshot);
    /// @notice Header, certificate or signature do not fit.
    error Recovery_BadFinalization();

    /// @notice Begins a recovery, once no batch was accepted for `stallTime`. Callable by anyone.
    function open() external returns (uint64 generation);
    /// @notice Adds a member to the new set. Callable by anyone with its readiness proof, over `SequencerPool.readinessMessage`.
    /// @param signature G1 (128 bytes) by the sequencer's registered BLS key, over the new generation.
    function proveReady(uint64 id, uint64 l1Number, bytes calldata signature) external;
    /// @notice Proves a final block above the anchor. Callable by anyone.
    /// @param header The block's header, RLP.
    function proveFinal(Finalization calldata finalization, bytes calldata header) external;
    /// @notice Ends the recovery. Callable by anyone after the window, once enough stake is ready.
    function close() external;

    /// @notice Token wei of the last snapshot that the ready members hold, and that they need by now.
    function readiness() external view returns (uint256 ready, uint256 needed);
    /// @notice The recovery that is open (all zero: none).
    function current() external view returns (uint64 windowEnd, uint64 snapshot, uint64 lastEpoch, uint64 lastHeight, uint256 readyStake);
}
