//! `rpc.discover`: an OpenRPC document made of the signatures of the table that dispatches, so that none can be missing.
//! Every type has a schema with an example; a test calls each method with the examples.

use super::{Methods, Reply};
use crate::{
    error::{RpcError, code},
    ports::Backend,
};
use serde_json::{Map, Value, json};

pub(super) fn register<B: Backend>(table: &mut Methods<B>) {
    table.add("rpc.discover() -> OpenRpc", |c, _| {
        let text =
            c.document.get_or_init(|| document(&c.config.client_version, &c.signatures()).to_string().into_bytes());
        Ok(Reply::Now(text.clone()))
    });
    // A connection answers these itself if it is a WebSocket; here they are for the list and for everyone else.
    table.add("eth_subscribe(kind: SubscriptionKind, details?: Filter) -> Quantity", |_, _| Err(only_over_websocket()));
    table.add("eth_unsubscribe(subscriptionId: Quantity) -> Boolean", |_, _| Err(only_over_websocket()));
}

fn only_over_websocket() -> RpcError {
    RpcError::new(code::METHOD_NOT_FOUND, "notifications not supported: subscribe over WebSocket")
}

/// The name in a signature.
pub(super) fn name(signature: &'static str) -> &'static str {
    signature.split('(').next().unwrap_or(signature)
}

/// The document for these signatures.
fn document(version: &str, signatures: &[&str]) -> Value {
    let schemas: Map<String, Value> = SCHEMAS.iter().map(|(name, text)| ((*name).to_owned(), parsed(text))).collect();
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "Baton JSON-RPC",
            "description": "Ethereum's JSON-RPC with rollup_* for what Ethereum has no word for.",
            "version": version,
        },
        "methods": signatures.iter().filter_map(|signature| method(signature)).collect::<Vec<_>>(),
        "components": { "schemas": schemas },
    })
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

/// One method; `None` if the signature is not one, which a test excludes.
fn method(signature: &str) -> Option<Value> {
    let (name, rest) = signature.split_once('(')?;
    let (params, result) = rest.split_once(") -> ")?;
    let params = params.split(", ").filter(|param| !param.is_empty()).map(parameter).collect::<Option<Vec<_>>>()?;
    Some(json!({
        "name": name,
        "paramStructure": "by-position",
        "params": params,
        "result": { "name": "result", "schema": schema(result)? },
    }))
}

fn parameter(text: &str) -> Option<Value> {
    let (name, kind) = text.split_once(": ")?;
    let required = !name.ends_with('?');
    Some(json!({ "name": name.trim_end_matches('?'), "required": required, "schema": schema(kind)? }))
}

/// The schema of a type: a name, `[]` for a list of it, `|null` where nothing may be given.
fn schema(kind: &str) -> Option<Value> {
    if kind == "null" {
        return Some(json!({ "type": "null" }));
    }
    if let Some(kind) = kind.strip_suffix("|null") {
        return Some(json!({ "oneOf": [schema(kind)?, { "type": "null" }] }));
    }
    if let Some(kind) = kind.strip_suffix("[]") {
        return Some(json!({ "type": "array", "items": schema(kind)? }));
    }
    let known = SCHEMAS.iter().any(|(name, _)| *name == kind);
    known.then(|| json!({ "$ref": format!("#/components/schemas/{kind}") }))
}

