#!/usr/bin/env bash
# Runs web3.py's own provider suite against a node and prints how many of its checks pass.
# Usage: web3py.sh <rpc> <key file> [directory for the Python environment]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export BATON_RPC=$1
BATON_KEY=$(cat "$2")
export BATON_KEY PYTHONDONTWRITEBYTECODE=1
environment=${3:-${XDG_CACHE_HOME:-$HOME/.cache}/baton-web3py}
if [ ! -x "$environment/bin/pytest" ]; then
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet web3==7.16.0 'pytest<9' pytest-asyncio pytest-timeout
fi
# Checks that pass today; some want methods that sign, which the node does not have. Fewer is a regression.
least=200
# pytest fails for each of those, so its count is judged and not its status.
summary=$("$environment/bin/pytest" -q --timeout 60 -p no:cacheprovider -o asyncio_mode=strict --tb=line "$here/web3py/test_provider.py" | tee /dev/stderr | tail -n 1) || true
passed=$(printf '%s' "$summary" | grep -oE '[0-9]+ passed' | grep -oE '[0-9]+' || true)
if [ "${passed:-0}" -lt "$least" ]; then
    echo "error: ${passed:-0} checks of web3.py's suite passed, $least should" >&2
    exit 1
fi
