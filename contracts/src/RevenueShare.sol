// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IParameters} from "./interfaces/IParameters.sol";
import {IRevenueShare} from "./interfaces/IRevenueShare.sol";
import {ISequencerPool} from "./interfaces/ISequencerPool.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {Lists} from "./libraries/Lists.sol";
import {Snapshots} from "./libraries/Snapshots.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title RevenueShare
/// @notice Splits each epoch's fees; income is pulled. Interface and rules: IRevenueShare.
/// @dev A sequencer's income is an index of wei per share. A position whose shares changed from snapshot s on earned with the old shares up to
/// the index just before the first epoch credited for a snapshot >= s; these index values are checkpointed when such an epoch is credited.
/// Rounding inside a sequencer (below one wei a claim) stays with the contract as income never claimed.
contract RevenueShare is IRevenueShare {
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

    /// @dev The books: a slot for what came in, one for what was credited, one for debts.
    struct Books {
        uint128 received;
        uint128 carry;
        uint128 treasury;
        uint128 income;
        uint64 debtCount;
        uint96 debts;
        uint96 debtsPaid;
    }

    /// @dev The emission stream: a slot that every close reads, and one of sums.
    struct Stream {
        uint96 left;
        uint96 carry;
        uint40 releasedAt;
        uint128 funded;
        uint128 income;
    }

    /// @dev An income account. The second slot is of tokens: not read before any were credited.
    struct Income {
        uint104 index;
        uint96 commission;
        uint24 credited;
        uint24 boundaries;
        bool tokens;
        uint104 tokenIndex;
        uint112 tokenCommission;
    }

    /// @dev The indices before the first epoch credited for `snapshot`. One slot.
    struct Boundary {
        uint48 snapshot;
        uint208 indices;
    }

    Books private _books;
    Stream private _stream;
    uint128 private _treasuryClaimed;
    /// @dev Of the running epoch.
    Miss[] private _misses;
    /// @inheritdoc IRevenueShare
    mapping(address poster => uint256) public forfeitsOf;
    mapping(uint64 debtId => Debt) private _debts;
    /// @dev Wei already paid of a debt that was covered in part.
    mapping(uint64 debtId => uint256) private _partial;
    mapping(uint64 id => Income) private _accounts;
    /// @dev In the order of their snapshots; the account says how many there are.
    mapping(uint64 id => mapping(uint256 number => Boundary)) private _boundaries;
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
        _books.received += uint128(msg.value);
        _books.carry += uint128(msg.value);
    }

    /// @inheritdoc IRevenueShare
    function addDebt(uint64 batch, address poster, uint256 amount) external onlyInbox {
        (uint64 id, uint96 end) = (_books.debtCount + 1, SafeCast.toUint96(_books.debts + amount));
        (_books.debtCount, _books.debts) = (id, end);
        _debts[id] = Debt({poster: poster, end: end});
        emit DebtAdded(id, batch, poster, amount, end);
    }

    /// @inheritdoc IRevenueShare
    function addMiss(uint64 id, address poster) external onlyInbox {
        if (_misses.length < MAX_MISSES) _misses.push(Miss(poster, id));
    }

    /// @inheritdoc IRevenueShare
    function fundEmissions(uint128 amount) external {
        // While it was dry no time counted.
        if (_stream.left == 0) _stream.releasedAt = uint40(block.timestamp);
        _stream.left = (uint256(_stream.left) + amount).toUint96();
        _stream.funded += amount;
        emit EmissionsFunded(msg.sender, amount, _stream.left);
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
        Books memory t = _books;
        IParameters.Money memory rules = parameters.money();
        // All that is not yet anyone's: this epoch's fees (just received) and what earlier ones carried over.
        uint256 available = t.carry;
        uint256 paid = t.debts - t.debtsPaid;
        if (paid > available) paid = available;
        available -= paid;
        uint256 toTreasury = available * rules.treasuryBps / BPS;
        available -= toTreasury;

        Sharing memory s;
        (s.epoch, s.snapshot, s.batches, s.tokens) = (epoch, snapshot, batches, _release(rules.emission));
        s.toProducers = available * rules.producersBps / BPS;
        s.toAttesters = available - s.toProducers;
        _credit(s, performance, signed);
        t.debtsPaid += uint96(paid);
        t.treasury += uint128(toTreasury);
        t.income += uint128(s.producers + s.attesters);
        t.carry = uint128(available - s.producers - s.attesters);
        _books = t;
        emit EpochClosed(epoch, snapshot, fees, t.debtsPaid, toTreasury, s.producers, s.attesters, t.carry);
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
        amount = _books.treasury - _treasuryClaimed;
        _treasuryClaimed = _books.treasury;
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
        Stream memory e = _stream;
        return Emissions({
            funded: e.funded,
            left: e.left,
            carry: e.carry,
            income: e.income,
            claimed: _gone(e.funded, token.balanceOf(address(this))),
            releasedAt: e.releasedAt
        });
    }

    /// @inheritdoc IRevenueShare
    function debt(uint64 debtId) public view returns (address poster, uint256 open, uint256 covered) {
        Debt memory d = _debts[debtId];
        poster = d.poster;
        if (poster == address(0)) return (poster, 0, 0);
        (uint256 start, uint256 end, uint256 paid) = (_debts[debtId - 1].end, d.end, _books.debtsPaid);
        open = end - start - _partial[debtId];
        uint256 reach = paid < end ? paid : end;
        covered = reach <= start + _partial[debtId] ? 0 : reach - start - _partial[debtId];
    }

    /// @inheritdoc IRevenueShare
    function debtCount() external view returns (uint64) {
        return _books.debtCount;
    }

    /// @inheritdoc IRevenueShare
    function account(uint64 id) external view returns (Account memory) {
        Income memory a = _accounts[id];
        return Account(a.index, a.commission, a.credited, a.tokenIndex, a.tokenCommission);
    }

    /// @inheritdoc IRevenueShare
    function totals() external view returns (Totals memory) {
        Books memory t = _books;
        return Totals({
            received: t.received,
            debts: t.debts,
            debtsPaid: t.debtsPaid,
            treasury: t.treasury,
            income: t.income,
            carry: t.carry,
            claimed: _gone(t.received, address(this).balance)
        });
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
        // The data of `Credited` (see Lists), and its first list.
        uint256 told;
        uint64[] ids;
        // A member's, for the other four.
        uint256[4] figures;
        // The same for tokens.
        uint256 tokens;
        uint256 tokensCredited;
        uint256[] token;
        uint256[] tokenCommission;
        uint256[] tokenIndex;
    }

    /// @dev Credits producers by blocks led and attesters by stake and participation.
    function _credit(Sharing memory s, bytes calldata performance, uint64[] calldata signed) private {
        (address code,) = pool.snapshotData(s.snapshot);
        bytes memory data = Snapshots.load(code);
        _prepare(s, data, performance);
        Snapshots.Member memory m;
        uint256 length = s.ids.length;
        for (uint256 i = 0; i < length; ++i) {
            Snapshots.readMember(data, i, m);
            _creditMember(s, i, m, _blocksLed(performance, i), signed[i]);
        }
        Lists.tell(s.told, Credited.selector, s.epoch);
        if (s.tokens != 0) {
            _stream.carry = (s.tokens - s.tokensCredited).toUint96();
            _stream.income += uint128(s.tokensCredited);
            emit TokensCredited(s.epoch, s.ids, s.token, s.tokenCommission, s.tokenIndex, _stream.left, _stream.carry);
        }
    }

    /// @dev Counts the blocks, takes the misses over, and makes room for the members' figures.
    function _prepare(Sharing memory s, bytes memory data, bytes calldata performance) private {
        uint256 length = Snapshots.count(data);
        if (performance.length != length * 8) revert RevenueShare_WrongPerformance(performance.length, length * 8);
        s.totalStake = Snapshots.totalStake(data);
        for (uint256 i = 0; i < length; ++i) {
            unchecked {
                s.blocks += _blocksLed(performance, i);
            }
        }
        if (_misses.length != 0) {
            s.misses = _misses;
            delete _misses;
        }
        (s.told, s.ids) = Lists.layOut(length);
        if (s.tokens == 0) return;
        s.token = new uint256[](length);
        s.tokenCommission = new uint256[](length);
        s.tokenIndex = new uint256[](length);
    }

    /// @dev What there is to share in tokens: what was carried over, and what the stream releases for the time since it did last.
    function _release(uint256 rate) private returns (uint256 tokens) {
        (uint256 left, uint256 carry) = (_stream.left, _stream.carry);
        if (left == 0) return carry;
        uint256 released = (block.timestamp - _stream.releasedAt) * rate;
        if (released > left) released = left;
        (_stream.left, _stream.releasedAt) = (uint96(left - released), uint40(block.timestamp));
        return carry + released;
    }

    /// @dev Credits member `i`, which `m` is.
    function _creditMember(Sharing memory s, uint256 i, Snapshots.Member memory m, uint256 led, uint256 signed) private {
        uint256[4] memory figures = s.figures;
        (uint256 producer, uint256 attester) = (_produced(s, m.id, led), _attest(s.toAttesters, s, m.stake, signed));
        (uint256 commission, uint256 step, uint256 dust) = _divide(producer + attester, m);
        // Dust goes back to the pot; it is taken from the attester's part first.
        if (attester >= dust) attester -= dust;
        else (producer, attester) = (producer + attester - dust, 0);
        unchecked {
            s.producers += producer;
            s.attesters += attester;
        }
        (figures[0], figures[1], figures[2], figures[3]) = (producer, attester, commission, _advance(s.snapshot, m, step, commission));
        Lists.note(s.told, i, m.id, figures);
        if (s.tokens != 0) _creditTokens(s, i, m, signed);
    }

    /// @dev What `led` blocks bring their producer, less what it forfeits. Wei have 128 bits and blocks 32: nothing overflows.
    function _produced(Sharing memory s, uint64 id, uint256 led) private returns (uint256 producer) {
        unchecked {
            if (s.blocks != 0) producer = s.toProducers * led / s.blocks;
        }
        if (s.misses.length == 0) return producer;
        uint256 forfeited = _forfeit(s, id, producer);
        s.producers += forfeited;
        producer -= forfeited;
    }

    /// @dev Moves a member's account on by what an epoch of `snapshot` brought; returns the new index.
    function _advance(uint64 snapshot, Snapshots.Member memory m, uint256 step, uint256 commission) private returns (uint256) {
        Income storage a = _accounts[m.id];
        (uint256 index, uint256 owed, uint24 credited, uint24 boundaries) = (a.index, a.commission, a.credited, a.boundaries);
        // Shares changed since the last snapshot that was credited: the index as it was belongs to the former shares.
        if (m.sharesFrom >= credited) _boundaries[m.id][boundaries++] = Boundary(uint48(snapshot), _indices(a));
        (index, owed, credited) = ((index + step).toUint104(), (owed + commission).toUint96(), uint256(snapshot + 1).toUint24());
        // All that is checked was checked before: one write.
        (a.index, a.commission, a.credited, a.boundaries) = (uint104(index), uint96(owed), credited, boundaries);
        return index;
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
        Income storage a = _accounts[m.id];
        s.tokenIndex[i] = a.tokenIndex + step;
        (a.tokenIndex, a.tokenCommission) = (s.tokenIndex[i].toUint104(), SafeCast.toUint112(a.tokenCommission + commission));
        if (!a.tokens) a.tokens = true;
    }

    /// @dev An attester's part by its stake: full from two thirds of the batches on; what is missing is carried over, not given to those
    /// present. Amounts have 128 bits, stake 112, counts 64: nothing overflows.
    function _attest(uint256 all, Sharing memory s, uint256 stake, uint256 signed) private pure returns (uint256 part) {
        unchecked {
            part = all * stake / s.totalStake;
            (uint256 full, uint256 there) = (s.batches * 2, signed * 3);
            if (there < full) part = part * there / full;
        }
    }

    /// @dev Commission, the step of the index, and what neither takes: shares claim index steps added up, before they round down, so that all
    /// of them can claim the step times the shares, rounded up.
    function _divide(uint256 amount, Snapshots.Member memory m) private pure returns (uint256 commission, uint256 step, uint256 dust) {
        commission = amount * m.commission / BPS;
        uint256 net = amount - commission;
        unchecked {
            step = (net << INDEX_BITS) / m.shares;
            dust = net - ((step * m.shares + (1 << INDEX_BITS) - 1) >> INDEX_BITS);
        }
    }

    /// @dev Of member `i`, which must have an entry.
    function _blocksLed(bytes calldata performance, uint256 i) private pure returns (uint256 led) {
        assembly ("memory-safe") {
            led := shr(224, calldataload(add(performance.offset, mul(i, 8))))
        }
    }

    /// @dev Income of a position since its last claim, and where the next claim begins.
    function _walk(uint64 id, address holder) private view returns (uint256 amount, uint256 tokens, Cursor memory cursor) {
        cursor = _cursors[id][holder];
        IStaking.Segment[] memory list = staking.segments(id, holder, cursor.segment, MAX_SEGMENTS + 1);
        if (list.length == 0) return (0, 0, cursor);
        Income storage a = _accounts[id];
        if (!cursor.started) {
            // No epoch of a snapshot that holds the position was credited yet: it starts with the first one, not with this claim.
            if (a.credited <= list[0].from) return (0, 0, cursor);
            (cursor.started, cursor.indices) = (true, _indicesBefore(id, a.boundaries, list[0].from));
        }
        for (uint256 i = 0; i < list.length && i < MAX_SEGMENTS; ++i) {
            // The segment is over once an epoch of the next one's first snapshot, or a later one, was credited.
            bool over = i + 1 < list.length && a.credited > list[i + 1].from;
            uint208 end = over ? _indicesBefore(id, a.boundaries, list[i + 1].from) : _indices(a);
            uint256 shares = list[i].shares;
            amount += (shares * (uint104(end) - uint104(cursor.indices))) >> INDEX_BITS;
            tokens += (shares * ((end >> 104) - (cursor.indices >> 104))) >> INDEX_BITS;
            cursor.indices = end;
            if (!over) break;
            ++cursor.segment;
        }
    }

    /// @dev The indices after every epoch whose snapshot is below `snapshot`; one that is not below it was credited, and what changed from
    /// `snapshot` on has its boundary among the `count` of the account: the first that is not below.
    function _indicesBefore(uint64 id, uint256 count, uint64 snapshot) private view returns (uint208) {
        (uint256 low, uint256 high) = (0, count);
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (_boundaries[id][middle].snapshot < snapshot) low = middle + 1;
            else high = middle;
        }
        return _boundaries[id][low].indices;
    }

    function _indices(Income storage a) private view returns (uint208) {
        return a.tokens ? (uint208(a.tokenIndex) << 104) | a.index : a.index;
    }

    /// @dev Settles a position, its owner's commission included, and tells.
    function _claim(uint64 id, address holder, bool owner, address receiver) private returns (uint256 amount, uint256 tokens) {
        (amount, tokens) = _settle(id, holder);
        if (owner) {
            Income storage a = _accounts[id];
            amount += a.commission;
            a.commission = 0;
            if (a.tokens) {
                tokens += a.tokenCommission;
                a.tokenCommission = 0;
            }
        }
        emit Claimed(id, msg.sender, receiver, owner, amount);
        if (tokens != 0) emit TokensClaimed(id, msg.sender, receiver, owner, tokens);
    }

    function _settle(uint64 id, address holder) private returns (uint256 amount, uint256 tokens) {
        Cursor memory cursor;
        (amount, tokens, cursor) = _walk(id, holder);
        _cursors[id][holder] = cursor;
    }

    /// @dev What was paid of `all` that came in, as far as the balance tells: what others sent here uninvited lowers it.
    function _gone(uint256 all, uint256 balance) private pure returns (uint128) {
        return balance < all ? uint128(all - balance) : 0;
    }

    function _pay(address receiver, uint256 amount, uint256 tokens) private {
        if (tokens != 0) token.safeTransfer(receiver, tokens);
        if (amount == 0) return;
        (bool success,) = receiver.call{value: amount}("");
        if (!success) revert RevenueShare_PaymentFailed(receiver, amount);
    }
}
