#!/usr/bin/env bash
# A cast client: reads, sends ether, deploys a contract, calls it, reads its logs. Prints what it saw as JSON.
# Usage: cast.sh <cast> <rpc> <key file> <creation code with arguments> <receiver>
set -euo pipefail
cast=$1 rpc=$2 key=$3 code=$4 receiver=$5
export ETH_RPC_URL=$rpc
secret=$(cat "$key")

field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p" | head -n 1; }

chain=$($cast chain-id)
transfer=$($cast send --json --private-key "$secret" --value 1ether "$receiver")
deployed=$($cast send --json --private-key "$secret" --create "$code")
contract=$(printf '%s' "$deployed" | field contractAddress)
moved=$($cast send --json --private-key "$secret" "$contract" 'transfer(address,uint256)' "$receiver" 7)
held=$($cast call "$contract" 'balanceOf(address)(uint256)' "$receiver" | awk '{print $1}')
number=$($cast block-number)
safe=$($cast block safe --field number)
printf '{"chainId":%s,"statuses":["%s","%s","%s"],"transactions":["%s","%s","%s"],"contract":"%s","held":"%s","latest":%s,"safe":%s}\n' \
    "$chain" \
    "$(printf '%s' "$transfer" | field status)" "$(printf '%s' "$deployed" | field status)" "$(printf '%s' "$moved" | field status)" \
    "$(printf '%s' "$transfer" | field transactionHash)" "$(printf '%s' "$deployed" | field transactionHash)" "$(printf '%s' "$moved" | field transactionHash)" \
    "$contract" "$held" "$number" "$safe"
