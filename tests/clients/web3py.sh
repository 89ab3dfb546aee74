#!/usr/bin/env bash
# Runs web3.py's own provider suite against a node; fails if a case ends otherwise than web3py/expected.txt says.
# Usage: web3py.sh <rpc> <file with the key of a rich account> [pytest's arguments]
# `npx rust-just test-tools` installs what it needs. BATON_WRITE_EXPECTED=1 writes the list anew and keeps its reasons.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)/web3py
export BATON_RPC=$1
BATON_KEY=$(cat "$2")
export BATON_KEY PYTHONDONTWRITEBYTECODE=1 NO_PROXY='*' no_proxy='*'
shift 2
if [ ! -x "$here/.venv/bin/pytest" ]; then
    echo "error: web3.py is not installed: run 'npx rust-just test-tools'" >&2
    exit 1
fi
exec "$here/.venv/bin/pytest" -q --no-header --timeout 60 -p no:cacheprovider -o asyncio_mode=strict --disable-warnings \
    "$@" "$here/test_provider.py"
