"""Writes tests/vectors/t8n.json: blocks in t8n's form with the results of EELS' own t8n (PyPI ethereum-execution), for `baton evm t8n`.

Run with the Python of scripts/differential-evm.sh's EELS environment: target/eels/bin/python scripts/t8n-vectors.py
"""

import io
import json
import pathlib

from ethereum_spec_tools.evm_tools import create_parser
from ethereum_spec_tools.evm_tools.t8n import T8N, ForkCache

KEYS = ["0x" + f"{number:064x}" for number in (0xA11CE, 0xB0B)]
ALICE, BOB = None, None
STORE = "0x00000000000000000000000000000000000c0001"  # Stores calldata word 1 at word 0, logs it.
REVERT = "0x00000000000000000000000000000000000c0002"
HASHES = "0x00000000000000000000000000000000000c0003"  # Stores BLOCKHASH(number - 2), PREVRANDAO, BASEFEE, BLOBBASEFEE, COINBASE's balance.
REQUESTS = ["0x00000961Ef480Eb55e80D19ad83579A64c007002", "0x0000BBdDc7CE488642fb579F8B00f3a590007251"]
BEACON = "0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02"
BEACON_CODE = "0x3373fffffffffffffffffffffffffffffffffffffffe14604d57602036146024575f5ffd5b5f35801560495762001fff810690815414603c575f5ffd5b62001fff01545f5260205ff35b5f5ffd5b62001fff42064281555f359062001fff015500"
HISTORY = "0x0000F90827F1C53a10cb7A02335B175320002935"
HISTORY_CODE = "0x3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500"


def address(key):
    from coincurve import PrivateKey
    from ethereum.crypto.hash import keccak256

    return "0x" + keccak256(PrivateKey(bytes.fromhex(key[2:])).public_key.format(compressed=False)[1:])[12:].hex()


def alloc():
    code = lambda text: {"balance": "0x0", "nonce": "0x1", "code": text, "storage": {}}
    accounts = {address(key): {"balance": hex(10**20), "nonce": "0x0", "code": "0x", "storage": {}} for key in KEYS}
    accounts[STORE] = {**code("0x6020356000355560203560005260206000a000"), "storage": {"0x01": "0x05"}}
    accounts[REVERT] = code("0x600160005560006000fd")
    accounts[HASHES] = code("0x60024303406000554460015548600255" + "4a600355" + "41316004" + "5500")
    accounts[BEACON] = code(BEACON_CODE)
    accounts[HISTORY] = code(HISTORY_CODE)
    for request in REQUESTS:
        accounts[request] = code("0x00")
    return accounts


def env(**extra):
    return {
        "currentCoinbase": "0x00000000000000000000000000000000c01ba5e0",
        "currentGasLimit": "0x3938700",
        "currentNumber": "0x5",
        "currentTimestamp": "0x3e8",
        "currentRandom": "0x" + "11" * 32,
        "currentBaseFee": "0x3b9aca00",
        "currentExcessBlobGas": "0x0",
        "parentBeaconBlockRoot": "0x" + "22" * 32,
        "blockHashes": {hex(number): "0x" + f"{number + 1:02x}" * 32 for number in range(5)},
        "withdrawals": [],
        **extra,
    }


def tx(who, nonce, **fields):
    return {
        "type": "0x2", "chainId": "0x1", "nonce": hex(nonce), "gas": "0x186a0", "maxFeePerGas": "0x77359400",
        "maxPriorityFeePerGas": "0x1", "to": STORE, "value": "0x0", "input": "0x", "accessList": [],
        "v": "0x0", "r": "0x0", "s": "0x0", "secretKey": KEYS[who], **fields,
    }


def legacy(who, nonce, **fields):
    made = tx(who, nonce, type="0x0", gasPrice="0x77359400", **fields)
    return {key: value for key, value in made.items() if key not in ("maxFeePerGas", "maxPriorityFeePerGas", "accessList")}


def store(slot, value):
    return "0x" + f"{slot:064x}{value:064x}"


