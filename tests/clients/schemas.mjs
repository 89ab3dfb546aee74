// Method by method, what a node answers against the schemas of Ethereum's execution-apis, as @metamask/api-specs ships them
// (OpenRPC; CC0 and Apache-2.0), and of the methods that it leaves out. Prints what was checked and what does not fit as JSON.
// Usage: node schemas.mjs <directory with node_modules> <rpc> <hash of a transaction with a log>
import { createRequire } from "node:module";
import { join } from "node:path";
import { complete, methods as younger } from "./younger.mjs";

const [tools, rpc, hash] = process.argv.slice(2);
const require = createRequire(join(tools, "package.json"));
const Ajv = require("ajv").default;
const document = require("@metamask/api-specs").default;

let id = 0;
async function ask(method, params) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: ++id, method, params });
  const response = await fetch(rpc, { method: "POST", headers: { "content-type": "application/json" }, body });
  return response.json();
}
async function result(method, params) {
  const answer = await ask(method, params);
  if (answer.error) throw new Error(`${method}: ${JSON.stringify(answer.error)}`);
  return answer.result;
}

const receipt = await result("eth_getTransactionReceipt", [hash]);
const { blockHash, blockNumber, transactionIndex: index, from } = receipt;
const { address, topics } = receipt.logs[0];
const filter = { fromBlock: blockNumber, toBlock: blockNumber, address };
const none = `0x${"00".repeat(32)}`;
const call = { from, to: address, data: "0x18160ddd" };
const filterId = await result("eth_newFilter", [{ ...filter, topics: [topics[0]] }]);
const blockFilter = await result("eth_newBlockFilter", []);

// What each method is asked: where there is something to tell, and where there is nothing.
const questions = {
  eth_accounts: [[]],
  eth_blockNumber: [[]],
  eth_call: [[call, "latest"], [call, blockNumber]],
  eth_chainId: [[]],
  eth_coinbase: [[]],
  eth_estimateGas: [[call], [call, "latest"]],
  eth_feeHistory: [["0x5", "latest", [10, 50.5, 90]], ["0x1", blockNumber, []]],
  eth_gasPrice: [[]],
  eth_getBalance: [[from, "latest"], [from, "safe"], [from, { blockHash }]],
  eth_getBlockByHash: [[blockHash, false], [blockHash, true], [none, false]],
  eth_getBlockByNumber: [["latest", false], ["finalized", false], ["earliest", true], [blockNumber, true], ["0xffffffff", false]],
  eth_getBlockTransactionCountByHash: [[blockHash], [none]],
  eth_getBlockTransactionCountByNumber: [[blockNumber], ["latest"]],
  eth_getCode: [[address, "latest"], [from, "latest"]],
  eth_getFilterChanges: [[blockFilter], [filterId]],
  eth_getFilterLogs: [[filterId]],
  eth_getLogs: [[filter], [{ blockHash }], [{ ...filter, topics: [null, topics.slice(1)] }]],
  eth_getProof: [[from, [], "latest"], [address, ["0x0", none], blockNumber]],
  eth_getStorageAt: [[address, "0x0", "latest"]],
  eth_getTransactionByBlockHashAndIndex: [[blockHash, index], [blockHash, "0xffff"]],
  eth_getTransactionByBlockNumberAndIndex: [[blockNumber, index]],
  eth_getTransactionByHash: [[hash], [none]],
  eth_getTransactionCount: [[from, "latest"], [from, "pending"]],
  eth_getTransactionReceipt: [[hash], [none]],
  eth_getUncleCountByBlockHash: [[blockHash]],
  eth_getUncleCountByBlockNumber: [["latest"]],
  eth_newBlockFilter: [[]],
  eth_newFilter: [[filter]],
  eth_newPendingTransactionFilter: [[]],
  eth_syncing: [[]],
  eth_uninstallFilter: [[blockFilter], ["0x1"]],
  web3_clientVersion: [[]],
  eth_blobBaseFee: [[]],
  eth_createAccessList: [[call], [call, "latest"], [{ from, to: address, data: "0x" }, blockNumber]],
  eth_getBlockReceipts: [[blockNumber], ["latest"], [blockHash], ["0xffffffff"]],
  eth_maxPriorityFeePerGas: [[]],
  eth_simulateV1: [
    [{ blockStateCalls: [{ calls: [call, { from, to: address, data: "0xffffffff" }] }, {}] }],
    [{ blockStateCalls: [{ calls: [{ from, to: none.slice(0, 42), value: "0x1" }] }], traceTransfers: true, returnFullTransactions: true }, "latest"],
    // A contract in creation that is an invalid instruction.
    [{ blockStateCalls: [{ calls: [{ from, input: "0xfe", gas: "0x10000" }] }] }, blockNumber],
  ],
  debug_getRawBlock: [["latest"], [blockNumber], ["earliest"]],
  debug_getRawHeader: [["latest"], [blockNumber], ["earliest"]],
  debug_getRawReceipts: [["latest"], [blockNumber], ["earliest"]],
  debug_getRawTransaction: [[hash]],
};
// Not asked: it would send, or belongs to a WebSocket. Their parameters are compared all the same.
const unasked = ["eth_sendRawTransaction", "eth_subscribe", "eth_unsubscribe"];
// Methods of wallets, which hold keys: a node has none of these.
const ofWallets = /^(wallet_|personal_|eth_(requestAccounts|sendTransaction|decrypt|getEncryptionPublicKey|signTypedData))/;

