// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBatchInbox} from "./interfaces/IBatchInbox.sol";
import {IParameters} from "./interfaces/IParameters.sol";
import {IPortal} from "./interfaces/IPortal.sol";
import {IRevenueShare} from "./interfaces/IRevenueShare.sol";
import {ISequencerPool} from "./interfaces/ISequencerPool.sol";
import {Bls} from "./libraries/Bls.sol";
import {Cards} from "./libraries/Cards.sol";
import {Certificates} from "./libraries/Certificates.sol";
import {Snapshots} from "./libraries/Snapshots.sol";
import {Tally} from "./libraries/Tally.sol";
import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";

/// @title BatchInbox
/// @notice Accepts certified batches in order. Interface and rules: IBatchInbox.
contract BatchInbox is IBatchInbox {
    using Tally for Tally.Counters;

    // -- Constants and immutables

    /// @notice Version of the core.
    uint16 public constant VERSION = 1;
    /// @notice Core hashes kept.
    uint64 public constant RING = 16;
    /// @notice Anchors that a readiness proof may cite.
    uint64 public constant RECENT = 4;
    /// @notice Bytes of a member's performance.
    uint256 public constant PERFORMANCE = 8;
    /// @notice Gas repaid for a batch, beyond its calldata.
    uint256 public constant REPAY_GAS = 260_000;
    /// @notice Gas repaid for a closing batch, more, per member.
    uint256 public constant REPAY_GAS_PER_MEMBER = 8_000;
    /// @notice Gas repaid per byte of calldata (its floor price for a nonzero byte, EIP-7623).
    uint256 public constant REPAY_GAS_PER_BYTE = 40;
    /// @notice Gas of a blob.
    uint256 public constant BLOB_GAS = 131_072;
    /// @dev Behind its length, as the engine writes namespaces.
    bytes12 private constant BATCH_NAMESPACE = "\x0bBATON_BATCH";

    /// @notice Who may start the chain.
    address public immutable deployer;
    /// @notice The chain's parameters.
    IParameters public immutable parameters;
    /// @notice Snapshots and leaders.
    ISequencerPool public immutable pool;
    /// @notice Deposits, roots, fees.
    IPortal public immutable portal;
    /// @notice Income and debts.
    IRevenueShare public immutable revenue;
    /// @notice Heights in an epoch.
    uint64 public immutable epochBlocks;
    /// @notice Views in a term.
    uint64 public immutable termViews;
    /// @notice L1 blocks an origin lies below the head.
    uint64 public immutable originDepth;
    /// @notice The only account that begins and ends recoveries.
    address public immutable recovery;
    /// @notice Seconds without a batch after which one may begin.
    uint64 public immutable stallTime;
    /// @notice Most seconds a deposit may wait.
    uint64 public immutable maxOriginLag;
    /// @notice L1 blocks of each posting window.
    uint64 public immutable postGrace;
    /// @notice Seconds for which a snapshot's certificates are accepted.
    uint64 public immutable certificateLife;
    /// @notice Seconds between two L1 blocks, as expected.
    uint64 public immutable l1BlockTime;

    // -- Storage

    /// @dev What the next batch depends on. Two slots that every batch writes, and one for what changes rarely.
    struct Head {
        uint48 index;
        uint40 epoch;
        uint40 snapshot;
        uint56 firstHeight;
        uint56 lastHeight;
        uint16 batchesInEpoch;
        uint48 lastTimestamp;
        uint48 originNumber;
        // The chain has started once there is one.
        uint48 acceptedBlock;
        uint48 acceptedAt;
        uint56 deposits;
        bool recovering;
        uint48 generation;
        // Where a recovery cut the epoch that holds this height short.
        uint56 cutHeight;
        // What its poster is repaid at most.
        uint48 tipCap;
        uint72 repayCap;
    }

    /// @dev Two slots; the second, and the last three fields of the first, are of the closing batch.
    struct Row {
        uint64 firstHeight;
        uint48 snapshot;
        uint48 closingOrigin;
        uint48 closingBatch;
        uint48 terms;
        bytes32 performance;
    }

    /// @dev The set that a recovery installed, and the epoch that ran.
    struct Resumption {
        uint64 epoch;
        uint64 snapshot;
    }

    /// @dev What the running set's certificates are checked with. Two slots, as the pool has them: a sealed snapshot never changes.
    struct Serving {
        address code;
        uint48 takenBlock;
        uint48 sealBlock;
        bytes32 seed;
    }

    Head private _head;
    Serving private _serving;
    mapping(uint256 place => bytes32) private _coreHashes;
    mapping(uint64 epoch => Row) private _epochs;
    mapping(uint64 generation => Resumption) private _resumptions;
    Tally.Counters private _signed;

    /// @param chainParameters The chain's parameters.
    /// @param sequencerPool Snapshots and leaders.
    /// @param portalContract Deposits, roots, fees.
    /// @param revenueShare Income and debts.
    /// @param recoveryContract The Recovery (its address may be known before its code).
    constructor(
        IParameters chainParameters,
        ISequencerPool sequencerPool,
        IPortal portalContract,
        IRevenueShare revenueShare,
        address recoveryContract
    ) {
        IParameters.Values memory v = chainParameters.values();
        deployer = msg.sender;
        (parameters, pool, portal, revenue) = (chainParameters, sequencerPool, portalContract, revenueShare);
        (epochBlocks, termViews, originDepth, maxOriginLag) = (v.l2.epochBlocks, v.l2.termViews, v.l2.originDepth, v.l2.maxOriginLag);
        (postGrace, certificateLife, l1BlockTime) = (v.posting.postGrace, v.stakes.certificateLife, v.l2.l1BlockTime);
        (recovery, stallTime) = (recoveryContract, v.posting.stallTime);
        _setRepayment(v.money.tipCap, v.money.repayCap);
    }

    // -- Genesis

    /// @inheritdoc IBatchInbox
    function start(Genesis calldata genesis, uint64[] calldata members) external payable {
        if (msg.sender != deployer) revert BatchInbox_NotDeployer(deployer, msg.sender);
        if (_head.acceptedBlock != 0) revert BatchInbox_Started(true);
        if (msg.value != genesis.supply) revert BatchInbox_WrongSupply(msg.value, genesis.supply);
        _checkOrigin(genesis.originNumber, genesis.originHash);
        (bool exact,) = portal.isCountAt(0, genesis.originNumber);
        if (!exact) revert BatchInbox_WrongDeposits(0, genesis.originNumber);
        Head memory head = _read();
        (head.lastTimestamp, head.originNumber) = (uint48(genesis.timestamp), uint48(genesis.originNumber));
        (head.acceptedBlock, head.acceptedAt) = (uint48(block.number), uint48(block.timestamp));
        _write(head);
        emit Started(genesis.blockHash, genesis.stateRoot, genesis.timestamp, genesis.originNumber, genesis.originHash, genesis.supply);
        emit EpochOpened(0, 0, 0);
        _serve(pool.installSet(members));
        portal.fund{value: msg.value}();
    }

    // -- Batches

    /// @inheritdoc IBatchInbox
    function post(Core calldata core, Certificate calldata certificate, bytes calldata performance, bytes calldata data) external {
        Core memory batch = _coreOf(core);
        Head memory head = _read();
        if (head.acceptedBlock == 0) revert BatchInbox_Started(false);
        if (head.recovering) revert BatchInbox_Recovering(true);
        _checkSequence(batch, head);
        _checkClosing(batch, performance);
        _checkOrigin(batch.originNumber, batch.originHash);
        _checkDeposits(batch);
        (bytes32 dataHash, bytes32[] memory blobHashes) = _encoding(data);
        bytes32 coreHash = _hashOf(batch);
        _verify(batch, head, certificate, batchMessage(coreHash, dataHash));
        _tell(batch, coreHash, dataHash, blobHashes, certificate.signers, performance);
        if (data.length > 0) emit BatchData(batch.index, data);

        uint256 batches = _accept(batch, head, coreHash, certificate.signers);
        portal.setRoot(batch.index, batch.withdrawalsRoot);
        // One entry of the performance a member, which the RevenueShare holds them to; none unless closing.
        uint256 members = performance.length / PERFORMANCE;
        if (batch.closing) _close(batch, performance, batches, members);
        revenue.addDebt(batch.index, msg.sender, _repayment(head, members, blobHashes.length));
    }

    // -- Recovery

    /// @inheritdoc IBatchInbox
    function raiseGeneration() external returns (uint64) {
        if (msg.sender != recovery) revert BatchInbox_NotRecovery(recovery, msg.sender);
        Head storage head = _head;
        if (head.acceptedBlock == 0) revert BatchInbox_Started(false);
        if (head.recovering) revert BatchInbox_Recovering(true);
        uint256 stalledAt = uint256(head.acceptedAt) + stallTime;
        if (block.timestamp < stalledAt) revert BatchInbox_NotStalled(stalledAt, block.timestamp);
        (head.generation, head.recovering) = (head.generation + 1, true);
        emit GenerationRaised(head.generation, head.epoch, head.lastHeight);
        return head.generation;
    }

    /// @inheritdoc IBatchInbox
    function resume(uint64[] calldata members, uint64 lastEpoch, uint64 lastHeight) external {
        if (msg.sender != recovery) revert BatchInbox_NotRecovery(recovery, msg.sender);
        Head memory head = _read();
        if (!head.recovering) revert BatchInbox_Recovering(false);
        (head.recovering, head.batchesInEpoch, head.cutHeight) = (false, 0, uint56(lastHeight));
        (head.acceptedBlock, head.acceptedAt) = (uint48(block.number), uint48(block.timestamp));
        head.snapshot = uint40(pool.installSet(members));
        _serve(head.snapshot);
        _resumptions[head.generation] = Resumption(head.epoch, head.snapshot);
        emit Resumed(head.generation, head.snapshot, lastEpoch, lastHeight);
        // Nothing is missing: the epoch ends where it is, without a closing batch.
        if (lastHeight == head.lastHeight) {
            Row storage row = _epochs[head.epoch];
            (row.closingOrigin, row.closingBatch) = (head.originNumber, head.index);
            _open(head, head.snapshot);
        }
        _write(head);
    }

    // -- Parameters

    /// @inheritdoc IBatchInbox
    function setRepayment(uint128 newTipCap, uint128 newRepayCap) external {
        if (msg.sender != address(parameters)) revert BatchInbox_NotParameters(address(parameters), msg.sender);
        _setRepayment(newTipCap, newRepayCap);
    }

    // -- Views

    /// @inheritdoc IBatchInbox
    function tipCap() external view returns (uint128) {
        return _head.tipCap;
    }

    /// @inheritdoc IBatchInbox
    function repayCap() external view returns (uint128) {
        return _head.repayCap;
    }

    /// @inheritdoc IBatchInbox
    function runningEpoch() external view returns (uint64) {
        return _head.epoch;
    }

    /// @inheritdoc IBatchInbox
    function anchor() external view returns (Anchor memory) {
        Head storage head = _head;
        return Anchor({
            index: head.index,
            coreHash: _coreHashes[head.index % RING],
            generation: head.generation,
            epoch: head.epoch,
            snapshot: head.snapshot,
            lastHeight: head.lastHeight,
            lastTimestamp: head.lastTimestamp,
            originNumber: head.originNumber,
            deposits: head.deposits,
            acceptedBlock: head.acceptedBlock,
            acceptedAt: head.acceptedAt
        });
    }

    /// @inheritdoc IBatchInbox
    function coreHashOf(uint64 index) public view returns (bytes32) {
        uint64 newest = _head.index;
        if (index > newest || index + RING <= newest) {
            revert BatchInbox_OutOfRange("index", index, newest < RING ? 0 : newest - RING + 1, newest);
        }
        return _coreHashes[index % RING];
    }

    /// @inheritdoc IBatchInbox
    function isRecentAnchor(bytes32 coreHash) external view returns (bool) {
        uint64 newest = _head.index;
        for (uint64 i = 0; i < RECENT && i <= newest; ++i) {
            if (_coreHashes[(newest - i) % RING] == coreHash) return _head.acceptedBlock != 0;
        }
        return false;
    }

    /// @inheritdoc IBatchInbox
    function epochs(uint64 epoch) external view returns (Epoch memory) {
        Row storage row = _epochs[epoch];
        return Epoch(row.firstHeight, row.snapshot, row.closingOrigin, row.closingBatch);
    }

    /// @inheritdoc IBatchInbox
    function setOf(uint64 epoch, uint64 signedIn) external view returns (uint64 snapshot) {
        Resumption storage resumption = _resumptions[signedIn];
        // No recovery installs snapshot 0.
        if (signedIn != 0 && resumption.epoch == epoch && resumption.snapshot != 0) return resumption.snapshot;
        return _epochs[epoch].snapshot;
    }

    /// @inheritdoc IBatchInbox
    function closings(uint64 epoch) external view returns (uint64 terms, bytes32 performance) {
        return (_epochs[epoch].terms, _epochs[epoch].performance);
    }

    /// @inheritdoc IBatchInbox
    function isEpochOpen(uint64 epoch) external view returns (bool) {
        return _head.acceptedBlock != 0 && epoch <= _head.epoch;
    }

    /// @inheritdoc IBatchInbox
    function generation() external view returns (uint64) {
        return _head.generation;
    }

    /// @inheritdoc IBatchInbox
    function participation() external view returns (uint64 batches, uint64[] memory signed) {
        batches = _head.batchesInEpoch;
        signed = _signed.read(Snapshots.count(Snapshots.load(_serving.code)), batches);
    }

    /// @inheritdoc IBatchInbox
    function hashCore(Core calldata core) public pure returns (bytes32) {
        return keccak256(abi.encode(core));
    }

    /// @inheritdoc IBatchInbox
    function batchMessage(bytes32 coreHash, bytes32 dataHash) public view returns (bytes memory) {
        return abi.encodePacked(BATCH_NAMESPACE, block.chainid, uint256(uint160(address(this))), coreHash, dataHash);
    }

    // -- Checks

    /// @dev The core as it was sent, in memory: every field is read several times. Refuses words that are not the only encoding of a value, as
    /// reading them from the call would.
    function _coreOf(Core calldata sent) private pure returns (Core memory core) {
        assembly ("memory-safe") {
            calldatacopy(core, sent, 640)
            // Numbers 1, 2, 4 to 8, 10, 12, 14 and 19 have 64 bits, number 0 has 16, number 16 is true or false.
            let wide := or(or(mload(add(core, 32)), mload(add(core, 64))), or(mload(add(core, 128)), mload(add(core, 160))))
            wide := or(wide, or(or(mload(add(core, 192)), mload(add(core, 224))), or(mload(add(core, 256)), mload(add(core, 320)))))
            wide := or(wide, or(or(mload(add(core, 384)), mload(add(core, 448))), mload(add(core, 608))))
            wide := or(shr(64, wide), or(shr(16, mload(core)), shr(1, mload(add(core, 512)))))
            if wide { revert(0, 0) }
        }
    }

    /// @dev Everything that follows from the batch before.
    function _checkSequence(Core memory core, Head memory head) private view {
        if (core.index != head.index + 1) revert BatchInbox_WrongIndex(core.index, head.index + 1);
        _equal("version", core.version, VERSION);
        _equal("generation", core.generation, head.generation);
        _equal("previous", uint256(core.previous), uint256(_coreHashes[head.index % RING]));
        _equal("epoch", core.epoch, head.epoch);
        _equal("snapshot", core.snapshot, head.snapshot);
        _equal("firstHeight", core.firstHeight, head.lastHeight + 1);
        uint64 last = head.firstHeight + epochBlocks - 1;
        if (head.lastHeight < head.cutHeight && head.cutHeight < last) last = head.cutHeight;
        _within("lastHeight", core.lastHeight, core.firstHeight, last);
        _equal("closing", core.closing ? 1 : 0, core.lastHeight == last ? 1 : 0);
        _within("lastView", core.lastView, 1, type(uint48).max);
        _within("lastTimestamp", core.lastTimestamp, head.lastTimestamp, type(uint48).max);
        _within("originNumber", core.originNumber, head.originNumber, block.number - 1);
    }

    /// @dev The fields that only a closing batch has, and the next set: the newest snapshot sealed by the end of the epoch before this one, but
    /// none older than this set's (a recovery installs sets at once).
    function _checkClosing(Core memory core, bytes calldata performance) private view {
        if (!core.closing) {
            _equal("fees", core.fees, 0);
            _equal("performance", uint256(core.performance), 0);
            _equal("performance length", performance.length, 0);
            _equal("nextSnapshot", core.nextSnapshot, 0);
            return;
        }
        _equal("performance", uint256(core.performance), uint256(keccak256(performance)));
        if (core.epoch == 0) {
            _equal("nextSnapshot", core.nextSnapshot, core.snapshot);
        } else {
            uint64 origin = _epochs[core.epoch - 1].closingOrigin;
            if (_serving.sealBlock > origin) _equal("nextSnapshot", core.nextSnapshot, core.snapshot);
            else if (!pool.isNewestAt(core.nextSnapshot, origin)) revert BatchInbox_OutOfRange("nextSnapshot", core.nextSnapshot, 0, origin);
        }
    }

    function _checkOrigin(uint64 number, bytes32 hash) private view {
        bytes32 known = Blockhash.blockHash(number);
        if (known == 0 || known != hash) revert BatchInbox_UnknownOrigin(number, hash, known);
    }

    function _checkDeposits(Core memory core) private view {
        (bool exact, uint64 firstLeftOut) = portal.isCountAt(core.deposits, core.originNumber);
        if (!exact) revert BatchInbox_WrongDeposits(core.deposits, core.originNumber);
        if (firstLeftOut != type(uint64).max && core.lastTimestamp > firstLeftOut + maxOriginLag) {
            revert BatchInbox_DepositLate(core.deposits, core.lastTimestamp, firstLeftOut + maxOriginLag);
        }
    }

    /// @dev Lane 0: the blobs of this very transaction. Lane 1: calldata.
    function _encoding(bytes calldata data) private view returns (bytes32 dataHash, bytes32[] memory blobHashes) {
        uint256 blobs;
        while (blobhash(blobs) != 0) ++blobs;
        if ((blobs == 0) == (data.length == 0)) revert BatchInbox_WrongLane(blobs, data.length);
        blobHashes = new bytes32[](blobs);
        for (uint256 i = 0; i < blobs; ++i) {
            blobHashes[i] = blobhash(i);
        }
        dataHash = blobs > 0 ? keccak256(abi.encodePacked(uint8(0), blobHashes)) : keccak256(abi.encodePacked(uint8(1), keccak256(data)));
    }

    /// @dev The set's certificate and its age, and whether it is the caller's turn.
    function _verify(Core memory core, Head memory head, Certificate calldata certificate, bytes memory message) private {
        // No duty outlives its stake.
        uint256 age = (block.number - _serving.takenBlock) * l1BlockTime;
        if (age > certificateLife) revert BatchInbox_SnapshotExpired(core.snapshot, age, certificateLife);
        bytes memory snapshot = Snapshots.load(_serving.code);
        _checkDuty(core, head, snapshot, _serving.seed);
        Certificates.verify(snapshot, certificate, message);
    }

    /// @dev The leader of the last view at once, the next member after a grace, anyone after two.
    function _checkDuty(Core memory core, Head memory head, bytes memory snapshot, bytes32 seed) private {
        uint256 leader = Snapshots.leader(snapshot, seed, core.epoch, _termOf(core.lastView));
        if (Cards.operator(Snapshots.cardOf(snapshot, leader)) == msg.sender) return;
        uint256 from = core.originNumber + originDepth;
        if (head.acceptedBlock > from) from = head.acceptedBlock;
        (uint256 nextFrom, uint256 anyoneFrom) = (from + postGrace, from + 2 * postGrace);
        uint64 onDuty = Snapshots.idOf(snapshot, leader);
        if (block.number < anyoneFrom) {
            uint256 next = (leader + 1) % Snapshots.count(snapshot);
            if (block.number < nextFrom || Cards.operator(Snapshots.cardOf(snapshot, next)) != msg.sender) {
                revert BatchInbox_NotOnDuty(onDuty, block.number, nextFrom, anyoneFrom);
            }
        }
        emit DutyMissed(core.index, onDuty, msg.sender);
        revenue.addMiss(onDuty, msg.sender);
    }

    // -- Effects

    /// @dev `hashCore` of a core in memory, which lies there as it is encoded.
    function _hashOf(Core memory core) private pure returns (bytes32 coreHash) {
        assembly ("memory-safe") {
            coreHash := keccak256(core, 640)
        }
    }

    /// @dev emit BatchPosted(core.index, coreHash, msg.sender, core, dataHash, blobHashes, signers, performance), with the core as it was sent.
    function _tell(
        Core memory core,
        bytes32 coreHash,
        bytes32 dataHash,
        bytes32[] memory blobHashes,
        uint256 signers,
        bytes calldata performance
    ) private {
        bytes32 topic = BatchPosted.selector;
        assembly ("memory-safe") {
            // The core (20 words), dataHash, where blobHashes begin, signers, where performance begins: 24 words; then these two.
            let at := mload(0x40)
            mcopy(at, core, 640)
            mstore(add(at, 640), dataHash)
            mstore(add(at, 672), 768)
            mstore(add(at, 704), signers)
            let size := shl(5, add(mload(blobHashes), 1))
            mstore(add(at, 736), add(768, size))
            mcopy(add(at, 768), blobHashes, size)
            let end := add(add(at, 768), size)
            // Zeros up to the end of the last word; the length itself if there is none.
            size := and(add(performance.length, 31), not(31))
            mstore(add(end, size), 0)
            mstore(end, performance.length)
            end := add(end, 32)
            calldatacopy(end, performance.offset, performance.length)
            // The index is the core's third word.
            log4(at, sub(add(end, size), at), topic, mload(add(core, 64)), coreHash, caller())
        }
    }

    /// @dev Moves the anchor and, with a closing batch, on to the next epoch; returns the number of batches of this one.
    function _accept(Core memory core, Head memory head, bytes32 coreHash, uint256 signers) private returns (uint256 batches) {
        head.index = uint48(core.index);
        head.lastHeight = uint56(core.lastHeight);
        head.lastTimestamp = uint48(core.lastTimestamp);
        head.originNumber = uint48(core.originNumber);
        head.deposits = uint56(core.deposits);
        head.acceptedBlock = uint48(block.number);
        head.acceptedAt = uint48(block.timestamp);
        batches = ++head.batchesInEpoch;
        _signed.add(signers, batches);
        _coreHashes[core.index % RING] = coreHash;
        if (core.closing) {
            Row storage row = _epochs[core.epoch];
            (row.closingOrigin, row.closingBatch) = (head.originNumber, head.index);
            // What a recovery's set certifies of blocks before it is in its own order: nobody is judged by it.
            if (core.lastHeight > head.cutHeight) (row.terms, row.performance) = (uint48(_termOf(core.lastView)), core.performance);
            if (core.nextSnapshot != core.snapshot) _serve(core.nextSnapshot);
            _open(head, uint40(core.nextSnapshot));
        }
        _write(head);
    }

    /// @dev Moves the fees and splits them.
    function _close(Core memory core, bytes calldata performance, uint256 batches, uint256 members) private {
        if (core.fees > 0) portal.payFees(core.fees);
        revenue.close(core.epoch, core.snapshot, core.fees, performance, uint64(batches), _signed.read(members, batches));
    }

    /// @dev The next epoch begins after the last height.
    function _open(Head memory head, uint40 snapshot) private {
        (head.epoch, head.snapshot, head.firstHeight, head.batchesInEpoch) = (head.epoch + 1, snapshot, head.lastHeight + 1, 0);
        Row storage row = _epochs[head.epoch];
        (row.firstHeight, row.snapshot) = (head.firstHeight, snapshot);
        emit EpochOpened(head.epoch, snapshot, head.firstHeight);
    }

    /// @dev A fixed formula, so that nobody gains by wasting gas.
    function _repayment(Head memory head, uint256 closingMembers, uint256 blobs) private view returns (uint256) {
        uint256 price = block.basefee + head.tipCap;
        if (tx.gasprice < price) price = tx.gasprice;
        uint256 gas = REPAY_GAS + closingMembers * REPAY_GAS_PER_MEMBER + msg.data.length * REPAY_GAS_PER_BYTE;
        uint256 amount = gas * price + blobs * BLOB_GAS * block.blobbasefee;
        uint256 cap = head.repayCap;
        return amount < cap ? amount : cap;
    }

    function _setRepayment(uint128 newTipCap, uint128 newRepayCap) private {
        (_head.tipCap, _head.repayCap) = (uint48(newTipCap), uint72(newRepayCap));
    }

    // -- Helpers

    /// @dev Keeps what the pool knows of the set that certifies from now on: every batch reads it.
    function _serve(uint64 id) private {
        (address code, bytes32 seed, uint64 takenBlock, uint64 sealBlock) = pool.servingData(id);
        _serving = Serving({code: code, takenBlock: uint48(takenBlock), sealBlock: uint48(sealBlock), seed: seed});
    }

    function _read() private view returns (Head memory) {
        return _head;
    }

    function _write(Head memory head) private {
        _head = head;
    }

    function _termOf(uint64 viewNumber) private view returns (uint64) {
        return (viewNumber - 1) / termViews + 1;
    }

    /// @dev `field` is text, left-aligned.
    function _equal(bytes32 field, uint256 actual, uint256 expected) private pure {
        if (actual != expected) revert BatchInbox_WrongField(_text(field), actual, expected);
    }

    function _within(bytes32 field, uint256 actual, uint256 low, uint256 high) private pure {
        if (actual < low || actual > high) revert BatchInbox_OutOfRange(_text(field), actual, low, high);
    }

    function _text(bytes32 field) private pure returns (string memory) {
        uint256 length;
        while (length < 32 && field[length] != 0) ++length;
        bytes memory text = abi.encodePacked(field);
        assembly ("memory-safe") {
            mstore(text, length)
        }
        return string(text);
    }
}
