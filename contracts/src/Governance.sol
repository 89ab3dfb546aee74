// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IParameters} from "./interfaces/IParameters.sol";
import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";

/// @title Governance
/// @notice The only powers over a running Baton: the governor changes parameters after a delay that everybody can watch, inside the bounds of
/// `Parameters`; the guardian stops new stake from entering, at once. Nobody can touch stake, exits, claims, batches or evidence.
/// @dev OpenZeppelin's AccessManager, set up once; the deployer keeps no role. The governor schedules a call here and executes it after the
/// delay; the roles themselves, the guardian's included, change in the same way. Of what an AccessManager can do, whatever would let a change
/// come sooner is refused: an administrator with a shorter delay, another role or another manager for the parameters, a closed target.
contract Governance is AccessManager {
    /// @notice May pause entry.
    uint64 public constant GUARDIAN_ROLE = 1;
    /// @notice Least delay of the governor (seconds), if the unbonding time is not longer: who dislikes a change can leave before.
    uint32 public constant MIN_DELAY = 60;
    /// @notice Greatest delay of the governor (seconds).
    uint32 public constant MAX_DELAY = 90 days;

    /// @notice Least delay of whoever administers (seconds).
    uint32 public immutable leastDelay;

    /// @notice The delay is out of bounds (seconds).
    error Governance_DelayOutOfBounds(uint32 delay, uint32 low, uint32 high);
    /// @notice What the constructor wired stays as it is.
    error Governance_Fixed(address target);

    /// @param parameters What is governed; has to have code already.
    /// @param governor Changes parameters, after `delay`.
    /// @param guardian Pauses entry.
    /// @param delay Seconds between the announcement and the execution of anything the governor does.
    constructor(address parameters, address governor, address guardian, uint32 delay) AccessManager(governor) {
        // At most 90 days.
        uint32 unbonding = uint32(IParameters(parameters).stakes().unbonding);
        uint32 low = unbonding > MIN_DELAY ? unbonding : MIN_DELAY;
        if (delay < low || delay > MAX_DELAY) revert Governance_DelayOutOfBounds(delay, low, MAX_DELAY);
        leastDelay = low;
        _grantRole(ADMIN_ROLE, governor, 0, delay);
        _grantRole(GUARDIAN_ROLE, guardian, 0, 0);
        _setTargetFunctionRole(parameters, IParameters.setEntryPaused.selector, GUARDIAN_ROLE);
    }

    /// @notice Refused: another manager could do without the delay.
    function updateAuthority(address target, address) public pure override {
        revert Governance_Fixed(target);
    }

    /// @notice Refused: the guardian's pause would go with it.
    function setTargetClosed(address target, bool) public pure override {
        revert Governance_Fixed(target);
    }

    /// @notice Refused: a role without delay could take over a function.
    function setTargetFunctionRole(address target, bytes4[] calldata, uint64) public pure override {
        revert Governance_Fixed(target);
    }

    /// @dev Every administrator waits; while the AccessManager is being constructed nobody can call.
    function _grantRole(uint64 roleId, address account, uint32 grantDelay, uint32 executionDelay) internal override returns (bool) {
        if (roleId == ADMIN_ROLE && (executionDelay < leastDelay || executionDelay > MAX_DELAY)) {
            revert Governance_DelayOutOfBounds(executionDelay, leastDelay, MAX_DELAY);
        }
        return super._grantRole(roleId, account, grantDelay, executionDelay);
    }
}
