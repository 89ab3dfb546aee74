"""Fixtures of web3.py's own provider suite, against a running node. BATON_RPC and BATON_KEY name the node and a rich account.

How each case must end is in expected.txt: `passes NAME`, `fails NAME: REASON`, or `either NAME: TEXT | TEXT: REASON` where the moment at
which a block comes decides: it passes, or it fails and says one of these texts. The run fails if one ends otherwise, is not in the
list, or is in the list and does not run.
"""

import os
import socket
import time
from pathlib import Path
from urllib.parse import urlparse

import pytest

# So that a case which fails says which values it compared.
pytest.register_assert_rewrite("web3._utils.module_testing")

from eth_account import Account
from web3 import HTTPProvider, Web3
from web3._utils.contract_sources.contract_data.math_contract import MATH_CONTRACT_DATA
from web3._utils.contract_sources.contract_data.emitter_contract import EMITTER_CONTRACT_DATA
from web3._utils.contract_sources.contract_data.offchain_lookup import OFFCHAIN_LOOKUP_DATA
from web3._utils.contract_sources.contract_data.panic_errors_contract import PANIC_ERRORS_CONTRACT_DATA
from web3._utils.contract_sources.contract_data.revert_contract import REVERT_CONTRACT_DATA
from web3._utils.contract_sources.contract_data.storage_contract import STORAGE_CONTRACT_DATA
from web3.middleware import SignAndSendRawMiddlewareBuilder, Web3Middleware
from web3._utils.module_testing.utils import RequestMocker


class LocalAccounts(Web3Middleware):
    """Whose key is held here is an account of this client."""

    def wrap_make_request(self, make_request):
        def request(method, params):
            if method == "eth_accounts":
                return {"jsonrpc": "2.0", "id": 1, "result": [ACCOUNT.address]}
            return make_request(method, params)

        return request


KEY = os.environ["BATON_KEY"]
ACCOUNT = Account.from_key(KEY)


@pytest.fixture(scope="module")
def w3():
    w3 = Web3(HTTPProvider(os.environ["BATON_RPC"], request_kwargs={"timeout": 10}))
    # The node holds no keys: what it is asked to send is signed here.
    w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(ACCOUNT), layer=0)
    w3.middleware_onion.inject(LocalAccounts, layer=0)
    w3.eth.default_account = ACCOUNT.address
    return w3


@pytest.fixture(autouse=True)
def no_gas_price_strategy(w3):
    """A case that fails leaves its own behind."""
    w3.eth.set_gas_price_strategy(None)


@pytest.fixture(autouse=True)
def nothing_waits(w3):
    """The suite is written for chains on which a transaction waits for nobody: what one case sends is included before the next begins."""
    while len({w3.eth.get_transaction_count(ACCOUNT.address, block) for block in ("latest", "pending")}) > 1:
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def no_other_host(monkeypatch):
    """One case asks a gateway that must not answer: no network decides how long that takes."""
    resolve, node = socket.getaddrinfo, urlparse(os.environ["BATON_RPC"]).hostname

    def only_the_node(host, *args, **kwargs):
        if host != node:
            raise socket.gaierror(socket.EAI_NONAME, f"{host} is not the node")
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", only_the_node)


@pytest.fixture
def request_mocker():
    return RequestMocker


def deployed(w3, data):
    factory = w3.eth.contract(abi=data["abi"], bytecode=data["bytecode"])
    hash = factory.constructor().transact({"from": ACCOUNT.address})
    return hash, w3.eth.wait_for_transaction_receipt(hash)["contractAddress"], data["abi"]


def deployer(name, data):
    def contract(w3):
        _, address, abi = deployed(w3, data)
        return w3.eth.contract(address=address, abi=abi)

    contract.__name__ = name
    return pytest.fixture(scope="module", name=name)(contract)


emitter_contract = deployer("emitter_contract", EMITTER_CONTRACT_DATA)
offchain_lookup_contract = deployer("offchain_lookup_contract", OFFCHAIN_LOOKUP_DATA)
panic_errors_contract = deployer("panic_errors_contract", PANIC_ERRORS_CONTRACT_DATA)
revert_contract = deployer("revert_contract", REVERT_CONTRACT_DATA)
storage_contract = deployer("storage_contract", STORAGE_CONTRACT_DATA)


@pytest.fixture(scope="module")
def math_contract_deploy(w3):
    return deployed(w3, MATH_CONTRACT_DATA)


@pytest.fixture(scope="module")
def math_contract_deploy_txn_hash(math_contract_deploy):
    return math_contract_deploy[0]


@pytest.fixture(scope="module")
def math_contract(w3, math_contract_deploy):
    return w3.eth.contract(address=math_contract_deploy[1], abi=math_contract_deploy[2])


@pytest.fixture
def math_contract_address(math_contract, address_conversion_func):
    return address_conversion_func(math_contract.address)


