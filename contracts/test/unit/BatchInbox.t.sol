// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBatchInbox} from "../../src/interfaces/IBatchInbox.sol";
import {IParameters} from "../../src/interfaces/IParameters.sol";
import {IPortal} from "../../src/interfaces/IPortal.sol";
import {IRevenueShare} from "../../src/interfaces/IRevenueShare.sol";
import {ISequencerPool} from "../../src/interfaces/ISequencerPool.sol";
import {World} from "../helpers/World.sol";
import {Vm} from "forge-std/Vm.sol";

contract BatchInboxTest is World {
    function setUp() public override {
        super.setUp();
        _start(4);
        _advance(5);
        _prepare(10);
    }

    /// @dev Posts `next` as it is, certified by all, from the account on duty, expecting `reason`.
    function _refused(bytes memory reason) private {
        bytes32 dataHash = _blobs();
        IBatchInbox.Certificate memory certificate = _certificate(inbox.hashCore(next), dataHash, 15);
        IBatchInbox.Core memory core = next;
        address poster = _dutyOperator(0);
        vm.expectRevert(reason);
        vm.prank(poster);
        inbox.post(core, certificate, "", "");
    }

    function _wrong(string memory field, uint256 actual, uint256 expected) private {
        _refused(abi.encodeWithSelector(IBatchInbox.BatchInbox_WrongField.selector, field, actual, expected));
    }

    function test_a_batch_in_blobs_tells_no_data() public {
        _prepare(10);
        vm.recordLogs();
        _post(_allSigners(), "");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            assertNotEq(logs[i].topics[0], IBatchInbox.BatchData.selector);
        }
    }

    // -- start

    function test_start_by_another_than_the_deployer_reverts() public {
        IBatchInbox.Genesis memory genesis = _genesis();
        vm.expectRevert(abi.encodeWithSelector(IBatchInbox.BatchInbox_NotDeployer.selector, address(this), address(1)));
        vm.prank(address(1));
        inbox.start(genesis, new uint64[](0));
    }

    function test_start_is_possible_once() public {
        vm.expectRevert(abi.encodeWithSelector(IBatchInbox.BatchInbox_Started.selector, true));
        inbox.start(_genesis(), new uint64[](0));
    }

    function test_start_keeps_the_genesis_supply_in_the_portal() public view {
        assertEq(address(portal).balance, SUPPLY);
        assertEq(inbox.anchor().index, 0);
        assertTrue(inbox.isEpochOpen(0));
        assertFalse(inbox.isEpochOpen(1));
        assertTrue(inbox.isRecentAnchor(0));
    }

    function test_nothing_can_be_posted_before_the_start() public {
        _deploy(_values());
        IBatchInbox.Core memory core = next;
        vm.expectRevert(abi.encodeWithSelector(IBatchInbox.BatchInbox_Started.selector, false));
        inbox.post(core, IBatchInbox.Certificate(0, ""), "", "");
    }

    function test_start_needs_the_supply_a_known_origin_and_no_earlier_deposit() public {
        _deploy(_values());
        uint64[] memory ids = _found(1, STAKE);
        IBatchInbox.Genesis memory genesis = _genesis();
        vm.expectRevert(abi.encodeWithSelector(IBatchInbox.BatchInbox_WrongSupply.selector, 0, SUPPLY));
        inbox.start(genesis, ids);
        genesis.supply = 0;
        genesis.originHash = keccak256("another");
        vm.expectPartialRevert(IBatchInbox.BatchInbox_UnknownOrigin.selector);
        inbox.start(genesis, ids);
        vm.deal(address(this), 1 ether);
        portal.deposit{value: 1 ether}(address(1), 0, 100_000, false, "", 1 ether);
        _advance(1);
        genesis = _genesis();
        genesis.supply = 0;
        vm.expectRevert(abi.encodeWithSelector(IBatchInbox.BatchInbox_WrongDeposits.selector, 0, genesis.originNumber));
        inbox.start(genesis, ids);
    }

    // -- post: acceptance

    function test_post_moves_the_anchor_and_tells_everything_in_its_event() public {
        bytes32 coreHash = inbox.hashCore(next);
        bytes32[] memory hashes = new bytes32[](2);
        (hashes[0], hashes[1]) = (bytes32(uint256(1) << 248 | 7), bytes32(uint256(1) << 248 | 8));
        vm.expectEmit(address(inbox));
        emit IBatchInbox.BatchPosted(1, coreHash, _dutyOperator(0), next, keccak256(abi.encodePacked(uint8(0), hashes)), hashes, 15, "");
        _post(15, "");
        IBatchInbox.Anchor memory a = inbox.anchor();
        assertEq(a.index, 1);
        assertEq(a.coreHash, coreHash);
        assertEq(a.lastHeight, 10);
        assertEq(a.acceptedBlock, vm.getBlockNumber());
        assertEq(inbox.coreHashOf(1), coreHash);
        assertTrue(inbox.isRecentAnchor(coreHash));
        (uint64 batches, uint64[] memory signed) = inbox.participation();
        assertEq(batches, 1);
        assertEq(signed[3], 1);
    }

    function test_two_thirds_of_the_stake_suffice_and_less_does_not() public {
        // 3 of 4 equal stakes.
        _post(7, "");
        _advance(1);
        _prepare(10);
        bytes32 dataHash = _blobs();
        IBatchInbox.Certificate memory certificate = _certificate(inbox.hashCore(next), dataHash, 3);
        IBatchInbox.Core memory core = next;
        address poster = _dutyOperator(0);
        vm.expectRevert(abi.encodeWithSelector(IBatchInbox.BatchInbox_InsufficientStake.selector, 2 * uint256(STAKE), 4 * uint256(STAKE)));
        vm.prank(poster);
        inbox.post(core, certificate, "", "");
    }

    function test_a_certificate_of_others_than_its_bitmap_names_reverts() public {
        bytes32 dataHash = _blobs();
        IBatchInbox.Certificate memory certificate = _certificate(inbox.hashCore(next), dataHash, 7);
        certificate.signers = 15;
        IBatchInbox.Core memory core = next;
        vm.startPrank(_dutyOperator(0));
        vm.expectRevert(IBatchInbox.BatchInbox_BadCertificate.selector);
        inbox.post(core, certificate, "", "");
        certificate.signers = 31;
        vm.expectRevert(abi.encodeWithSelector(IBatchInbox.BatchInbox_UnknownSigner.selector, 31, 4));
        inbox.post(core, certificate, "", "");
    }

    function test_a_certificate_binds_every_field_and_the_data() public {
        bytes32 dataHash = _blobs();
        IBatchInbox.Certificate memory certificate = _certificate(inbox.hashCore(next), dataHash, 15);
        IBatchInbox.Core memory core = next;
        vm.startPrank(_dutyOperator(0));
        core.stateRoot = keccak256("another");
        vm.expectRevert(IBatchInbox.BatchInbox_BadCertificate.selector);
        inbox.post(core, certificate, "", "");
        core.stateRoot = next.stateRoot;
        bytes32[] memory other = new bytes32[](1);
        other[0] = bytes32(uint256(1) << 248 | 9);
        vm.blobhashes(other);
        vm.expectRevert(IBatchInbox.BatchInbox_BadCertificate.selector);
        inbox.post(core, certificate, "", "");
    }

    function test_the_calldata_lane_emits_the_data() public {
        bytes memory data = "encoded batch";
        vm.blobhashes(new bytes32[](0));
        bytes32 dataHash = keccak256(abi.encodePacked(uint8(1), keccak256(data)));
        IBatchInbox.Certificate memory certificate = _certificate(inbox.hashCore(next), dataHash, 15);
        IBatchInbox.Core memory core = next;
        vm.startPrank(_dutyOperator(0));
        vm.expectRevert(abi.encodeWithSelector(IBatchInbox.BatchInbox_WrongLane.selector, 0, 0));
        inbox.post(core, certificate, "", "");
        vm.expectEmit(address(inbox));
        emit IBatchInbox.BatchData(1, data);
        inbox.post(core, certificate, "", data);
        _blobs();
        core.index = 2;
        core.previous = inbox.hashCore(next);
        core.firstHeight = 11;
        core.lastHeight = 12;
        vm.expectRevert(abi.encodeWithSelector(IBatchInbox.BatchInbox_WrongLane.selector, 2, data.length));
        inbox.post(core, certificate, "", data);
    }

    // -- post: sequence

    function test_a_second_post_of_the_same_batch_reverts_with_the_index() public {
        IBatchInbox.Core memory first = next;
        _post(15, "");
        next = first;
        _refused(abi.encodeWithSelector(IBatchInbox.BatchInbox_WrongIndex.selector, 1, 2));
    }

    function test_a_wrong_version_reverts() public {
        next.version = 2;
        _wrong("version", 2, 1);
    }

    function test_a_wrong_generation_reverts() public {
        next.generation = 1;
        _wrong("generation", 1, 0);
    }

    function test_a_wrong_previous_core_reverts() public {
        next.previous = bytes32(uint256(5));
        _wrong("previous", 5, 0);
    }

    function test_a_wrong_epoch_reverts() public {
        next.epoch = 1;
        bytes32 dataHash = _blobs();
        IBatchInbox.Certificate memory certificate = _certificate(inbox.hashCore(next), dataHash, 15);
        IBatchInbox.Core memory core = next;
        vm.expectRevert(abi.encodeWithSelector(IBatchInbox.BatchInbox_WrongField.selector, "epoch", 1, 0));
        inbox.post(core, certificate, "", "");
    }

    function test_a_gap_in_the_heights_reverts() public {
        next.firstHeight = 2;
        _wrong("firstHeight", 2, 1);
    }

    function test_a_batch_beyond_its_epoch_reverts() public {
        next.lastHeight = 240;
        _refused(abi.encodeWithSelector(IBatchInbox.BatchInbox_OutOfRange.selector, "lastHeight", 240, 1, 239));
    }

    function test_an_epochs_last_block_must_close_it() public {
        next.lastHeight = 239;
        _wrong("closing", 0, 1);
        next.lastHeight = 238;
        next.closing = true;
        _wrong("closing", 1, 0);
    }

    function test_fees_outside_of_a_closing_batch_revert() public {
        next.fees = 1;
        _wrong("fees", 1, 0);
    }

    function test_an_older_origin_than_the_last_one_reverts() public {
        _post(15, "");
        _advance(1);
        uint64 last = next.originNumber;
        _prepare(10);
        next.originNumber = last - 1;
        next.originHash = blockhash(last - 1);
        _refused(
            abi.encodeWithSelector(IBatchInbox.BatchInbox_OutOfRange.selector, "originNumber", last - 1, last, vm.getBlockNumber() - 1)
        );
    }

    function test_an_origin_of_another_chain_reverts() public {
        next.originHash = keccak256("fork");
        _refused(
            abi.encodeWithSelector(
                IBatchInbox.BatchInbox_UnknownOrigin.selector, next.originNumber, next.originHash, blockhash(next.originNumber)
            )
        );
    }

    /// The lowest and the highest bit beyond a field's width, in a batch that is accepted without it.
    function test_a_core_has_only_one_encoding() public {
        (bytes32 dataHash, bytes memory data) = _encoding();
        bytes memory sent = abi.encodeCall(inbox.post, (next, _certificate(inbox.hashCore(next), dataHash, 15), "", data));
        address poster = _dutyOperator(0);
        uint8[13] memory words = [0, 1, 2, 4, 5, 6, 7, 8, 10, 12, 14, 16, 19];
        for (uint256 i = 0; i < words.length; ++i) {
            uint256 width = words[i] == 0 ? 16 : words[i] == 16 ? 1 : 64;
            uint256[2] memory bits = [width, 255];
            for (uint256 k = 0; k < bits.length; ++k) {
                bytes memory wide = bytes.concat(sent);
                uint256 at = 4 + 32 * uint256(words[i]) + 31 - bits[k] / 8;
                wide[at] = wide[at] ^ bytes1(uint8(1 << (bits[k] % 8)));
                vm.prank(poster);
                (bool accepted, bytes memory reason) = address(inbox).call(wide);
                assertFalse(accepted);
                assertEq(reason.length, 0);
            }
        }
        vm.prank(poster);
        (bool success,) = address(inbox).call(sent);
        assertTrue(success);
    }

    // -- post: deposits

    function test_leaving_out_or_inventing_a_deposit_reverts() public {
        vm.deal(address(this), 10 ether);
        portal.deposit{value: 1 ether}(address(7), 0, 100_000, false, "", 1 ether);
        _advance(3);
        _prepare(10);
        assertEq(next.deposits, 1);
        next.deposits = 0;
        _refused(abi.encodeWithSelector(IBatchInbox.BatchInbox_WrongDeposits.selector, 0, next.originNumber));
        next.deposits = 2;
        _refused(abi.encodeWithSelector(IBatchInbox.BatchInbox_WrongDeposits.selector, 2, next.originNumber));
        next.deposits = 1;
        _post(15, "");
        assertEq(inbox.anchor().deposits, 1);
    }

    /// P5 forced_inclusion: however old the origin, a deposit is not left out longer than the lag.
    function test_a_deposit_left_out_beyond_the_lag_reverts() public {
        vm.deal(address(this), 10 ether);
        uint64 oldOrigin = uint64(vm.getBlockNumber()) - 1;
        portal.deposit{value: 1 ether}(address(7), 0, 100_000, false, "", 1 ether);
        uint64 at = uint64(vm.getBlockTimestamp());
        _advance(80);
        _prepare(10);
        (next.originNumber, next.originHash, next.deposits) = (oldOrigin, blockhash(oldOrigin), 0);
        next.lastTimestamp = at + 61;
        _refused(abi.encodeWithSelector(IBatchInbox.BatchInbox_DepositLate.selector, 0, at + 61, at + 60));
        next.lastTimestamp = at + 60;
        _post(15, "");
    }

    // -- post: duty

    /// P9 no_single_poster.
    function test_the_next_member_may_post_after_the_grace_and_anyone_after_two() public {
        bytes32 dataHash = _blobs();
        IBatchInbox.Certificate memory certificate = _certificate(inbox.hashCore(next), dataHash, 15);
        IBatchInbox.Core memory core = next;
        uint256 from = next.originNumber + 2;
        (, uint64 onDuty) = pool.leaderOf(0, 0, 1);
        address second = _dutyOperator(1);
        address third = _dutyOperator(2);
        bytes memory refusal =
            abi.encodeWithSelector(IBatchInbox.BatchInbox_NotOnDuty.selector, onDuty, vm.getBlockNumber(), from + 3, from + 6);
        vm.expectRevert(refusal);
        vm.prank(second);
        inbox.post(core, certificate, "", "");
        vm.roll(from + 3);
        refusal = abi.encodeWithSelector(IBatchInbox.BatchInbox_NotOnDuty.selector, onDuty, from + 3, from + 3, from + 6);
        vm.expectRevert(refusal);
        vm.prank(third);
        inbox.post(core, certificate, "", "");
        uint256 state = vm.snapshotState();
        vm.expectEmit(address(inbox));
        emit IBatchInbox.DutyMissed(1, onDuty, second);
        vm.prank(second);
        inbox.post(core, certificate, "", "");
        vm.revertToState(state);
        vm.roll(from + 6);
        vm.prank(address(0xbeef));
        inbox.post(core, certificate, "", "");
        (address creditor,,) = revenue.debt(1);
        assertEq(creditor, address(0xbeef));
    }

    /// The poster in another's place gets that producer's income for one batch of the epoch.
    function test_a_missed_duty_forfeits_one_batchs_income_to_the_poster() public {
        address stranger = makeAddr("stranger");
        _advance(3);
        _prepare(10);
        (, uint64 onDuty) = pool.leaderOf(0, 0, 1);
        (bytes32 dataHash,) = _encoding();
        IBatchInbox.Core memory core = next;
        IBatchInbox.Certificate memory c = _certificate(inbox.hashCore(next), dataHash, 15);
        _advance(10);
        vm.prank(stranger);
        inbox.post(core, c, "", "");
        _advance(3);
        vm.txGasPrice(0);
        vm.fee(0);
        // Two batches, 100 ether less 5 % treasury and the debts, 40 % for four producers alike.
        _closeEpoch(100 ether, _evenly(4), 15);
        IRevenueShare.Totals memory t = revenue.totals();
        uint256 each = (100 ether - t.debtsPaid - t.treasury) * 4_000 / 10_000 / 4;
        assertApproxEqAbs(revenue.forfeitsOf(stranger), each / 2, 1);
        uint64 other = onDuty == 1 ? 2 : 1;
        assertApproxEqAbs(revenue.claimableOwner(other) - revenue.claimableOwner(onDuty), each / 2, 2);
        assertEq(t.received, uint256(t.debtsPaid) + t.treasury + t.income + t.carry);
        uint256 due = revenue.forfeitsOf(stranger);
        vm.expectEmit(address(revenue));
        emit IRevenueShare.ForfeitsClaimed(stranger, address(0xbeef), due);
        vm.prank(stranger);
        assertEq(revenue.claimForfeits(address(0xbeef)), due);
        assertEq(address(0xbeef).balance, due);
        assertEq(revenue.forfeitsOf(stranger), 0);
        // The next epoch knows nothing of it.
        _advance(3);
        _closeEpoch(100 ether, _evenly(4), 15);
        assertEq(revenue.forfeitsOf(stranger), 0);
    }

    function test_certificates_of_an_old_snapshot_revert() public {
        vm.roll(1_000 + 211);
        vm.setBlockhash(next.originNumber, next.originHash);
        _refused(abi.encodeWithSelector(IBatchInbox.BatchInbox_SnapshotExpired.selector, 0, 211, 210));
    }

    // -- post: closing

    function test_closing_opens_the_next_epoch_and_moves_exactly_the_fees() public {
        _closeEpoch(3 ether, _evenly(4), 15);
        IBatchInbox.Anchor memory a = inbox.anchor();
        assertEq(a.epoch, 1);
        assertEq(a.lastHeight, 239);
        IBatchInbox.Epoch memory row = inbox.epochs(1);
        assertEq(row.firstHeight, 240);
        assertEq(row.snapshot, 0);
        assertEq(inbox.epochs(0).closingBatch, 1);
        assertEq(inbox.epochs(0).closingOrigin, next.originNumber);
        assertEq(address(portal).balance, SUPPLY - 3 ether);
        assertEq(address(revenue).balance, 3 ether);
        (uint64 batches,) = inbox.participation();
        assertEq(batches, 0);
    }

    function test_the_next_set_is_the_newest_sealed_by_the_end_of_the_epoch_before() public {
        // Epoch 0 closes; then snapshots 1 and 2 are sealed, one before and one after the origin that counts.
        uint64 first = _snapshot();
        _advance(4);
        _closeEpoch(0, _evenly(4), 15);
        _advance(4);
        uint64 second = _snapshot();
        _advance(4);
        // Epoch 1 ends: its successor's set depends on the origin at the end of epoch 0.
        _prepare(type(uint32).max);
        assertEq(next.nextSnapshot, first);
        bytes memory performance = _performance(_evenly(4));
        next.performance = keccak256(performance);
        bytes32 dataHash = _blobs();
        address poster = _dutyOperator(0);
        for (uint64 wrong = 0; wrong <= second; wrong += 2) {
            next.nextSnapshot = wrong;
            IBatchInbox.Certificate memory certificate = _certificate(inbox.hashCore(next), dataHash, 15);
            IBatchInbox.Core memory core = next;
            vm.expectPartialRevert(IBatchInbox.BatchInbox_OutOfRange.selector);
            vm.prank(poster);
            inbox.post(core, certificate, performance, "");
        }
        next.nextSnapshot = first;
        _post(15, performance);
        assertEq(inbox.anchor().snapshot, first);
        // A retired set cannot sign on: the next batch must name the new snapshot.
        _advance(3);
        _prepare(5);
        next.snapshot = 0;
        _wrong("snapshot", 0, first);
    }

    function test_performance_must_match_its_hash() public {
        _prepare(type(uint32).max);
        next.performance = keccak256("something else");
        bytes32 dataHash = _blobs();
        IBatchInbox.Certificate memory certificate = _certificate(inbox.hashCore(next), dataHash, 15);
        IBatchInbox.Core memory core = next;
        bytes memory performance = _performance(_evenly(4));
        vm.expectRevert(
            abi.encodeWithSelector(
                IBatchInbox.BatchInbox_WrongField.selector,
                "performance",
                uint256(keccak256("something else")),
                uint256(keccak256(performance))
            )
        );
        inbox.post(core, certificate, performance, "");
    }

    function test_only_the_last_sixteen_core_hashes_are_kept() public {
        for (uint256 i = 0; i < 18; ++i) {
            _prepare(2);
            _post(15, "");
            _advance(1);
        }
        assertEq(inbox.coreHashOf(18), inbox.anchor().coreHash);
        inbox.coreHashOf(3);
        vm.expectRevert(abi.encodeWithSelector(IBatchInbox.BatchInbox_OutOfRange.selector, "index", 2, 3, 18));
        inbox.coreHashOf(2);
        assertTrue(inbox.isRecentAnchor(inbox.coreHashOf(15)));
        assertFalse(inbox.isRecentAnchor(inbox.coreHashOf(14)));
        assertFalse(inbox.isRecentAnchor(0));
    }

    // -- Formats shared with the node

    function test_hashes_and_messages_are_those_of_the_node() public {
        string memory json = vm.readFile("../tests/vectors/messages.json");
        IBatchInbox.Core memory core = IBatchInbox.Core({
            version: 1,
            generation: 2,
            index: 3,
            previous: _word(4),
            epoch: 5,
            snapshot: 6,
            firstHeight: 7,
            lastHeight: 8,
            lastView: 9,
            lastBlock: _word(10),
            lastTimestamp: 11,
            stateRoot: _word(12),
            originNumber: 13,
            originHash: _word(14),
            deposits: 15,
            withdrawalsRoot: _word(16),
            closing: true,
            fees: 18,
            performance: _word(19),
            nextSnapshot: 20
        });
        bytes32 coreHash = inbox.hashCore(core);
        assertEq(coreHash, vm.parseJsonBytes32(json, ".coreHash"));
        bytes32[] memory blobs = vm.parseJsonBytes32Array(json, ".blobs");
        bytes32 dataHash = keccak256(abi.encodePacked(uint8(0), blobs));
        assertEq(dataHash, vm.parseJsonBytes32(json, ".dataHashBlobs"));
        assertEq(keccak256(abi.encodePacked(uint8(1), keccak256("some data"))), vm.parseJsonBytes32(json, ".dataHashCalldata"));
        // The vectors name contracts at 0x0101.. and 0x0202..: put the code there.
        address inboxAt = address(bytes20(hex"0101010101010101010101010101010101010101"));
        vm.etch(inboxAt, address(inbox).code);
        assertEq(IBatchInbox(inboxAt).batchMessage(coreHash, dataHash), vm.parseJsonBytes(json, ".batchMessage"));
        address poolAt = address(bytes20(hex"0202020202020202020202020202020202020202"));
        vm.etch(poolAt, address(pool).code);
        assertEq(
            ISequencerPool(poolAt)
                .possessionMessage(address(bytes20(hex"0303030303030303030303030303030303030303")), vm.parseJsonBytes(json, ".key")),
            vm.parseJsonBytes(json, ".possessionMessage")
        );
        bytes memory ready = vm.parseJsonBytes(json, ".readinessMessage");
        // Generation 2 and nonce 5 are set in the vector; the pool has 0 and 0 here: compare around these words.
        bytes memory mine = ISequencerPool(poolAt).readinessMessage(4, 6, _word(7), _word(8));
        assertEq(mine.length, ready.length);
        uint256 head = 1 + 11 + 64;
        ready[head + 31] = 0;
        ready[head + 32 + 32 + 31] = 0;
        assertEq(mine, ready);
    }

    function _word(uint64 i) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(i));
    }
}

