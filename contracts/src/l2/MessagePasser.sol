// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title MessagePasser
/// @notice L2 predeploy 0x4200000000000000000000000000000000000016: messages and ether to L1, in an append-only Merkle tree of depth 32.
/// @dev The root is in storage slot 0, where the batch rules read it. Ether sent along stays here for ever: it left the L2.
contract MessagePasser {
    /// @notice Depth of the tree.
    uint256 public constant DEPTH = 32;
    /// @notice Most bytes of a message's data.
    uint256 public constant MAX_DATA = 65_536;

    /// @notice Root of the tree (zero while it is empty). Storage slot 0.
    bytes32 public root;
    /// @notice Nonce of the next message: the number of messages so far.
    uint256 public nonce;
    /// @dev Left siblings on the path to the next leaf, by level.
    bytes32[32] private branch;

    /// @notice A message was sent.
    /// @param nonce Its position in the tree.
    /// @param sender Sender on L2.
    /// @param target Receiver on L1.
    /// @param leaf keccak256(abi.encode(nonce, sender, target, value, gas, data)): its id on L1.
    /// @param root The root after it.
    event Sent(
        uint256 indexed nonce,
        address indexed sender,
        address indexed target,
        uint256 value,
        uint256 gas,
        bytes data,
        bytes32 leaf,
        bytes32 root
    );

    /// @notice The tree is full.
    error MessagePasser_Full();
    /// @notice The data exceeds the limit.
    error MessagePasser_DataTooLong(uint256 length, uint256 limit);

    /// @notice Sends a message to L1 with the ether sent along.
    /// @param target Receiver on L1.
    /// @param gas Gas its call gets there at least.
    /// @param data Calldata of the call.
    /// @return sent The message's nonce.
    function send(address target, uint256 gas, bytes calldata data) external payable returns (uint256 sent) {
        if (data.length > MAX_DATA) revert MessagePasser_DataTooLong(data.length, MAX_DATA);
        sent = nonce;
        if (sent == type(uint32).max) revert MessagePasser_Full();
        bytes32 leaf = keccak256(abi.encode(sent, msg.sender, target, msg.value, gas, data));
        bytes32 newRoot = _append(sent, leaf);
        nonce = sent + 1;
        root = newRoot;
        emit Sent(sent, msg.sender, target, msg.value, gas, data, leaf, newRoot);
    }

    /// @dev Writes one branch node and folds the path to the root. Zero leaves stand for the missing ones.
    function _append(uint256 index, bytes32 node) private returns (bytes32) {
        bytes32 zero;
        bool stored;
        for (uint256 level = 0; level < DEPTH; ++level) {
            if ((index >> level) & 1 == 0) {
                if (!stored) {
                    branch[level] = node;
                    stored = true;
                }
                node = keccak256(abi.encode(node, zero));
            } else {
                node = keccak256(abi.encode(branch[level], node));
            }
            zero = keccak256(abi.encode(zero, zero));
        }
        return node;
    }
}
