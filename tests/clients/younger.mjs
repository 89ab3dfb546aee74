// Methods of Ethereum's execution-apis that @metamask/api-specs leaves out, since wallets do not ask them: their parameters and
// answers, after src/eth/{block,execute,fee_market}.yaml, src/debug/getters.yaml and src/schemas/execute.yaml (CC0).
const schema = (name) => ({ $ref: `#/components/schemas/${name}` });
const list = (items) => ({ type: "array", items });
const object = (required, properties, rest = {}) => ({ type: "object", required, properties, ...rest });
const param = (name, schema, required = true) => ({ name, required, schema });
const block = param("Block", schema("BlockNumberOrTag"));
const method = (name, params, schema) => ({ name, params, result: { schema } });

export const methods = [
  method("eth_blobBaseFee", [], schema("uint")),
  method("eth_maxPriorityFeePerGas", [], schema("uint")),
  method("eth_getBlockReceipts", [param("Block", schema("BlockNumberOrTagOrHash"))], {
    anyOf: [schema("notFound"), list(schema("ReceiptInfo"))],
  }),
  method(
    "eth_createAccessList",
    [param("Transaction", schema("GenericTransaction")), { ...block, required: false }],
    object(
      ["accessList", "gasUsed"],
      { accessList: schema("AccessList"), error: { type: "string" }, gasUsed: schema("uint") },
      { additionalProperties: false },
    ),
  ),
  method(
    "eth_simulateV1",
    [param("Payload", { type: "object" }), param("Block tag", schema("BlockNumberOrTagOrHash"), false)],
    list(schema("SimulatedBlock")),
  ),
  method("debug_getRawHeader", [block], schema("bytes")),
  method("debug_getRawBlock", [block], schema("bytes")),
  method("debug_getRawReceipts", [block], list(schema("bytes"))),
  method("debug_getRawTransaction", [param("Transaction hash", schema("hash32"))], schema("bytes")),
];

const error = (code, pattern) =>
  object(["code", "message"], { code: { const: code }, message: { type: "string", pattern } });
const ended = { returnData: schema("bytes"), gasUsed: schema("uint64"), maxUsedGas: schema("uint64") };
const calls = list({
  anyOf: [
    object(["status", "returnData", "gasUsed", "error"], {
      ...ended,
      status: { const: "0x0" },
      // Messages are suggestions: the document would have "vm execution error", its own vectors and geth have "out of gas".
      error: { anyOf: [error(3, "^execution reverted"), error(-32015, ".")] },
    }),
    object(["status", "returnData", "gasUsed", "logs"], { ...ended, status: { const: "0x1" }, logs: list(schema("Log")) }),
  ],
});

// What the document's own schemas must have besides.
export function complete(schemas) {
  // Younger than the document (src/schemas/block.yaml, receipt.yaml).
  schemas.Block.properties.requestsHash ??= schema("hash32");
  schemas.Log.properties.blockTimestamp ??= schema("uint");
  const { Block } = schemas;
  schemas.SimulatedBlock = { ...Block, required: [...Block.required, "calls"], properties: { ...Block.properties, calls } };
}
