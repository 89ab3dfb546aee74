"""An independent execution of the chain's blocks: EELS, the executable specification (PyPI ethereum-execution), fork Osaka.

Speaks as ethereumjs.mjs does: one JSON object a line in, one out. What this chain has of its own (the base fee goes to the fee vault,
deposits, the sweep) is written here once more. Run as: python eels.py
"""

import json
import sys

from ethereum.crypto.hash import Hash32
from ethereum.exceptions import EthereumException
from ethereum.forks.osaka import fork, transactions, vm
from ethereum.forks.osaka.blocks import decode_receipt
from ethereum.forks.osaka.bloom import logs_bloom
from ethereum.forks.osaka.fork_types import Account, Address
from ethereum.forks.osaka.state import (
    State,
    get_account,
    set_account,
    set_account_balance,
    set_storage,
    state_root,
)
from ethereum.forks.osaka.trie import Trie, root, trie_set
from ethereum_rlp import rlp
from ethereum_rlp.exceptions import DecodingError
from ethereum_types.bytes import Bytes, Bytes0, Bytes32
from ethereum_types.numeric import U64, U256, Uint

sys.setrecursionlimit(100_000)
HISTORY = Address(bytes.fromhex("0000f90827f1c53a10cb7a02335b175320002935"))


def unhex(text):
    return bytes.fromhex(text[2:])


def hexed(data):
    return "0x" + bytes(data).hex()


