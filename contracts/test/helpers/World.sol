// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BatchInbox} from "../../src/BatchInbox.sol";
import {BatonToken} from "../../src/BatonToken.sol";
import {Commitments} from "../../src/Commitments.sol";
import {Governance} from "../../src/Governance.sol";
import {Lens} from "../../src/Lens.sol";
import {Parameters} from "../../src/Parameters.sol";
import {Portal} from "../../src/Portal.sol";
import {Profiles} from "../../src/Profiles.sol";
import {Recovery} from "../../src/Recovery.sol";
import {RevenueShare} from "../../src/RevenueShare.sol";
import {SequencerPool} from "../../src/SequencerPool.sol";
import {Slasher} from "../../src/Slasher.sol";
import {Staking} from "../../src/Staking.sol";
import {IBatchInbox} from "../../src/interfaces/IBatchInbox.sol";
import {IParameters} from "../../src/interfaces/IParameters.sol";
import {ISequencerPool} from "../../src/interfaces/ISequencerPool.sol";
import {BlsSigner} from "./BlsSigner.sol";
import {Test} from "forge-std/Test.sol";

/// @notice A whole Baton on a test chain: deployed as the deployer does it, with sequencers whose keys the test holds.
abstract contract World is Test {
    uint128 internal constant STAKE = 40_000e18;
    uint256 internal constant SUPPLY = 1_000 ether;

    BatonToken internal token;
    Parameters internal parameters;
    Staking internal staking;
    SequencerPool internal pool;
    Portal internal portal;
    RevenueShare internal revenue;
    BatchInbox internal inbox;
    address internal treasury = makeAddr("treasury");
    Slasher internal slashing;
    Governance internal governance;
    Recovery internal recovery;
    Profiles internal profiles;
    Commitments internal commitments;
    Lens internal lens;
    address internal governor = makeAddr("governor");
    address internal guardian = makeAddr("guardian");
    uint32 internal constant DELAY = 240;
    /// @dev Who may slash and jail: the Slasher, or an account that stands for it.
    address internal slasher;

    /// @dev The next batch as an honest set would certify it; tests bend it.
    IBatchInbox.Core internal next;

    function setUp() public virtual {
        vm.roll(1_000);
        vm.warp(1_700_000_000);
        _deploy(_values());
    }

    /// @dev The devnet's parameters (anvil/parameters.json).
    function _values() internal pure virtual returns (IParameters.Values memory v) {
        v.l2 = IParameters.Rules({
            l2ChainId: 13_370,
            gasLimit: 60_000_000,
            blockBytes: 2_097_152,
            epochBlocks: 240,
            termViews: 30,
            originDepth: 2,
            maxOriginLag: 60,
            l1BlockTime: 1,
            blockTimeMs: 50,
            idleBlockTimeMs: 150,
            leaderTimeoutMs: 300,
            unpostedLimit: 30,
            minDepositPrice: 1_000_000
        });
        v.posting = IParameters.Posting({
            batchMaxAgeMs: 4_000,
            batchMaxBytes: 400_000,
            signWaitMs: 100,
            postGrace: 3,
            settlementDelay: 4,
            stallTime: 60,
            recoveryWindow: 15
        });
        v.stakes = IParameters.Stakes({
            snapshotInterval: 5,
            readinessWindow: 20,
            maxMembers: 64,
            unbonding: 240,
            certificateLife: 210,
            minStake: 20_000e18,
            maxStake: 100_000e18
        });
        v.money = IParameters.Money({treasuryBps: 500, producersBps: 4_000, tipCap: 3 gwei, repayCap: 1 ether, emission: 1e18});
        v.penalties = IParameters.Penalties({firstBps: 500, repeatedBps: 2_500, bountyBps: 500, jailTime: 60});
    }

    function _deploy(IParameters.Values memory v) internal {
        uint64 nonce = vm.getNonce(address(this));
        address stakingAddress = vm.computeCreateAddress(address(this), nonce + 2);
        address poolAddress = vm.computeCreateAddress(address(this), nonce + 3);
        address revenueAddress = vm.computeCreateAddress(address(this), nonce + 5);
        address inboxAddress = vm.computeCreateAddress(address(this), nonce + 6);
        slasher = vm.computeCreateAddress(address(this), nonce + 7);
        address recoveryAddress = vm.computeCreateAddress(address(this), nonce + 9);
        address commitmentsAddress = vm.computeCreateAddress(address(this), nonce + 12);
        // By artifact name: a test that embedded the creation code would compile all of it again.
        token = BatonToken(vm.deployCode("BatonToken.sol", abi.encode(address(this), 1e9 * 1e18)));
        address manager = vm.computeCreateAddress(address(this), nonce + 8);
        parameters = Parameters(vm.deployCode("Parameters.sol", abi.encode(v, manager, stakingAddress, inboxAddress)));
        staking = Staking(vm.deployCode("Staking.sol", abi.encode(parameters, token, poolAddress, slasher, revenueAddress)));
        pool = SequencerPool(vm.deployCode("SequencerPool.sol", abi.encode(parameters, staking, inboxAddress, slasher, commitmentsAddress)));
        address[3] memory forbidden = [address(staking), poolAddress, address(token)];
        portal = Portal(payable(vm.deployCode("Portal.sol", abi.encode(parameters, inboxAddress, revenueAddress, forbidden))));
        revenue = RevenueShare(vm.deployCode("RevenueShare.sol", abi.encode(parameters, staking, pool, inboxAddress, portal, treasury)));
        inbox = BatchInbox(vm.deployCode("BatchInbox.sol", abi.encode(parameters, pool, portal, revenue, recoveryAddress)));
        slashing = Slasher(vm.deployCode("Slasher.sol", abi.encode(parameters, staking, pool, inbox)));
        governance = Governance(vm.deployCode("Governance.sol", abi.encode(parameters, governor, guardian, DELAY)));
        recovery = Recovery(vm.deployCode("Recovery.sol", abi.encode(parameters, staking, pool, inbox)));
        assertEq(address(recovery), recoveryAddress);
        profiles = Profiles(vm.deployCode("Profiles.sol", abi.encode(staking)));
        lens = Lens(vm.deployCode("Lens.sol", abi.encode(staking, pool, inbox)));
        commitments = Commitments(vm.deployCode("Commitments.sol"));
        assertEq(address(commitments), commitmentsAddress);
        assertEq(address(staking), stakingAddress);
        assertEq(address(governance), manager);
        assertEq(address(inbox), inboxAddress);
        assertEq(address(slashing), slasher);
    }

    // -- Sequencers

    function owner(uint64 id) internal pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("owner", id)))));
    }

    function operator(uint64 id) internal pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("operator", id)))));
    }

    function secret(uint64 id) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("vote key", id))) % BlsSigner.ORDER;
    }

    function keysOf(uint64 id) internal view returns (ISequencerPool.Keys memory) {
        return ISequencerPool.Keys({
            identity: keccak256(abi.encode("identity", id)),
            operator: operator(id),
            blsKey: BlsSigner.publicKey(secret(id)),
            endpoint: string.concat("node-", vm.toString(id), ".example:9000")
        });
    }

    function _fund(address account, uint256 amount) internal {
        token.transfer(account, amount);
        vm.prank(account);
        token.approve(address(staking), type(uint256).max);
    }

    function _bond(uint128 amount, uint16 commission) internal returns (uint64 id) {
        id = staking.sequencerCount() + 1;
        _fund(owner(id), 1_000_000e18);
        vm.prank(owner(id));
        assertEq(staking.bond(amount, commission, 5_000), id);
    }

    function _register(uint64 id) internal {
        ISequencerPool.Keys memory keys = keysOf(id);
        bytes memory possession = BlsSigner.provePossession(secret(id), pool.possessionMessage(owner(id), keys.blsKey));
        _commit(id, keys, possession);
        vm.prank(owner(id));
        pool.register(id, keys, possession, 0);
    }

    /// @dev Announces a registration, and waits until it counts; founders need not.
    function _commit(uint64 id, ISequencerPool.Keys memory keys, bytes memory possession) internal {
        if (pool.snapshotCount() == 0) return;
        vm.prank(owner(id));
        commitments.commit(keccak256(abi.encodeCall(pool.register, (id, keys, possession, 0))));
        _advance(commitments.EARLIEST());
    }

    function _found(uint256 count, uint128 stake) internal returns (uint64[] memory ids) {
        ids = new uint64[](count);
        for (uint256 i = 0; i < count; ++i) {
            ids[i] = _bond(stake, 1_000);
            _register(ids[i]);
        }
    }

    function _genesis() internal view returns (IBatchInbox.Genesis memory) {
        return IBatchInbox.Genesis({
            blockHash: keccak256("genesis"),
            stateRoot: keccak256("genesis state"),
            timestamp: uint64(vm.getBlockTimestamp()) - 1,
            originNumber: uint64(vm.getBlockNumber()) - 1,
            originHash: blockhash(vm.getBlockNumber() - 1),
            supply: SUPPLY
        });
    }

    /// @dev `count` founders with equal stake, started.
    function _start(uint256 count) internal {
        _startWith(_found(count, STAKE));
    }

    function _startWith(uint64[] memory ids) internal {
        vm.deal(address(this), SUPPLY);
        vm.prevrandao(keccak256("prevrandao"));
        inbox.start{value: SUPPLY}(_genesis(), ids);
    }

    function _ready(uint64 id) internal {
        uint64 number = uint64(vm.getBlockNumber()) - 1;
        bytes32 anchor = inbox.anchor().coreHash;
        bytes memory signature = BlsSigner.sign(secret(id), pool.readinessMessage(id, number, blockhash(number), anchor));
        pool.activate(id, number, anchor, signature);
    }

    function _advance(uint256 blocks) internal {
        vm.roll(vm.getBlockNumber() + blocks);
        vm.warp(vm.getBlockTimestamp() + blocks);
    }

    /// @dev A header whose hash the chain has at `number`: only prevrandao matters.
    function _header(uint256 number, bytes32 prevrandao) internal returns (bytes memory header) {
        bytes memory filler = abi.encodePacked(bytes1(0xa0), keccak256("field"));
        bytes memory fields = bytes.concat(filler, filler, abi.encodePacked(bytes1(0x94), address(1)), filler, filler, filler);
        fields = bytes.concat(fields, hex"b90100", new bytes(256), hex"80", hex"83", bytes3(uint24(number)), hex"83ffffff", hex"80");
        fields = bytes.concat(fields, hex"8465000000", hex"80", abi.encodePacked(bytes1(0xa0), prevrandao));
        fields = bytes.concat(fields, hex"880000000000000000", hex"07", filler, hex"80", hex"80", filler, filler);
        header = bytes.concat(hex"f9", bytes2(uint16(fields.length)), fields);
        vm.setBlockhash(number, keccak256(header));
    }

    /// @dev Takes and seals a snapshot.
    function _snapshot() internal returns (uint64 id) {
        uint64 from = pool.nextSnapshotBlock();
        if (vm.getBlockNumber() < from) _advance(from - vm.getBlockNumber());
        id = pool.takeSnapshot();
        uint256 number = vm.getBlockNumber() + pool.SEAL_DELAY();
        _advance(pool.SEAL_DELAY() + 1);
        pool.seal(id, _header(number, keccak256(abi.encode("prevrandao", id))));
    }

    // -- Batches

    /// @dev Fills `next` with the batch that follows: `blocks` heights, or up to the epoch's end if that comes first.
    function _prepare(uint64 blocks) internal {
        IBatchInbox.Anchor memory a = inbox.anchor();
        uint64 first = inbox.epochs(a.epoch).firstHeight;
        uint64 last = first + parameters.values().l2.epochBlocks - 1;
        uint64 height = a.lastHeight + blocks < last ? a.lastHeight + blocks : last;
        next = IBatchInbox.Core({
            version: 1,
            generation: a.generation,
            index: a.index + 1,
            previous: a.coreHash,
            epoch: a.epoch,
            snapshot: a.snapshot,
            firstHeight: a.lastHeight + 1,
            lastHeight: height,
            lastView: height - first + 1,
            lastBlock: keccak256(abi.encode("block", height)),
            lastTimestamp: uint64(vm.getBlockTimestamp()) - 1,
            stateRoot: keccak256(abi.encode("state", height)),
            originNumber: uint64(vm.getBlockNumber()) - 2,
            originHash: blockhash(vm.getBlockNumber() - 2),
            deposits: _depositsAt(uint64(vm.getBlockNumber()) - 2),
            withdrawalsRoot: 0,
            closing: height == last,
            fees: 0,
            performance: 0,
            nextSnapshot: 0
        });
        if (height == last && a.epoch > 0) {
            uint64 origin = inbox.epochs(a.epoch - 1).closingOrigin;
            while (!pool.isNewestAt(next.nextSnapshot, origin)) ++next.nextSnapshot;
        }
    }

    function _depositsAt(uint64 l1Block) internal view returns (uint64 count) {
        while (count < portal.depositCount()) {
            (uint64 at,) = portal.depositAt(count);
            if (at > l1Block) break;
            ++count;
        }
    }

    function _allSigners() internal view returns (uint256) {
        return (1 << pool.snapshot(next.snapshot).members.length) - 1;
    }

    function _dutyOperator(uint256 offset) internal view returns (address) {
        ISequencerPool.Member[] memory members = pool.snapshot(next.snapshot).members;
        (uint256 leader,) = pool.leaderOf(next.snapshot, next.epoch, (next.lastView - 1) / 30 + 1);
        return members[(leader + offset) % members.length].operator;
    }

    function _certificate(bytes32 coreHash, bytes32 dataHash, uint256 signers) internal view returns (IBatchInbox.Certificate memory) {
        ISequencerPool.Member[] memory members = pool.snapshot(next.snapshot).members;
        uint256 sum;
        for (uint256 i = 0; i < members.length; ++i) {
            if ((signers >> i) & 1 == 1) sum = addmod(sum, secret(members[i].id), BlsSigner.ORDER);
        }
        return IBatchInbox.Certificate({signers: signers, signature: BlsSigner.sign(sum, inbox.batchMessage(coreHash, dataHash))});
    }

    function _blobs() internal returns (bytes32 dataHash) {
        bytes32[] memory hashes = new bytes32[](2);
        (hashes[0], hashes[1]) = (bytes32(uint256(1) << 248 | 7), bytes32(uint256(1) << 248 | 8));
        vm.blobhashes(hashes);
        return keccak256(abi.encodePacked(uint8(0), hashes));
    }

    /// @dev The lane that `_post` uses: two blobs.
    function _encoding() internal virtual returns (bytes32 dataHash, bytes memory data) {
        return (_blobs(), "");
    }

    /// @dev Posts `next`, signed by `signers`, from the account on duty.
    function _post(uint256 signers, bytes memory performance) internal {
        (bytes32 dataHash, bytes memory data) = _encoding();
        IBatchInbox.Certificate memory certificate = _certificate(inbox.hashCore(next), dataHash, signers);
        IBatchInbox.Core memory core = next;
        address poster = _dutyOperator(0);
        vm.prank(poster);
        inbox.post(core, certificate, performance, data);
    }

    /// @dev Performance bytes: member i led `led[i]` blocks.
    function _performance(uint32[] memory led) internal pure returns (bytes memory data) {
        for (uint256 i = 0; i < led.length; ++i) {
            data = bytes.concat(data, bytes4(led[i]), bytes4(0));
        }
    }

    /// @dev Posts the rest of the running epoch as one closing batch with `fees`, blocks led as given, signed by `signers`.
    function _closeEpoch(uint256 fees, uint32[] memory led, uint256 signers) internal {
        _prepare(type(uint32).max);
        next.fees = fees;
        bytes memory performance = _performance(led);
        next.performance = keccak256(performance);
        _post(signers, performance);
    }

    /// @dev Takes a snapshot and closes epochs until it serves.
    function _serve() internal returns (uint64 id) {
        id = _snapshot();
        uint64 serving = inbox.epochs(inbox.runningEpoch()).snapshot;
        while (serving != id) {
            _advance(3);
            uint256 members = pool.snapshot(serving).members.length;
            _closeEpoch(0, _evenly(members), (1 << members) - 1);
            serving = inbox.epochs(inbox.runningEpoch()).snapshot;
        }
        _advance(3);
    }

    function _evenly(uint256 members) internal pure returns (uint32[] memory led) {
        led = new uint32[](members);
        for (uint256 i = 0; i < members; ++i) {
            led[i] = uint32(240 / members);
        }
    }
}
