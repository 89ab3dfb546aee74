// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IParameters} from "./interfaces/IParameters.sol";
import {IRevenueShare} from "./interfaces/IRevenueShare.sol";
import {ISequencerPool} from "./interfaces/ISequencerPool.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {Snapshots} from "./libraries/Snapshots.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

/// @title RevenueShare
/// @notice Splits each epoch's fees; income is pulled. Interface and rules: IRevenueShare.
/// @dev A sequencer's income is an index of wei per share. A position whose shares changed from snapshot s on earned with the old shares up to
/// the index just before the first epoch credited for a snapshot >= s; these index values are checkpointed when such an epoch is credited.
/// Rounding inside a sequencer (below one wei a claim) stays with the contract as income never claimed.
contract RevenueShare is IRevenueShare {
    using Checkpoints for Checkpoints.Trace208;
    using SafeERC20 for IERC20;
    using SafeCast for uint256;

    // -- Constants and immutables

    /// @notice The zero account stands for a sequencer's self-stake, as in Staking.
    address public constant SELF = address(0);
    /// @notice Most segments of a position's history that one claim walks.
    uint256 public constant MAX_SEGMENTS = 64;
    /// @notice Most missed duties of an epoch that cost anything.
    uint256 public constant MAX_MISSES = 64;
    uint256 private constant INDEX_BITS = 96;
    uint256 private constant BPS = 10_000;

    /// @notice The only account that closes epochs and adds debts.
    address public immutable inbox;
    /// @notice The only account that pays fees in.
    address public immutable portal;
    /// @notice Read for shares and owners.
    IStaking public immutable staking;
    /// @notice Read for snapshots.
    ISequencerPool public immutable pool;
    /// @notice The stake token, in which emissions are paid.
    IERC20 public immutable token;
    /// @notice Receives the treasury's share.
    address public immutable treasury;
    /// @notice Read for the shares of treasury and producers.
    IParameters public immutable parameters;

    // -- Storage

    /// @dev Where a position's claims have got to. One slot: the two indices as in a boundary.
    struct Cursor {
        uint208 indices;
        uint40 segment;
        bool started;
    }

    /// @dev A posting duty of sequencer `id` that `poster` took over. One slot.
    struct Miss {
        address poster;
        uint64 id;
    }

    /// @dev A debt: debts lie end to end on a line of wei; the prefix of it that fees have covered is paid. One slot.
    struct Debt {
        address poster;
        uint96 end;
    }

    /// @inheritdoc IRevenueShare
    uint64 public debtCount;
    uint128 private _treasuryClaimed;
    Totals private _totals;
    Emissions private _emissions;
    /// @dev Of the running epoch.
    Miss[] private _misses;
    /// @inheritdoc IRevenueShare
    mapping(address poster => uint256) public forfeitsOf;
    mapping(uint64 debtId => Debt) private _debts;
    /// @dev Wei already paid of a debt that was covered in part.
    mapping(uint64 debtId => uint256) private _partial;
    mapping(uint64 id => Account) private _accounts;
    /// @dev Index (low 104 bits) and token index (high 104) before the first epoch credited for a snapshot.
    mapping(uint64 id => Checkpoints.Trace208) private _boundaries;
    mapping(uint64 id => mapping(address account => Cursor)) private _cursors;

    /// @param chainParameters The chain's parameters.
    constructor(
        IParameters chainParameters,
        IStaking stakingContract,
        ISequencerPool sequencerPool,
        address batchInbox,
        address portalContract,
        address treasuryAccount
    ) {
        (parameters, staking, pool) = (chainParameters, stakingContract, sequencerPool);
        token = IERC20(stakingContract.token());
        (inbox, portal, treasury) = (batchInbox, portalContract, treasuryAccount);
    }

    modifier onlyInbox() {
        if (msg.sender != inbox) revert RevenueShare_NotInbox(inbox, msg.sender);
        _;
    }

    // -- Income

    /// @inheritdoc IRevenueShare
    function receiveFees() external payable {
        if (msg.sender != portal) revert RevenueShare_NotPortal(portal, msg.sender);
        _totals.received += uint128(msg.value);
        _totals.carry += uint128(msg.value);
    }

    /// @inheritdoc IRevenueShare
    function addDebt(uint64 batch, address poster, uint256 amount) external onlyInbox {
        uint64 id = ++debtCount;
        uint128 end = _totals.debts + amount.toUint128();
        _totals.debts = end;
        _debts[id] = Debt({poster: poster, end: uint256(end).toUint96()});
        emit DebtAdded(id, batch, poster, amount, end);
    }

    /// @inheritdoc IRevenueShare
    function addMiss(uint64 id, address poster) external onlyInbox {
        if (_misses.length < MAX_MISSES) _misses.push(Miss(poster, id));
    }

    /// @inheritdoc IRevenueShare
    function fundEmissions(uint128 amount) external {
        // While it was dry no time counted.
        if (_emissions.left == 0) _emissions.releasedAt = uint64(block.timestamp);
        _emissions.funded += amount;
        _emissions.left += amount;
        emit EmissionsFunded(msg.sender, amount, _emissions.left);
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 moved = token.balanceOf(address(this)) - before;
        if (moved != amount) revert RevenueShare_UnexpectedTransfer(moved, amount);
    }

    /// @inheritdoc IRevenueShare
    function close(uint64 epoch, uint64 snapshot, uint256 fees, bytes calldata performance, uint64 batches, uint64[] calldata signed)
        external
        onlyInbox
    {
        Totals memory t = _totals;
        // All that is not yet anyone's: this epoch's fees (just received) and what earlier ones carried over.
        uint256 available = t.carry;
        uint256 paid = t.debts - t.debtsPaid;
        if (paid > available) paid = available;
        available -= paid;
        uint256 toTreasury = available * parameters.money().treasuryBps / BPS;
        available -= toTreasury;

        (uint256 producers, uint256 attesters) = _credit(epoch, snapshot, available, performance, batches, signed);
        t.debtsPaid += uint128(paid);
        t.treasury += uint128(toTreasury);
        t.income += uint128(producers + attesters);
        t.carry = uint128(available - producers - attesters);
        _totals = t;
        emit EpochClosed(epoch, snapshot, fees, t.debtsPaid, toTreasury, producers, attesters, t.carry);
    }

    // -- Claims

    /// @inheritdoc IRevenueShare
    function claim(uint64 id, address receiver) external returns (uint256 amount) {
        uint256 tokens;
        (amount, tokens) = _claim(id, msg.sender, false, receiver);
        _pay(receiver, amount, tokens);
    }

    /// @inheritdoc IRevenueShare
    function claimAll(uint64[] calldata ids, address receiver) external returns (uint256 amount) {
        uint256 tokens;
        for (uint256 i = 0; i < ids.length; ++i) {
            (uint256 wei_, uint256 tokens_) = _claim(ids[i], msg.sender, false, receiver);
            (amount, tokens) = (amount + wei_, tokens + tokens_);
        }
        _pay(receiver, amount, tokens);
    }

    /// @inheritdoc IRevenueShare
    function compound(uint64 id, uint128 minShares) external returns (uint256 tokens, uint128 shares) {
        uint256 amount;
        (amount, tokens) = _settle(id, msg.sender);
        emit Claimed(id, msg.sender, msg.sender, false, amount);
        emit TokensClaimed(id, msg.sender, address(staking), false, tokens);
        _emissions.claimed += uint128(tokens);
        token.forceApprove(address(staking), tokens);
        shares = staking.delegateFor(id, msg.sender, uint128(tokens), minShares);
        _pay(msg.sender, amount, 0);
    }

    /// @inheritdoc IRevenueShare
    function claimOwner(uint64 id, address receiver) external returns (uint256 amount) {
        address owner = staking.ownerOf(id);
        if (owner != msg.sender) revert RevenueShare_NotOwner(id, owner, msg.sender);
        uint256 tokens;
        (amount, tokens) = _claim(id, SELF, true, receiver);
        _pay(receiver, amount, tokens);
    }

    /// @inheritdoc IRevenueShare
    function claimDebts(uint64[] calldata debtIds) external returns (uint256 amount) {
        for (uint256 i = 0; i < debtIds.length; ++i) {
            uint64 id = debtIds[i];
            (address poster, uint256 open, uint256 covered) = debt(id);
            if (poster != msg.sender) revert RevenueShare_NotCreditor(id, poster, msg.sender);
            bool full = covered == open;
            if (full) {
                _debts[id].poster = address(0);
                delete _partial[id];
            } else {
                _partial[id] += covered;
            }
            amount += covered;
            emit DebtClaimed(id, poster, covered, full);
        }
        _pay(msg.sender, amount, 0);
    }

    /// @inheritdoc IRevenueShare
    function claimForfeits(address receiver) external returns (uint256 amount) {
        amount = forfeitsOf[msg.sender];
        forfeitsOf[msg.sender] = 0;
        emit ForfeitsClaimed(msg.sender, receiver, amount);
        _pay(receiver, amount, 0);
    }

    /// @inheritdoc IRevenueShare
    function claimTreasury() external returns (uint256 amount) {
        amount = _totals.treasury - _treasuryClaimed;
        _treasuryClaimed = _totals.treasury;
        emit TreasuryClaimed(treasury, amount);
        _pay(treasury, amount, 0);
    }

    // -- Views

    /// @inheritdoc IRevenueShare
    function claimable(uint64 id, address holder) public view returns (uint256 amount) {
        (amount,,) = _walk(id, holder);
    }

    /// @inheritdoc IRevenueShare
    function claimableOwner(uint64 id) external view returns (uint256) {
        return claimable(id, SELF) + _accounts[id].commission;
    }

    /// @inheritdoc IRevenueShare
    function claimableTokens(uint64 id, address holder) external view returns (uint256 tokens) {
        (, tokens,) = _walk(id, holder);
        if (holder == SELF) tokens += _accounts[id].tokenCommission;
    }

    /// @inheritdoc IRevenueShare
    function emissions() external view returns (Emissions memory) {
        return _emissions;
    }

    /// @inheritdoc IRevenueShare
    function debt(uint64 debtId) public view returns (address poster, uint256 open, uint256 covered) {
        Debt memory d = _debts[debtId];
        poster = d.poster;
        if (poster == address(0)) return (poster, 0, 0);
        (uint256 start, uint256 end, uint256 paid) = (_debts[debtId - 1].end, d.end, _totals.debtsPaid);
        open = end - start - _partial[debtId];
        uint256 reach = paid < end ? paid : end;
        covered = reach <= start + _partial[debtId] ? 0 : reach - start - _partial[debtId];
    }

    /// @inheritdoc IRevenueShare
    function account(uint64 id) external view returns (Account memory) {
        return _accounts[id];
    }

    /// @inheritdoc IRevenueShare
    function totals() external view returns (Totals memory) {
        return _totals;
    }

    // -- Internals

    /// @dev What an epoch has to share, and what its members get of it.
    struct Sharing {
        uint64 epoch;
        uint64 snapshot;
        Miss[] misses;
        uint256 toProducers;
        uint256 toAttesters;
        uint256 blocks;
        uint256 batches;
        uint256 totalStake;
        uint256 producers;
        uint256 attesters;
        uint64[] ids;
        uint256[] producer;
        uint256[] attester;
        uint256[] commission;
        uint256[] index;
        // The same for tokens.
        uint256 tokens;
        uint256 tokensCredited;
        uint256[] token;
        uint256[] tokenCommission;
        uint256[] tokenIndex;
    }

    /// @dev Credits producers by blocks led and attesters by stake and participation; returns what was credited to each group.
    function _credit(uint64 epoch, uint64 snapshot, uint256 available, bytes calldata performance, uint64 batches, uint64[] calldata signed)
        private
        returns (uint256 producers, uint256 attesters)
    {
        (address code,) = pool.snapshotData(snapshot);
        bytes memory data = Snapshots.load(code);
        Sharing memory s = _sharing(data, available, performance);
        (s.epoch, s.snapshot, s.batches, s.tokens) = (epoch, snapshot, batches, _release());
        s.misses = _misses;
        delete _misses;
        for (uint256 i = 0; i < s.ids.length; ++i) {
            _creditMember(s, i, Snapshots.memberAt(data, i), _blocksLed(performance, i), signed[i]);
        }
        emit Credited(epoch, s.ids, s.producer, s.attester, s.commission, s.index);
        if (s.tokens != 0) {
            _emissions.carry = uint128(s.tokens - s.tokensCredited);
            _emissions.income += uint128(s.tokensCredited);
            emit TokensCredited(epoch, s.ids, s.token, s.tokenCommission, s.tokenIndex, _emissions.left, _emissions.carry);
        }
        return (s.producers, s.attesters);
    }

    /// @dev Divides what is available and counts the blocks.
    function _sharing(bytes memory data, uint256 available, bytes calldata performance) private view returns (Sharing memory s) {
        uint256 length = Snapshots.count(data);
        if (performance.length != length * 8) revert RevenueShare_WrongPerformance(performance.length, length * 8);
        s.totalStake = Snapshots.totalStake(data);
        s.toProducers = available * parameters.money().producersBps / BPS;
        s.toAttesters = available - s.toProducers;
        for (uint256 i = 0; i < length; ++i) {
            s.blocks += _blocksLed(performance, i);
        }
        s.ids = new uint64[](length);
        s.producer = new uint256[](length);
        s.attester = new uint256[](length);
        s.commission = new uint256[](length);
        s.index = new uint256[](length);
        s.token = new uint256[](length);
        s.tokenCommission = new uint256[](length);
        s.tokenIndex = new uint256[](length);
    }

    /// @dev What there is to share in tokens: what was carried over, and what the stream releases for the time since it did last.
    function _release() private returns (uint256 tokens) {
        Emissions memory e = _emissions;
        if (e.left == 0) return e.carry;
        uint256 released = (block.timestamp - e.releasedAt) * parameters.money().emission;
        if (released > e.left) released = e.left;
        (_emissions.left, _emissions.releasedAt) = (uint128(e.left - released), uint64(block.timestamp));
        return e.carry + released;
    }

    /// @dev Credits member `i`.
    function _creditMember(Sharing memory s, uint256 i, Snapshots.Member memory m, uint256 led, uint256 signed) private {
        uint256 producer = s.blocks == 0 ? 0 : s.toProducers * led / s.blocks;
        uint256 forfeited = _forfeit(s, m.id, producer);
        producer -= forfeited;
        uint256 attester = _attest(s.toAttesters, s, m.stake, signed);
        (uint256 commission, uint256 step, uint256 dust) = _divide(producer + attester, m);
        // Dust goes back to the pot; it is taken from the attester's part first.
        if (attester >= dust) attester -= dust;
        else (producer, attester) = (producer + attester - dust, 0);
        s.producers += producer + forfeited;
        s.attesters += attester;
        s.ids[i] = m.id;
        s.producer[i] = producer;
        s.attester[i] = attester;
        s.commission[i] = commission;
        Account storage a = _accounts[m.id];
        // Shares changed since the last snapshot that was credited: the index as it was belongs to the former shares.
        if (m.sharesFrom >= a.credited) _boundaries[m.id].push(uint48(s.snapshot), _indices(a));
        s.index[i] = a.index + step;
        (a.index, a.commission, a.credited) =
        (_index(s.index[i]), (a.commission + commission).toUint112(), uint256(s.snapshot + 1).toUint32());
        if (s.tokens != 0) _creditTokens(s, i, m, signed);
    }

    /// @dev Gives a producer's income for each batch that it should have posted to who did. A batch has one duty: never more than all of it.
    function _forfeit(Sharing memory s, uint64 id, uint256 producer) private returns (uint256 forfeited) {
        for (uint256 k = 0; k < s.misses.length; ++k) {
            if (s.misses[k].id != id) continue;
            uint256 part = producer / s.batches;
            forfeited += part;
            forfeitsOf[s.misses[k].poster] += part;
            emit DutyForfeited(s.epoch, id, s.misses[k].poster, part);
        }
    }

    /// @dev Credits member `i` with tokens, as an attester.
    function _creditTokens(Sharing memory s, uint256 i, Snapshots.Member memory m, uint256 signed) private {
        uint256 part = _attest(s.tokens, s, m.stake, signed);
        (uint256 commission, uint256 step, uint256 dust) = _divide(part, m);
        s.tokensCredited += part - dust;
        s.token[i] = part - dust;
        s.tokenCommission[i] = commission;
        Account storage a = _accounts[m.id];
        s.tokenIndex[i] = a.tokenIndex + step;
        (a.tokenIndex, a.tokenCommission) = (_index(s.tokenIndex[i]), (a.tokenCommission + commission).toUint112());
    }

    /// @dev An attester's part by its stake: full from two thirds of the batches on; what is missing is carried over, not given to those present.
    function _attest(uint256 all, Sharing memory s, uint256 stake, uint256 signed) private pure returns (uint256 part) {
        part = all * stake / s.totalStake;
        if (signed * 3 < s.batches * 2) part = part * signed * 3 / (s.batches * 2);
    }

    /// @dev Commission, the step of the index, and what neither takes: shares claim index steps added up, before they round down, so that all
    /// of them can claim the step times the shares, rounded up.
    function _divide(uint256 amount, Snapshots.Member memory m) private pure returns (uint256 commission, uint256 step, uint256 dust) {
        commission = amount * m.commission / BPS;
        uint256 net = amount - commission;
        step = (net << INDEX_BITS) / m.shares;
        dust = net - ((step * m.shares + (1 << INDEX_BITS) - 1) >> INDEX_BITS);
    }

    function _blocksLed(bytes calldata performance, uint256 i) private pure returns (uint256) {
        return uint32(bytes4(performance[i * 8:]));
    }

    /// @dev Income of a position since its last claim, and where the next claim begins.
    function _walk(uint64 id, address holder) private view returns (uint256 amount, uint256 tokens, Cursor memory cursor) {
        cursor = _cursors[id][holder];
        IStaking.Segment[] memory list = staking.segments(id, holder, cursor.segment, MAX_SEGMENTS + 1);
        if (list.length == 0) return (0, 0, cursor);
        Account memory a = _accounts[id];
        if (!cursor.started) {
            // No epoch of a snapshot that holds the position was credited yet: it starts with the first one, not with this claim.
            if (a.credited <= list[0].from) return (0, 0, cursor);
            (cursor.started, cursor.indices) = (true, _indicesBefore(id, list[0].from));
        }
        for (uint256 i = 0; i < list.length && i < MAX_SEGMENTS; ++i) {
            // The segment is over once an epoch of the next one's first snapshot, or a later one, was credited.
            bool over = i + 1 < list.length && a.credited > list[i + 1].from;
            uint208 end = over ? _indicesBefore(id, list[i + 1].from) : _indices(a);
            uint256 shares = list[i].shares;
            amount += (shares * (uint104(end) - uint104(cursor.indices))) >> INDEX_BITS;
            tokens += (shares * ((end >> 104) - (cursor.indices >> 104))) >> INDEX_BITS;
            cursor.indices = end;
            if (!over) break;
            ++cursor.segment;
        }
    }

    /// @dev The indices after every epoch whose snapshot is below `snapshot`; one that is not below it was credited.
    function _indicesBefore(uint64 id, uint64 snapshot) private view returns (uint208) {
        return _boundaries[id].lowerLookup(uint48(snapshot));
    }

    function _indices(Account memory a) private pure returns (uint208) {
        return (uint208(a.tokenIndex) << 104) | a.index;
    }

    /// @dev An index that fits a boundary.
    function _index(uint256 value) private pure returns (uint112) {
        return value.toUint104();
    }

    /// @dev Settles a position, its owner's commission included, and tells.
    function _claim(uint64 id, address holder, bool owner, address receiver) private returns (uint256 amount, uint256 tokens) {
        (amount, tokens) = _settle(id, holder);
        if (owner) {
            Account storage a = _accounts[id];
            (amount, tokens) = (amount + a.commission, tokens + a.tokenCommission);
            a.commission = 0;
            if (a.tokenCommission != 0) a.tokenCommission = 0;
        }
        emit Claimed(id, msg.sender, receiver, owner, amount);
        if (tokens != 0) emit TokensClaimed(id, msg.sender, receiver, owner, tokens);
    }

    function _settle(uint64 id, address holder) private returns (uint256 amount, uint256 tokens) {
        Cursor memory cursor;
        (amount, tokens, cursor) = _walk(id, holder);
        _cursors[id][holder] = cursor;
    }

    function _pay(address receiver, uint256 amount, uint256 tokens) private {
        if (tokens != 0) {
            _emissions.claimed += uint128(tokens);
            token.safeTransfer(receiver, tokens);
        }
        if (amount == 0) return;
        _totals.claimed += uint128(amount);
        (bool success,) = receiver.call{value: amount}("");
        if (!success) revert RevenueShare_PaymentFailed(receiver, amount);
    }
}