/// @notice A set in which one of four members has five eighths of the stake.
contract UnequalStakesTest is World {
    uint256 private heavy;

    function setUp() public override {
        super.setUp();
        uint64[] memory ids = _found(4, 20_000e18);
        vm.prank(owner(ids[3]));
        staking.topUp(ids[3], 80_000e18);
        _startWith(ids);
        ISequencerPool.Member[] memory members = pool.snapshot(0).members;
        while (members[heavy].id != ids[3]) ++heavy;
        _advance(5);
        _prepare(10);
    }

    /// By count three of four are a quorum, on L1 they are three eighths.
    function test_many_members_with_less_than_two_thirds_of_the_stake_do_not_suffice() public {
        bytes32 dataHash = _blobs();
        IBatchInbox.Certificate memory certificate = _certificate(inbox.hashCore(next), dataHash, 15 ^ (1 << heavy));
        IBatchInbox.Core memory core = next;
        address poster = _dutyOperator(0);
        vm.expectRevert(abi.encodeWithSelector(IBatchInbox.BatchInbox_InsufficientStake.selector, 60_000e18, 160_000e18));
        vm.prank(poster);
        inbox.post(core, certificate, "", "");
    }

    function test_few_members_with_two_thirds_of_the_stake_suffice() public {
        // 120,000 of 160,000.
        _post((1 << heavy) | (heavy == 0 ? 2 : 1), "");
        assertEq(inbox.anchor().index, 1);
    }
}
