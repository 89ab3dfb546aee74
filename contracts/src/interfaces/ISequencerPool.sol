// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ICommitments} from "./ICommitments.sol";

/// @title ISequencerPool
/// @notice Who may sequence: keys with proofs of possession, admission by readiness proof, frozen snapshots of the active set, leader election.
/// @dev Holds no tokens. Points are EIP-2537 encodings: G1 128 bytes, G2 256 bytes.
interface ISequencerPool {
    /// @notice The state of a sequencer in the pool.
    enum Status {
        /// @dev No keys yet.
        None,
        /// @dev Keys registered, not (or no longer) in the active set.
        Registered,
        /// @dev In the next snapshot, if its self-stake is at least the minimum.
        Active,
        /// @dev Kept out until `jailedUntil`.
        Jailed
    }

    /// @notice The keys and the address of one node.
    struct Keys {
        /// @dev ed25519 public key: identity in the peer-to-peer network.
        bytes32 identity;
        /// @dev Poster account (secp256k1).
        address operator;
        /// @dev BLS12-381 vote key in G2, 256 bytes.
        bytes blsKey;
        /// @dev `host:port` where peers reach the node, at most 255 bytes.
        string endpoint;
    }

    /// @notice One member of a snapshot.
    struct Member {
        /// @dev Sequencer id.
        uint64 id;
        /// @dev Owner now.
        address owner;
        /// @dev Poster account.
        address operator;
        /// @dev Token wei in the snapshot.
        uint128 stake;
        /// @dev Shares that divide this member's income.
        uint128 shares;
        /// @dev Commission in basis points in the snapshot.
        uint16 commission;
        /// @dev ed25519 public key; members ascend by it.
        bytes32 identity;
        /// @dev BLS key in G2, 256 bytes.
        bytes blsKey;
        /// @dev `host:port`.
        string endpoint;
    }

    /// @notice A frozen active set.
    struct Snapshot {
        /// @dev Counted from 0 (the genesis set).
        uint64 id;
        /// @dev L1 block it was taken in.
        uint64 takenBlock;
        /// @dev L1 block it was sealed in; 0 while it is not.
        uint64 sealBlock;
        /// @dev Seed of the leader election; 0 while unsealed.
        bytes32 seed;
        /// @dev Sum of the members' stake.
        uint128 totalStake;
        /// @dev Sum of the members' BLS keys, 256 bytes.
        bytes aggregate;
        /// @dev Ascending by identity.
        Member[] members;
    }

    /// @notice A sequencer's entry in the pool.
    struct Entry {
        Status status;
        /// @dev Next readiness nonce.
        uint64 nonce;
        /// @dev End of a jail term (seconds); 0 if never jailed.
        uint64 jailedUntil;
        /// @dev Keys in force for the next snapshot.
        Keys keys;
    }

    /// @notice Keys were registered for a sequencer (also when they replace earlier ones).
    event Registered(uint64 indexed id, address indexed operator, bytes32 indexed identity, bytes blsKey, string endpoint);
    /// @notice A sequencer entered the active set and is in snapshots from `period` on.
    event Activated(uint64 indexed id, uint64 nonce, uint64 indexed period);
    /// @notice A sequencer left the active set.
    event Deactivated(uint64 indexed id, DeactivationReason reason, uint64 indexed period);
    /// @notice A sequencer was jailed until `until` (seconds); afterwards a fresh readiness proof brings it back.
    event Jailed(uint64 indexed id, uint64 until);
    /// @notice A sequencer announced that it may be away in the epochs [from, to).
    event DowntimeDeclared(uint64 indexed id, uint64 from, uint64 to);
    /// @notice A snapshot was taken. Arrays are in member order.
    event SnapshotTaken(
        uint64 indexed id, uint64 takenBlock, uint128 totalStake, uint64[] members, uint128[] stakes, uint128[] shares, uint16[] commissions
    );
    /// @notice A snapshot got its seed and is eligible from L1 block `sealBlock` on.
    event SnapshotSealed(uint64 indexed id, uint64 sealBlock, bytes32 seed);

    /// @notice Why a sequencer left the active set.
    enum DeactivationReason {
        /// @dev Its owner asked for it.
        Owner,
        /// @dev Its self-stake fell below the minimum.
        Stake,
        /// @dev A candidate with more stake took its seat.
        Replaced,
        /// @dev It was jailed.
        Jail,
        /// @dev A recovery began a new set; it comes back by a readiness proof.
        Recovery
    }

