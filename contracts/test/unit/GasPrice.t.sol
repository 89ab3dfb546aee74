// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IPortal} from "../../src/interfaces/IPortal.sol";
import {GasPrice} from "../../src/libraries/GasPrice.sol";
import {World} from "../helpers/World.sol";

/// @notice The rule alone, and as the portal sells by it.
contract GasPriceTest is World {
    uint256 private constant TARGET = 15_000_000;
    uint256 private constant FLOOR = 1_000_000;

    // -- the rule

    function test_a_full_block_raises_and_an_empty_one_lowers_by_an_eighth() public pure {
        assertEq(GasPrice.next(8_000_000, 2 * TARGET, TARGET, 0, FLOOR), 9_000_000);
        assertEq(GasPrice.next(8_000_000, TARGET * 3 / 2, TARGET, 0, FLOOR), 8_500_000);
        assertEq(GasPrice.next(8_000_000, TARGET, TARGET, 0, FLOOR), 8_000_000);
        assertEq(GasPrice.next(8_000_000, TARGET / 2, TARGET, 0, FLOOR), 7_500_000);
        assertEq(GasPrice.next(8_000_000, 0, TARGET, 0, FLOOR), 7_000_000);
        assertEq(GasPrice.next(8_000_000, TARGET, TARGET, 1, FLOOR), 7_000_000);
        assertEq(GasPrice.next(64_000_000, TARGET, TARGET, 2, FLOOR), 49_000_000);
    }

    function test_the_price_stays_between_floor_and_ceiling() public pure {
        assertEq(GasPrice.next(FLOOR, 0, TARGET, 0, FLOOR), FLOOR);
        assertEq(GasPrice.next(0, 0, TARGET, 12_345_678, FLOOR), FLOOR);
        assertEq(GasPrice.next(GasPrice.CEILING, 2 * TARGET, TARGET, 0, FLOOR), GasPrice.CEILING);
        assertEq(GasPrice.next(GasPrice.CEILING, TARGET, TARGET, 250, 0), 0);
        assertEq(GasPrice.next(GasPrice.CEILING, TARGET, TARGET, 248, 0), 1);
        assertEq(GasPrice.next(GasPrice.CEILING, TARGET, TARGET, type(uint40).max, 0), 0);
    }

    /// A price of one wei rises too.
    function test_no_price_is_too_small_to_rise() public pure {
        assertEq(GasPrice.next(1, TARGET + 1, TARGET, 0, 1), 2);
    }

    /// Empty blocks at once, or one after the other: the same but for what is rounded off.
    function testFuzz_empty_blocks_fall_as_one_by_one(uint256 price, uint256 empty) public pure {
        price = bound(price, 1, GasPrice.CEILING);
        empty = bound(empty, 0, 300);
        uint256 slow = price;
        for (uint256 i = 0; i < empty; ++i) {
            slow = slow * 7 / 8;
        }
        uint256 fast = GasPrice.next(price, TARGET, TARGET, empty, 0);
        assertLe(slow, fast + 1, "at least what rounding down each time leaves");
        // Each of the steps rounds off less than one wei, and seven eighths of the error go on.
        assertLe(fast, slow + 8);
    }

    function testFuzz_a_price_moves_by_an_eighth_at_most_and_in_the_right_direction(uint256 price, uint256 used) public pure {
        price = bound(price, FLOOR, GasPrice.CEILING);
        used = bound(used, 0, 2 * TARGET);
        uint256 after_ = GasPrice.next(price, used, TARGET, 0, FLOOR);
        if (used > TARGET) assertTrue(after_ > price || price == GasPrice.CEILING);
        if (used < TARGET) assertLe(after_, price);
        assertLe(after_, price + price / 8);
        assertGe(after_, price - price / 8);
    }

    // -- the portal

    function _buy(uint64 gas) private returns (uint256 fee) {
        fee = portal.depositFee(gas);
        vm.deal(address(this), fee);
        portal.deposit{value: fee}(address(7), 0, gas, false, "", fee);
    }

    function test_all_deposits_of_a_block_pay_its_price_and_the_next_block_a_new_one() public {
        _buy(16_000_000);
        assertEq(portal.depositPrice(), FLOOR);
        _buy(14_000_000);
        assertEq(portal.depositPrice(), FLOOR);
        _advance(1);
        assertEq(portal.depositPrice(), 1_125_000);
        assertEq(_buy(15_000_000), 1_125_000 * 15_000_000);
        _advance(1);
        assertEq(portal.depositPrice(), 1_125_000, "half full: the target");
        _advance(1);
        assertEq(portal.depositPrice(), FLOOR, "and nothing lasts");
    }

    function test_fees_are_whole_gwei_rounded_up() public {
        assertEq(portal.depositFee(21_000), 21 gwei);
        assertEq(portal.depositFee(21_001), 22 gwei);
        assertEq(_buy(21_001), 22 gwei);
        assertEq(portal.proceeds(), 22 gwei);
    }

    function test_a_fee_above_the_depositors_maximum_is_refused() public {
        vm.deal(address(this), 1 ether);
        vm.expectRevert(abi.encodeWithSelector(IPortal.Portal_FeeAboveMaximum.selector, 100 gwei, 100 gwei - 1));
        portal.deposit{value: 1 ether}(address(7), 0, 100_000, false, "", 100 gwei - 1);
        portal.deposit{value: 1 ether}(address(7), 0, 100_000, false, "", 100 gwei);
    }

    function test_a_fee_that_was_not_sent_is_refused() public {
        vm.deal(address(this), 1 ether);
        vm.expectRevert(abi.encodeWithSelector(IPortal.Portal_FeeNotSent.selector, 100 gwei, 100 gwei - 1));
        portal.deposit{value: 100 gwei - 1}(address(7), 0, 100_000, false, "", 1 ether);
        vm.expectEmit(address(portal));
        emit IPortal.Deposited(0, _alias(), address(7), 0, 5 ether, 100_000, 100 gwei, false, "");
        portal.deposit{value: 100 gwei}(address(7), 5 ether, 100_000, false, "", 1 ether);
    }

    /// A depositor who leaves room for the price to rise loses none of it.
    function test_what_the_fee_does_not_take_is_minted() public {
        vm.deal(address(this), 2 ether);
        vm.expectEmit(address(portal));
        emit IPortal.Deposited(0, _alias(), address(7), 2 ether - 100 gwei, 1 ether, 100_000, 100 gwei, false, "");
        portal.deposit{value: 2 ether}(address(7), 1 ether, 100_000, false, "", 1 ether);
    }

    function test_a_plain_deposit_pays_at_most_a_hundredth() public {
        vm.deal(address(this), 1 ether);
        (bool success, bytes memory reason) = address(portal).call{value: 10_000 gwei - 1}("");
        assertFalse(success);
        assertEq(reason, abi.encodeWithSelector(IPortal.Portal_FeeAboveMaximum.selector, 100 gwei, 100 gwei - 1));
        (success,) = address(portal).call{value: 10_000 gwei}("");
        assertTrue(success);
        (success, reason) = address(portal).call("");
        assertEq(reason, abi.encodeWithSelector(IPortal.Portal_FeeAboveMaximum.selector, 100 gwei, 0));
    }

    // -- proceeds

    function test_an_epochs_close_pays_the_proceeds_with_its_fees() public {
        uint256 fee = _buy(16_000_000);
        vm.deal(address(portal), address(portal).balance + 3 ether);
        vm.expectEmit(address(portal));
        emit IPortal.FeesPaid(3 ether);
        vm.expectEmit(address(portal));
        emit IPortal.ProceedsPaid(fee);
        vm.prank(address(inbox));
        portal.payFees(3 ether);
        assertEq(portal.proceeds(), 0);
        assertEq(address(portal).balance, 0);
        assertEq(revenue.totals().received, 3 ether + fee);
        assertEq(revenue.totals().carry, 3 ether + fee, "for the epoch that closes");
    }

    function test_proceeds_are_paid_by_anyone_once() public {
        uint256 fee = _buy(16_000_000);
        vm.prank(makeAddr("anyone"));
        assertEq(portal.payProceeds(), fee);
        assertEq(address(revenue).balance, fee);
        vm.recordLogs();
        assertEq(portal.payProceeds(), 0);
        assertEq(vm.getRecordedLogs().length, 0);
        assertEq(address(revenue).balance, fee);
        uint256 again = _buy(21_000);
        assertEq(portal.proceeds(), again);
    }

    /// The whole way: what depositors paid ends with who sequenced, at the next close, by the same shares as fees.
    function test_proceeds_are_shared_like_fees() public {
        _start(4);
        uint256 fee = _buy(16_000_000);
        _advance(3);
        uint32[] memory led = new uint32[](4);
        (led[0], led[1], led[2], led[3]) = (60, 60, 60, 60);
        _closeEpoch(0.5 ether, led, 15);
        uint256 given = revenue.totals().debtsPaid + revenue.totals().treasury + revenue.totals().income + revenue.totals().carry;
        assertEq(given, 0.5 ether + fee);
        assertEq(address(portal).balance, SUPPLY - 0.5 ether);
    }

    function _alias() private view returns (address) {
        return address(uint160(address(this)) + uint160(0x1111000000000000000000000000000000001111));
    }

    receive() external payable {}
}