// An empty list is a list of anything, so one of several forms means any of them here.
const spec = JSON.parse(JSON.stringify(document).replaceAll('"oneOf"', '"anyOf"'));
const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false, logger: false });
complete(spec.components.schemas);
spec.methods.push(...younger);
ajv.addSchema({ $id: "spec", components: spec.components });
const absolute = (schema) => JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"spec#/components'));

// A deposit (type 0x7e) is of L2 alone: the schemas of L1 do not know it.
const isOfL1 = (each) => each?.type !== "0x7e";
const withoutDeposits = (value) => {
  if (Array.isArray(value)) return value.filter(isOfL1);
  return value?.transactions?.some?.((t) => !isOfL1(t)) ? { ...value, transactions: value.transactions.filter(isOfL1) } : value;
};

const failures = [];
const own = new Map((await result("rpc.discover", [])).methods.map((method) => [method.name, method]));
const shared = spec.methods.filter((method) => !ofWallets.test(method.name));
let answers = 0;
for (const method of shared) {
  const { name } = method;
  const ours = own.get(name);
  if (!ours) {
    failures.push(`${name} is missing`);
    continue;
  }
  // In the same order, none more that must be given, none left out; what is more may be left out.
  const [wanted, given] = [method.params, ours.params];
  if (given.length < wanted.length) failures.push(`${name} takes ${given.length} parameters, not ${wanted.length}`);
  given.forEach((param, i) => {
    // The document often leaves `required` out.
    if (param.required && (!wanted[i] || wanted[i].required === false)) failures.push(`${name}: parameter ${i + 1} (${param.name}) need not be given elsewhere`);
  });
  if (!questions[name]) {
    if (!unasked.includes(name)) failures.push(`${name} is not asked here: add a question`);
    continue;
  }
  const fits = ajv.compile(absolute(method.result.schema));
  for (const params of questions[name]) {
    const answer = await ask(name, params);
    answers += 1;
    if (!("result" in answer) || answer.jsonrpc !== "2.0" || answer.id !== id) {
      failures.push(`${name} ${JSON.stringify(params)}: ${JSON.stringify(answer)}`);
    } else if (!fits(withoutDeposits(answer.result))) {
      const why = fits.errors.slice(0, 6).map((e) => `${e.instancePath} ${e.message} ${JSON.stringify(e.params)}`);
      failures.push(`${name} ${JSON.stringify(params)}: ${why.join("; ")} in ${JSON.stringify(answer.result).slice(0, 1500)}`);
    }
  }
  // One parameter too many is refused, one too few as well.
  const most = [...questions[name][0], ...given.slice(questions[name][0].length).map(() => null), "more"];
  if ((await ask(name, most)).error?.code !== -32602) failures.push(`${name} takes more parameters than it names`);
  const required = given.filter((param) => param.required).length;
  if (required && (await ask(name, questions[name][0].slice(0, required - 1))).error?.code !== -32602)
    failures.push(`${name} takes fewer parameters than it must have`);
}
for (const name of [...Object.keys(questions), ...unasked])
  if (!shared.some((method) => method.name === name)) failures.push(`${name} is not in the document`);

console.log(JSON.stringify({ methods: shared.length, answers, failures }));