def cases():
    yield "no transactions", alloc(), env(), []
    yield "transfers of each type", alloc(), env(), [
        legacy(0, 0, to=address(KEYS[1]), value="0x5"),
        legacy(0, 1, to="0x00000000000000000000000000000000000000ff", protected=False),
        tx(0, 2, to="0x00000000000000000000000000000000deadbeef", value="0x1"),
        {**legacy(1, 0, to=HASHES, gas="0x493e0"), "type": "0x1", "accessList": [{"address": STORE, "storageKeys": ["0x" + "00" * 32]}]},
    ]
    yield "storage set, changed, cleared, and logs", alloc(), env(), [
        tx(0, 0, input=store(1, 0)), tx(0, 1, input=store(1, 7)), tx(1, 0, input=store(2, 9)), tx(1, 1, input=store(2, 0)),
    ]
    yield "failures", alloc(), env(), [
        tx(0, 0, to=REVERT), tx(0, 1, input=store(1, 1), gas="0x5dc0"), tx(0, 2, to="", input="0xfe"),
        tx(0, 3, to="", input="0x600160005360016000f3", value="0x3"), tx(0, 4, to="", input="0x60ef60005360016000f3"),
    ]
    yield "refused", alloc(), env(), [
        tx(0, 1), tx(0, 0, value=hex(10**21)), tx(0, 0, gas="0x5207"), tx(0, 0, maxFeePerGas="0x1", maxPriorityFeePerGas="0x1"),
        tx(0, 0, maxPriorityFeePerGas="0x77359401"), tx(0, 0, gas="0x1000001"), tx(0, 0, input=store(3, 3)),
    ]
    yield "withdrawals", alloc(), env(withdrawals=[
        {"index": "0x0", "validatorIndex": "0x1", "address": address(KEYS[1]), "amount": "0x5"},
        {"index": "0x1", "validatorIndex": "0x2", "address": "0x00000000000000000000000000000000000000aa", "amount": "0x0"},
        {"index": "0x2", "validatorIndex": "0x3", "address": "0x00000000000000000000000000000000000000bb", "amount": "0x1"},
    ]), [tx(0, 0, input=store(5, 5))]
    parent = env(parentBaseFee="0x3b9aca00", parentGasUsed="0x2faf080", parentGasLimit="0x3938700")
    del parent["currentBaseFee"]
    yield "a base fee that follows from the parent", alloc(), parent, [tx(0, 0, input=store(5, 5))]


def run(fork, before, environment, txs):
    parser = create_parser()
    options = parser.parse_args([
        "t8n", "--input.alloc", "stdin", "--input.env", "stdin", "--input.txs", "stdin", "--output.alloc", "stdout",
        "--output.result", "stdout", "--output.basedir", "/tmp", "--state.fork", fork, "--state.chainid", "1",
    ])
    given, printed = io.StringIO(json.dumps({"alloc": before, "env": environment, "txs": txs})), io.StringIO()
    with ForkCache() as cache:
        assert T8N(options, printed, given, cache).run() == 0
    return json.loads(printed.getvalue())


vectors = []
for fork in ("Cancun", "Prague", "Osaka"):
    for name, before, environment, txs in cases():
        done = run(fork, before, environment, txs)
        result = {key: done["result"][key] for key in ("stateRoot", "gasUsed", "logsHash", "logsBloom", "currentBaseFee", "withdrawalsRoot")}
        # Where transactions are refused, EELS leaves holes in these tries.
        if not done["result"]["rejected"]:
            result |= {key: done["result"][key] for key in ("txRoot", "receiptsRoot")}
        assert "blockException" not in done["result"], (name, fork, done["result"]["blockException"])
        rejected = [rejected["index"] for rejected in done["result"]["rejected"]]
        vectors.append({"name": f"{name} ({fork})", "fork": fork, "alloc": before, "env": environment, "txs": txs,
                        "result": result, "rejected": rejected, "after": done["alloc"]})
target = pathlib.Path(__file__).parent.parent / "tests/vectors/t8n.json"
target.write_text(json.dumps(vectors, indent=1) + "\n")
print(f"{len(vectors)} blocks written to {target}")
