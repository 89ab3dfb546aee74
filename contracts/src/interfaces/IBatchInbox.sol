// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title IBatchInbox
/// @notice Accepts certified batches in order. What it accepted is the L2 chain; nobody is trusted to post.
/// @dev Safety: two thirds of the snapshot's stake signed every field. Liveness: any member may post, after two graces anyone.
interface IBatchInbox {
    /// @notice The deterministic part of a batch header. The field order is the hashed order (ARCHITECTURE.md, "Core").
    struct Core {
        uint16 version;
        uint64 generation;
        /// @dev Batches count from 1.
        uint64 index;
        /// @dev Core hash of batch `index - 1`; zero for batch 1.
        bytes32 previous;
        uint64 epoch;
        uint64 snapshot;
        uint64 firstHeight;
        uint64 lastHeight;
        /// @dev View of the last block within its epoch, from 1.
        uint64 lastView;
        bytes32 lastBlock;
        uint64 lastTimestamp;
        bytes32 stateRoot;
        uint64 originNumber;
        bytes32 originHash;
        /// @dev Deposits executed in total after the last block.
        uint64 deposits;
        bytes32 withdrawalsRoot;
        /// @dev Whether the batch ends its epoch.
        bool closing;
        /// @dev Wei swept from the fee vault in this epoch; zero unless closing.
        uint256 fees;
        /// @dev keccak256 of the performance bytes; zero unless closing.
        bytes32 performance;
        /// @dev Snapshot of the next epoch; zero unless closing.
        uint64 nextSnapshot;
    }

    /// @notice An aggregated signature over (chain, inbox, core, data).
    struct Certificate {
        /// @dev Bit i, least significant first, is member i of the snapshot.
        uint256 signers;
        /// @dev Sum of the signatures: a G1 point, 128 bytes.
        bytes signature;
    }

    /// @notice The L2 genesis.
    struct Genesis {
        bytes32 blockHash;
        bytes32 stateRoot;
        /// @dev Seconds.
        uint64 timestamp;
        /// @dev L1 origin of the genesis block, within the last 256 L1 blocks and not after the first deposit.
        uint64 originNumber;
        bytes32 originHash;
        /// @dev Wei allocated in the genesis state; sent along and kept by the Portal.
        uint256 supply;
    }

    /// @notice The last accepted batch, as far as the next one depends on it. Its block hash and state root are in its `BatchPosted` event.
    struct Anchor {
        uint64 index;
        bytes32 coreHash;
        uint64 generation;
        /// @dev Epoch and snapshot of the *next* batch.
        uint64 epoch;
        uint64 snapshot;
        uint64 lastHeight;
        uint64 lastTimestamp;
        uint64 originNumber;
        uint64 deposits;
        /// @dev L1 block of its acceptance.
        uint64 acceptedBlock;
        /// @dev Time of its acceptance (seconds).
        uint64 acceptedAt;
    }

    /// @notice One row of the epoch table.
    struct Epoch {
        uint64 firstHeight;
        uint64 snapshot;
        /// @dev Origin of the epoch's last block; zero until its closing batch is accepted.
        uint64 closingOrigin;
        /// @dev Index of the closing batch; zero until it is accepted.
        uint64 closingBatch;
    }

    /// @notice The chain began.
    event Started(bytes32 indexed blockHash, bytes32 stateRoot, uint64 timestamp, uint64 originNumber, bytes32 originHash, uint256 supply);
    /// @notice A batch was accepted.
    /// @param poster Who sent it.
    /// @param dataHash Hash of its encoding (ARCHITECTURE.md, "Encoding").
    /// @param blobHashes Versioned hashes of its blobs; empty in the calldata lane, whose bytes are in `BatchData`.
    /// @param signers Bitmap of the certificate.
    /// @param performance Performance bytes; empty unless closing.
    event BatchPosted(
        uint64 indexed index,
        bytes32 indexed coreHash,
        address indexed poster,
        Core core,
        bytes32 dataHash,
        bytes32[] blobHashes,
        uint256 signers,
        bytes performance
    );
    /// @notice The data of a batch posted in the calldata lane; in the same transaction as its `BatchPosted`.
    event BatchData(uint64 indexed index, bytes data);
    /// @notice A row of the epoch table was written.
    event EpochOpened(uint64 indexed epoch, uint64 indexed snapshot, uint64 firstHeight);
    /// @notice No batch was accepted for too long: certificates of earlier generations are void, and no batch is accepted until the recovery ends.
    event GenerationRaised(uint64 indexed generation, uint64 indexed epoch, uint64 lastHeight);
    /// @notice A recovery ended: batches go on after the anchor, signed by the new set; epoch `lastEpoch` ends at `lastHeight`.
    event Resumed(uint64 indexed generation, uint64 indexed snapshot, uint64 lastEpoch, uint64 lastHeight);
    /// @notice The member on duty let its window pass and another account posted.
    event DutyMissed(uint64 indexed index, uint64 indexed sequencer, address poster);