    /// @notice The caller is not the sequencer's owner.
    error SequencerPool_NotOwner(uint64 id, address owner, address caller);
    /// @notice The caller is not the Slasher.
    error SequencerPool_NotSlasher(address slasher, address caller);
    /// @notice Declared downtime begins too soon, lasts too long, or follows the last one too soon (epochs).
    error SequencerPool_DowntimeOutOfBounds(uint64 from, uint64 to, uint64 earliest, uint64 longest);
    /// @notice A downtime is declared or runs already, up to epoch `to`: it stays as announced.
    error SequencerPool_DowntimeDeclared(uint64 to, uint64 running);
    /// @notice The caller is not the BatchInbox.
    error SequencerPool_NotInbox(address inbox, address caller);
    /// @notice The call does not fit the sequencer's status.
    error SequencerPool_WrongStatus(uint64 id, Status status);
    /// @notice A key, operator or endpoint is in use by another sequencer.
    error SequencerPool_Taken(string what, uint64 by);
    /// @notice A key, operator or endpoint is malformed.
    error SequencerPool_Malformed(string what);
    /// @notice The proof of possession does not verify.
    error SequencerPool_BadProofOfPossession(uint64 id);
    /// @notice The readiness proof does not verify.
    error SequencerPool_BadReadiness(uint64 id);
    /// @notice The readiness proof cites an L1 block that is too old or not this chain's.
    error SequencerPool_StaleReadiness(uint64 l1Number, uint256 head, uint64 window);
    /// @notice The readiness proof cites an anchor that is not among the last four.
    error SequencerPool_UnknownAnchor(bytes32 coreHash);
    /// @notice The self-stake is below the minimum.
    error SequencerPool_InsufficientStake(uint64 id, uint256 selfStake, uint256 minimum);
    /// @notice As many newcomers as one serving snapshot takes are in the active set already.
    error SequencerPool_TooManyEntries(uint256 newcomers, uint256 limit);
    /// @notice The set is full and the candidate's stake is neither 5 % above the lowest member's nor at the cap.
    error SequencerPool_SetFull(uint256 stake, uint256 needed);
    /// @notice The founding set has not been installed yet.
    error SequencerPool_NotStarted();
    /// @notice The last snapshot is too young.
    error SequencerPool_TooEarly(uint256 nextBlock, uint256 currentBlock);
    /// @notice The last snapshot can still be sealed.
    error SequencerPool_Unsealed(uint64 id);
    /// @notice The set would be empty.
    error SequencerPool_EmptySet();
    /// @notice There is no such snapshot, or it is not sealed where it must be.
    error SequencerPool_UnknownSnapshot(uint64 id);
    /// @notice The snapshot is sealed already, or a newer one is.
    error SequencerPool_AlreadySealed(uint64 id);
    /// @notice The header is not the one of the sealing block, or that block is out of reach.
    error SequencerPool_WrongHeader(uint256 blockNumber, bytes32 expected, bytes32 actual);

    /// @notice Registers keys for the caller's sequencer, or replaces them; they count from the next snapshot on. Once the chain has started the
    /// caller must have committed to this very call in `commitments`, 5 to 7,200 L1 blocks before (ICommitments): identity and endpoint
    /// could else be taken by whoever sees the call before it is included.
    /// @param id The caller's sequencer.
    /// @param keys Unused by any other sequencer, now and before.
    /// @param possession Proof of possession: a G1 signature (128 bytes) by `keys.blsKey` over chain, pool, owner and key (ARCHITECTURE.md, "BLS messages").
    /// @param salt Anything; hides in the commitment what could be guessed.
    function register(uint64 id, Keys calldata keys, bytes calldata possession, bytes32 salt) external;

    /// @notice Enters the active set by proof that the node runs. Callable by anyone with the proof. At most one newcomer for every 8 members
    /// of the serving snapshot (at least one). A full set takes a candidate with 5 % more stake than its lowest member, or with the cap; among
    /// equally low members the longest-serving yields.
    /// @param l1Number A recent L1 block, at most `readinessWindow` old; its hash is part of the signed message.
    /// @param anchor Core hash of one of the last four accepted batches.
    /// @param signature G1 signature (128 bytes) by the registered BLS key.
    function activate(uint64 id, uint64 l1Number, bytes32 anchor, bytes calldata signature) external;

    /// @notice Leaves the active set from the next snapshot on. Only the owner.
    function deactivate(uint64 id) external;

