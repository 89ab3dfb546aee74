// A viem client: reads, sends ether, deploys a contract, calls it, reads its logs, watches heads. Prints what it saw as JSON.
// Usage: node viem.mjs <directory with node_modules> <rpc> <ws> <key> <creation code with arguments> <receiver>
import { createRequire } from "node:module";
import { join } from "node:path";

const [tools, rpc, ws, key, code, receiver] = process.argv.slice(2);
const require = createRequire(join(tools, "package.json"));
const { createPublicClient, createWalletClient, defineChain, http, webSocket, parseAbi, parseEther } = require("viem");
const { privateKeyToAccount } = require("viem/accounts");

const id = await createPublicClient({ transport: http(rpc) }).getChainId();
const chain = defineChain({
  id,
  name: "Baton",
  nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [rpc], webSocket: [ws] } },
});
const reader = createPublicClient({ chain, transport: http(rpc), pollingInterval: 100 });
const account = privateKeyToAccount(key);
const wallet = createWalletClient({ account, chain, transport: http(rpc) });
const abi = parseAbi([
  "function transfer(address to, uint256 amount) returns (bool)",
  "function balanceOf(address account) view returns (uint256)",
  "event Transfer(address indexed from, address indexed to, uint256 value)",
]);

const watcher = createPublicClient({ chain, transport: webSocket(ws) });
let heads = 0;
const stop = watcher.watchBlockNumber({ onBlockNumber: () => heads++ });

const sent = await wallet.sendTransaction({ to: receiver, value: parseEther("1") });
const transfer = await reader.waitForTransactionReceipt({ hash: sent });
const deployed = await reader.waitForTransactionReceipt({ hash: await wallet.sendTransaction({ data: code }) });
const token = { address: deployed.contractAddress, abi };
const { request } = await reader.simulateContract({ ...token, functionName: "transfer", args: [receiver, 5n], account });
const moved = await reader.waitForTransactionReceipt({ hash: await wallet.writeContract(request) });
const logs = await reader.getContractEvents({ ...token, eventName: "Transfer", fromBlock: moved.blockNumber, toBlock: moved.blockNumber });
const held = await reader.readContract({ ...token, functionName: "balanceOf", args: [receiver] });
const block = await reader.getBlock({ blockTag: "latest" });
stop();

console.log(
  JSON.stringify({
    chainId: id,
    statuses: [transfer.status, deployed.status, moved.status],
    transactions: [transfer.transactionHash, deployed.transactionHash, moved.transactionHash],
    contract: deployed.contractAddress,
    logValue: logs[0]?.args.value.toString(),
    held: held.toString(),
    heads,
    latest: block.number.toString(),
  }),
);
process.exit(0);
