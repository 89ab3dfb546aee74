#!/usr/bin/env bash
# Runs slither over the contracts; fails on a finding of high or medium impact that contracts/test/slither.json does not explain.
# Slither is installed once, in a pinned version, into contracts/.slither (not committed).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root/contracts"
if [ ! -x .slither/bin/slither ]; then
    python3 -m venv .slither
    .slither/bin/pip install --quiet slither-analyzer==0.11.6
fi
binaries=("$root"/anvil/node_modules/@foundry-rs/forge-*/bin)
export PATH="${binaries[0]}:$PATH" FOUNDRY_OUT=out/slither FOUNDRY_CACHE_PATH=cache/slither FOUNDRY_OPTIMIZER=false
# It reads syntax trees only: compiled without optimization, and without the tests.
forge build --build-info --ast --force --skip 'test/**' >/dev/null
rm -f cache/slither/findings.json
.slither/bin/slither . --ignore-compile --foundry-out-directory out/slither --exclude-low --exclude-informational --exclude-optimization \
    --fail-none --json cache/slither/findings.json 2>cache/slither/log || { cat cache/slither/log >&2; exit 1; }
grep "Impossible to generate IR" cache/slither/log || true
python3 - <<'PYTHON'
import json, sys

explained = {(check, place): why for check, e in json.load(open("test/slither.json")).items() for why, places in e.items() for place in places}
found = set()
for finding in json.load(open("cache/slither/findings.json"))["results"].get("detectors", []):
    first = finding["elements"][0]
    if not first["source_mapping"]["filename_relative"].startswith("src/"):
        continue
    parent = first.get("type_specific_fields", {}).get("parent", {})
    scope = parent.get("type_specific_fields", {}).get("parent", {})
    place = ".".join(x["name"] for x in (scope, parent, first) if x and x["type"] in ("contract", "function", "variable"))
    found.add((finding["check"], place))
for check, place in sorted(found - explained.keys()):
    print(f"not explained: {check}: {place}")
for check, place in sorted(explained.keys() - found):
    print(f"explained, but not found: {check}: {place}")
print(f"{len(found)} findings of high or medium impact in src, {len(found & explained.keys())} explained in test/slither.json")
sys.exit(bool(found - explained.keys()))
PYTHON
