// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title GasPrice
/// @notice The price of gas that is sold by the block, after EIP-1559: it rises while blocks are more than half full and falls while they are
/// less, by at most an eighth a block. OP's ResourceMetering has the same rule, but takes its price in burnt L1 gas.
/// @dev Prices are whole wei per gas; a rise is at least one, so that no price is too small to rise.
library GasPrice {
    /// @notice A full block raises the price by one part in this many; an empty one lowers it by as much.
    uint256 internal constant CHANGE_DENOMINATOR = 8;
    /// @notice The greatest price (wei per gas), 281,474 gwei. It stops rising there: at this price a full block of 30 million gas costs 8,444
    /// ether, and whoever pays that many times over may keep others waiting.
    uint256 internal constant CEILING = type(uint48).max;
    /// @dev Empty blocks after which the ceiling itself has fallen below one wei: (7/8)^250 < 2^-48.
    uint256 private constant MOST_EMPTY = 250;
    /// @dev Fractions are counted in units of 2^-64.
    uint256 private constant FRACTION_BITS = 64;

    /// @notice The price after a block in which `used` gas was sold for `price`, and `empty` blocks in which none was.
    /// @param target Half of what a block offers.
    /// @param floor The least price, at most CEILING.
    function next(uint256 price, uint256 used, uint256 target, uint256 empty, uint256 floor) internal pure returns (uint256) {
        if (used > target) {
            uint256 rise = price * (used - target) / target / CHANGE_DENOMINATOR;
            price += rise == 0 ? 1 : rise;
            if (price > CEILING) price = CEILING;
        } else {
            price -= price * (target - used) / target / CHANGE_DENOMINATOR;
        }
        price = empty > MOST_EMPTY ? 0 : price * _remaining(empty) >> FRACTION_BITS;
        return price < floor ? floor : price;
    }

    /// @dev What is left of one after `empty` falls: by squaring, in at most eight steps.
    function _remaining(uint256 empty) private pure returns (uint256 fraction) {
        fraction = 1 << FRACTION_BITS;
        uint256 power = fraction - fraction / CHANGE_DENOMINATOR;
        for (; empty > 0; empty >>= 1) {
            if (empty & 1 == 1) fraction = fraction * power >> FRACTION_BITS;
            power = power * power >> FRACTION_BITS;
        }
    }
}