class Chain:
    def __init__(self, genesis):
        self.chain_id = U64(genesis["chainId"])
        self.vault = Address(unhex(genesis["vault"]))
        self.state = State()
        self.hashes = {}
        for text, account in genesis["alloc"].items():
            address = Address(unhex(text))
            set_account(
                self.state,
                address,
                Account(Uint(account["nonce"]), U256(int(account["balance"])), Bytes(unhex(account["code"]))),
            )
            for slot, value in account["storage"].items():
                set_storage(self.state, address, U256(int(slot)).to_be_bytes32(), U256(int(value)))

    def root(self):
        return hexed(state_root(self.state))

    def credit(self, address, wei):
        """Adds wei, which may be negative."""
        balance = int(get_account(self.state, address).balance)
        set_account_balance(self.state, address, U256(balance + wei))

    def block(self, header, candidates):
        number = header["number"]
        self.hashes[number - 1] = Hash32(unhex(header["parentHash"]))
        first = max(0, number - 256)
        environment = vm.BlockEnvironment(
            chain_id=self.chain_id,
            state=self.state,
            block_gas_limit=Uint(header["gasLimit"]),
            block_hashes=[self.hashes.get(height) for height in range(first, number)],
            coinbase=self.vault,
            number=Uint(number),
            base_fee_per_gas=Uint(header["baseFee"]),
            time=U256(header["timestamp"]),
            prev_randao=Bytes32(unhex(header["prevRandao"])),
            excess_blob_gas=U64(0),
            parent_beacon_block_root=Hash32(unhex(header["parentBeaconBlockRoot"])),
        )
        output = vm.BlockOutput()
        slot = U256((number - 1) % 8191).to_be_bytes32()
        set_storage(self.state, HISTORY, slot, U256.from_be_bytes(unhex(header["parentHash"])))
        receipts, bodies, verdicts, outline = Trie(secured=False, default=None), Trie(secured=False, default=None), [], []
        logs = ()
        for candidate in candidates:
            before = int(output.block_gas_used)
            if "deposit" in candidate:
                done = self.deposit(candidate["deposit"], environment, output)
            else:
                done = self.signed(unhex(candidate["raw"]), environment, output)
            verdicts.append(done is not None)
            if done is None:
                continue
            status, receipt, new_logs = done
            key = rlp.encode(Uint(len(outline)))
            trie_set(receipts, key, receipt)
            trie_set(bodies, key, unhex(candidate["raw"]))
            outline.append([status, int(output.block_gas_used)])
            logs += new_logs
            assert int(output.block_gas_used) > before
        swept = 0
        if header["sweep"]:
            swept = int(get_account(self.state, self.vault).balance)
            set_account_balance(self.state, self.vault, U256(0))
        return {
            "stateRoot": self.root(),
            "receiptsRoot": hexed(root(receipts)),
            "transactionsRoot": hexed(root(bodies)),
            "logsBloom": hexed(logs_bloom(logs)),
            "gasUsed": int(output.block_gas_used),
            "receipts": outline,
            "verdicts": verdicts,
            "swept": str(swept),
        }

    def run(self, tx, environment, output):
        """The receipt of a transaction, or None if the block may not hold it: then it leaves no trace."""
        index = Uint(len(output.receipt_keys))
        logs = output.block_logs
        try:
            # Whatever it refuses a transaction for, it does so before it changes anything.
            fork.process_transaction(environment, output, tx, index)
        except EthereumException:
            return None
        receipt = output.receipts_trie._data[rlp.encode(index)]
        return decode_receipt(receipt), receipt, output.block_logs[len(logs) :]

    def signed(self, raw, environment, output):
        try:
            legacy = raw[0] >= 0xC0
            tx = rlp.decode_to(transactions.LegacyTransaction, raw) if legacy else transactions.decode_transaction(Bytes(raw))
        except (EthereumException, DecodingError):
            return None
        before = int(output.block_gas_used)
        done = self.run(tx, environment, output)
        if done is None:
            return None
        self.credit(self.vault, (int(output.block_gas_used) - before) * int(environment.base_fee_per_gas))
        receipt, encoded, logs = done
        return bool(receipt.succeeded), encoded, logs

    def deposit(self, deposit, environment, output):
        """Mints, then runs as a transaction whose gas costs nothing: it is lent the base fee, which is taken back."""
        sender = Address(unhex(deposit["from"]))
        gas, price = deposit["gas"], int(environment.base_fee_per_gas)
        nonce = get_account(self.state, sender).nonce
        tx = transactions.LegacyTransaction(
            nonce=U256(nonce),
            gas_price=Uint(price),
            gas=Uint(gas),
            to=Address(unhex(deposit["to"])) if deposit["to"] else Bytes0(b""),
            value=U256(int(deposit["value"])),
            data=Bytes(unhex(deposit["data"])),
            v=U256(0),
            r=U256(0),
            s=U256(0),
        )
        self.credit(sender, int(deposit["mint"]) + gas * price)
        before = int(output.block_gas_used)
        with unsigned_by(sender):
            done = self.run(tx, environment, output)
        if done is None:
            self.credit(sender, -gas * price)
            account = get_account(self.state, sender)
            set_account(self.state, sender, Account(account.nonce + Uint(1), account.balance, account.code))
            output.block_gas_used += Uint(gas)
            # Its place in the block's tries.
            output.receipt_keys += (rlp.encode(Uint(len(output.receipt_keys))),)
            status, logs = False, ()
        else:
            status, logs = bool(done[0].succeeded), done[2]
            self.credit(sender, (int(output.block_gas_used) - before - gas) * price)
        receipt = rlp.encode(
            [Uint(status), output.block_gas_used, logs_bloom(logs), logs, nonce, Uint(1)],
        )
        return status, b"\x7e" + receipt, logs


class unsigned_by:
    """Lets transactions be anyone's, of any gas limit and of no price, as deposits are."""

    def __init__(self, sender):
        self.sender = sender

    def __enter__(self):
        self.kept = fork.recover_sender, fork.prepare_message, transactions.TX_MAX_GAS_LIMIT

        def prepare(block_env, tx_env, tx):
            tx_env.gas_price = Uint(0)
            return self.kept[1](block_env, tx_env, tx)

        fork.recover_sender = lambda chain_id, tx: self.sender
        fork.prepare_message = prepare
        transactions.TX_MAX_GAS_LIMIT = Uint(2**64)

    def __exit__(self, *_):
        fork.recover_sender, fork.prepare_message, transactions.TX_MAX_GAS_LIMIT = self.kept


chain = None
for line in sys.stdin:
    question = json.loads(line)
    if "genesis" in question:
        chain = Chain(question["genesis"])
        answer = {"stateRoot": chain.root()}
    else:
        answer = chain.block(question["block"], question["transactions"])
    print(json.dumps(answer), flush=True)