@pytest.fixture
def emitter_contract_address(emitter_contract, address_conversion_func):
    return address_conversion_func(emitter_contract.address)


@pytest.fixture(params=[lambda a: a, lambda a: bytes.fromhex(a[2:])], ids=["text", "bytes"])
def address_conversion_func(request):
    return request.param


@pytest.fixture
def keyfile_account_pkey():
    return KEY


@pytest.fixture
def keyfile_account_address():
    return ACCOUNT.address


@pytest.fixture
def keyfile_account_address_dual_type(keyfile_account_address, address_conversion_func):
    return address_conversion_func(keyfile_account_address)


@pytest.fixture(scope="module")
def mined_txn_hash(w3):
    hash = w3.eth.send_transaction({"from": ACCOUNT.address, "to": ACCOUNT.address, "value": 1, "gas": 21_000})
    w3.eth.wait_for_transaction_receipt(hash)
    return hash


@pytest.fixture(scope="module")
def block_with_txn(w3, mined_txn_hash):
    return w3.eth.get_block(w3.eth.get_transaction(mined_txn_hash)["blockNumber"])


@pytest.fixture(scope="module")
def txn_hash_with_log(w3, emitter_contract):
    hash = emitter_contract.functions.logDouble(which=9, arg0=12345, arg1=54321).transact({"from": ACCOUNT.address})
    w3.eth.wait_for_transaction_receipt(hash)
    return hash


@pytest.fixture(scope="module")
def block_with_txn_with_log(w3, txn_hash_with_log):
    return w3.eth.get_block(w3.eth.get_transaction(txn_hash_with_log)["blockNumber"])


@pytest.fixture(scope="module")
def empty_block(w3):
    return w3.eth.get_block(0)


@pytest.fixture
def skip_if_testrpc():
    return lambda _: None


EXPECTED = Path(__file__).with_name("expected.txt")
# Case -> (how it ended, what it said).
OUTCOMES = {}


def pytest_runtest_logreport(report):
    name = report.nodeid.split("::", 1)[1]
    if report.failed:
        OUTCOMES[name] = ("fails", str(report.longrepr.reprcrash.message if hasattr(report.longrepr, "reprcrash") else report.longrepr))
    elif report.skipped:
        # A case that the suite itself expects to fail, and does, too.
        OUTCOMES[name] = ("fails", getattr(report, "wasxfail", str(report.longrepr)))
    elif report.when == "call":
        OUTCOMES[name] = ("passes", "")


def expected():
    """Case -> (what is expected, the texts of a failure that may be, the reason)."""
    cases = {}
    for line in EXPECTED.read_text().splitlines() if EXPECTED.exists() else []:
        if not line or line.startswith("#"):
            continue
        outcome, rest = line.split(" ", 1)
        name, *more = rest.split(": ", {"passes": 0, "fails": 1, "either": 2}[outcome])
        texts = more.pop(0).split(" | ") if outcome == "either" else []
        reason = more.pop(0) if more else ""
        assert outcome == "passes" or reason, f"expected.txt: {line}"
        cases[name] = (outcome, texts, reason)
    return cases


def is_expected(want, texts, ended, said):
    if want == "either":
        return ended == "passes" or (ended == "fails" and any(text in said for text in texts))
    return want == ended


def pytest_sessionfinish(session):
    wanted = expected()
    wrong, moment = [], []
    for name in sorted(wanted.keys() | OUTCOMES.keys()):
        want, texts, _ = wanted.get(name, ("is not in expected.txt", [], ""))
        ended, said = OUTCOMES.get(name, ("did not run", ""))
        said = " ".join(said.split())
        if not is_expected(want, texts, ended, said):
            wrong.append(f"{name}: expected: {want} {' | '.join(texts)}, but: {ended} {said[:300]}")
        elif want == "either":
            moment.append(ended)
    if os.environ.get("BATON_WRITE_EXPECTED"):
        lines = ["# How each case of web3.py's provider suite ends, and why one cannot pass. Written by tests/clients/web3py.sh."]
        for name, (ended, said) in sorted(OUTCOMES.items()):
            want, texts, reason = wanted.get(name, ("", [], ""))
            reason = reason or f"TODO {' '.join(said.split())[:200]}"
            if want == "either":
                lines.append(f"either {name}: {' | '.join(texts)}: {reason}")
            else:
                lines.append(f"fails {name}: {reason}" if ended == "fails" else f"passes {name}")
        EXPECTED.write_text("\n".join(lines) + "\n")
    passed = sum(ended == "passes" for ended, _ in OUTCOMES.values())
    print(f"\nweb3.py: {passed} of {len(OUTCOMES)} cases pass; {len(wrong)} ended otherwise than expected")
    print(f"the moment decides {len(moment)} cases: {moment.count('passes')} of them passed")
    print("\n".join(wrong))
    session.exitstatus = 1 if wrong else 0