    /// @notice Announces that the node may be away in the epochs [from, to): terms missed in them do not lead to jail. Only the owner,
    /// and not before the last downtime is over.
    /// @param from At least two epochs after the running one, and 168 after the last downtime began.
    /// @param to Exclusive; at most 24 epochs after `from`.
    function declareDowntime(uint64 id, uint64 from, uint64 to) external;

    /// @notice Takes a sequencer out of the active set until `until` (seconds), or the end of the term that it serves if that is later. Only the Slasher.
    function jail(uint64 id, uint64 until) external;

    /// @notice Freezes the active set. Callable by anyone, once per snapshot interval.
    /// @return id The new snapshot.
    function takeSnapshot() external returns (uint64 id);

    /// @notice Seals snapshot `id` with the header of the L1 block 8 after the one it was taken in. Callable by anyone.
    /// @param header That block's header, RLP.
    function seal(uint64 id, bytes calldata header) external;

    /// @notice Replaces the active set by `members`, in a snapshot that is taken and sealed in this block. Only the BatchInbox: the founding set
    /// at the start, the ready members after a recovery.
    /// @param members Registered sequencers, not jailed, with enough self-stake.
    /// @return id The snapshot.
    function installSet(uint64[] calldata members) external returns (uint64 id);

    /// @notice A snapshot with all its members and keys.
    function snapshot(uint64 id) external view returns (Snapshot memory);
    /// @notice Number of snapshots taken: ids run from 0 to this minus 1.
    function snapshotCount() external view returns (uint64);
    /// @notice L1 blocks in which snapshot `id` was taken and sealed (0: not).
    function snapshotBlocks(uint64 id) external view returns (uint64 takenBlock, uint64 sealBlock);
    /// @notice Address of the contract code that stores snapshot `id` (libraries/Snapshots.sol reads it) and its seed.
    function snapshotData(uint64 id) external view returns (address code, bytes32 seed);
    /// @notice `snapshotData` and `snapshotBlocks` in one call: what the inbox asks for with every batch.
    function servingData(uint64 id) external view returns (address code, bytes32 seed, uint64 takenBlock, uint64 sealBlock);
    /// @notice Whether `id` is the newest snapshot sealed in L1 block `l1Block` or before (snapshot 0 where there is none).
    function isNewestAt(uint64 id, uint64 l1Block) external view returns (bool);
    /// @notice The newest sealed snapshot.
    function latestSealed() external view returns (uint64 id);
    /// @notice The L1 block from which `takeSnapshot` is allowed, as far as the interval goes.
    function nextSnapshotBlock() external view returns (uint64);

    /// @notice The leader of (epoch, term) under a sealed snapshot.
    /// @param term Counted from 1 in the epoch.
    /// @return member Position in the snapshot.
    /// @return id Sequencer id.
    function leaderOf(uint64 snapshotId, uint64 epoch, uint64 term) external view returns (uint256 member, uint64 id);
    /// @notice The leader of (epoch, term) for an epoch whose snapshot is in the epoch table.
    function leaderAt(uint64 epoch, uint64 term) external view returns (uint256 member, uint64 id);

    /// @notice Where registrations are announced.
    function commitments() external view returns (ICommitments);
    /// @notice The sequencer that has, or ever had, this BLS key (0: none).
    function sequencerOf(bytes calldata blsKey) external view returns (uint64 id);
    /// @notice Members of the active set that the serving snapshot could not hold yet, and how many of them there may be at most.
    function churn() external view returns (uint256 newcomers, uint256 limit);
    /// @notice First snapshot that could hold a sequencer since it entered the active set last.
    function enteredIn(uint64 id) external view returns (uint64 period);
    /// @notice The last declared downtime of a sequencer: the epochs [from, to).
    function downtimeOf(uint64 id) external view returns (uint64 from, uint64 to);
    /// @notice A sequencer's entry.
    function entry(uint64 id) external view returns (Entry memory);
    /// @notice The active set in no particular order.
    function active() external view returns (uint64[] memory);
    /// @notice The message that proves possession of `blsKey` by the pool's owner account `owner`.
    function possessionMessage(address owner, bytes calldata blsKey) external view returns (bytes memory);
    /// @notice The message a node signs to prove readiness with its next nonce.
    function readinessMessage(uint64 id, uint64 l1Number, bytes32 l1Hash, bytes32 anchor) external view returns (bytes memory);
}
