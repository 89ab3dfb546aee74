// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBatchInbox} from "./interfaces/IBatchInbox.sol";
import {ICommitments} from "./interfaces/ICommitments.sol";
import {IParameters} from "./interfaces/IParameters.sol";
import {ISequencerPool} from "./interfaces/ISequencerPool.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {Bls} from "./libraries/Bls.sol";
import {Cards} from "./libraries/Cards.sol";
import {Snapshots} from "./libraries/Snapshots.sol";
import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";

/// @title SequencerPool
/// @notice Keys, admission, snapshots, election. Interface and rules: ISequencerPool.
contract SequencerPool is ISequencerPool {
    // -- Constants and immutables

    /// @notice L1 blocks between the taking of a snapshot and the block whose prevrandao seeds it.
    uint64 public constant SEAL_DELAY = 8;
    /// @notice L1 blocks for which a block hash can be read (EIP-2935).
    uint64 public constant HISTORY = 8_191;
    /// @notice Members that bitmaps and counters hold.
    uint256 public constant SEATS = 64;
    /// @notice Stake a candidate needs to take a seat in a full set, in percent of the lowest member's.
    uint256 public constant REPLACE_PERCENT = 105;
    /// @notice Epochs between the declaration of downtime and its begin.
    uint64 public constant DOWNTIME_NOTICE = 2;
    /// @notice Most epochs of a downtime.
    uint64 public constant DOWNTIME_LONGEST = 24;
    /// @notice Least epochs between the beginnings of two downtimes.
    uint64 public constant DOWNTIME_INTERVAL = 168;
    bytes private constant POP_NAMESPACE = "BATON_POP";
    bytes private constant READY_NAMESPACE = "BATON_READY";

    /// @notice Custody of stake.
    IStaking public immutable staking;
    /// @notice The inbox, whose anchors and epochs are read.
    IBatchInbox public immutable inbox;
    /// @notice The only account that jails.
    address public immutable slasher;
    /// @notice Rules of admission and snapshots.
    IParameters public immutable parameters;
    /// @inheritdoc ISequencerPool
    ICommitments public immutable commitments;

    // -- Storage

    /// @dev Two slots. The second: declared downtime in epochs [awayFrom, awayTo); where an active one stands in the active set, and the
    /// first snapshot that could hold it.
    struct Seat {
        address card;
        uint48 jailedUntil;
        uint32 nonce;
        Status status;
        uint64 awayFrom;
        uint64 awayTo;
        uint64 enteredIn;
        uint8 place;
    }

    /// @dev One slot and a seed.
    struct Frozen {
        address code;
        uint48 takenBlock;
        uint48 sealBlock;
        bytes32 seed;
    }

    /// @inheritdoc ISequencerPool
    uint64 public snapshotCount;
    /// @inheritdoc ISequencerPool
    uint64 public latestSealed;
    uint64[] private _active;
    mapping(uint64 id => Seat) private _seats;
    mapping(uint64 id => Frozen) private _snapshots;
    /// @dev keccak256(kind, value) of identities, operators, BLS keys (for ever) and endpoints (while in use), to the sequencer's id.
    mapping(bytes32 => uint64) private _users;

    /// @param chainParameters The chain's parameters.
    /// @param stakingContract Custody of stake.
    /// @param batchInbox The inbox (its address may be known before its code).
    /// @param slasherContract The Slasher (likewise; the zero account: nobody jails).
    /// @param commitmentsContract Where registrations are announced (likewise).
    constructor(
        IParameters chainParameters,
        IStaking stakingContract,
        IBatchInbox batchInbox,
        address slasherContract,
        ICommitments commitmentsContract
    ) {
        (parameters, staking, inbox, slasher) = (chainParameters, stakingContract, batchInbox, slasherContract);
        commitments = commitmentsContract;
    }

    // -- Registration

    /// @inheritdoc ISequencerPool
    function register(uint64 id, Keys calldata keys, bytes calldata possession, bytes32) external {
        address owner = _onlyOwner(id);
        uint256 length = bytes(keys.endpoint).length;
        string memory bad;
        if (keys.identity == 0) bad = "identity";
        else if (keys.operator == address(0)) bad = "operator";
        else if (keys.blsKey.length != Bls.G2_LENGTH) bad = "blsKey";
        else if (length == 0 || length > 255) bad = "endpoint";
        if (bytes(bad).length != 0) revert SequencerPool_Malformed(bad);

        Seat storage seat = _seats[id];
        if (seat.card != address(0)) {
            delete _users[_keyOf("endpoint", bytes(Cards.read(seat.card).endpoint))];
        }
        _use(id, "identity", abi.encode(keys.identity));
        _use(id, "operator", abi.encode(keys.operator));
        _use(id, "blsKey", keys.blsKey);
        _use(id, "endpoint", bytes(keys.endpoint));
        if (!Bls.verify(_possessionMessage(owner, keys.blsKey), Bls.DST_POP, keys.blsKey, possession)) {
            revert SequencerPool_BadProofOfPossession(id);
        }
        // Founders need not: their deployer starts with whom it names, or deploys again.
        if (snapshotCount != 0) commitments.check(owner, keccak256(msg.data));
        seat.card = Cards.write(keys);
        if (seat.status == Status.None) seat.status = Status.Registered;
        emit Registered(id, keys.operator, keys.identity, keys.blsKey, keys.endpoint);
    }

    // -- Admission

    /// @inheritdoc ISequencerPool
    function activate(uint64 id, uint64 l1Number, bytes32 anchor, bytes calldata signature) external {
        if (snapshotCount == 0) revert SequencerPool_NotStarted();
        Seat storage seat = _seats[id];
        bool released = seat.status == Status.Jailed && block.timestamp >= seat.jailedUntil;
        if (seat.status != Status.Registered && !released) revert SequencerPool_WrongStatus(id, seat.status);
        IParameters.Stakes memory rules = _rules();
        bytes32 l1Hash = Blockhash.blockHash(l1Number);
        if (l1Hash == 0 || l1Number + rules.readinessWindow < block.number) {
            revert SequencerPool_StaleReadiness(l1Number, block.number, rules.readinessWindow);
        }
        if (!inbox.isRecentAnchor(anchor)) revert SequencerPool_UnknownAnchor(anchor);
        bytes memory message = readinessMessage(id, l1Number, l1Hash, anchor);
        if (!Bls.verify(message, Bls.DST, Cards.blsKey(seat.card), signature)) revert SequencerPool_BadReadiness(id);

        IStaking.Sequencer memory s = _sequencer(id);
        _checkStake(id, s.selfStake, rules.minStake);
        (uint256 newcomers, uint256 limit) = churn();
        if (newcomers >= limit) revert SequencerPool_TooManyEntries(newcomers, limit);
        if (_active.length >= rules.maxMembers) _yieldLowest(s.stake, rules.maxStake);
        _enter(id, seat);
    }

    /// @inheritdoc ISequencerPool
    function deactivate(uint64 id) external {
        _onlyOwner(id);
        if (_seats[id].status != Status.Active) revert SequencerPool_WrongStatus(id, _seats[id].status);
        _leave(_seats[id].place, DeactivationReason.Owner);
    }

    /// @inheritdoc ISequencerPool
    function declareDowntime(uint64 id, uint64 from, uint64 to) external {
        _onlyOwner(id);
        uint64 running = _running();
        uint64 earliest = running + DOWNTIME_NOTICE;
        Seat storage seat = _seats[id];
        if (running < seat.awayTo) revert SequencerPool_DowntimeDeclared(seat.awayTo, running);
        if (seat.awayTo != 0 && seat.awayFrom + DOWNTIME_INTERVAL > earliest) earliest = seat.awayFrom + DOWNTIME_INTERVAL;
        if (from < earliest || to <= from || to - from > DOWNTIME_LONGEST) {
            revert SequencerPool_DowntimeOutOfBounds(from, to, earliest, DOWNTIME_LONGEST);
        }
        (seat.awayFrom, seat.awayTo) = (from, to);
        emit DowntimeDeclared(id, from, to);
    }

    /// @inheritdoc ISequencerPool
    function jail(uint64 id, uint64 until) external {
        if (msg.sender != slasher) revert SequencerPool_NotSlasher(slasher, msg.sender);
        Seat storage seat = _seats[id];
        if (seat.status == Status.Active) _leave(seat.place, DeactivationReason.Jail);
        // A shorter term does not end a longer one.
        if (until < seat.jailedUntil) until = seat.jailedUntil;
        (seat.status, seat.jailedUntil) = (Status.Jailed, uint48(until));
        emit Jailed(id, until);
    }

    // -- Snapshots

    /// @inheritdoc ISequencerPool
    function takeSnapshot() external returns (uint64 id) {
        if (snapshotCount == 0) revert SequencerPool_NotStarted();
        Frozen storage last = _snapshots[snapshotCount - 1];
        if (block.number < nextSnapshotBlock()) revert SequencerPool_TooEarly(nextSnapshotBlock(), block.number);
        // Seals come in order: the last one must be sealed, or be out of reach for ever.
        if (last.sealBlock == 0 && block.number <= last.takenBlock + SEAL_DELAY + HISTORY) {
            revert SequencerPool_Unsealed(snapshotCount - 1);
        }
        return _take();
    }

    /// @inheritdoc ISequencerPool
    function installSet(uint64[] calldata members) external returns (uint64 id) {
        if (msg.sender != address(inbox)) revert SequencerPool_NotInbox(address(inbox), msg.sender);
        uint256 minStake = _minStake();
        // Not `maxMembers`: a lower limit must not stand in the way of a recovery.
        if (members.length > SEATS) revert SequencerPool_SetFull(members.length, SEATS);
        for (uint256 i = _active.length; i > 0; --i) {
            _leave(i - 1, DeactivationReason.Recovery);
        }
        for (uint256 i = 0; i < members.length; ++i) {
            Seat storage seat = _seats[members[i]];
            if (seat.status != Status.Registered) revert SequencerPool_WrongStatus(members[i], seat.status);
            _checkStake(members[i], _sequencer(members[i]).selfStake, minStake);
            _enter(members[i], seat);
        }
        id = _take();
        _seal(id, uint64(block.number), bytes32(block.prevrandao));
    }

    /// @inheritdoc ISequencerPool
    function seal(uint64 id, bytes calldata header) external {
        Frozen storage frozen = _snapshots[id];
        if (frozen.code == address(0)) revert SequencerPool_UnknownSnapshot(id);
        // A recovery's set may have been sealed meanwhile: older ones never are.
        if (frozen.sealBlock != 0 || id < latestSealed) revert SequencerPool_AlreadySealed(id);
        uint256 number = frozen.takenBlock + SEAL_DELAY;
        bytes32 expected = Blockhash.blockHash(number);
        bytes32 actual = keccak256(header);
        if (expected == 0 || expected != actual) revert SequencerPool_WrongHeader(number, expected, actual);
        _seal(id, uint64(block.number), _prevRandao(header));
    }

    // -- Views

    /// @inheritdoc ISequencerPool
    function snapshot(uint64 id) external view returns (Snapshot memory s) {
        Frozen storage frozen = _known(id);
        bytes memory data = Snapshots.load(frozen.code);
        (s.id, s.takenBlock, s.sealBlock, s.seed) = (id, frozen.takenBlock, frozen.sealBlock, frozen.seed);
        s.totalStake = uint128(Snapshots.totalStake(data));
        s.aggregate = Snapshots.aggregate(data);
        s.members = new Member[](Snapshots.count(data));
        for (uint256 i = 0; i < s.members.length; ++i) {
            Snapshots.Member memory m = Snapshots.memberAt(data, i);
            Keys memory keys = Cards.read(m.card);
            s.members[i] = Member({
                id: m.id,
                owner: _ownerOf(m.id),
                operator: keys.operator,
                stake: m.stake,
                shares: m.shares,
                commission: m.commission,
                identity: keys.identity,
                blsKey: keys.blsKey,
                endpoint: keys.endpoint
            });
        }
    }

    /// @inheritdoc ISequencerPool
    function snapshotBlocks(uint64 id) external view returns (uint64 takenBlock, uint64 sealBlock) {
        return (_snapshots[id].takenBlock, _snapshots[id].sealBlock);
    }

    /// @inheritdoc ISequencerPool
    function snapshotData(uint64 id) external view returns (address code, bytes32 seed) {
        return (_snapshots[id].code, _snapshots[id].seed);
    }

    /// @inheritdoc ISequencerPool
    function servingData(uint64 id) external view returns (address code, bytes32 seed, uint64 takenBlock, uint64 sealBlock) {
        Frozen storage frozen = _snapshots[id];
        return (frozen.code, frozen.seed, frozen.takenBlock, frozen.sealBlock);
    }

    /// @inheritdoc ISequencerPool
    function isNewestAt(uint64 id, uint64 l1Block) external view returns (bool) {
        uint64 sealBlock = _snapshots[id].sealBlock;
        // Snapshot 0 is eligible at any block: without it there would be no answer for the first ones.
        if (id >= snapshotCount || (id != 0 && (sealBlock == 0 || sealBlock > l1Block))) return false;
        // Seals ascend with ids; ids between two sealed ones were never sealed (8,191 L1 blocks each).
        for (uint64 next = id + 1; next < snapshotCount; ++next) {
            sealBlock = _snapshots[next].sealBlock;
            if (sealBlock != 0) return sealBlock > l1Block;
        }
        return true;
    }

    /// @inheritdoc ISequencerPool
    function nextSnapshotBlock() public view returns (uint64) {
        return snapshotCount == 0 ? 0 : _snapshots[snapshotCount - 1].takenBlock + _rules().snapshotInterval;
    }

    /// @inheritdoc ISequencerPool
    function leaderOf(uint64 snapshotId, uint64 epoch, uint64 term) public view returns (uint256 member, uint64 id) {
        Frozen storage frozen = _known(snapshotId);
        if (frozen.sealBlock == 0) revert SequencerPool_UnknownSnapshot(snapshotId);
        bytes memory data = Snapshots.load(frozen.code);
        member = Snapshots.leader(data, frozen.seed, epoch, term);
        id = Snapshots.idOf(data, member);
    }

    /// @inheritdoc ISequencerPool
    function leaderAt(uint64 epoch, uint64 term) external view returns (uint256 member, uint64 id) {
        uint64 serving = _setOf(epoch);
        if (!inbox.isEpochOpen(epoch)) revert SequencerPool_UnknownSnapshot(serving);
        return leaderOf(serving, epoch, term);
    }

    /// @inheritdoc ISequencerPool
    function churn() public view returns (uint256 newcomers, uint256 limit) {
        uint64 serving = _setOf(_running());
        for (uint256 i = 0; i < _active.length; ++i) {
            if (_seats[_active[i]].enteredIn > serving) ++newcomers;
        }
        limit = Snapshots.count(Snapshots.load(_snapshots[serving].code)) / 8;
        if (limit == 0) limit = 1;
    }

    /// @inheritdoc ISequencerPool
    function downtimeOf(uint64 id) external view returns (uint64 from, uint64 to) {
        return (_seats[id].awayFrom, _seats[id].awayTo);
    }

    /// @inheritdoc ISequencerPool
    function enteredIn(uint64 id) external view returns (uint64 period) {
        return _seats[id].enteredIn;
    }

    /// @inheritdoc ISequencerPool
    function sequencerOf(bytes calldata blsKey) external view returns (uint64 id) {
        return _users[_keyOf("blsKey", blsKey)];
    }

    /// @inheritdoc ISequencerPool
    function entry(uint64 id) external view returns (Entry memory e) {
        Seat storage seat = _seats[id];
        (e.status, e.nonce, e.jailedUntil) = (seat.status, seat.nonce, seat.jailedUntil);
        if (seat.card != address(0)) e.keys = Cards.read(seat.card);
    }

    /// @inheritdoc ISequencerPool
    function active() external view returns (uint64[] memory) {
        return _active;
    }

    /// @inheritdoc ISequencerPool
    function possessionMessage(address owner, bytes calldata blsKey) external view returns (bytes memory) {
        return _possessionMessage(owner, blsKey);
    }

    /// @inheritdoc ISequencerPool
    function readinessMessage(uint64 id, uint64 l1Number, bytes32 l1Hash, bytes32 anchor) public view returns (bytes memory) {
        return abi.encodePacked(
            uint8(READY_NAMESPACE.length),
            READY_NAMESPACE,
            abi.encode(block.chainid, address(this), _generation(), id, uint64(_seats[id].nonce), l1Number, l1Hash, anchor)
        );
    }

    // -- Internals

    /// @dev Each call out has one place.
    function _sequencer(uint64 id) private view returns (IStaking.Sequencer memory) {
        return staking.sequencer(id);
    }

    function _ownerOf(uint64 id) private view returns (address) {
        return staking.ownerOf(id);
    }

    function _period() private view returns (uint64) {
        return staking.period();
    }

    function _minStake() private view returns (uint256) {
        return staking.minStake();
    }

    function _checkStake(uint64 id, uint256 selfStake, uint256 minStake) private pure {
        if (selfStake < minStake) revert SequencerPool_InsufficientStake(id, selfStake, minStake);
    }

    function _rules() private view returns (IParameters.Stakes memory) {
        return parameters.stakes();
    }

    function _generation() private view returns (uint64) {
        return inbox.generation();
    }

    function _running() private view returns (uint64) {
        return inbox.runningEpoch();
    }

    function _setOf(uint64 epoch) private view returns (uint64) {
        return inbox.setOf(epoch, _generation());
    }

    function _byteAt(bytes calldata data, uint256 i) private pure returns (uint256) {
        return uint8(data[i]);
    }

    /// @dev Field 13 of a block header, whose hash was checked: so it is one, in the only encoding. A list of more than 55 bytes; each field has
    /// its length before it, in one byte below 56, else in the bytes counted by the first; a byte below 128 is a field of its own.
    function _prevRandao(bytes calldata header) private pure returns (bytes32) {
        unchecked {
            uint256 at = _byteAt(header, 0) - 0xf6;
            for (uint256 field = 0; field < 13; ++field) {
                uint256 first = _byteAt(header, at++);
                uint256 length = first > 0x80 ? first - 0x80 : 0;
                if (first > 0xb7) {
                    length = 0;
                    for (; first > 0xb7; --first) {
                        length = (length << 8) | _byteAt(header, at++);
                    }
                }
                at += length;
            }
            return bytes32(header[at + 1:]);
        }
    }

    function _onlyOwner(uint64 id) private view returns (address owner) {
        owner = _ownerOf(id);
        if (owner != msg.sender) revert SequencerPool_NotOwner(id, owner, msg.sender);
    }

    function _known(uint64 id) private view returns (Frozen storage frozen) {
        frozen = _snapshots[id];
        if (frozen.code == address(0)) revert SequencerPool_UnknownSnapshot(id);
    }

    /// @dev Marks a key, account or endpoint as this sequencer's.
    function _use(uint64 id, string memory kind, bytes memory value) private {
        bytes32 key = _keyOf(kind, value);
        uint64 user = _users[key];
        if (user != 0 && user != id) revert SequencerPool_Taken(kind, user);
        _users[key] = id;
    }

    function _keyOf(string memory kind, bytes memory value) private pure returns (bytes32) {
        return keccak256(abi.encode(kind, value));
    }

    function _possessionMessage(address owner, bytes memory blsKey) private view returns (bytes memory) {
        return
            abi.encodePacked(uint8(POP_NAMESPACE.length), POP_NAMESPACE, abi.encode(block.chainid, address(this), owner, keccak256(blsKey)));
    }

    function _enter(uint64 id, Seat storage seat) private {
        uint64 period = _period();
        emit Activated(id, seat.nonce, period);
        (seat.status, seat.nonce, seat.jailedUntil) = (Status.Active, seat.nonce + 1, 0);
        (seat.enteredIn, seat.place) = (period, uint8(_active.length));
        _active.push(id);
    }

    /// @dev Takes number `i` out of the active set.
    function _leave(uint256 i, DeactivationReason reason) private {
        uint64 id = _active[i];
        uint64 last = _active[_active.length - 1];
        (_active[i], _seats[last].place) = (last, uint8(i));
        _active.pop();
        _seats[id].status = Status.Registered;
        emit Deactivated(id, reason, _period());
    }

    /// @dev Makes room in a full set for a candidate with at least 5 % more stake than the lowest member, or with the most there can be. Of
    /// equally low ones the longest-serving yields: among members at the cap too, so that full seats rotate.
    function _yieldLowest(uint256 candidate, uint256 cap) private {
        (uint256 lowest, uint256 seat, uint64 since) = (type(uint256).max, 0, 0);
        for (uint256 i = 0; i < _active.length; ++i) {
            uint64 id = _active[i];
            uint256 stake = _sequencer(id).stake;
            if (stake > cap) stake = cap;
            uint64 from = _seats[id].enteredIn;
            if (stake < lowest || (stake == lowest && from < since)) (lowest, seat, since) = (stake, i, from);
        }
        uint256 needed = (lowest * REPLACE_PERCENT + 99) / 100;
        if (needed > cap) needed = cap;
        if (candidate < needed) revert SequencerPool_SetFull(candidate, needed);
        _leave(seat, DeactivationReason.Replaced);
    }

    function _seal(uint64 id, uint64 sealBlock, bytes32 prevrandao) private {
        bytes32 seed = keccak256(abi.encodePacked(prevrandao, id));
        Frozen storage frozen = _snapshots[id];
        (frozen.sealBlock, frozen.seed) = (uint48(sealBlock), seed);
        latestSealed = id;
        emit SnapshotSealed(id, sealBlock, seed);
    }

    /// @dev Drops members below the minimum, orders the rest by identity, sums their keys and stake, and freezes all of it.
    function _take() private returns (uint64 id) {
        uint256 minStake = _minStake();
        for (uint256 i = _active.length; i > 0; --i) {
            if (_sequencer(_active[i - 1]).selfStake < minStake) _leave(i - 1, DeactivationReason.Stake);
        }
        uint256 length = _active.length;
        if (length == 0) revert SequencerPool_EmptySet();
        Snapshots.Member[] memory members = new Snapshots.Member[](length);
        bytes32[] memory identities = new bytes32[](length);
        for (uint256 i = 0; i < length; ++i) {
            uint64 sequencerId = _active[i];
            IStaking.Sequencer memory s = _sequencer(sequencerId);
            address card = _seats[sequencerId].card;
            bytes32 identity = Cards.identity(card);
            uint256 slot = i;
            for (; slot > 0 && identities[slot - 1] > identity; --slot) {
                (identities[slot], members[slot]) = (identities[slot - 1], members[slot - 1]);
            }
            identities[slot] = identity;
            members[slot] = Snapshots.Member(s.stake, s.shares, s.commission, card, sequencerId, s.sharesFrom);
        }
        // Stakes and commissions were read as of this period; from here on changes belong to the next.
        id = staking.roll();
        _freeze(id, members);
    }

    function _freeze(uint64 id, Snapshots.Member[] memory members) private {
        uint256 length = members.length;
        (uint64[] memory ids, uint128[] memory stakes) = (new uint64[](length), new uint128[](length));
        (uint128[] memory shares, uint16[] memory commissions) = (new uint128[](length), new uint16[](length));
        // The sum of the keys so far, and the next one.
        bytes memory keys = new bytes(2 * Bls.G2_LENGTH);
        uint128 total;
        for (uint256 i = 0; i < length; ++i) {
            Snapshots.Member memory m = members[i];
            Cards.copyKey(m.card, keys, i == 0 ? 0 : Bls.G2_LENGTH);
            if (i > 0) Bls.accumulate(keys);
            total += m.stake;
            (ids[i], stakes[i], shares[i], commissions[i]) = (m.id, m.stake, m.shares, m.commission);
        }
        Frozen storage frozen = _snapshots[id];
        frozen.code = Snapshots.write(Bls.firstOf(keys), total, members);
        frozen.takenBlock = uint48(block.number);
        snapshotCount = id + 1;
        emit SnapshotTaken(id, uint64(block.number), total, ids, stakes, shares, commissions);
    }
}