    /// @notice The caller is not the deployer.
    error BatchInbox_NotDeployer(address deployer, address caller);
    /// @notice The caller is not Parameters.
    error BatchInbox_NotParameters(address parameters, address caller);
    /// @notice The caller is not the Recovery.
    error BatchInbox_NotRecovery(address recovery, address caller);
    /// @notice A batch was accepted not long enough ago, or a recovery runs already (seconds).
    error BatchInbox_NotStalled(uint256 stalledAt, uint256 nowAt);
    /// @notice A recovery runs, or none does.
    error BatchInbox_Recovering(bool recovering);
    /// @notice The chain has been started already, or not yet.
    error BatchInbox_Started(bool started);
    /// @notice The ether sent differs from the genesis supply.
    error BatchInbox_WrongSupply(uint256 sent, uint256 supply);
    /// @notice A field of the core differs from the only value that follows.
    error BatchInbox_WrongField(string field, uint256 actual, uint256 expected);
    /// @notice A field of the core lies outside its range.
    error BatchInbox_OutOfRange(string field, uint256 actual, uint256 low, uint256 high);
    /// @notice The batch's index is not the next one: another poster was faster, or one is missing.
    error BatchInbox_WrongIndex(uint64 actual, uint64 expected);
    /// @notice The origin is not a block of this L1 chain, or is out of the history's reach.
    error BatchInbox_UnknownOrigin(uint64 number, bytes32 actual, bytes32 expected);
    /// @notice The deposits executed are not those of the origin.
    error BatchInbox_WrongDeposits(uint64 executed, uint64 originNumber);
    /// @notice A deposit was left out for longer than the origin lag.
    error BatchInbox_DepositLate(uint64 deposit, uint64 lastTimestamp, uint64 latest);
    /// @notice The signers hold less than two thirds of the stake.
    error BatchInbox_InsufficientStake(uint256 signed, uint256 total);
    /// @notice The bitmap names a member that does not exist.
    error BatchInbox_UnknownSigner(uint256 signers, uint256 members);
    /// @notice The signature does not verify.
    error BatchInbox_BadCertificate();
    /// @notice The certificate's snapshot is too old to sign.
    error BatchInbox_SnapshotExpired(uint64 snapshot, uint256 age, uint256 limit);
    /// @notice Neither blobs nor calldata, or both.
    error BatchInbox_WrongLane(uint256 blobs, uint256 bytesOfData);
    /// @notice The caller's turn to post has not come.
    error BatchInbox_NotOnDuty(uint64 sequencer, uint256 currentBlock, uint256 nextFrom, uint256 anyoneFrom);

    /// @notice Starts the chain with its genesis and founding set, once, by the deployer; afterwards closed for ever.
    /// @param members Ids of registered sequencers with enough self-stake: snapshot 0.
    function start(Genesis calldata genesis, uint64[] calldata members) external payable;

    /// @notice Accepts the next batch.
    /// @param core Its header.
    /// @param certificate Signatures of at least two thirds of the snapshot's stake.
    /// @param performance Per member, in snapshot order: uint32 blocks led and uint32 terms missed, big-endian; empty unless closing.
    /// @param data The encoded batch (calldata lane), or empty: then the transaction's blobs carry it.
    function post(Core calldata core, Certificate calldata certificate, bytes calldata performance, bytes calldata data) external;

    /// @notice Begins a recovery once no batch was accepted for `stallTime`. Only the Recovery.
    function raiseGeneration() external returns (uint64 generation);
    /// @notice Ends a recovery: installs the new set, which certifies what is missing up to `lastHeight` and then begins an epoch of its own.
    /// Only the Recovery.
    /// @param lastEpoch Epoch of block `lastHeight`: the running one, or the next.
    /// @param lastHeight Height of the highest final block that was proven, or of the anchor.
    function resume(uint64[] calldata members, uint64 lastEpoch, uint64 lastHeight) external;

    /// @notice Sets what posters are repaid at most. Only Parameters, which checks the bounds.
    /// @param newTipCap Wei per gas above the base fee.
    /// @param newRepayCap Wei for a batch.
    function setRepayment(uint128 newTipCap, uint128 newRepayCap) external;

    /// @notice Most wei per gas repaid above the base fee.
    function tipCap() external view returns (uint128);
    /// @notice Most wei repaid for a batch.
    function repayCap() external view returns (uint128);
    /// @notice The running epoch: the one the next batch belongs to.
    function runningEpoch() external view returns (uint64);
    /// @notice The last accepted batch.
    function anchor() external view returns (Anchor memory);
    /// @notice Core hash of an accepted batch, for the last 16.
    function coreHashOf(uint64 index) external view returns (bytes32);
    /// @notice Whether `coreHash` is one of the last four anchors (the genesis counts as the core hash zero).
    function isRecentAnchor(bytes32 coreHash) external view returns (bool);
    /// @notice A row of the epoch table; all zero for an epoch not yet opened.
    function epochs(uint64 epoch) external view returns (Epoch memory);
    /// @notice Snapshot of the set that signs for `epoch` in generation `signedIn`: that of the epoch table, or the one that the recovery to
    /// this generation installed while the epoch ran.
    function setOf(uint64 epoch, uint64 signedIn) external view returns (uint64 snapshot);
    /// @notice What was certified of an epoch that closed: how many terms it had, and the keccak256 of its performance bytes (zero
    /// while it is open, and where a recovery cut it or certified it later).
    function closings(uint64 epoch) external view returns (uint64 terms, bytes32 performance);
    /// @notice Whether a row of the epoch table exists.
    function isEpochOpen(uint64 epoch) external view returns (bool);
    /// @notice The generation now: the number of recoveries.
    function generation() external view returns (uint64);
    /// @notice How often each member signed in the running epoch, and out of how many batches.
    function participation() external view returns (uint64 batches, uint64[] memory signed);
    /// @notice keccak256 of the ABI-encoded core.
    function hashCore(Core calldata core) external pure returns (bytes32);
    /// @notice The bytes that a member signs for a batch.
    function batchMessage(bytes32 coreHash, bytes32 dataHash) external view returns (bytes memory);
}
