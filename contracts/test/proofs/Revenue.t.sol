// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RevenueShare} from "../../src/RevenueShare.sol";
import {IParameters} from "../../src/interfaces/IParameters.sol";
import {IRevenueShare} from "../../src/interfaces/IRevenueShare.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {Debts} from "../helpers/Debts.sol";
import {Test} from "forge-std/Test.sol";

/// @notice An epoch's income, split by the real RevenueShare; the proof stands for all other contracts.
/// @dev One member, with all of the stake. Fees below 2^96 wei: more ether than there is.
contract RevenueProof is Test {
    RevenueShare private revenue;
    IParameters.Money public money;
    address private constant SNAPSHOT = address(0x5a9);
    address private constant ALICE = address(0xa11ce);
    address private constant BOB = address(0xb0b);
    uint256 private constant BPS = 10_000;
    uint128 private first;
    uint128 private second;
    /// Tokens that RevenueShare holds.
    uint256 private held;

    function setUp() public {
        vm.warp(1_700_000_000);
        bytes memory code =
            bytes.concat(vm.getCode("out/prove/RevenueShare.sol/RevenueShare.json"), abi.encode(this, this, this, this, this, this));
        address created;
        assembly {
            created := create(0, add(code, 32), mload(code))
        }
        revenue = RevenueShare(created);
        vm.deal(address(this), type(uint128).max);
        _snapshot(1e22, 1e28, 1_000);
    }

    // -- The other contracts, as RevenueShare sees them

    function token() external view returns (address) {
        return address(this);
    }

    function snapshotData(uint64) external pure returns (address, bytes32) {
        return (SNAPSHOT, 0);
    }

    function segments(uint64, address account, uint256, uint256) external view returns (IStaking.Segment[] memory list) {
        list = new IStaking.Segment[](1);
        list[0] = IStaking.Segment({from: 0, shares: account == ALICE ? first : second});
    }

    function balanceOf(address) external view returns (uint256) {
        return held;
    }

    function transferFrom(address, address, uint256 amount) external returns (bool) {
        held += amount;
        return true;
    }

    function _snapshot(uint112 stake, uint128 shares, uint16 commission) private {
        uint256 word = (uint256(stake) << 144) | (uint256(shares) << 16) | commission;
        vm.etch(SNAPSHOT, bytes.concat(hex"00", new bytes(256), bytes32(uint256(stake)), bytes32(word), bytes32(uint256(1) << 32)));
    }

    function _close(uint96 fees, uint64 batches, uint64 signedOf) private {
        revenue.receiveFees{value: fees}();
        uint64[] memory signed = new uint64[](1);
        signed[0] = signedOf;
        revenue.close(0, 0, fees, hex"0000000100000000", batches, signed);
    }

    // -- Proofs

    /// Debts are paid first, in the order they were incurred, each in full before the next, and never more than there is.
    function check_debts_are_covered_in_order(uint88 a, uint88 b, uint96 fees) public {
        money.producersBps = 4_000;
        revenue.addDebt(1, ALICE, a);
        revenue.addDebt(2, BOB, b);
        _close(fees, 1, 1);
        vm.prank(ALICE);
        uint256 coveredA = revenue.claimDebts(0, 0, Debts.one(1, 0, a));
        vm.prank(BOB);
        uint256 coveredB = revenue.claimDebts(0, 0, Debts.one(2, a, uint256(a) + b));
        uint256 owed = uint256(a) + b;
        assert(coveredA + coveredB == (fees < owed ? fees : owed));
        assert(coveredA == (fees < a ? fees : a));
        assert(revenue.totals().debtsPaid == coveredA + coveredB);
    }

    /// Every wei is a debt paid, the treasury's, income or carried over, and no epoch fails to close, whatever the shares are.
    function undecided_a_close_conserves_every_wei(uint96 fees, uint16 treasuryBps, uint16 producersBps, uint16 commission) public {
        vm.assume(treasuryBps <= 1_000 && producersBps <= BPS && commission <= BPS);
        (money.treasuryBps, money.producersBps) = (treasuryBps, producersBps);
        _snapshot(1e22, 1e28, commission);
        (bool closed,) = address(this).call(abi.encodeCall(this.closeOne, (fees)));
        assert(closed);
        IRevenueShare.Totals memory t = revenue.totals();
        assert(t.received == fees && t.received == uint256(t.debtsPaid) + t.treasury + t.income + t.carry);
        assert(uint256(t.treasury) * BPS <= uint256(fees) * treasuryBps);
    }

    function closeOne(uint96 fees) external {
        _close(fees, 3, 3);
    }

    /// The owner's commission is its share of the income, rounded down: never more, and nothing else is its own.
    function check_a_commission_is_at_most_its_share(uint96 fees, uint104 shares, uint16 commission) public {
        vm.assume(commission <= BPS && shares > 0);
        _snapshot(1e22, shares, commission);
        _close(fees, 3, 3);
        uint256 told = revenue.account(1).commission;
        assert(told * BPS <= uint256(fees) * commission && told <= revenue.totals().income);
    }

    /// Two positions and the owner together can never claim more than was credited.
    function check_claims_never_exceed_what_was_credited(uint96 fees, uint104 shares, uint104 a, uint104 b, uint16 commission) public {
        vm.assume(commission <= BPS && shares > 0 && uint256(a) + b <= shares);
        _snapshot(1e22, shares, commission);
        _close(fees, 3, 3);
        (first, second) = (a, b);
        uint256 due = revenue.claimable(1, ALICE) + revenue.claimable(1, BOB) + revenue.account(1).commission;
        assert(due <= revenue.totals().income);
    }

    /// What a producer forfeits to those who posted in its place is at most its income, as long as a batch has one duty.
    function check_forfeits_never_exceed_the_producers_income(uint96 fees, uint16 producersBps, uint64 batches) public {
        vm.assume(producersBps <= BPS && batches >= 2);
        money.producersBps = producersBps;
        revenue.addMiss(1, BOB);
        revenue.addMiss(1, BOB);
        _close(fees, batches, batches);
        uint256 forfeits = revenue.forfeitsOf(BOB);
        assert(forfeits * BPS <= uint256(fees) * producersBps && forfeits <= revenue.totals().income);
    }

    /// The stream releases no more than it holds, nor than its rate allows; what was paid in is left, carried or income.
    function check_the_stream_releases_no_more_than_it_holds(uint96 funded, uint80 rate, uint32 elapsed) public {
        money.emission = rate;
        revenue.fundEmissions(funded);
        vm.warp(block.timestamp + elapsed);
        _close(0, 3, 3);
        IRevenueShare.Emissions memory e = revenue.emissions();
        assert(e.funded == funded && funded == uint256(e.left) + e.carry + e.income);
        assert(uint256(e.carry) + e.income <= uint256(rate) * elapsed);
    }
}
