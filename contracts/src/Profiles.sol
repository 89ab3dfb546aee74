// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IProfiles} from "./interfaces/IProfiles.sol";
import {IStaking} from "./interfaces/IStaking.sol";

/// @title Profiles
/// @notice Names of sequencers. Interface and rules: IProfiles.
contract Profiles is IProfiles {
    /// @notice Most bytes of a name.
    uint256 public constant MAX_NAME = 64;
    /// @notice Most bytes of a URL.
    uint256 public constant MAX_URL = 256;
    /// @notice Asked for owners.
    IStaking public immutable staking;

    mapping(uint64 id => Profile) private _profiles;

    /// @param stakingContract Asked for owners.
    constructor(IStaking stakingContract) {
        staking = stakingContract;
    }

    /// @inheritdoc IProfiles
    function set(uint64 id, Profile calldata profile) external {
        address owner = staking.ownerOf(id);
        if (owner != msg.sender) revert Profiles_NotOwner(id, owner, msg.sender);
        uint256 length = bytes(profile.name).length;
        if (length > MAX_NAME) revert Profiles_TooLong("name", length, MAX_NAME);
        length = bytes(profile.url).length;
        if (length > MAX_URL) revert Profiles_TooLong("url", length, MAX_URL);
        _profiles[id] = profile;
        emit ProfileSet(id, owner, profile.name, profile.url, profile.logoHash);
    }

    /// @inheritdoc IProfiles
    function profileOf(uint64 id) external view returns (Profile memory) {
        return _profiles[id];
    }
}
