"""web3.py's own checks of a provider, class by class."""

from web3._utils.module_testing import EthModuleTest, NetModuleTest, Web3ModuleTest  # noqa: F401
from web3._utils.module_testing.go_ethereum_debug_module import GoEthereumDebugModuleTest
from web3._utils.module_testing.go_ethereum_txpool_module import GoEthereumTxPoolModuleTest


class TestEth(EthModuleTest):
    def test_eth_chain_id(self, w3):
        # The suite wants the id of its own chain.
        assert w3.eth.chain_id == int(w3.net.version)

    def test_eth_send_raw_transaction(self, w3, keyfile_account_pkey):
        # And signs for it.
        account = w3.eth.account.from_key(keyfile_account_pkey)
        transaction = {
            "chainId": w3.eth.chain_id,
            "from": account.address,
            "to": account.address,
            "value": 0,
            "gas": 21_000,
            "nonce": w3.eth.get_transaction_count(account.address, "pending"),
            "gasPrice": 10**9,
        }
        signed = account.sign_transaction(transaction)
        assert w3.eth.send_raw_transaction(signed.raw_transaction) == signed.hash


class TestNet(NetModuleTest):
    pass


class TestWeb3(Web3ModuleTest):
    def _check_web3_client_version(self, client_version):
        assert client_version.startswith("baton/")


class TestTxPool(GoEthereumTxPoolModuleTest):
    pass


class TestDebug(GoEthereumDebugModuleTest):
    pass
