#!/usr/bin/env bash
# Proves the checks of contracts/test/proofs: halmos runs the compiled contracts on symbolic inputs, scripts/prove/integers.py decides its queries.
# Arguments go to halmos, e.g. --match-contract Conversions. Both are installed once, in pinned versions, into contracts/.halmos (not committed).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root/contracts"
if [ ! -x .halmos/bin/halmos ]; then
    python3 -m venv .halmos
    .halmos/bin/pip install --quiet halmos==0.3.3 cvc5==1.4.2
fi
binaries=("$root"/anvil/node_modules/@foundry-rs/forge-*/bin)
export PATH="${binaries[0]}:$PATH" FOUNDRY_PROFILE=prove
exec .halmos/bin/halmos --root . --forge-build-out out/prove --loop 4 --solver-timeout-assertion 120s \
    --solver-command "$root/contracts/.halmos/bin/python $root/scripts/prove/integers.py" "$@"