/// The types, as JSON Schema.
const SCHEMAS: &[(&str, &str)] = &[
    (
        "Address",
        r##"{"type":"string","pattern":"^0x[0-9a-fA-F]{40}$","examples":["0x4200000000000000000000000000000000000011"]}"##,
    ),
    (
        "Hash",
        r##"{"type":"string","pattern":"^0x[0-9a-fA-F]{64}$","examples":["0x0101010101010101010101010101010101010101010101010101010101010101"]}"##,
    ),
    (
        "Slot",
        r##"{"type":"string","description":"up to 32 bytes","pattern":"^0x[0-9a-fA-F]{0,64}$","examples":["0x0"]}"##,
    ),
    ("Bytes", r##"{"type":"string","pattern":"^0x([0-9a-fA-F]{2})*$","examples":["0xc0ffee"]}"##),
    ("Quantity", r##"{"type":"string","pattern":"^0x(0|[1-9a-f][0-9a-f]*)$","examples":["0x1"]}"##),
    ("Count", r##"{"type":"integer","minimum":0,"examples":[1]}"##),
    ("Boolean", r##"{"type":"boolean","examples":[false]}"##),
    ("Text", r##"{"type":"string","examples":["trace"]}"##),
    ("Percentile", r##"{"type":"number","minimum":0,"maximum":100,"examples":[50]}"##),
    (
        "Block",
        r##"{"description":"a number, a tag, a hash or an EIP-1898 object","anyOf":[
            {"type":"string","pattern":"^0x[0-9a-fA-F]+$"},
            {"enum":["latest","pending","safe","finalized","earliest"]},
            {"type":"object","properties":{"blockHash":{"$ref":"#/components/schemas/Hash"},
                "blockNumber":{"$ref":"#/components/schemas/Quantity"},"requireCanonical":{"type":"boolean"}}}
        ],"examples":["latest"]}"##,
    ),
    (
        "Call",
        r##"{"type":"object","properties":{"from":{"$ref":"#/components/schemas/Address"},
            "to":{"$ref":"#/components/schemas/Address"},"gas":{"$ref":"#/components/schemas/Quantity"},
            "gasPrice":{"$ref":"#/components/schemas/Quantity"},"maxFeePerGas":{"$ref":"#/components/schemas/Quantity"},
            "maxPriorityFeePerGas":{"$ref":"#/components/schemas/Quantity"},"value":{"$ref":"#/components/schemas/Quantity"},
            "nonce":{"$ref":"#/components/schemas/Quantity"},"input":{"$ref":"#/components/schemas/Bytes"},
            "accessList":{"type":"array"},"authorizationList":{"type":"array"},"chainId":{"$ref":"#/components/schemas/Quantity"}
        },"examples":[{"to":"0x4200000000000000000000000000000000000011"}]}"##,
    ),
    (
        "StateOverrides",
        r##"{"type":"object","description":"by address: balance, nonce, code, state or stateDiff, movePrecompileToAddress","examples":[{}]}"##,
    ),
    (
        "BlockOverrides",
        r##"{"type":"object","description":"number, time, gasLimit, feeRecipient, prevRandao, baseFeePerGas, blobBaseFee, blockHash","examples":[{}]}"##,
    ),
    (
        "SimulatePayload",
        r##"{"type":"object","description":"execution-apis EthSimulatePayload","properties":{
            "blockStateCalls":{"type":"array","items":{"type":"object"}},"traceTransfers":{"type":"boolean"},
            "validation":{"type":"boolean"},"returnFullTransactions":{"type":"boolean"}
        },"required":["blockStateCalls"],"examples":[{"blockStateCalls":[{}]}]}"##,
    ),
    (
        "StorageRequests",
        r##"{"type":"object","description":"slots by address","examples":[{"0x4200000000000000000000000000000000000011":["0x0"]}]}"##,
    ),
    (
        "Filter",
        r##"{"type":"object","description":"fromBlock, toBlock or blockHash; address; topics (a log with fewer of them than positions are given does not match)","examples":[{}]}"##,
    ),
    (
        "SubscriptionKind",
        r##"{"enum":["newHeads","logs","newPendingTransactions","syncing"],"examples":["newHeads"]}"##,
    ),
    (
        "TraceOptions",
        r##"{"type":"object","description":"tracer: callTracer, prestateTracer, 4byteTracer, flatCallTracer, noopTracer, or none for every instruction; tracerConfig","examples":[{"tracer":"noopTracer"}]}"##,
    ),
    (
        "TraceFilter",
        r##"{"type":"object","description":"fromBlock, toBlock, fromAddress, toAddress, mode, after, count","examples":[{}]}"##,
    ),
    ("TraceKind", r##"{"enum":["trace"],"examples":["trace"]}"##),
    ("AccessListResult", r##"{"type":"object","required":["accessList","gasUsed"]}"##),
    (
        "AccountProof",
        r##"{"type":"object","required":["accountProof","balance","codeHash","nonce","storageHash","storageProof"]}"##,
    ),
    ("Batch", r##"{"type":"object","description":"an accepted batch"}"##),
    ("BlockBody", r##"{"type":"object","description":"header, transactions, uncles, withdrawals"}"##),
    ("BlockDetails", r##"{"type":"object","required":["block","issuance","totalFees"]}"##),
    ("BlockTransactions", r##"{"type":"object","required":["fullblock","receipts"]}"##),
    (
        "Capabilities",
        r##"{"type":"object","required":["head","state","tx","logs","receipts","blocks","stateproofs"]}"##,
    ),
    ("Changes", r##"{"type":"array","description":"logs, block hashes, transaction hashes or transactions"}"##),
    ("Configuration", r##"{"type":"object","description":"EIP-7910","required":["current","next","last"]}"##),
    ("Creator", r##"{"type":"object","required":["hash","creator"]}"##),
    ("Fate", r##"{"type":"object","required":["transactionHash","status"]}"##),
    ("FeeHistory", r##"{"type":"object","required":["oldestBlock","baseFeePerGas","gasUsedRatio"]}"##),
    ("Filled", r##"{"type":"object","required":["raw","tx"]}"##),
    ("FlatTrace", r##"{"type":"object","required":["action","subtraces","traceAddress","type"]}"##),
    ("Header", r##"{"type":"object","required":["hash","parentHash","number","timestamp","stateRoot"]}"##),
    ("InternalOperation", r##"{"type":"object","required":["type","from","to","value"]}"##),
    ("Leaders", r##"{"type":"object","required":["epoch","snapshot","view","current","next"]}"##),
    ("Log", r##"{"type":"object","required":["address","topics","data"]}"##),
    ("Modules", r##"{"type":"object","additionalProperties":{"type":"string"}}"##),
    ("OpenRpc", r##"{"type":"object","required":["openrpc","info","methods"]}"##),
    ("PoolContent", r##"{"type":"object","required":["pending","queued"]}"##),
    ("PoolStatus", r##"{"type":"object","required":["pending","queued"]}"##),
    ("Receipt", r##"{"type":"object","required":["transactionHash","status","gasUsed","logs"]}"##),
    ("ReplayedTrace", r##"{"type":"object","required":["output","trace"]}"##),
    ("RollupStatus", r##"{"type":"object","required":["synced","role","latestL2","safeL2","finalizedL2"]}"##),
    ("SimulatedBlock", r##"{"type":"object","required":["number","hash","calls"]}"##),
    ("StorageValues", r##"{"type":"object","description":"values by address, in the order asked for"}"##),
    ("Syncing", r##"{"description":"false, or how far the node is"}"##),
    ("Trace", r##"{"description":"what the tracer tells"}"##),
    ("TraceEntry", r##"{"type":"object","required":["type","depth","from","to"]}"##),
    ("Transaction", r##"{"type":"object","required":["hash","from","nonce","type"]}"##),
    ("TransactionPage", r##"{"type":"object","required":["txs","receipts","firstPage","lastPage"]}"##),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_is_json_and_a_signature_reads_as_it_is_written() {
        for (name, text) in SCHEMAS {
            assert!(parsed(text).is_object(), "{name}");
        }
        let read = method("eth_x(address: Address, slots?: Slot[]) -> Quantity|null").unwrap();
        assert_eq!(read["name"], "eth_x");
        assert_eq!(read["params"][1]["name"], "slots");
        assert_eq!((&read["params"][0]["required"], &read["params"][1]["required"]), (&json!(true), &json!(false)));
        assert_eq!(read["params"][1]["schema"]["items"]["$ref"], "#/components/schemas/Slot");
        assert_eq!(read["result"]["schema"]["oneOf"][1], json!({ "type": "null" }));
        assert_eq!(method("eth_x(a: Nothing) -> Quantity"), None);
    }
}
