// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title ICommitments
/// @notice Sealed envelopes: an account announces the hash of a call and makes the call later, so that who first sees the call's contents in it
/// comes too late to make the same claim.
/// @dev Used for registrations of keys (SequencerPool), of which identity and endpoint can be taken by anyone who knows them. What is committed
/// to is the call itself, keccak256 of its calldata: every argument, a salt among them. It counts for the account that sent it, on this
/// chain and in this deployment only, because it is kept here under that account.
/// Who learns a key from a call that is waiting to be included can commit in the next block at the earliest and call `EARLIEST` blocks after
/// it: the owner's call has so many blocks to be included, whatever others pay. Of two owners who both knew a key before, the first to call has it.
interface ICommitments {
    /// @notice An account committed to a call.
    event Committed(address indexed account, bytes32 indexed commitment);

    /// @notice The account has not committed to this call; commit first, with the same arguments, the salt included.
    error Commitments_Unknown(address account, bytes32 commitment);
    /// @notice The commitment is too young, or too old: the call counts in the L1 blocks from `first` to `last`. If they are over, commit again.
    error Commitments_OutOfTime(uint256 first, uint256 last, uint256 currentBlock);

    /// @notice Commits the caller to a call. Committing again begins anew.
    /// @param commitment keccak256 of the call's calldata, the selector included.
    function commit(bytes32 commitment) external;

    /// @notice Reverts unless `account` committed to the call in time. A commitment is not used up: what it can claim is the account's already.
    function check(address account, bytes32 commitment) external view;

    /// @notice The L1 block in which `account` committed to the call last (0: never).
    function blockOf(address account, bytes32 commitment) external view returns (uint256);
}
