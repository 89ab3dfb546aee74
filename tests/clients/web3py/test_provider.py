"""web3.py's own checks of a provider, class by class."""

from web3._utils.module_testing import EthModuleTest, NetModuleTest, Web3ModuleTest  # noqa: F401
from web3._utils.module_testing.go_ethereum_debug_module import GoEthereumDebugModuleTest
from web3._utils.module_testing.go_ethereum_txpool_module import GoEthereumTxPoolModuleTest


class TestEth(EthModuleTest):
    def test_eth_chain_id(self, w3):
        # The suite wants the id of its own chain.
        assert w3.eth.chain_id == int(w3.net.version)


class TestNet(NetModuleTest):
    pass


class TestWeb3(Web3ModuleTest):
    def _check_web3_client_version(self, client_version):
        assert client_version.startswith("baton/")


class TestTxPool(GoEthereumTxPoolModuleTest):
    pass


class TestDebug(GoEthereumDebugModuleTest):
    pass
