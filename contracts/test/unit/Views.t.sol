// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Lens} from "../../src/Lens.sol";
import {IProfiles} from "../../src/interfaces/IProfiles.sol";
import {ISequencerPool} from "../../src/interfaces/ISequencerPool.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {World} from "../helpers/World.sol";

/// @notice Lens and Profiles: what people read.
contract ViewsTest is World {
    function setUp() public override {
        super.setUp();
        _start(4);
    }

    function test_infos_tell_registered_active_jailed_and_serving() public {
        uint64 id = _bond(STAKE, 0);
        _register(id);
        vm.prank(slasher);
        pool.jail(2, 1);
        vm.prank(owner(3));
        pool.declareDowntime(3, 2, 5);
        Lens.Info[] memory list = lens.infos(0, 100);
        assertEq(list.length, 5);
        for (uint256 i = 0; i < 5; ++i) {
            assertEq(list[i].id, i + 1);
            assertEq(list[i].stake.owner, owner(uint64(i + 1)));
            assertEq(list[i].serving, i < 4);
            assertEq(list[i].entry.keys.operator, operator(uint64(i + 1)));
        }
        assertEq(uint8(list[0].entry.status), uint8(ISequencerPool.Status.Active));
        assertEq(uint8(list[1].entry.status), uint8(ISequencerPool.Status.Jailed));
        assertEq(uint8(list[4].entry.status), uint8(ISequencerPool.Status.Registered));
        assertEq(list[2].awayFrom, 2);
        assertEq(list[2].awayTo, 5);
        assertEq(lens.infos(4, 1)[0].id, 4);
        assertEq(lens.infos(6, 1).length, 0);
    }

    function test_infos_of_an_owner_are_paginated() public {
        vm.prank(owner(1));
        staking.proposeOwner(1, owner(4));
        vm.prank(owner(4));
        staking.acceptOwner(1);
        (Lens.Info[] memory list, uint64 nextId) = lens.infosOf(owner(4), 0, 100);
        assertEq(list.length, 2);
        assertEq(list[0].id, 1);
        assertEq(list[1].id, 4);
        assertEq(nextId, staking.sequencerCount() + 1);
        (list, nextId) = lens.infosOf(owner(4), 1, 2);
        assertEq(list.length, 1);
        assertEq(nextId, 3);
    }

    function test_admission_tells_what_a_candidate_meets() public {
        Lens.Admission memory a = lens.admission();
        assertEq(a.entriesLeft, 1);
        assertEq(a.nextSnapshotBlock, pool.nextSnapshotBlock());
        assertEq(a.minStake, 20_000e18);
        assertEq(a.active.length, 4);
        assertEq(a.stakes[3], STAKE);
        uint64 id = _bond(STAKE, 0);
        _register(id);
        _ready(id);
        assertEq(lens.admission().entriesLeft, 0);
    }

    function test_leaders_are_those_of_the_pool() public view {
        uint64[] memory ids = lens.leaders(0, 3, 4);
        for (uint64 i = 0; i < 4; ++i) {
            (, uint64 id) = pool.leaderAt(0, 3 + i);
            assertEq(ids[i], id);
        }
    }

    function test_previews_of_an_unknown_sequencer_revert() public {
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_UnknownSequencer.selector, 9));
        lens.room(9);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_UnknownSequencer.selector, 9));
        lens.previewEntry(9, 1);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_UnknownSequencer.selector, 9));
        lens.previewStake(9, 1);
    }

    function test_an_owner_sets_its_profile_within_limits() public {
        IProfiles.Profile memory p = IProfiles.Profile("Example", "https://example.org", keccak256("logo"));
        vm.expectRevert(abi.encodeWithSelector(IProfiles.Profiles_NotOwner.selector, 1, owner(1), address(this)));
        profiles.set(1, p);
        vm.startPrank(owner(1));
        vm.expectEmit(address(profiles));
        emit IProfiles.ProfileSet(1, owner(1), p.name, p.url, p.logoHash);
        profiles.set(1, p);
        assertEq(abi.encode(profiles.profileOf(1)), abi.encode(p));
        p.name = string(new bytes(65));
        vm.expectRevert(abi.encodeWithSelector(IProfiles.Profiles_TooLong.selector, "name", 65, 64));
        profiles.set(1, p);
        (p.name, p.url) = (string(new bytes(64)), string(new bytes(257)));
        vm.expectRevert(abi.encodeWithSelector(IProfiles.Profiles_TooLong.selector, "url", 257, 256));
        profiles.set(1, p);
        p.url = string(new bytes(256));
        profiles.set(1, p);
        assertEq(bytes(profiles.profileOf(1).url).length, 256);
    }
}
