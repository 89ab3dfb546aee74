// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Code} from "../../src/libraries/Code.sol";
import {History} from "../../src/libraries/History.sol";
import {Snapshots} from "../../src/libraries/Snapshots.sol";
import {Tally} from "../../src/libraries/Tally.sol";
import {Test} from "forge-std/Test.sol";

contract LibrariesTest is Test {
    using History for History.Trace;
    using Tally for Tally.Counters;

    History.Trace private trace;
    Tally.Counters private counters;
    mapping(uint256 => uint128) private expected;

    struct Case {
        string epoch;
        uint256 leader;
        bytes32 seed;
        string[] stakes;
        string term;
    }

    // -- Snapshots

    function test_leaders_are_those_of_the_rust_schedule() public {
        string memory json = vm.readFile("../tests/vectors/leaders.json");
        uint256 cases;
        for (; vm.keyExistsJson(json, string.concat(".cases[", vm.toString(cases), "]")); ++cases) {
            string memory path = string.concat(".cases[", vm.toString(cases), "]");
            uint256[] memory stakes = vm.parseJsonUintArray(json, string.concat(path, ".stakes"));
            Snapshots.Member[] memory members = new Snapshots.Member[](stakes.length);
            uint256 total;
            bool fits = true;
            for (uint256 i = 0; i < stakes.length; ++i) {
                // A snapshot stores 112 bits; Staking's bounds keep stakes below that.
                fits = fits && stakes[i] < 1 << 112;
                (members[i].stake, members[i].id) = (uint128(stakes[i]), uint64(i + 1));
                total += stakes[i];
            }
            if (!fits) continue;
            bytes memory data = Snapshots.load(Snapshots.write(new bytes(256), total, members));
            uint256 leader = Snapshots.leader(
                data,
                vm.parseJsonBytes32(json, string.concat(path, ".seed")),
                uint64(vm.parseJsonUint(json, string.concat(path, ".epoch"))),
                uint64(vm.parseJsonUint(json, string.concat(path, ".term")))
            );
            assertEq(leader, vm.parseJsonUint(json, string.concat(path, ".leader")), path);
        }
        assertGt(cases, 20);
    }

    function testFuzz_members_read_back_as_written(uint112 stake, uint128 shares, uint16 commission, address card, uint64 id, uint32 from)
        public
    {
        Snapshots.Member[] memory members = new Snapshots.Member[](3);
        members[1] = Snapshots.Member(stake, shares, commission, card, id, from);
        bytes memory key = abi.encodePacked(keccak256("key"), new bytes(224));
        bytes memory data = Snapshots.load(Snapshots.write(key, stake, members));
        assertEq(abi.encode(Snapshots.memberAt(data, 1)), abi.encode(members[1]));
        assertEq(abi.encode(Snapshots.memberAt(data, 2)), abi.encode(members[2]));
        assertEq(Snapshots.count(data), 3);
        assertEq(Snapshots.totalStake(data), stake);
        assertEq(Snapshots.aggregate(data), key);
        assertEq(Snapshots.stakeOf(data, 1), stake);
        assertEq(Snapshots.cardOf(data, 1), card);
        assertEq(Snapshots.idOf(data, 1), id);
    }

    // -- Code

    function testFuzz_code_reads_back_as_written(bytes memory data) public {
        assertEq(Code.read(Code.write(data)), data);
    }

    function store(bytes memory data) external returns (address) {
        return Code.write(data);
    }

    function test_code_beyond_the_limit_reverts() public {
        assertEq(Code.read(Code.write(new bytes(24_575))).length, 24_575);
        vm.expectRevert(abi.encodeWithSelector(Code.Code_WriteFailed.selector, 24_576));
        this.store(new bytes(24_576));
        vm.expectRevert(abi.encodeWithSelector(Code.Code_WriteFailed.selector, 70_000));
        this.store(new bytes(70_000));
    }

    // -- Tally

    /// Random bitmaps over several epochs, so that stale planes of earlier epochs would show.
    function testFuzz_tally_counts_each_member(uint256 seed) public {
        for (uint256 epoch = 0; epoch < 3; ++epoch) {
            uint256 batches = epoch == 0 ? 300 : uint256(keccak256(abi.encode(seed, epoch))) % 40 + 1;
            uint64[] memory counts = new uint64[](64);
            for (uint256 batch = 1; batch <= batches; ++batch) {
                uint256 bitmap = uint64(uint256(keccak256(abi.encode(seed, epoch, batch))));
                // Some members always sign, some only early: both carry chains and idle high planes occur.
                bitmap |= 1;
                if (batch > 3) bitmap &= ~uint256(2);
                counters.add(bitmap, batch);
                for (uint256 i = 0; i < 64; ++i) {
                    counts[i] += uint64((bitmap >> i) & 1);
                }
            }
            assertEq(abi.encode(counters.read(64, batches)), abi.encode(counts));
        }
    }

    /// A slot that the epoch before used starts at zero even if no count reaches it.
    function test_tally_forgets_the_epoch_before() public {
        for (uint256 batch = 1; batch <= 40; ++batch) {
            counters.add(3, batch);
        }
        for (uint256 batch = 1; batch <= 20; ++batch) {
            counters.add(batch % 2 == 0 ? 1 : 2, batch);
        }
        uint64[] memory counts = counters.read(2, 20);
        assertEq(counts[0], 10);
        assertEq(counts[1], 10);
    }

    // -- History

    function testFuzz_history_remembers_every_period(uint256 seed) public {
        uint24 period = uint24(seed % 3);
        for (uint256 i = 0; i < 20; ++i) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            uint24 step = uint24(random % 3);
            for (uint24 p = 0; p < step; ++p) {
                expected[period + p + 1] = expected[period];
            }
            period += step;
            uint128 value = uint128((random >> 8) % 5);
            uint128 held = trace.value();
            if (value < held) trace.leave(held - value, period);
            else trace.enter(value - held, period);
            expected[period] = value;
        }
        for (uint64 p = 0; p <= period; ++p) {
            History.Point memory then = trace.at(p);
            assertEq(then.entered - then.left, expected[p]);
        }
        uint256 from;
        for (uint256 i = 0; trace.entered != 0 && i <= trace.older; ++i) {
            History.Point memory point = trace.point(i);
            assertEq(point.entered - point.left, expected[point.from]);
            if (i > 0) assertGt(point.from, from);
            from = point.from;
        }
        assertEq(trace.at(type(uint64).max).from, from);
    }
}
