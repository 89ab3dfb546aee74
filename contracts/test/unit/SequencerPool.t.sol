// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IParameters} from "../../src/interfaces/IParameters.sol";
import {ISequencerPool} from "../../src/interfaces/ISequencerPool.sol";
import {Bls} from "../../src/libraries/Bls.sol";
import {BlsSigner} from "../helpers/BlsSigner.sol";
import {World} from "../helpers/World.sol";

contract SequencerPoolTest is World {
    uint64 private newcomer;

    function _values() internal pure override returns (IParameters.Values memory v) {
        v = super._values();
        v.stakes.maxMembers = 5;
    }

    function setUp() public override {
        super.setUp();
        _start(4);
        newcomer = _bond(STAKE, 0);
    }

    function _possession(uint64 id, ISequencerPool.Keys memory keys) private view returns (bytes memory) {
        return BlsSigner.provePossession(secret(id), pool.possessionMessage(owner(id), keys.blsKey));
    }

    // -- register

    function test_registering_tells_all_keys() public {
        ISequencerPool.Keys memory keys = keysOf(newcomer);
        bytes memory possession = _possession(newcomer, keys);
        _commit(newcomer, keys, possession);
        vm.expectEmit(address(pool));
        emit ISequencerPool.Registered(newcomer, keys.operator, keys.identity, keys.blsKey, keys.endpoint);
        vm.prank(owner(newcomer));
        pool.register(newcomer, keys, possession, 0);
        ISequencerPool.Entry memory e = pool.entry(newcomer);
        assertEq(uint8(e.status), uint8(ISequencerPool.Status.Registered));
        assertEq(abi.encode(e.keys), abi.encode(keys));
    }

    function test_registering_for_another_owner_reverts() public {
        ISequencerPool.Keys memory keys = keysOf(newcomer);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_NotOwner.selector, newcomer, owner(newcomer), address(this)));
        pool.register(newcomer, keys, "", 0);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_NotOwner.selector, 99, address(0), address(this)));
        pool.register(99, keys, "", 0);
    }

    /// C20.
    function test_a_proof_of_possession_binds_key_and_owner() public {
        ISequencerPool.Keys memory keys = keysOf(newcomer);
        vm.startPrank(owner(newcomer));
        bytes memory foreign = BlsSigner.provePossession(secret(newcomer), pool.possessionMessage(owner(1), keys.blsKey));
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_BadProofOfPossession.selector, newcomer));
        pool.register(newcomer, keys, foreign, 0);
        bytes memory wrongDomain = BlsSigner.sign(secret(newcomer), pool.possessionMessage(owner(newcomer), keys.blsKey));
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_BadProofOfPossession.selector, newcomer));
        pool.register(newcomer, keys, wrongDomain, 0);
        keys.blsKey = new bytes(256);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_BadProofOfPossession.selector, newcomer));
        pool.register(newcomer, keys, foreign, 0);
    }

    function test_keys_and_endpoints_of_others_are_taken() public {
        ISequencerPool.Keys memory mine = keysOf(newcomer);
        ISequencerPool.Keys memory theirs = keysOf(1);
        vm.startPrank(owner(newcomer));
        ISequencerPool.Keys memory keys = keysOf(newcomer);
        keys.identity = theirs.identity;
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_Taken.selector, "identity", 1));
        pool.register(newcomer, keys, "", 0);
        (keys.identity, keys.operator) = (mine.identity, theirs.operator);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_Taken.selector, "operator", 1));
        pool.register(newcomer, keys, "", 0);
        (keys.operator, keys.blsKey) = (mine.operator, theirs.blsKey);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_Taken.selector, "blsKey", 1));
        pool.register(newcomer, keys, "", 0);
        (keys.blsKey, keys.endpoint) = (mine.blsKey, theirs.endpoint);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_Taken.selector, "endpoint", 1));
        pool.register(newcomer, keys, "", 0);
    }

    function test_malformed_keys_revert() public {
        vm.startPrank(owner(newcomer));
        ISequencerPool.Keys memory keys = keysOf(newcomer);
        keys.identity = 0;
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_Malformed.selector, "identity"));
        pool.register(newcomer, keys, "", 0);
        keys = keysOf(newcomer);
        keys.operator = address(0);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_Malformed.selector, "operator"));
        pool.register(newcomer, keys, "", 0);
        keys = keysOf(newcomer);
        keys.blsKey = new bytes(96);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_Malformed.selector, "blsKey"));
        pool.register(newcomer, keys, "", 0);
        keys = keysOf(newcomer);
        keys.endpoint = "";
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_Malformed.selector, "endpoint"));
        pool.register(newcomer, keys, "", 0);
        keys.endpoint = string(new bytes(256));
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_Malformed.selector, "endpoint"));
        pool.register(newcomer, keys, "", 0);
    }

    function test_new_keys_count_from_the_next_snapshot_and_old_ones_stay_taken() public {
        ISequencerPool.Keys memory keys = keysOf(1);
        bytes memory oldKey = keys.blsKey;
        keys.blsKey = BlsSigner.publicKey(7);
        keys.endpoint = "moved.example:1";
        bytes memory possession = BlsSigner.provePossession(7, pool.possessionMessage(owner(1), keys.blsKey));
        _commit(1, keys, possession);
        vm.prank(owner(1));
        pool.register(1, keys, possession, 0);
        assertEq(uint8(pool.entry(1).status), uint8(ISequencerPool.Status.Active), "rotation keeps the seat");
        _advance(20);
        uint64 id = _snapshot();
        uint256 found;
        for (uint256 i = 0; i < 4; ++i) {
            if (pool.snapshot(0).members[i].id != 1) continue;
            assertEq(pool.snapshot(0).members[i].blsKey, oldKey, "a snapshot never changes");
            assertEq(pool.snapshot(id).members[i].blsKey, keys.blsKey);
            assertEq(pool.snapshot(id).members[i].endpoint, "moved.example:1");
            ++found;
        }
        assertEq(found, 1);
        ISequencerPool.Keys memory others = keysOf(newcomer);
        others.blsKey = oldKey;
        vm.prank(owner(newcomer));
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_Taken.selector, "blsKey", 1));
        pool.register(newcomer, others, "", 0);
        // The endpoint is free again.
        others = keysOf(newcomer);
        others.endpoint = keysOf(1).endpoint;
        possession = _possession(newcomer, others);
        _commit(newcomer, others, possession);
        vm.prank(owner(newcomer));
        pool.register(newcomer, others, possession, 0);
    }

    // -- activate, deactivate

    function test_readiness_activates_once() public {
        _register(newcomer);
        _advance(2);
        uint64 number = uint64(vm.getBlockNumber()) - 1;
        bytes memory proof = BlsSigner.sign(secret(newcomer), pool.readinessMessage(newcomer, number, blockhash(number), 0));
        pool.activate(newcomer, number, 0, proof);
        assertEq(pool.active().length, 5);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_WrongStatus.selector, newcomer, ISequencerPool.Status.Active));
        pool.activate(newcomer, number, 0, proof);
        // C16: after leaving, the same proof is worth nothing.
        vm.prank(owner(newcomer));
        pool.deactivate(newcomer);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_BadReadiness.selector, newcomer));
        pool.activate(newcomer, number, 0, proof);
        _ready(newcomer);
        assertEq(pool.entry(newcomer).nonce, 2);
    }

    function test_readiness_must_cite_a_recent_block_and_anchor() public {
        _register(newcomer);
        _advance(30);
        uint64 head = uint64(vm.getBlockNumber());
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_StaleReadiness.selector, head - 21, head, 20));
        pool.activate(newcomer, head - 21, 0, "");
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_StaleReadiness.selector, head, head, 20));
        pool.activate(newcomer, head, 0, "");
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_UnknownAnchor.selector, keccak256("no anchor")));
        pool.activate(newcomer, head - 1, keccak256("no anchor"), "");
        bytes memory foreign = BlsSigner.sign(secret(1), pool.readinessMessage(newcomer, head - 1, blockhash(head - 1), 0));
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_BadReadiness.selector, newcomer));
        pool.activate(newcomer, head - 1, 0, foreign);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_WrongStatus.selector, 77, ISequencerPool.Status.None));
        pool.activate(77, head - 1, 0, foreign);
    }

    function test_activation_needs_the_minimum_stake() public {
        _register(newcomer);
        vm.prank(owner(newcomer));
        staking.requestSelfExit(newcomer, STAKE - 20_000e18 + 1);
        uint64 number = uint64(vm.getBlockNumber()) - 1;
        bytes memory proof = BlsSigner.sign(secret(newcomer), pool.readinessMessage(newcomer, number, blockhash(number), 0));
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_InsufficientStake.selector, newcomer, 20_000e18 - 1, 20_000e18));
        pool.activate(newcomer, number, 0, proof);
    }

    function test_a_full_set_yields_its_lowest_seat_to_five_percent_more() public {
        uint64 sixth = _fullSet();
        (uint64 number, bytes32 anchor, bytes memory proof) = _proof(sixth);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_SetFull.selector, STAKE, 42_000e18));
        pool.activate(sixth, number, anchor, proof);
        vm.prank(owner(sixth));
        staking.topUp(sixth, 2_000e18 - 1);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_SetFull.selector, STAKE + 2_000e18 - 1, 42_000e18));
        pool.activate(sixth, number, anchor, proof);
        vm.prank(owner(sixth));
        staking.topUp(sixth, 1);
        vm.expectEmit(address(pool));
        emit ISequencerPool.Deactivated(1, ISequencerPool.DeactivationReason.Replaced, 2);
        pool.activate(sixth, number, anchor, proof);
        assertEq(pool.active().length, 5);
        assertEq(uint8(pool.entry(1).status), uint8(ISequencerPool.Status.Registered));
        assertEq(pool.enteredIn(sixth), 2);
    }

    /// Where everybody is at the cap, the longest-serving one yields; where only some are, the lowest does.
    function test_among_capped_members_the_longest_serving_yields() public {
        uint64 sixth = _fullSet();
        for (uint64 id = 1; id <= 6; ++id) {
            vm.prank(owner(id));
            staking.topUp(id, id == 3 ? 58_000e18 : 60_000e18);
        }
        (uint64 number, bytes32 anchor, bytes memory proof) = _proof(sixth);
        // 98,000 are less than 5 % below the cap: whoever stands at the cap may come in all the same.
        vm.expectEmit(address(pool));
        emit ISequencerPool.Deactivated(3, ISequencerPool.DeactivationReason.Replaced, 2);
        pool.activate(sixth, number, anchor, proof);
        _serve();
        // All at the cap now: of the founders, which entered together, the first in the list goes; newcomer and sixth stay.
        vm.prank(owner(3));
        staking.topUp(3, 2_000e18);
        (number, anchor, proof) = _proof(3);
        pool.activate(3, number, anchor, proof);
        assertEq(uint8(pool.entry(1).status), uint8(ISequencerPool.Status.Registered));
        assertEq(uint8(pool.entry(newcomer).status), uint8(ISequencerPool.Status.Active));
        assertEq(uint8(pool.entry(sixth).status), uint8(ISequencerPool.Status.Active));
    }

    /// Entries are limited against the serving snapshot; leaving never is.
    function test_one_newcomer_for_every_eight_members_at_least_one() public {
        uint64 sixth = _bond(STAKE, 0);
        _register(newcomer);
        _register(sixth);
        _ready(newcomer);
        (uint256 newcomers, uint256 limit) = pool.churn();
        assertEq(newcomers, 1);
        assertEq(limit, 1);
        (uint64 number, bytes32 anchor, bytes memory proof) = _proof(sixth);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_TooManyEntries.selector, 1, 1));
        pool.activate(sixth, number, anchor, proof);
        for (uint64 id = 1; id < 4; ++id) {
            vm.prank(owner(id));
            pool.deactivate(id);
        }
        vm.prank(owner(newcomer));
        pool.deactivate(newcomer);
        assertEq(pool.active().length, 1);
        pool.activate(sixth, number, anchor, proof);
        assertEq(pool.active().length, 2);
    }

    /// @dev Five serve, the fifth of them being `newcomer`; a sixth is registered.
    function _fullSet() private returns (uint64 sixth) {
        _register(newcomer);
        _ready(newcomer);
        sixth = _bond(STAKE, 0);
        _register(sixth);
        _advance(5);
        _serve();
    }

    function _proof(uint64 id) private view returns (uint64 number, bytes32 anchor, bytes memory proof) {
        number = uint64(vm.getBlockNumber()) - 1;
        anchor = inbox.anchor().coreHash;
        proof = BlsSigner.sign(secret(id), pool.readinessMessage(id, number, blockhash(number), anchor));
    }

    function test_only_the_owner_deactivates() public {
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_NotOwner.selector, 1, owner(1), address(this)));
        pool.deactivate(1);
        vm.startPrank(owner(newcomer));
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_WrongStatus.selector, newcomer, ISequencerPool.Status.None));
        pool.deactivate(newcomer);
    }

    // -- snapshots

    function test_the_genesis_snapshot_is_sealed_at_once() public {
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_NotInbox.selector, address(inbox), address(this)));
        pool.installSet(new uint64[](0));
        ISequencerPool.Snapshot memory s = pool.snapshot(0);
        assertEq(s.sealBlock, s.takenBlock);
        assertEq(s.seed, keccak256(abi.encodePacked(keccak256("prevrandao"), uint64(0))));
        assertEq(s.totalStake, 4 * STAKE);
    }

    function test_before_the_start_nobody_is_activated_and_nothing_is_taken() public {
        _deploy(_values());
        vm.expectRevert(ISequencerPool.SequencerPool_NotStarted.selector);
        pool.takeSnapshot();
        vm.expectRevert(ISequencerPool.SequencerPool_NotStarted.selector);
        pool.activate(1, 1, 0, "");
        uint64[] memory twice = new uint64[](2);
        twice[0] = _bond(STAKE, 0);
        twice[1] = twice[0];
        _register(twice[0]);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_WrongStatus.selector, 1, ISequencerPool.Status.Active));
        vm.prank(address(inbox));
        pool.installSet(twice);
        vm.expectRevert(ISequencerPool.SequencerPool_EmptySet.selector);
        vm.prank(address(inbox));
        pool.installSet(new uint64[](0));
    }

    function test_members_ascend_by_identity_and_their_keys_sum_up() public {
        _register(newcomer);
        _ready(newcomer);
        _advance(10);
        ISequencerPool.Snapshot memory s = pool.snapshot(_snapshot());
        assertEq(s.members.length, 5);
        bytes memory sum = s.members[0].blsKey;
        for (uint256 i = 1; i < 5; ++i) {
            assertGt(uint256(s.members[i].identity), uint256(s.members[i - 1].identity));
            sum = Bls.add(sum, s.members[i].blsKey);
        }
        assertEq(s.aggregate, sum);
        for (uint256 i = 0; i < 5; ++i) {
            ISequencerPool.Keys memory keys = keysOf(s.members[i].id);
            assertEq(s.members[i].identity, keys.identity);
            assertEq(s.members[i].operator, keys.operator);
            assertEq(s.members[i].owner, owner(s.members[i].id));
            assertEq(s.members[i].stake, STAKE);
            assertEq(s.members[i].shares, uint256(STAKE) * 1e6);
        }
    }

    function test_members_below_the_minimum_drop_out_at_the_next_snapshot() public {
        vm.prank(owner(2));
        staking.requestSelfExit(2, STAKE);
        _advance(10);
        vm.expectEmit(address(pool));
        emit ISequencerPool.Deactivated(2, ISequencerPool.DeactivationReason.Stake, 1);
        uint64 id = _snapshot();
        assertEq(pool.snapshot(id).members.length, 3);
        assertEq(pool.snapshot(0).members.length, 4);
        assertEq(uint8(pool.entry(2).status), uint8(ISequencerPool.Status.Registered));
        for (uint64 i = 1; i <= 4; ++i) {
            uint128 held = staking.stakeOf(i, address(0));
            if (held == 0) continue;
            vm.prank(owner(i));
            staking.requestSelfExit(i, held);
        }
        _advance(10);
        vm.expectRevert(ISequencerPool.SequencerPool_EmptySet.selector);
        pool.takeSnapshot();
    }

    function test_snapshots_keep_their_distance_and_wait_for_the_seal() public {
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_TooEarly.selector, 1_005, 1_000));
        pool.takeSnapshot();
        _advance(5);
        pool.takeSnapshot();
        _advance(5);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_Unsealed.selector, 1));
        pool.takeSnapshot();
        // A snapshot that nobody sealed while its header was known blocks nothing for ever.
        vm.roll(1_005 + 8 + 8_191 + 1);
        assertEq(pool.takeSnapshot(), 2);
    }

    /// C28, C43: the seed is fixed by one block's prevrandao, whoever seals.
    function test_seal_takes_exactly_the_header_of_the_eighth_block() public {
        _advance(5);
        uint64 id = pool.takeSnapshot();
        _advance(12);
        bytes memory header = _header(1_013, keccak256("randao"));
        bytes memory other = _header(1_014, keccak256("other"));
        vm.expectRevert(
            abi.encodeWithSelector(ISequencerPool.SequencerPool_WrongHeader.selector, 1_013, keccak256(header), keccak256(other))
        );
        pool.seal(id, other);
        bytes32 seed = keccak256(abi.encodePacked(keccak256("randao"), id));
        vm.expectEmit(address(pool));
        emit ISequencerPool.SnapshotSealed(id, 1_017, seed);
        pool.seal(id, header);
        assertEq(pool.snapshot(id).seed, seed);
        assertEq(pool.latestSealed(), id);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_AlreadySealed.selector, id));
        pool.seal(id, header);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_UnknownSnapshot.selector, 9));
        pool.seal(9, header);
    }

    function test_seal_before_the_eighth_block_is_known_reverts() public {
        _advance(5);
        uint64 id = pool.takeSnapshot();
        _advance(8);
        vm.expectPartialRevert(ISequencerPool.SequencerPool_WrongHeader.selector);
        pool.seal(id, "");
    }

    function test_the_newest_snapshot_at_a_block_goes_by_its_seal() public {
        _advance(5);
        uint64 first = _snapshot();
        _advance(5);
        uint64 second = _snapshot();
        (, uint64 firstSeal) = pool.snapshotBlocks(first);
        (, uint64 secondSeal) = pool.snapshotBlocks(second);
        assertTrue(pool.isNewestAt(0, 0), "snapshot 0 where there is none");
        assertTrue(pool.isNewestAt(0, firstSeal - 1));
        assertFalse(pool.isNewestAt(0, firstSeal));
        assertTrue(pool.isNewestAt(first, firstSeal));
        assertTrue(pool.isNewestAt(first, secondSeal - 1));
        assertFalse(pool.isNewestAt(first, secondSeal));
        assertTrue(pool.isNewestAt(second, secondSeal));
        assertFalse(pool.isNewestAt(second, secondSeal - 1));
        assertFalse(pool.isNewestAt(second + 1, secondSeal));
    }

    // -- leaders

    /// P4 one_leader.
    function testFuzz_leaders_are_drawn_in_proportion_to_stake(uint64 epoch) public {
        vm.prank(owner(1));
        staking.topUp(1, 60_000e18);
        _advance(10);
        uint64 id = _snapshot();
        uint256 led;
        for (uint64 term = 1; term <= 200; ++term) {
            (uint256 member, uint64 sequencer) = pool.leaderOf(id, epoch, term);
            assertEq(pool.snapshotCount(), 2);
            assertLt(member, 4);
            if (sequencer == 1) ++led;
        }
        // 100,000 of 220,000 tokens: 91 of 200 terms; five standard deviations are 35.
        assertApproxEqAbs(led, 91, 36);
    }

    function test_leader_at_follows_the_epoch_table() public {
        (uint256 member, uint64 id) = pool.leaderAt(0, 3);
        (uint256 expectedMember, uint64 expectedId) = pool.leaderOf(0, 0, 3);
        assertEq(member, expectedMember);
        assertEq(id, expectedId);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_UnknownSnapshot.selector, 0));
        pool.leaderAt(1, 1);
        _advance(5);
        uint64 unsealed = pool.takeSnapshot();
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_UnknownSnapshot.selector, unsealed));
        pool.leaderOf(unsealed, 0, 1);
    }
}
