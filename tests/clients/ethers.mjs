// An ethers v6 client: reads, sends ether, deploys a contract, calls it, reads its logs, hears heads. Prints what it saw as JSON.
// Usage: node ethers.mjs <directory with node_modules> <rpc> <ws> <key> <creation code with arguments> <receiver>
import { createRequire } from "node:module";
import { join } from "node:path";

const [tools, rpc, ws, key, code, receiver] = process.argv.slice(2);
const require = createRequire(join(tools, "package.json"));
const { JsonRpcProvider, WebSocketProvider, NonceManager, Wallet, ContractFactory, parseEther } = require("ethers");

const provider = new JsonRpcProvider(rpc, undefined, { pollingInterval: 100 });
const wallet = new NonceManager(new Wallet(key, provider));
const abi = [
  "function transfer(address to, uint256 amount) returns (bool)",
  "function balanceOf(address account) view returns (uint256)",
  "event Transfer(address indexed from, address indexed to, uint256 value)",
];

const listener = new WebSocketProvider(ws);
let heads = 0;
await listener.on("block", () => heads++);

const transfer = await (await wallet.sendTransaction({ to: receiver, value: parseEther("1") })).wait();
const token = await new ContractFactory(abi, code, wallet).deploy();
const deployed = await token.deploymentTransaction().wait();
const contract = token.attach(await token.getAddress());
// A refused call is an error that names its cause, before anything is sent.
const refused = await contract.transfer.staticCall(receiver, 10n ** 30n).then(
  () => "nothing",
  (error) => error.code,
);
const moved = await (await contract.transfer(receiver, 9n)).wait();
const logs = await contract.queryFilter("Transfer", moved.blockNumber, moved.blockNumber);
const held = await contract.balanceOf(receiver);
const fees = await provider.getFeeData();
const block = await provider.getBlock("latest", true);
const finalized = await provider.getBlock("finalized");
await listener.destroy();

console.log(
  JSON.stringify({
    chainId: Number((await provider.getNetwork()).chainId),
    statuses: [transfer.status, deployed.status, moved.status],
    transactions: [transfer.hash, deployed.hash, moved.hash],
    contract: await contract.getAddress(),
    logValue: logs[0]?.args.value.toString(),
    held: held.toString(),
    refused,
    hasFees: fees.maxFeePerGas > 0n && fees.gasPrice > 0n,
    heads,
    latest: block.number,
    finalized: finalized.number,
  }),
);
process.exit(0);
