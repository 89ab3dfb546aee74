// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title IParameters
/// @notice Every chain parameter, checked against hard bounds when it is set, readable in one call.
/// @dev What L2 blocks and running windows obey (`l2`, `posting`, the unbonding time and the certificates' life) is fixed for ever: nothing
/// in mid-flight can change under anybody. The rest changes through an AccessManager, after its delay, inside the same bounds; contracts read
/// it when they use it, or are told at once.
interface IParameters {
    /// @notice What L2 blocks obey.
    struct Rules {
        /// @dev EIP-155 chain id of the L2.
        uint64 l2ChainId;
        /// @dev Gas limit of every L2 block; deposits of one L1 block may use half of it.
        uint64 gasLimit;
        /// @dev Most bytes of an encoded L2 block.
        uint64 blockBytes;
        /// @dev L2 heights in an epoch.
        uint64 epochBlocks;
        /// @dev Consensus views in a term.
        uint64 termViews;
        /// @dev Least depth, in L1 blocks, of an origin below the L1 head its voters see.
        uint64 originDepth;
        /// @dev Most seconds between an L2 block and its origin.
        uint64 maxOriginLag;
        /// @dev Expected seconds between two L1 blocks (used only to check the bounds of other values).
        uint64 l1BlockTime;
        /// @dev Least milliseconds between two L2 blocks.
        uint64 blockTimeMs;
        /// @dev Milliseconds after which an idle leader proposes a heartbeat.
        uint64 idleBlockTimeMs;
        /// @dev Milliseconds after which a silent leader's view fails.
        uint64 leaderTimeoutMs;
        /// @dev Age of the oldest unposted final block past which voters accept only heartbeats and deposits.
        uint64 unpostedLimit;
        /// @dev Least price of the gas of deposits (wei per gas); it rises from there with demand (Portal).
        uint64 minDepositPrice;
    }

    /// @notice How batches reach L1.
    struct Posting {
        /// @dev L2 milliseconds after which a batch is cut.
        uint64 batchMaxAgeMs;
        /// @dev Bytes before compression at which a batch is cut.
        uint64 batchMaxBytes;
        /// @dev Milliseconds a poster waits for the signatures beyond two thirds.
        uint64 signWaitMs;
        /// @dev L1 blocks the member on posting duty has before the next one may post; anyone may after twice that.
        uint64 postGrace;
        /// @dev L1 blocks between the acceptance of a batch and withdrawals against it.
        uint64 settlementDelay;
        /// @dev Seconds without an accepted batch after which a recovery may open.
        uint64 stallTime;
        /// @dev Seconds in which a recovery's members prove readiness.
        uint64 recoveryWindow;
    }

    /// @notice Who may sequence.
    struct Stakes {
        /// @dev Least L1 blocks between two snapshots.
        uint64 snapshotInterval;
        /// @dev L1 blocks for which a readiness proof holds.
        uint64 readinessWindow;
        /// @dev Most members of a snapshot.
        uint64 maxMembers;
        /// @dev Seconds every stake waits on its way out.
        uint64 unbonding;
        /// @dev Seconds after its taking for which a snapshot's certificates are accepted; below `unbonding`, so that no duty outlives its stake.
        uint64 certificateLife;
        /// @dev Least self-stake of a member, in token wei (a multiple of 1e15).
        uint128 minStake;
        /// @dev Most stake (self and delegated) of one sequencer, in token wei (a multiple of 1e15).
        uint128 maxStake;
    }

    /// @notice Who gets what.
    struct Money {
        /// @dev Treasury's share of an epoch's net fees, in basis points.
        uint16 treasuryBps;
        /// @dev Producers' share of what the treasury leaves, in basis points; the attesters get the rest.
        uint16 producersBps;
        /// @dev Most wei per gas a poster is repaid above the L1 base fee.
        uint128 tipCap;
        /// @dev Most wei a poster is repaid for one batch.
        uint128 repayCap;
        /// @dev Token wei a second that the emission stream pays to attesters while it is funded.
        uint128 emission;
    }

    /// @notice What an offence costs.
    struct Penalties {
        /// @dev Share of the stake that a first offence takes, in basis points.
        uint16 firstBps;
        /// @dev Share that a repeated offence takes, in basis points.
        uint16 repeatedBps;
        /// @dev The reporter's share of what a slash takes at once, in basis points; the rest leaves circulation.
        uint16 bountyBps;
        /// @dev Seconds a jailed sequencer stays out of snapshots at least.
        uint64 jailTime;
    }

    /// @notice The parameters of one Baton chain. Times are seconds unless the name ends in `Ms`; `Blocks` are L1 blocks unless said otherwise.
    struct Values {
        Rules l2;
        Posting posting;
        Stakes stakes;
        Money money;
        Penalties penalties;
    }

    /// @notice A value lies outside its hard bounds.
    /// @param name The field of `Values`.
    /// @param value The refused value.
    /// @param low The least value allowed (inclusive).
    /// @param high The greatest value allowed (inclusive).
    error Parameters_OutOfBounds(string name, uint256 value, uint256 low, uint256 high);

    /// @notice A field of `values` must stay what it is.
    error Parameters_Fixed(string name, uint256 value, uint256 asked);

    /// @notice The parameters as set at construction, or after a change.
    /// @param values All of them.
    event ParametersSet(Values values);

    /// @notice Changes who may sequence. Only the governor, after the delay. The unbonding time and the certificates' life must stay.
    function setStakes(Stakes calldata stakes) external;
    /// @notice Changes who gets what. Only the governor, after the delay.
    function setMoney(Money calldata money) external;
    /// @notice Changes what offences cost. Only the governor, after the delay.
    function setPenalties(Penalties calldata penalties) external;
    /// @notice Stops new stake from entering, or lets it enter again; nothing else. Only the guardian, at once.
    function setEntryPaused(bool paused) external;

    /// @notice All parameters.
    function values() external view returns (Values memory);
    /// @notice Who may sequence.
    function stakes() external view returns (Stakes memory);
    /// @notice Who gets what.
    function money() external view returns (Money memory);
    /// @notice What offences cost.
    function penalties() external view returns (Penalties memory);
}
