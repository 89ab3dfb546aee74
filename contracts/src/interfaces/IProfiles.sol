// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title IProfiles
/// @notice What people read about a sequencer: set by its owner, used by no rule.
/// Warning: nobody checks it. Names are not unique.
interface IProfiles {
    /// @notice How a sequencer presents itself.
    struct Profile {
        /// @dev At most 64 bytes.
        string name;
        /// @dev At most 256 bytes.
        string url;
        /// @dev keccak256 of a picture that the URL leads to (zero: none).
        bytes32 logoHash;
    }

    /// @notice A profile was set.
    event ProfileSet(uint64 indexed id, address indexed owner, string name, string url, bytes32 logoHash);

    /// @notice The caller is not the sequencer's owner.
    error Profiles_NotOwner(uint64 id, address owner, address caller);
    /// @notice A text is too long (bytes).
    error Profiles_TooLong(string what, uint256 length, uint256 most);

    /// @notice Sets the profile of the caller's sequencer.
    function set(uint64 id, Profile calldata profile) external;
    /// @notice The profile of a sequencer; empty if it has none.
    function profileOf(uint64 id) external view returns (Profile memory);
}
